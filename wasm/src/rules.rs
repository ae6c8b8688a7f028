//! Which leaves and groups we accept. OpenMLS checks signatures and structure; who somebody is, it does not.
//!
//! `check_leaf` is the one place that decides about a leaf. It is called for every leaf that comes in by any
//! path: a key package, the tree of a Welcome or GroupInfo, and whatever a commit put into the tree.

use std::collections::HashSet;

use openmls::prelude::*;
use openmls::treesync::{EncryptionKey, LeafNodeSource};
use tls_codec::Serialize as _;

use crate::config::{CERTIFICATE, GROUP_DATA, LIFETIME_MARGIN, MAX_IDENTITY, MAX_LIFETIME};
use crate::device::{check_certificate, check_part, split_certificate};
use crate::errors::{Error, Result};
use crate::types::Member;

/// Which rules hold. In a release there is only one answer.
#[derive(Default)]
pub struct Policy {
    /// Accept leaves and groups without our extensions: official test vectors have none.
    #[cfg(feature = "kat-hooks")]
    pub relaxed: bool,
}

impl Policy {
    /// Whether our own rules are off.
    pub fn relaxed(&self) -> bool {
        #[cfg(feature = "kat-hooks")]
        return self.relaxed;
        #[cfg(not(feature = "kat-hooks"))]
        false
    }

    /// Settings of a group that is entered. Official vectors have public handshakes and resumption PSKs.
    pub fn join_config(&self) -> MlsGroupJoinConfig {
        #[cfg(feature = "kat-hooks")]
        if self.relaxed {
            let builder = crate::config::join_config_builder().number_of_resumption_psks(32);
            return builder.wire_format_policy(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY).build();
        }
        crate::config::join_config()
    }
}

/// Check a leaf that wants to enter: identity, certificate, capabilities, lifetime.
pub fn check_leaf(
    policy: &Policy,
    crypto: &impl OpenMlsCrypto,
    index: u32,
    leaf: &LeafNode,
) -> Result<Member> {
    let member = read_leaf(policy, index, leaf)?;
    if policy.relaxed() {
        return Ok(member);
    }
    let certificate = certificate(leaf)?;
    check_certificate(crypto, certificate, &member.user_id, &member.device_id, &member.signature_key)?;
    let known = leaf.capabilities().extensions();
    if ![GROUP_DATA, CERTIFICATE].iter().all(|id| known.contains(&ExtensionType::Unknown(*id))) {
        return Err(Error::unacceptable("A leaf does not support our extensions."));
    }
    if let LeafNodeSource::KeyPackage(lifetime) = leaf.leaf_node_source() {
        check_lifetime(lifetime)?;
    }
    Ok(member)
}

/// What a leaf says about itself; for leaves that were checked when they came.
pub fn read_leaf(policy: &Policy, index: u32, leaf: &LeafNode) -> Result<Member> {
    let signature_key = leaf.signature_key().as_slice().to_vec();
    let encryption_key = encryption_key(leaf.encryption_key())?;
    if policy.relaxed() {
        let identity = String::from_utf8_lossy(leaf.credential().serialized_content()).into_owned();
        let (user_id, device_id) = (identity.clone(), String::new());
        return Ok(Member {
            index,
            identity,
            user_id,
            device_id,
            signature_key,
            encryption_key,
            identity_key: vec![],
        });
    }
    let (user_id, device_id) = split_identity(leaf.credential())?;
    let (identity_key, _) = split_certificate(certificate(leaf)?)?;
    let identity = format!("{user_id}#{device_id}");
    Ok(Member {
        index,
        identity,
        user_id,
        device_id,
        signature_key,
        encryption_key,
        identity_key: identity_key.to_vec(),
    })
}

/// What a leaf may become: the same identity, under the same identity key (RFC 9420 section 5.3.1).
pub fn check_successor(old: &Member, new: &Member) -> Result<()> {
    if old.identity != new.identity || old.identity_key != new.identity_key {
        return Err(Error::unacceptable("A leaf changed its identity or its identity key."));
    }
    Ok(())
}

