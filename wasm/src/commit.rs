//! Building a commit, and what becomes of the pending one.

use openmls::prelude::*;
use serde_bytes::ByteBuf;

use crate::config::{MAX_MESSAGE, MAX_WELCOME, capabilities, group_context_extensions};
use crate::errors::{Error, Result};
use crate::group::check_group_data;
use crate::key_package;
use crate::merge::{Origin, Staged, merge};
use crate::party::Party;
use crate::rules::check_distinct;
use crate::types::{Commit, Merged};

/// What a commit is to change.
pub struct Wanted {
    /// Key packages of those to be added.
    pub add: Vec<Vec<u8>>,
    /// Leaf indices of those to be removed.
    pub remove: Vec<u32>,
    /// New group data.
    pub group_data: Option<Vec<u8>>,
    /// What the commit is bound to.
    pub authenticated_data: Vec<u8>,
}

/// Build a commit, always with an update path; it stays pending.
pub fn build(party: &Party, group: &mut MlsGroup, wanted: &Wanted) -> Result<Commit> {
    party.check_may_send(group)?;
    check_ready(party, group)?;
    if wanted.authenticated_data.len() > MAX_MESSAGE {
        return Err(Error::malformed("The authenticated data is larger than 1 MiB."));
    }
    let epoch = group.epoch().as_u64();
    let adds = key_packages(party, group, wanted)?;
    group.set_aad(wanted.authenticated_data.clone());
    let mut builder = group
        .commit_builder()
        .consume_proposal_store(false)
        .force_self_update(true)
        .leaf_node_parameters(leaf_parameters(party)?)
        .propose_adds(adds)
        .propose_removals(wanted.remove.iter().map(|index| LeafNodeIndex::new(*index)));
    if let Some(data) = &wanted.group_data {
        check_group_data(data)?;
        builder = builder.propose_group_context_extensions(group_context_extensions(data)?)?;
    }
    let provider = &party.provider;
    let bundle = builder
        .load_psks(provider.storage())?
        .create_group_info(true)
        .use_ratchet_tree_extension(true)
        .build(provider.rand(), provider.crypto(), &party.device.signer, |_| true)?
        .stage_commit(provider)?;
    let (commit, welcome, group_info) = bundle.into_messages();
    party.store().put(party.pending_key(group)?, &ByteBuf::from(wanted.authenticated_data.clone()))?;
    let group_info = group_info.ok_or_else(|| Error::internal("The commit came without its GroupInfo."))?;
    Ok(Commit {
        commit: framed(&commit, MAX_MESSAGE)?,
        welcome: welcome.map(|welcome| framed(&welcome, MAX_WELCOME)).transpose()?,
        group_info: framed(&group_info, MAX_WELCOME)?,
        epoch,
    })
}

/// Merge the pending commit.
pub fn merge_pending(party: &Party, group: &mut MlsGroup) -> Result<Merged> {
    let aad: ByteBuf = party.store().get(&party.pending_key(group)?)?.unwrap_or_default();
    let origin = Origin::Member(group.own_leaf_index());
    merge(party, group, origin, Staged::Pending, aad.into_vec())
}

/// Forget the pending commit.
pub fn discard_pending(party: &Party, group: &mut MlsGroup) -> Result<()> {
    if group.pending_commit().is_none() {
        return Err(Error::not_allowed("There is no pending commit."));
    }
    group.clear_pending_commit(party.store())?;
    party.store().delete(&party.pending_key(group)?);
    Ok(())
}

/// What our new leaf says. Given each time, because OpenMLS would otherwise choose defaults in an external commit.
pub fn leaf_parameters(party: &Party) -> Result<LeafNodeParameters> {
    let builder = LeafNodeParameters::builder()
        .with_capabilities(capabilities())
        .with_extensions(party.device.leaf_extensions()?);
    #[cfg(feature = "kat-hooks")]
    if party.device.forged.identity.is_some() {
        return Ok(builder.with_credential_with_key(party.device.credential()?).build());
    }
    Ok(builder.build())
}

/// Serialize what we send, within what others read.
pub fn framed(message: &MlsMessageOut, limit: usize) -> Result<Vec<u8>> {
    let bytes = message.to_bytes()?;
    if bytes.len() > limit {
        return Err(Error::malformed("What would be sent is larger than others read."));
    }
    Ok(bytes)
}

fn check_ready(party: &Party, group: &MlsGroup) -> Result<()> {
    party.check_active(group)?;
    if group.pending_commit().is_some() {
        return Err(Error::not_allowed("A commit is pending."));
    }
    Ok(())
}

/// The key packages to be added, checked as the receivers of the commit will check them.
fn key_packages(party: &Party, group: &MlsGroup, wanted: &Wanted) -> Result<Vec<KeyPackage>> {
    let staying = party.members(group)?.into_iter().filter(|member| !wanted.remove.contains(&member.index));
    let mut identities: Vec<String> = staying.map(|member| member.identity).collect();
    let mut key_packages = Vec::new();
    for bytes in &wanted.add {
        let (key_package, described) = key_package::check(party, bytes)?;
        if key_package.ciphersuite() != group.ciphersuite() {
            return Err(Error::unacceptable("A key package is for another cipher suite than the group's."));
        }
        identities.push(described.leaf.identity);
        key_packages.push(key_package);
    }
    check_distinct(&party.policy, identities.iter().map(String::as_str))?;
    Ok(key_packages)
}
