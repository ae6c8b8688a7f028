//! The small classes that calls return. Their reprs show who and where, never keys or contents.

use pyo3::prelude::*;
use serde::{Deserialize, Serialize};

/// One leaf of a group.
#[pyclass(frozen, get_all, eq, hash, module = "coterie_mls")]
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Leaf index.
    pub index: u32,
    /// `user_id#device_id`.
    pub identity: String,
    /// Before the '#'.
    pub user_id: String,
    /// After the '#'.
    pub device_id: String,
    /// Ed25519 public key of the leaf.
    #[serde(with = "serde_bytes")]
    pub signature_key: Vec<u8>,
    /// HPKE public key of the leaf.
    #[serde(with = "serde_bytes")]
    pub encryption_key: Vec<u8>,
    /// Ed25519 public key that signed the certificate.
    #[serde(with = "serde_bytes")]
    pub identity_key: Vec<u8>,
}

#[pymethods]
impl Member {
    fn __repr__(&self) -> String {
        format!("Member({:?}, index={})", self.identity, self.index)
    }
}

/// A key package of this device, or one that was checked.
#[pyclass(frozen, module = "coterie_mls")]
pub struct KeyPackage {
    /// Framed as MLSMessage.
    #[pyo3(get)]
    pub bytes: Vec<u8>,
    /// KeyPackageRef.
    #[pyo3(get, name = "ref")]
    pub reference: Vec<u8>,
    /// The leaf that it would add.
    #[pyo3(get)]
    pub leaf: Member,
    /// Whether it may be used more than once.
    #[pyo3(get)]
    pub last_resort: bool,
    /// Seconds since 1970.
    #[pyo3(get)]
    pub not_after: u64,
}

#[pymethods]
impl KeyPackage {
    fn __repr__(&self) -> String {
        format!(
            "KeyPackage({:?}, not_after={}, last_resort={})",
            self.leaf.identity,
            self.not_after,
            python_bool(self.last_resort)
        )
    }
}

/// A commit that was built and is pending.
#[pyclass(frozen, get_all, module = "coterie_mls")]
pub struct Commit {
    /// PrivateMessage.
    pub commit: Vec<u8>,
    /// One Welcome for everybody who was added.
    pub welcome: Option<Vec<u8>>,
    /// Of the epoch after the commit.
    pub group_info: Vec<u8>,
    /// The epoch that it ends.
    pub epoch: u64,
}

#[pymethods]
impl Commit {
    fn __repr__(&self) -> String {
        format!("Commit(epoch={}, {} bytes)", self.epoch, self.commit.len())
    }
}

/// A group that was entered by a Welcome.
#[pyclass(frozen, get_all, module = "coterie_mls")]
pub struct Joined {
    /// MLS group id.
    pub group_id: Vec<u8>,
    /// Epoch that was entered.
    pub epoch: u64,
    /// Who signed the GroupInfo in the Welcome.
    pub inviter: Member,
    /// GroupContext extension 0xff11.
    pub group_data: Vec<u8>,
}

#[pymethods]
impl Joined {
    fn __repr__(&self) -> String {
        format!("Joined(epoch={}, inviter={:?})", self.epoch, self.inviter.identity)
    }
}

/// An application message of another member.
#[pyclass(frozen, get_all, module = "coterie_mls")]
pub struct Application {
    /// Who sent it.
    pub sender: Member,
    /// In which epoch.
    pub epoch: u64,
    /// Plaintext.
    pub data: Vec<u8>,
    /// What it was bound to.
    pub authenticated_data: Vec<u8>,
}

#[pymethods]
impl Application {
    fn __repr__(&self) -> String {
        format!(
            "Application(sender={:?}, epoch={}, {} bytes)",
            self.sender.identity,
            self.epoch,
            self.data.len()
        )
    }
}

/// A commit that was merged.
#[pyclass(frozen, get_all, module = "coterie_mls")]
pub struct Merged {
    /// As it was before the commit; for an external commit, the new leaf.
    pub committer: Member,
    /// The epoch that the group is in now.
    pub epoch: u64,
    /// New leaves.
    pub added: Vec<Member>,
    /// Leaves that are gone, as they were.
    pub removed: Vec<Member>,
    /// Leaves with new keys.
    pub updated: Vec<Member>,
    /// A resync of `committer`.
    pub external: bool,
    /// If this commit changed it.
    pub group_data: Option<Vec<u8>>,
    /// This device is no longer a member.
    pub self_removed: bool,
    /// What the commit was bound to.
    pub authenticated_data: Vec<u8>,
}

#[pymethods]
impl Merged {
    fn __repr__(&self) -> String {
        format!(
            "Merged(committer={:?}, epoch={}, added={}, removed={}, external={})",
            self.committer.identity,
            self.epoch,
            self.added.len(),
            self.removed.len(),
            python_bool(self.external)
        )
    }
}

/// A message that names this device as its sender; not authenticated.
#[pyclass(frozen, get_all, eq, module = "coterie_mls")]
#[derive(Clone, PartialEq, Eq)]
pub struct Own {
    /// 1 application, 2 proposal, 3 commit.
    pub content_type: u8,
    /// As it says.
    pub epoch: u64,
}

#[pymethods]
impl Own {
    fn __repr__(&self) -> String {
        format!("Own(content_type={}, epoch={})", self.content_type, self.epoch)
    }
}

/// An external commit that replaces this device's own leaf.
#[pyclass(frozen, get_all, module = "coterie_mls")]
pub struct Rejoin {
    /// PublicMessage.
    pub commit: Vec<u8>,
    /// Of the epoch after the commit.
    pub group_info: Vec<u8>,
    /// The epoch that it ends.
    pub epoch: u64,
    /// For `merge_rejoin`; holds private keys.
    pub record: Vec<u8>,
    /// Of the rejoined group.
    pub members: Vec<Member>,
}

#[pymethods]
impl Rejoin {
    fn __repr__(&self) -> String {
        format!("Rejoin(epoch={}, members={})", self.epoch, self.members.len())
    }
}

fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}
