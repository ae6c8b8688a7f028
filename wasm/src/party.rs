//! A device with its rows and its groups, and the promise that a call changes everything or nothing.

use std::collections::HashMap;

use openmls::prelude::*;
use openmls_rust_crypto::RustCrypto;

use crate::device::Device;
use crate::errors::{Error, Result};
use crate::rules::{Policy, read_leaf};
use crate::storage_provider::{DEVICE, group_key, group_prefix, tag};
use crate::store::{Store, StoreError};
use crate::types::Member;

/// What OpenMLS is given: cryptography, randomness, storage.
#[derive(Default)]
pub struct Provider {
    crypto: RustCrypto,
    store: Store,
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = RustCrypto;
    type RandProvider = RustCrypto;
    type StorageProvider = Store;

    fn storage(&self) -> &Store {
        &self.store
    }
    fn crypto(&self) -> &RustCrypto {
        &self.crypto
    }
    fn rand(&self) -> &RustCrypto {
        &self.crypto
    }
}

/// Everything but the groups in memory.
pub struct Party {
    /// Who we are.
    pub device: Device,
    /// Cryptography and rows.
    pub provider: Provider,
    /// Which rules hold.
    pub policy: Policy,
    /// Key packages that ran out were looked for; once in a session is enough.
    pub swept: bool,
}

impl Party {
    /// The rows.
    pub fn store(&self) -> &Store {
        self.provider.storage()
    }

    /// Whether this device may encrypt and commit in the group: not in one that an imported state brought along.
    pub fn check_may_send(&self, group: &MlsGroup) -> Result<()> {
        if self.device.read_only && !self.store().has(&group_key(group.group_id(), tag::TAKEN_OVER)?) {
            return Err(Error::not_allowed(
                "An imported state reads and never sends: rejoin the group to send in it.",
            ));
        }
        Ok(())
    }

    /// The leaf at that index, as it is in the tree.
    pub fn member(&self, group: &MlsGroup, index: LeafNodeIndex) -> Result<Member> {
        let leaf =
            group.public_group().leaf(index).ok_or_else(|| Error::internal("There is no such leaf."))?;
        read_leaf(&self.policy, index.u32(), leaf)
    }

    /// Whether this device is still a member.
    pub fn check_active(&self, group: &MlsGroup) -> Result<()> {
        if group.is_active() {
            return Ok(());
        }
        Err(Error::not_allowed("This device was removed from the group."))
    }

    /// Our own leaf; an evicted device has none.
    pub fn own_leaf(&self, group: &MlsGroup) -> Result<Member> {
        self.check_active(group)?;
        self.member(group, group.own_leaf_index())
    }

    /// All leaves.
    pub fn members(&self, group: &MlsGroup) -> Result<Vec<Member>> {
        group
            .treesync()
            .full_leaves()
            .map(|(index, leaf)| read_leaf(&self.policy, index.u32(), leaf))
            .collect()
    }

    /// Key of the row with the authenticated data of the pending commit, which OpenMLS does not keep.
    pub fn pending_key(&self, group: &MlsGroup) -> Result<Vec<u8>> {
        Ok(group_key(group.group_id(), tag::PENDING)?)
    }
}

/// A device and the groups that it has in memory.
pub struct Inner {
    /// The device.
    pub party: Party,
    groups: HashMap<Vec<u8>, MlsGroup>,
}

impl Inner {
    /// A device over these rows.
    pub fn new(device: Device, store: Store) -> Self {
        let provider = Provider { store, ..Provider::default() };
        Inner {
            party: Party { device, provider, policy: Policy::default(), swept: false },
            groups: HashMap::new(),
        }
    }

    /// Run a call that touches no loaded group: what it wrote counts only if it succeeds.
    pub fn call<T>(&mut self, work: impl FnOnce(&mut Party) -> Result<T>) -> Result<T> {
        let result = work(&mut self.party);
        self.settle(result)
    }

    /// Run a call on a group. If it fails, what it wrote is undone and the group is loaded anew next time.
    pub fn in_group<T>(
        &mut self,
        id: &[u8],
        work: impl FnOnce(&Party, &mut MlsGroup) -> Result<T>,
    ) -> Result<T> {
        self.load(id)?;
        let mut group = self.groups.remove(id).ok_or_else(no_group)?; // a panic in `work` drops it
        let result = work(&self.party, &mut group);
        let value = self.settle(result)?;
        self.groups.insert(id.to_vec(), group);
        Ok(value)
    }

    /// Look at a group.
    pub fn see<T>(&mut self, id: &[u8], look: impl FnOnce(&Party, &MlsGroup) -> Result<T>) -> Result<T> {
        self.load(id)?;
        look(&self.party, self.groups.get(id).ok_or_else(no_group)?)
    }

    /// Bring a group into memory, if it is not there.
    pub fn load(&mut self, id: &[u8]) -> Result<()> {
        if !self.groups.contains_key(id) {
            let group = load_group(self.party.store(), id);
            let group = self.settle(group)?;
            self.groups.insert(id.to_vec(), group);
        }
        Ok(())
    }

    /// Have a group in memory, in the place of any other of that id. What it is has been written.
    pub fn keep(&mut self, group: MlsGroup) {
        self.groups.insert(group.group_id().to_vec(), group);
    }

    /// Have a group in memory no longer.
    pub fn unload(&mut self, id: &[u8]) {
        self.groups.remove(id);
    }

    /// Undo everything since the last `take_changes`.
    pub fn rollback(&mut self) -> Result<()> {
        self.groups.clear();
        let store = self.party.store();
        store.revert_all();
        if !store.has(&[DEVICE]) {
            self.party.device.unbind(); // a new device that was never saved stays the same device
            self.party.device.save(self.party.store())?;
            self.party.store().keep_call();
            return Ok(());
        }
        self.party.device = Device::load(self.party.store())?;
        Ok(())
    }

    /// After a panic: undo the call, and trust nothing that was in memory.
    pub fn recover(&mut self) {
        self.groups.clear();
        self.party.store().revert_call();
        self.party.provider.crypto = RustCrypto::default();
    }

    fn settle<T>(&self, result: Result<T>) -> Result<T> {
        match result {
            Ok(value) => {
                self.party.store().keep_call();
                Ok(value)
            }
            Err(error) => {
                let faulty = self.party.store().revert_call();
                Err(if faulty { StoreError::Corrupt.into() } else { error })
            }
        }
    }
}

fn load_group(store: &Store, id: &[u8]) -> Result<MlsGroup> {
    let id = GroupId::from_slice(id);
    if let Some(group) = MlsGroup::load(store, &id)? {
        // OpenMLS reads these only when somebody commits, and then takes their absence for a forgery.
        if group.is_active() && store.keys(&group_key(&id, tag::EPOCH_KEYS)?).is_empty() {
            return Err(Error::corrupt("The private keys of the group's epoch are missing."));
        }
        return Ok(group);
    }
    if store.keys(&group_prefix(&id)?).is_empty() {
        return Err(no_group());
    }
    Err(Error::corrupt("A row of the group is missing."))
}

fn no_group() -> Error {
    Error::not_allowed("This device has no such group.")
}
