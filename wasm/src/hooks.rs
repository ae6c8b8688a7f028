//! For tests only (feature `kat-hooks`), never in a release: what official vectors need, and ways to lie.
//!
//! Private keys go in and never come out.
#![allow(clippy::panic)]

use openmls::prelude::*;
use openmls::schedule::psk::PreSharedKeyId;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Serialize;
use tls_codec::Serialize as _;

use crate::backend::Backend;
use crate::commit::leaf_parameters;
use crate::config::{MAX_WELCOME, group_context_extensions, required_capabilities};
use crate::errors::{Error, Result};
use crate::group_info::parse_group_info;
use crate::message::parse;
use crate::party::{Party, Provider};
use crate::storage_provider::{KEY_PACKAGE, key};
use crate::types::Joined;
use crate::welcome;

/// What a device says about itself instead of the truth.
#[derive(Default)]
pub struct Forged {
    /// Content of the basic credential.
    pub identity: Option<Vec<u8>>,
    /// Content of the certificate extension; empty leaves the extension out.
    pub certificate: Option<Vec<u8>>,
}

#[derive(Serialize)]
struct ImportedBundle {
    key_package: KeyPackage,
    private_init_key: HpkePrivateKey,
    private_encryption_key: ImportedKey,
}

#[derive(Serialize)]
struct ImportedKey {
    key: HpkePrivateKey,
}

/// Switch our own rules off, for groups that were not made by us.
#[pyfunction]
pub fn kat_relax(py: Python<'_>, backend: &Bound<'_, Backend>) -> PyResult<()> {
    backend.get().run(py, |inner| {
        inner.party.policy.relaxed = true;
        Ok(())
    })
}

/// Lie about identity or certificate from now on.
#[pyfunction]
#[pyo3(signature = (backend, *, identity=None, certificate=None))]
pub fn kat_forge(
    py: Python<'_>,
    backend: &Bound<'_, Backend>,
    identity: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
) -> PyResult<()> {
    backend.get().run(py, |inner| {
        inner.party.device.forged = Forged { identity, certificate };
        Ok(())
    })
}

/// A certificate by this device's identity key, for any identity, and for any leaf key (its own by default).
#[pyfunction]
#[pyo3(signature = (backend, user_id, device_id, leaf_key=None))]
pub fn kat_certificate<'py>(
    py: Python<'py>,
    backend: &Bound<'_, Backend>,
    user_id: &str,
    device_id: &str,
    leaf_key: Option<&[u8]>,
) -> PyResult<Bound<'py, PyBytes>> {
    let made = backend.get().run(py, |inner| {
        let device = &inner.party.device;
        device.certify(user_id, device_id, leaf_key.unwrap_or(device.signer.public()))
    })?;
    Ok(PyBytes::new(py, &made))
}

/// Store a key package and its private keys as if this device had made it.
#[pyfunction]
pub fn kat_import_key_package(
    py: Python<'_>,
    backend: &Bound<'_, Backend>,
    key_package: &[u8],
    init_private: &[u8],
    encryption_private: &[u8],
) -> PyResult<()> {
    backend.get().run(py, |inner| {
        inner.call(|party| {
            let MlsMessageBodyIn::KeyPackage(key_package) = parse(key_package, MAX_WELCOME)?.extract() else {
                return Err(Error::malformed("This is not a key package."));
            };
            let key_package = key_package.into_unchecked();
            let reference = key_package.hash_ref(party.provider.crypto())?;
            let bundle = ImportedBundle {
                key_package,
                private_init_key: init_private.to_vec().into(),
                private_encryption_key: ImportedKey { key: encryption_private.to_vec().into() },
            };
            Ok(party.store().put(key(KEY_PACKAGE, &reference)?, &bundle)?)
        })
    })
}

/// Store an external PSK.
#[pyfunction]
pub fn kat_store_psk(
    py: Python<'_>,
    backend: &Bound<'_, Backend>,
    psk_id: Vec<u8>,
    psk: &[u8],
) -> PyResult<()> {
    backend.get().run(py, |inner| inner.call(|party| store_psk(party, psk_id, psk)))
}

fn store_psk(party: &Party, psk_id: Vec<u8>, psk: &[u8]) -> Result<()> {
    let id = PreSharedKeyId::external(psk_id, vec![]);
    id.store(&party.provider, psk).map_err(|_| Error::internal("The PSK could not be stored."))
}

/// Enter a group whose tree came beside the Welcome.
#[pyfunction]
pub fn kat_join(
    py: Python<'_>,
    backend: &Bound<'_, Backend>,
    welcome: &[u8],
    tree: &[u8],
) -> PyResult<Joined> {
    backend.get().run(py, |inner| welcome::join(inner, welcome, Some(tree)))
}

