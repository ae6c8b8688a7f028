//! This device: its signature key, its identity key, and the certificate that ties them together.
//!
//! All of it is one row, so that loading the rows restores it. Certificate and proof sign a sequence of
//! byte strings, each preceded by its length (u16, big-endian), the label first.

use openmls::prelude::*;
use serde::{Deserialize, Serialize};

use crate::config::{CERTIFICATE, MAX_IDENTITY, MAX_USER_ID};
use crate::errors::{Error, Result};
use crate::key::{Key, PUBLIC_KEY, SIGNATURE};
use crate::storage_provider::DEVICE;
use crate::store::Store;

/// Version byte of the certificate.
const CERTIFICATE_VERSION: u8 = 1;
const CERTIFICATE_LABEL: &[u8] = b"coterie certificate v1";
const PROOF_LABEL: &[u8] = b"coterie device v1";

/// The device that these rows belong to. `Debug` is not derived: it holds private keys.
#[derive(Serialize, Deserialize)]
pub struct Device {
    /// Opaque, without '#'.
    pub user_id: String,
    /// Given by the service; None before `bind_device`.
    pub device_id: Option<String>,
    /// An imported state: reads and never sends.
    pub read_only: bool,
    /// Signs leaves and messages.
    pub signer: Key,
    identity: Key,
    #[serde(with = "serde_bytes")]
    certificate: Option<Vec<u8>>,
    /// Lies that the tests' devices tell about themselves.
    #[cfg(feature = "kat-hooks")]
    #[serde(skip)]
    pub forged: crate::hooks::Forged,
}

impl Device {
    /// A new device, with fresh keys.
    pub fn create(user_id: &str) -> Result<Self> {
        check_part(user_id)?;
        if user_id.len() > MAX_USER_ID {
            return Err(Error::malformed("The user id is longer than 200 bytes."));
        }
        Ok(Device {
            user_id: user_id.to_owned(),
            device_id: None,
            read_only: false,
            signer: Key::generate()?,
            identity: Key::generate()?,
            certificate: None,
            #[cfg(feature = "kat-hooks")]
            forged: Default::default(),
        })
    }

    /// The device of these rows.
    pub fn load(store: &Store) -> Result<Self> {
        store.get(&[DEVICE])?.ok_or_else(|| Error::corrupt("There is no device row."))
    }

    /// Write the device's row.
    pub fn save(&self, store: &Store) -> Result<()> {
        Ok(store.put(vec![DEVICE], self)?)
    }

    /// Take the id that the service gave, and certify the leaf key for it. True if that changed anything.
    pub fn bind(&mut self, device_id: &str) -> Result<bool> {
        check_part(device_id)?;
        if self.device_id.as_deref() == Some(device_id) {
            return Ok(false);
        }
        if self.device_id.is_some() {
            return Err(Error::not_allowed("This device is bound to another device id."));
        }
        if self.user_id.len() + 1 + device_id.len() > MAX_IDENTITY {
            return Err(Error::malformed("The identity would be longer than 255 bytes."));
        }
        self.certificate = Some(self.certify(&self.user_id, device_id, self.signer.public())?);
        self.device_id = Some(device_id.to_owned());
        Ok(true)
    }

    /// A certificate by our identity key.
    pub fn certify(&self, user_id: &str, device_id: &str, leaf_key: &[u8]) -> Result<Vec<u8>> {
        let signed = certificate_content(user_id, device_id, leaf_key)?;
        let signature = self.identity.sign_bytes(&signed);
        Ok([&[CERTIFICATE_VERSION][..], self.identity.public(), &signature].concat())
    }

    /// As it was before `bind`.
    pub fn unbind(&mut self) {
        self.device_id = None;
        self.certificate = None;
    }

    /// Public half of the key that signs certificates.
    pub fn identity_key(&self) -> &[u8] {
        self.identity.public()
    }

