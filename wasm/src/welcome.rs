//! Entering a group by a Welcome (RFC 9420 section 12.4.3.1).

use openmls::prelude::*;

use crate::config::{MAX_WELCOME, suite};
use crate::errors::{Error, Result};
use crate::message::parse;
use crate::party::{Inner, Party};
use crate::rules::{check_context, check_distinct, check_leaf, group_data};
use crate::storage_provider::group_prefix;
use crate::types::{Joined, Member};

/// Enter a group. The key package is used up only if all of this succeeds.
pub fn join(inner: &mut Inner, welcome: &[u8], tree: Option<&[u8]>) -> Result<Joined> {
    let (joined, group) = inner.call(|party| {
        if party.device.read_only {
            return Err(Error::not_allowed("An imported state enters no groups."));
        }
        enter(party, welcome, tree)
    })?;
    inner.keep(group);
    Ok(joined)
}

fn enter(party: &Party, welcome: &[u8], tree: Option<&[u8]>) -> Result<(Joined, MlsGroup)> {
    let MlsMessageBodyIn::Welcome(welcome) = parse(welcome, MAX_WELCOME)?.extract() else {
        return Err(Error::malformed("This is not a Welcome."));
    };
    let config = party.policy.join_config();
    let mut builder = StagedWelcome::build_from_welcome(&party.provider, &config, welcome)?;
    check_offer(party, builder.processed_welcome())?;
    // An old leaf's key package may have run out since; how long it was valid is our own rule (`check_leaf`).
    builder = builder.skip_lifetime_validation();
    #[cfg(feature = "kat-hooks")]
    if let Some(tree) = tree {
        use tls_codec::DeserializeBytes as _;
        builder = builder.with_ratchet_tree(RatchetTreeIn::tls_deserialize_exact_bytes(tree)?);
    }
    let _ = tree;
    let staged = builder.build()?;
    let inviter = staged.welcome_sender_index();
    let group = staged.into_group(&party.provider)?;
    let members = check_tree(party, &group, None)?;
    let inviter = members.into_iter().find(|member| member.index == inviter.u32());
    let joined = Joined {
        group_id: group.group_id().to_vec(),
        epoch: group.epoch().as_u64(),
        inviter: inviter.ok_or_else(|| Error::forged("The Welcome is signed by nobody in the group."))?,
        group_data: group_data(group.public_group().group_context()),
    };
    Ok((joined, group))
}

/// Before the tree is looked at: a suite of ours, no PSKs, and no group that we are in.
fn check_offer(party: &Party, offer: &ProcessedWelcome) -> Result<()> {
    let info = offer.unverified_group_info();
    if !party.policy.relaxed() {
        suite(info.ciphersuite().into())?;
        if !offer.psks().is_empty() {
            return Err(Error::unacceptable("The Welcome asks for pre-shared keys."));
        }
    }
    // A group that removed us may add us again: its rows only served to be forgotten.
    match MlsGroup::load(party.store(), info.group_id())? {
        Some(group) if group.is_active() => Err(Error::not_allowed("This device is a member already.")),
        Some(_) => {
            party.store().delete_prefix(&group_prefix(info.group_id())?);
            Ok(())
        }
        None => Ok(()),
    }
}

/// Every leaf of a tree that we enter as a whole, through the rules; all but `except`.
pub fn check_tree(party: &Party, group: &MlsGroup, except: Option<LeafNodeIndex>) -> Result<Vec<Member>> {
    check_context(&party.policy, group.public_group().group_context())?;
    let leaves = group.treesync().full_leaves().filter(|(index, _)| Some(*index) != except);
    let check = |(index, leaf): (LeafNodeIndex, &LeafNode)| {
        check_leaf(&party.policy, party.provider.crypto(), index.u32(), leaf)
    };
    let members: Vec<Member> = leaves.map(check).collect::<Result<_>>()?;
    check_distinct(&party.policy, members.iter().map(|member| member.identity.as_str()))?;
    Ok(members)
}
