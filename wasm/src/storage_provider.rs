//! OpenMLS's storage trait over `Store`.
//!
//! Every row of a group has a key that starts with `group_prefix`, so that a group can be listed, copied and
//! removed as a whole. Unlike OpenMLS's own `MemoryStorage`, a row that does not read back is an error and
//! never a panic, and clearing the proposal queue removes the proposals too.

use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use crate::store::{Store, StoreError, decode, encode};

const V: u16 = CURRENT_VERSION;
type Result<T> = std::result::Result<T, StoreError>;

/// First byte of the key of a device's own row.
pub const DEVICE: u8 = b'd';
/// First byte of the keys of all rows of groups.
pub const GROUP: u8 = b'g';
/// First byte of the keys of key packages, with their private keys.
pub const KEY_PACKAGE: u8 = b'k';
const ENCRYPTION_KEY_PAIR: u8 = b'e';
const PSK: u8 = b'p';
const SIGNATURE_KEY_PAIR: u8 = b's';

/// The byte after `group_prefix`: which row of the group.
pub mod tag {
    #![allow(missing_docs)]
    pub const JOIN_CONFIG: u8 = 1;
    pub const TREE: u8 = 2;
    pub const TRANSCRIPT: u8 = 3;
    pub const CONTEXT: u8 = 4;
    pub const CONFIRMATION: u8 = 5;
    pub const STATE: u8 = 6;
    pub const MESSAGE_SECRETS: u8 = 7;
    pub const RESUMPTION: u8 = 8;
    pub const OWN_INDEX: u8 = 9;
    pub const EPOCH_SECRETS: u8 = 10;
    pub const OWN_LEAVES: u8 = 11;
    pub const PROPOSAL_REFS: u8 = 12;
    pub const PROPOSAL: u8 = 13;
    pub const EPOCH_KEYS: u8 = 14;
    /// Ours: authenticated data of the pending commit.
    pub const PENDING: u8 = 64;
    /// Ours: an imported state rejoined this group, so that it may send there.
    pub const TAKEN_OVER: u8 = 65;
}

/// What the keys of all rows of one group start with: 'g', length, the group id in CBOR.
pub fn group_prefix(group_id: &impl Serialize) -> Result<Vec<u8>> {
    let id = encode(group_id)?;
    let length = u16::try_from(id.len()).map_err(|_| StoreError::Encode)?;
    Ok([&[GROUP][..], &length.to_be_bytes(), &id].concat())
}

/// The key of one row of a group.
pub fn group_key(group_id: &impl Serialize, tag: u8) -> Result<Vec<u8>> {
    let mut key = group_prefix(group_id)?;
    key.push(tag);
    Ok(key)
}

/// Key of a row that belongs to no group.
pub fn key(kind: u8, id: &impl Serialize) -> Result<Vec<u8>> {
    Ok([&[kind][..], &encode(id)?].concat())
}

/// The group ids that have a group state.
pub fn group_ids<T: DeserializeOwned>(store: &Store) -> Result<Vec<T>> {
    let mut ids = Vec::new();
    for key in store.keys(&[GROUP]) {
        let body = key.get(3..).ok_or(StoreError::Corrupt)?;
        let length = usize::from(u16::from_be_bytes([key[1], key[2]]));
        let id = body.get(..length).ok_or(StoreError::Corrupt)?;
        if body[length..] == [tag::STATE] {
            ids.push(decode(id)?);
        }
    }
    Ok(ids)
}

fn epoch_key(group: &impl Serialize, epoch: &impl Serialize, leaf: u32) -> Result<Vec<u8>> {
    let mut key = group_key(group, tag::EPOCH_KEYS)?;
    key.extend_from_slice(&encode(&(epoch, leaf))?);
    Ok(key)
}

fn proposal_key(group: &impl Serialize, reference: &impl Serialize) -> Result<Vec<u8>> {
    let mut key = group_key(group, tag::PROPOSAL)?;
    key.extend_from_slice(&encode(reference)?);
    Ok(key)
}

