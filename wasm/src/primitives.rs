//! Small symmetric primitives for what the synchronous core seals, and the MLS framing header.

use openmls::prelude::*;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::types::{AeadType, HashType};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::config::MAX_MESSAGE;
use crate::errors::{Error, Result};
use crate::message::parse;

const NONCE: usize = 12; // bytes, AES-GCM
const KEY: usize = 32; // bytes, AES-256
const MAX_RANDOM: usize = 1 << 20; // bytes in one call
const MAX_HKDF: usize = 255 * 32; // bytes, RFC 5869 section 2.3

/// Fill with randomness of the operating system.
pub fn fill_random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|_| Error::internal("The operating system gives no random bytes."))
}

/// AES-256-GCM; the nonce is made inside and stands first.
#[pyfunction]
pub fn seal<'py>(
    py: Python<'py>,
    key: &[u8],
    plaintext: &[u8],
    associated_data: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let sealed = py.detach(|| -> Result<Vec<u8>> {
        check_key(key)?;
        let mut sealed = vec![0; NONCE];
        fill_random(&mut sealed)?;
        let crypto = RustCrypto::default();
        let body = crypto.aead_encrypt(AeadType::Aes256Gcm, key, plaintext, &sealed, associated_data)?;
        sealed.extend_from_slice(&body);
        Ok(sealed)
    })?;
    Ok(PyBytes::new(py, &sealed))
}

/// The opposite of `seal`.
#[pyfunction]
pub fn open<'py>(
    py: Python<'py>,
    key: &[u8],
    sealed: &[u8],
    associated_data: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let plaintext = py.detach(|| -> Result<Vec<u8>> {
        check_key(key)?;
        let forged = || Error::forged("This was not sealed under this key and associated data.");
        let (nonce, body) = sealed.split_at_checked(NONCE).ok_or_else(forged)?;
        let crypto = RustCrypto::default();
        crypto.aead_decrypt(AeadType::Aes256Gcm, key, body, nonce, associated_data).map_err(|_| forged())
    })?;
    Ok(PyBytes::new(py, &plaintext))
}

/// HKDF-SHA256 (RFC 5869).
#[pyfunction]
pub fn hkdf<'py>(
    py: Python<'py>,
    secret: &[u8],
    salt: &[u8],
    info: &[u8],
    length: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    if length > MAX_HKDF {
        return Err(Error::malformed("HKDF-SHA256 gives at most 8160 bytes.").into());
    }
    let crypto = RustCrypto::default();
    let key = crypto.hkdf_extract(HashType::Sha2_256, salt, secret).map_err(Error::from)?;
    let output = crypto.hkdf_expand(HashType::Sha2_256, key.as_slice(), info, length).map_err(Error::from)?;
    Ok(PyBytes::new(py, output.as_slice()))
}

/// From the operating system.
#[pyfunction]
pub fn random_bytes(py: Python<'_>, length: usize) -> PyResult<Bound<'_, PyBytes>> {
    if length > MAX_RANDOM {
        return Err(Error::malformed("At most 1 MiB of random bytes in one call.").into());
    }
    PyBytes::new_with(py, length, |bytes| Ok(fill_random(bytes)?))
}

/// Wire format, group id, epoch and content type of a message; unauthenticated.
#[pyfunction]
pub fn header<'py>(py: Python<'py>, message: &[u8]) -> PyResult<(u16, Bound<'py, PyBytes>, u64, u8)> {
    let message = parse(message, MAX_MESSAGE)?.try_into_protocol_message().map_err(Error::from)?;
    let group_id = PyBytes::new(py, message.group_id().as_slice());
    Ok((message.wire_format() as u16, group_id, message.epoch().as_u64(), message.content_type() as u8))
}

fn check_key(key: &[u8]) -> Result<()> {
    if key.len() == KEY { Ok(()) } else { Err(Error::malformed("A sealing key has 32 bytes.")) }
}
