//! Replacing our own leaf by an external commit (RFC 9420 section 12.4.3.2).
//!
//! The new group is built in a store of its own and handed out as one record. Nothing changes here until
//! `merge` puts its rows in the place of the old ones.

use openmls::prelude::*;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use crate::commit::{framed, leaf_parameters};
use crate::config::{MAX_MESSAGE, MAX_WELCOME};
use crate::errors::{Error, Result};
use crate::group_info::{inspect, parse_group_info};
use crate::party::{Inner, Party, Provider};
use crate::rules::group_data;
use crate::storage_provider::{group_key, group_prefix, tag};
use crate::store::{FORMAT, decode, encode};
use crate::types::{Member, Merged, Rejoin};
use crate::welcome::check_tree;

#[derive(Serialize, Deserialize)]
struct Record {
    group_id: ByteBuf,
    replaced: Member,
    authenticated_data: ByteBuf,
    rows: Vec<(ByteBuf, ByteBuf)>,
}

/// Build an external commit that replaces our leaf.
pub fn build(party: &Party, bytes: &[u8], authenticated_data: &[u8]) -> Result<Rejoin> {
    if authenticated_data.len() > MAX_MESSAGE {
        return Err(Error::malformed("The authenticated data is larger than 1 MiB."));
    }
    let inspected = inspect(party, bytes)?;
    let replaced = own_leaf(party, &inspected.members)?;
    let provider = Provider::default();
    let (group, bundle) = MlsGroup::external_commit_builder()
        .with_config(party.policy.join_config())
        .with_aad(authenticated_data.to_vec())
        .skip_lifetime_validation()
        .build_group(&provider, parse_group_info(bytes)?, party.device.credential()?)?
        .leaf_node_parameters(leaf_parameters(party)?)
        .load_psks(provider.storage())?
        .build(provider.rand(), provider.crypto(), &party.device.signer, |_| true)?
        .finalize(&provider)?;
    let members = check_tree(party, &group, None)?;
    let (commit, _, group_info) = bundle.into_messages();
    let group_info = group_info.ok_or_else(|| Error::internal("The commit came without its GroupInfo."))?;
    Ok(Rejoin {
        commit: framed(&commit, MAX_MESSAGE)?,
        group_info: framed(&group_info, MAX_WELCOME)?,
        epoch: inspected.epoch,
        record: record(&provider, &group, replaced, authenticated_data)?,
        members,
    })
}

/// Put the rejoined group in the place of the old rows.
pub fn merge(inner: &mut Inner, bytes: &[u8]) -> Result<Merged> {
    let record: Record = decode(bytes)?;
    let id = record.group_id.to_vec();
    let merged = inner.call(|party| replace(party, record))?;
    inner.unload(&id);
    Ok(merged)
}

fn own_leaf(party: &Party, members: &[Member]) -> Result<Member> {
    let identity = party.device.identity()?;
    let own = members.iter().find(|member| member.signature_key == party.device.signer.public());
    own.filter(|member| member.identity == identity || party.policy.relaxed())
        .cloned()
        .ok_or_else(|| Error::unacceptable("This device has no leaf in the group."))
}

fn record(
    provider: &Provider,
    group: &MlsGroup,
    replaced: Member,
    authenticated_data: &[u8],
) -> Result<Vec<u8>> {
    let rows = provider.storage().rows(&group_prefix(group.group_id())?);
    let pair = |(key, row): (Vec<u8>, Zeroizing<Vec<u8>>)| (ByteBuf::from(key), ByteBuf::from(row.to_vec()));
    let record = Record {
        group_id: ByteBuf::from(group.group_id().to_vec()),
        replaced,
        authenticated_data: ByteBuf::from(authenticated_data.to_vec()),
        rows: rows.into_iter().map(pair).collect(),
    };
    Ok(encode(&record)?.to_vec())
}

fn replace(party: &Party, record: Record) -> Result<Merged> {
    let id = GroupId::from_slice(&record.group_id);
    let old_data = MlsGroup::load(party.store(), &id).ok().flatten();
    let old_data = old_data.map(|group| group_data(group.public_group().group_context()));
    let prefix = group_prefix(&id)?;
    party.store().delete_prefix(&prefix);
    for (key, row) in record.rows {
        if !key.starts_with(&prefix) || row.first() != Some(&FORMAT) {
            return Err(Error::corrupt("The record holds a row that is not of its group."));
        }
        party.store().put_row(key.into_vec(), Zeroizing::new(row.into_vec()));
    }
    if party.device.read_only {
        party.store().put(group_key(&id, tag::TAKEN_OVER)?, &true)?;
    }
    let group =
        MlsGroup::load(party.store(), &id)?.ok_or_else(|| Error::corrupt("The record is incomplete."))?;
    let committer = party.member(&group, group.own_leaf_index())?;
    if committer.signature_key != party.device.signer.public() {
        return Err(Error::corrupt("The record is of another device."));
    }
    let data = group_data(group.public_group().group_context());
    Ok(Merged {
        committer,
        epoch: group.epoch().as_u64(),
        added: vec![],
        removed: vec![record.replaced],
        updated: vec![],
        external: true,
        group_data: (Some(&data) != old_data.as_ref()).then_some(data),
        self_removed: false,
        authenticated_data: record.authenticated_data.into_vec(),
    })
}