impl Store {
    fn list<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Vec<T>> {
        let items: Vec<ByteBuf> = self.get(key)?.unwrap_or_default();
        items.iter().map(|item| decode(item)).collect()
    }

    fn append(&self, key: Vec<u8>, value: &impl Serialize) -> Result<()> {
        let mut items: Vec<ByteBuf> = self.get(&key)?.unwrap_or_default();
        items.push(ByteBuf::from(encode(value)?.to_vec()));
        self.put(key, &items)
    }
}

/// Writer, reader and deleter of one row per group.
macro_rules! group_row {
    ($type:ident, $tag:ident, $write:ident, $read:ident, $delete:ident) => {
        fn $write<G: traits::GroupId<V>, T: traits::$type<V>>(&self, group: &G, value: &T) -> Result<()> {
            self.put(group_key(group, tag::$tag)?, value)
        }
        fn $read<G: traits::GroupId<V>, T: traits::$type<V>>(&self, group: &G) -> Result<Option<T>> {
            self.get(&group_key(group, tag::$tag)?)
        }
        fn $delete<G: traits::GroupId<V>>(&self, group: &G) -> Result<()> {
            self.delete(&group_key(group, tag::$tag)?);
            Ok(())
        }
    };
}

/// Writer and deleter of a row that belongs to no group.
macro_rules! loose_row {
    ($id:ident, $type:ident, $kind:ident, $write:ident, $delete:ident) => {
        fn $write<K: traits::$id<V>, T: traits::$type<V>>(&self, id: &K, value: &T) -> Result<()> {
            self.put(key($kind, id)?, value)
        }
        fn $delete<K: traits::$id<V>>(&self, id: &K) -> Result<()> {
            self.delete(&key($kind, id)?);
            Ok(())
        }
    };
}

#[rustfmt::skip]
impl StorageProvider<V> for Store {
    type Error = StoreError;

    group_row!(MlsGroupJoinConfig, JOIN_CONFIG, write_mls_join_config, mls_group_join_config, delete_group_config);
    group_row!(TreeSync, TREE, write_tree, tree, delete_tree);
    group_row!(InterimTranscriptHash, TRANSCRIPT, write_interim_transcript_hash, interim_transcript_hash, delete_interim_transcript_hash);
    group_row!(GroupContext, CONTEXT, write_context, group_context, delete_context);
    group_row!(ConfirmationTag, CONFIRMATION, write_confirmation_tag, confirmation_tag, delete_confirmation_tag);
    group_row!(MessageSecrets, MESSAGE_SECRETS, write_message_secrets, message_secrets, delete_message_secrets);
    group_row!(ResumptionPskStore, RESUMPTION, write_resumption_psk_store, resumption_psk_store, delete_all_resumption_psk_secrets);
    group_row!(LeafNodeIndex, OWN_INDEX, write_own_leaf_index, own_leaf_index, delete_own_leaf_index);
    group_row!(GroupEpochSecrets, EPOCH_SECRETS, write_group_epoch_secrets, group_epoch_secrets, delete_group_epoch_secrets);

    loose_row!(SignaturePublicKey, SignatureKeyPair, SIGNATURE_KEY_PAIR, write_signature_key_pair, delete_signature_key_pair);
    loose_row!(EncryptionKey, HpkeKeyPair, ENCRYPTION_KEY_PAIR, write_encryption_key_pair, delete_encryption_key_pair);
    loose_row!(HashReference, KeyPackage, KEY_PACKAGE, write_key_package, delete_key_package);
    loose_row!(PskId, PskBundle, PSK, write_psk, delete_psk);

