//! What a commit did to the tree, and whether we accept it.
//!
//! The commit is merged first and the trees before and after are compared, so that every leaf which came in,
//! by whatever kind of proposal, goes through the rules. If one is refused, the call is undone as a whole.

use std::collections::{BTreeMap, HashSet};

use openmls::prelude::*;

use crate::errors::{Error, Result};
use crate::party::Party;
use crate::rules::{
    check_context, check_distinct, check_leaf, check_proposals, check_resync, check_successor, group_data,
};
use crate::types::{Member, Merged};

/// Where a commit came from.
#[derive(Clone, Copy)]
pub enum Origin {
    /// A member, this device included.
    Member(LeafNodeIndex),
    /// An external commit; the index is that of its new leaf.
    External(LeafNodeIndex),
}

/// A commit to be merged.
pub enum Staged {
    /// Another member's.
    Received(Box<StagedCommit>),
    /// Our own, which is pending.
    Pending,
}

type Tree = BTreeMap<u32, (Member, Signature)>; // leaf index -> leaf, its signature over all that it says

/// Merge a commit, check what it did, and tell.
pub fn merge(
    party: &Party,
    group: &mut MlsGroup,
    origin: Origin,
    staged: Staged,
    aad: Vec<u8>,
) -> Result<Merged> {
    let before = tree(party, group)?;
    let data_before = group_data(group.public_group().group_context());
    let facts = Facts::of(party, group, &staged)?;
    match staged {
        Staged::Received(commit) => group.merge_staged_commit(&party.provider, *commit)?,
        Staged::Pending => group.merge_pending_commit(&party.provider)?,
    }
    party.store().delete(&party.pending_key(group)?);
    check_context(&party.policy, group.public_group().group_context())?;
    let mut change = compare(party, group, &before, &facts.removed)?;
    let committer = match origin {
        Origin::Member(index) => before.get(&index.u32()).map(|(member, _)| member.clone()),
        Origin::External(index) => Some(change.take_added(index.u32())?),
    };
    let committer = committer.ok_or_else(|| Error::internal("The committer has no leaf."))?;
    let external = matches!(origin, Origin::External(_));
    if external && !party.policy.relaxed() {
        check_resync(&change.removed, &committer)?;
    }
    let data = group_data(group.public_group().group_context());
    Ok(Merged {
        committer,
        epoch: group.epoch().as_u64(),
        added: change.added,
        removed: change.removed,
        updated: change.updated,
        external,
        group_data: (data != data_before).then_some(data),
        self_removed: facts.self_removed,
        authenticated_data: aad,
    })
}

struct Facts {
    removed: HashSet<u32>,
    self_removed: bool,
}

impl Facts {
    fn of(party: &Party, group: &MlsGroup, staged: &Staged) -> Result<Facts> {
        let commit = match staged {
            Staged::Received(commit) => commit,
            Staged::Pending => {
                group.pending_commit().ok_or_else(|| Error::not_allowed("There is no pending commit."))?
            }
        };
        check_proposals(&party.policy, commit)?;
        let removed =
            commit.remove_proposals().map(|queued| queued.remove_proposal().removed().u32()).collect();
        Ok(Facts { removed, self_removed: commit.self_removed() })
    }
}

#[derive(Default)]
struct Change {
    added: Vec<Member>,
    removed: Vec<Member>,
    updated: Vec<Member>,
}

impl Change {
    fn take_added(&mut self, index: u32) -> Result<Member> {
        let position = self.added.iter().position(|member| member.index == index);
        position.map(|at| self.added.remove(at)).ok_or_else(|| Error::internal("The new leaf is missing."))
    }
}

fn compare(party: &Party, group: &MlsGroup, before: &Tree, removed: &HashSet<u32>) -> Result<Change> {
    let mut change = Change::default();
    let mut identities = Vec::new();
    for (index, leaf) in group.treesync().full_leaves() {
        let index = index.u32();
        let old = before.get(&index).filter(|_| !removed.contains(&index));
        let same = old.filter(|(_, signature)| signature == leaf.signature());
        if let Some((member, _)) = same {
            identities.push(member.identity.clone());
            continue;
        }
        let member = check_leaf(&party.policy, party.provider.crypto(), index, leaf)?;
        identities.push(member.identity.clone());
        match old {
            Some((old, _)) => {
                check_successor(old, &member)?;
                change.updated.push(member);
            }
            None => change.added.push(member),
        }
    }
    check_distinct(&party.policy, identities.iter().map(String::as_str))?;
    change.removed =
        removed.iter().filter_map(|index| before.get(index)).map(|(member, _)| member.clone()).collect();
    change.removed.sort_by_key(|member| member.index);
    Ok(change)
}

fn tree(party: &Party, group: &MlsGroup) -> Result<Tree> {
    let mut tree = Tree::new();
    for (index, leaf) in group.treesync().full_leaves() {
        let member = crate::rules::read_leaf(&party.policy, index.u32(), leaf)?;
        tree.insert(index.u32(), (member, leaf.signature().clone()));
    }
    Ok(tree)
}