/// Who may come in by an external commit: only the one whose leaf it removes, with the same signature key.
pub fn check_resync(old: &[Member], new: &Member) -> Result<()> {
    let [old] = old else {
        return Err(Error::unacceptable("An external commit does not replace exactly one leaf."));
    };
    if old.signature_key != new.signature_key {
        return Err(Error::unacceptable("An external commit replaces a leaf with another signature key."));
    }
    check_successor(old, new)
}

/// No identity stands twice in a group.
pub fn check_distinct<'a>(policy: &Policy, identities: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = HashSet::new();
    for identity in identities {
        if !seen.insert(identity) && !policy.relaxed() {
            return Err(Error::unacceptable("An identity would stand in the group twice."));
        }
    }
    Ok(())
}

/// A group of ours: it has group data, requires our extensions, and lets no outsider propose.
pub fn check_context(policy: &Policy, context: &GroupContext) -> Result<()> {
    if policy.relaxed() {
        return Ok(());
    }
    let extensions = context.extensions();
    let required = extensions.required_capabilities().map(|r| r.extension_types()).unwrap_or_default();
    let complete = [GROUP_DATA, CERTIFICATE].iter().all(|id| required.contains(&ExtensionType::Unknown(*id)));
    if !complete || extensions.unknown(GROUP_DATA).is_none() {
        return Err(Error::unacceptable("The group lacks group data or does not require our extensions."));
    }
    if extensions.external_senders().is_some() {
        return Err(Error::unacceptable("The group lets outsiders propose changes."));
    }
    Ok(())
}

/// Proposals that a commit may hold. PSKs and reinitialisation would mean something else on each device.
pub fn check_proposals(policy: &Policy, commit: &StagedCommit) -> Result<()> {
    let known = |proposal: &Proposal| {
        matches!(
            proposal,
            Proposal::Add(_)
                | Proposal::Update(_)
                | Proposal::Remove(_)
                | Proposal::ExternalInit(_)
                | Proposal::GroupContextExtensions(_)
                | Proposal::SelfRemove
        )
    };
    if policy.relaxed() || commit.queued_proposals().all(|queued| known(queued.proposal())) {
        return Ok(());
    }
    Err(Error::unacceptable("A commit holds a proposal of a type that we do not accept."))
}

/// GroupContext extension 0xff11.
pub fn group_data(context: &GroupContext) -> Vec<u8> {
    context.extensions().unknown(GROUP_DATA).map(|data| data.0.clone()).unwrap_or_default()
}

fn certificate(leaf: &LeafNode) -> Result<&[u8]> {
    let extension = leaf.extensions().unknown(CERTIFICATE);
    extension
        .map(|data| data.0.as_slice())
        .ok_or_else(|| Error::unacceptable("A leaf has no device certificate."))
}

fn split_identity(credential: &Credential) -> Result<(String, String)> {
    let refused = || Error::unacceptable("A leaf has an identity that is not user_id#device_id.");
    if credential.credential_type() != CredentialType::Basic
        || credential.serialized_content().len() > MAX_IDENTITY
    {
        return Err(refused());
    }
    let identity = std::str::from_utf8(credential.serialized_content()).map_err(|_| refused())?;
    let (user_id, device_id) = identity.split_once('#').ok_or_else(refused)?;
    check_part(user_id).and(check_part(device_id)).map_err(|_| refused())?;
    Ok((user_id.to_owned(), device_id.to_owned()))
}

/// OpenMLS checks that now lies within the lifetime, but not how long it is.
fn check_lifetime(lifetime: &Lifetime) -> Result<()> {
    let seconds = lifetime.not_after().checked_sub(lifetime.not_before());
    match seconds {
        Some(seconds) if seconds <= MAX_LIFETIME + LIFETIME_MARGIN => Ok(()),
        _ => Err(Error::unacceptable("A key package is valid for longer than 84 days.")),
    }
}

fn encryption_key(key: &EncryptionKey) -> Result<Vec<u8>> {
    let framed = key.tls_serialize_detached()?;
    let (bytes, _) = <tls_codec::VLBytes as tls_codec::DeserializeBytes>::tls_deserialize_bytes(&framed)?;
    Ok(bytes.into())
}