/// Write, then panic in the midst of a call on a group.
#[pyfunction]
pub fn kat_panic(py: Python<'_>, backend: &Bound<'_, Backend>, group_id: &[u8]) -> PyResult<()> {
    backend.get().run(py, |inner| {
        inner.in_group(group_id, |party, group| {
            group.create_message(&party.provider, &party.device.signer, b"half done")?;
            panic!("a deliberate panic");
        })
    })
}

/// A standalone proposal to remove a leaf, as PrivateMessage.
#[pyfunction]
pub fn kat_propose_remove<'py>(
    py: Python<'py>,
    backend: &Bound<'_, Backend>,
    group_id: &[u8],
    index: u32,
) -> PyResult<Bound<'py, PyBytes>> {
    let message = backend.get().run(py, |inner| {
        inner.in_group(group_id, |party, group| {
            let (proposal, _) = group
                .propose_remove_member(&party.provider, &party.device.signer, LeafNodeIndex::new(index))
                .map_err(|_| Error::internal("No such proposal."))?;
            Ok(proposal.to_bytes()?)
        })
    })?;
    Ok(PyBytes::new(py, &message))
}

/// Take in a standalone proposal, as official vectors have them and we never do.
#[pyfunction]
pub fn kat_take_proposal(
    py: Python<'_>,
    backend: &Bound<'_, Backend>,
    group_id: &[u8],
    proposal: &[u8],
) -> PyResult<()> {
    backend.get().run(py, |inner| {
        inner.in_group(group_id, |party, group| {
            let message = parse(proposal, MAX_WELCOME)?.try_into_protocol_message()?;
            match group.process_message(&party.provider, message)?.into_content() {
                ProcessedMessageContent::ProposalMessage(queued)
                | ProcessedMessageContent::ExternalJoinProposalMessage(queued) => {
                    Ok(group.store_pending_proposal(party.store(), *queued)?)
                }
                _ => Err(Error::malformed("This is not a proposal.")),
            }
        })
    })
}

/// A commit that holds what we do not accept: "psk", "senders", or (anything else) no group data.
#[pyfunction]
pub fn kat_commit<'py>(
    py: Python<'py>,
    backend: &Bound<'_, Backend>,
    group_id: &[u8],
    kind: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let message = backend.get().run(py, |inner| {
        inner.in_group(group_id, |party, group| {
            let suite = group.ciphersuite();
            let mut builder =
                group.commit_builder().force_self_update(true).leaf_node_parameters(leaf_parameters(party)?);
            builder = if kind == "psk" {
                builder.add_proposal(psk_proposal(party, suite)?)
            } else {
                builder.propose_group_context_extensions(odd_extensions(party, kind)?)?
            };
            let provider = &party.provider;
            let bundle = builder
                .load_psks(provider.storage())?
                .build(provider.rand(), provider.crypto(), &party.device.signer, |_| true)?
                .stage_commit(provider)?;
            Ok(bundle.into_commit().to_bytes()?)
        })
    })?;
    Ok(PyBytes::new(py, &message))
}

fn psk_proposal(party: &Party, suite: Ciphersuite) -> Result<Proposal> {
    store_psk(party, b"psk".to_vec(), b"secret")?;
    let id = PreSharedKeyId::external(b"psk".to_vec(), vec![7; suite.hash_length()]);
    Ok(Proposal::PreSharedKey(Box::new(PreSharedKeyProposal::new(id))))
}

fn odd_extensions(party: &Party, kind: &str) -> Result<Extensions<GroupContext>> {
    if kind == "senders" {
        let mut extensions = group_context_extensions(b"data")?;
        let CredentialWithKey { credential, signature_key } = party.device.credential()?;
        let sender = ExternalSender::new(signature_key, credential);
        extensions.add(Extension::ExternalSenders(vec![sender]))?;
        return Ok(extensions);
    }
    Ok(Extensions::single(Extension::RequiredCapabilities(required_capabilities()))?)
}

/// An external commit by which this device comes in anew, replacing nobody unless its key is in the tree.
#[pyfunction]
pub fn kat_external_join<'py>(
    py: Python<'py>,
    backend: &Bound<'_, Backend>,
    group_info: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let message = backend.get().run(py, |inner| {
        let (party, provider) = (&inner.party, Provider::default());
        let (_, bundle) = MlsGroup::external_commit_builder()
            .with_config(party.policy.join_config())
            .build_group(&provider, parse_group_info(group_info)?, party.device.credential()?)?
            .leaf_node_parameters(leaf_parameters(party)?)
            .load_psks(provider.storage())?
            .build(provider.rand(), provider.crypto(), &party.device.signer, |_| true)?
            .finalize(&provider)?;
        Ok(bundle.into_commit().to_bytes()?)
    })?;
    Ok(PyBytes::new(py, &message))
}

/// Parse one MLSMessage and serialize it again.
#[pyfunction]
pub fn kat_round_trip<'py>(py: Python<'py>, message: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let message = parse(message, MAX_WELCOME)?;
    Ok(PyBytes::new(py, &message.tls_serialize_detached().map_err(Error::from)?))
}
