//! An Ed25519 key pair that is kept ready to sign.
//!
//! OpenMLS's own `SignatureKeyPair` derives the public key anew for every signature, which is half the work of
//! encrypting a message.

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::errors::Result;
use crate::primitives::fill_random;

/// Bytes of a public key.
pub const PUBLIC_KEY: usize = 32;
/// Bytes of a signature.
pub const SIGNATURE: usize = 64;

/// Wiped when dropped. `Debug` is not derived.
pub struct Key(SigningKey);

impl Key {
    /// A fresh key pair.
    pub fn generate() -> Result<Self> {
        let mut secret = Zeroizing::new([0; 32]);
        fill_random(&mut *secret)?;
        Ok(Key(SigningKey::from_bytes(&secret)))
    }

    /// The public key, 32 bytes.
    pub fn public(&self) -> &[u8] {
        AsRef::<VerifyingKey>::as_ref(&self.0).as_bytes()
    }

    /// An Ed25519 signature, 64 bytes.
    pub fn sign_bytes(&self, content: &[u8]) -> [u8; SIGNATURE] {
        self.0.sign(content).to_bytes()
    }
}

impl Signer for Key {
    fn sign(&self, payload: &[u8]) -> std::result::Result<Vec<u8>, SignerError> {
        Ok(self.sign_bytes(payload).to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// As the 32 bytes of the private key.
impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.as_bytes())
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let bytes = Zeroizing::new(serde_bytes::ByteBuf::deserialize(deserializer)?.into_vec());
        let secret = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| D::Error::custom("not 32 bytes"))?;
        Ok(Key(SigningKey::from_bytes(&Zeroizing::new(secret))))
    }
}