    /// The device certificate.
    pub fn certificate(&self) -> Result<&[u8]> {
        self.certificate.as_deref().ok_or_else(not_bound)
    }

    /// Proof for the service that this device holds the signature key, in this session of this user.
    pub fn proof(&self, sub: &str, session_id: &str) -> Result<Vec<u8>> {
        let parts = [PROOF_LABEL, sub.as_bytes(), session_id.as_bytes(), self.signer.public()];
        Ok(self.signer.sign_bytes(&length_prefixed(&parts)?).to_vec())
    }

    /// `user_id#device_id`.
    pub fn identity(&self) -> Result<String> {
        let device_id = self.device_id.as_deref().ok_or_else(not_bound)?;
        Ok(format!("{}#{device_id}", self.user_id))
    }

    /// Basic credential and signature key of our leaves.
    pub fn credential(&self) -> Result<CredentialWithKey> {
        #[cfg(feature = "kat-hooks")]
        if let Some(identity) = &self.forged.identity {
            let credential = BasicCredential::new(identity.clone()).into();
            return Ok(CredentialWithKey { credential, signature_key: self.signer.public().into() });
        }
        let credential = BasicCredential::new(self.identity()?.into_bytes()).into();
        Ok(CredentialWithKey { credential, signature_key: self.signer.public().into() })
    }

    /// Extensions of our leaves: the certificate.
    pub fn leaf_extensions(&self) -> Result<Extensions<LeafNode>> {
        #[cfg(feature = "kat-hooks")]
        if let Some(certificate) = &self.forged.certificate {
            let forged = Extension::Unknown(CERTIFICATE, UnknownExtension(certificate.clone()));
            return Ok(if certificate.is_empty() {
                Extensions::empty()
            } else {
                Extensions::single(forged)?
            });
        }
        let certificate = UnknownExtension(self.certificate()?.to_vec());
        Ok(Extensions::single(Extension::Unknown(CERTIFICATE, certificate))?)
    }
}

/// The identity key in a certificate, if it holds for this user, device and leaf key.
pub fn check_certificate<'a>(
    crypto: &impl OpenMlsCrypto,
    certificate: &'a [u8],
    user_id: &str,
    device_id: &str,
    leaf_key: &[u8],
) -> Result<&'a [u8]> {
    let (identity_key, signature) = split_certificate(certificate)?;
    let signed = certificate_content(user_id, device_id, leaf_key)?;
    crypto
        .verify_signature(SignatureScheme::ED25519, &signed, identity_key, signature)
        .map_err(|_| Error::unacceptable("A leaf has a device certificate that does not hold."))?;
    Ok(identity_key)
}

/// Identity key and signature of a certificate.
pub fn split_certificate(certificate: &[u8]) -> Result<(&[u8], &[u8])> {
    match certificate.split_first() {
        Some((&CERTIFICATE_VERSION, rest)) if rest.len() == PUBLIC_KEY + SIGNATURE => {
            Ok(rest.split_at(PUBLIC_KEY))
        }
        _ => Err(Error::unacceptable("A leaf has a device certificate of another form.")),
    }
}

/// A user or device id: not empty, and without the '#' that joins them.
pub fn check_part(part: &str) -> Result<()> {
    if part.is_empty() || part.contains('#') {
        return Err(Error::malformed("A user or device id is empty or has a '#'."));
    }
    Ok(())
}

fn certificate_content(user_id: &str, device_id: &str, leaf_key: &[u8]) -> Result<Vec<u8>> {
    length_prefixed(&[CERTIFICATE_LABEL, user_id.as_bytes(), device_id.as_bytes(), leaf_key])
}

fn length_prefixed(parts: &[&[u8]]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for part in parts {
        let length =
            u16::try_from(part.len()).map_err(|_| Error::malformed("A part to be signed is too long."))?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part);
    }
    Ok(bytes)
}

fn not_bound() -> Error {
    Error::not_allowed("This device has no device id yet.")
}