    // The trait names the type parameters of these in another order.
    fn write_group_state<T: traits::GroupState<V>, G: traits::GroupId<V>>(&self, group: &G, value: &T) -> Result<()> {
        self.put(group_key(group, tag::STATE)?, value)
    }
    fn group_state<T: traits::GroupState<V>, G: traits::GroupId<V>>(&self, group: &G) -> Result<Option<T>> {
        self.get(&group_key(group, tag::STATE)?)
    }
    fn delete_group_state<G: traits::GroupId<V>>(&self, group: &G) -> Result<()> {
        self.delete(&group_key(group, tag::STATE)?);
        Ok(())
    }
    fn signature_key_pair<K: traits::SignaturePublicKey<V>, T: traits::SignatureKeyPair<V>>(&self, id: &K) -> Result<Option<T>> {
        self.get(&key(SIGNATURE_KEY_PAIR, id)?)
    }
    fn encryption_key_pair<T: traits::HpkeKeyPair<V>, K: traits::EncryptionKey<V>>(&self, id: &K) -> Result<Option<T>> {
        self.get(&key(ENCRYPTION_KEY_PAIR, id)?)
    }
    fn key_package<K: traits::HashReference<V>, T: traits::KeyPackage<V>>(&self, id: &K) -> Result<Option<T>> {
        self.get(&key(KEY_PACKAGE, id)?)
    }
    fn psk<T: traits::PskBundle<V>, K: traits::PskId<V>>(&self, id: &K) -> Result<Option<T>> {
        self.get(&key(PSK, id)?)
    }

    fn append_own_leaf_node<G: traits::GroupId<V>, T: traits::LeafNode<V>>(&self, group: &G, leaf: &T) -> Result<()> {
        self.append(group_key(group, tag::OWN_LEAVES)?, leaf)
    }
    fn own_leaf_nodes<G: traits::GroupId<V>, T: traits::LeafNode<V>>(&self, group: &G) -> Result<Vec<T>> {
        self.list(&group_key(group, tag::OWN_LEAVES)?)
    }
    fn delete_own_leaf_nodes<G: traits::GroupId<V>>(&self, group: &G) -> Result<()> {
        self.delete(&group_key(group, tag::OWN_LEAVES)?);
        Ok(())
    }

    fn write_encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>, T: traits::HpkeKeyPair<V>>(&self, group: &G, epoch: &E, leaf: u32, pairs: &[T]) -> Result<()> {
        self.put(epoch_key(group, epoch, leaf)?, &pairs)
    }
    fn encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>, T: traits::HpkeKeyPair<V>>(&self, group: &G, epoch: &E, leaf: u32) -> Result<Vec<T>> {
        Ok(self.get(&epoch_key(group, epoch, leaf)?)?.unwrap_or_default())
    }
    fn delete_encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>>(&self, group: &G, epoch: &E, leaf: u32) -> Result<()> {
        self.delete(&epoch_key(group, epoch, leaf)?);
        Ok(())
    }

    fn queue_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>, T: traits::QueuedProposal<V>>(&self, group: &G, reference: &R, proposal: &T) -> Result<()> {
        self.put(proposal_key(group, reference)?, proposal)?;
        self.append(group_key(group, tag::PROPOSAL_REFS)?, reference)
    }
    fn queued_proposal_refs<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(&self, group: &G) -> Result<Vec<R>> {
        self.list(&group_key(group, tag::PROPOSAL_REFS)?)
    }
    fn queued_proposals<G: traits::GroupId<V>, R: traits::ProposalRef<V>, T: traits::QueuedProposal<V>>(&self, group: &G) -> Result<Vec<(R, T)>> {
        let references: Vec<R> = self.queued_proposal_refs(group)?;
        let load = |reference: R| {
            let proposal = self.get(&proposal_key(group, &reference)?)?.ok_or(StoreError::Corrupt)?;
            Ok((reference, proposal))
        };
        references.into_iter().map(load).collect()
    }
    fn remove_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(&self, group: &G, reference: &R) -> Result<()> {
        self.delete(&proposal_key(group, reference)?);
        let list = group_key(group, tag::PROPOSAL_REFS)?;
        let gone = encode(reference)?;
        let mut references: Vec<ByteBuf> = self.get(&list)?.unwrap_or_default();
        references.retain(|item| item.as_slice() != gone.as_slice());
        self.put(list, &references)
    }
    fn clear_proposal_queue<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(&self, group: &G) -> Result<()> {
        self.delete_prefix(&group_key(group, tag::PROPOSAL)?);
        self.delete(&group_key(group, tag::PROPOSAL_REFS)?);
        Ok(())
    }
}
