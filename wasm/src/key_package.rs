//! Making and checking key packages (RFC 9420 section 10).

use openmls::prelude::*;
use openmls::treesync::LeafNodeSource;
use tls_codec::{Serialize as _, VLBytes};

use crate::config::{LIFETIME_MARGIN, MAX_LIFETIME, MAX_WELCOME, capabilities, lifetime, now, suite};
use crate::errors::{Error, Result};
use crate::message::parse;
use crate::party::Party;
use crate::rules::check_leaf;
use crate::storage_provider::{KEY_PACKAGE, key};
use crate::types;

/// Make one; its private keys become a row.
pub fn create(
    party: &mut Party,
    suite_number: u16,
    seconds: u64,
    last_resort: bool,
) -> Result<types::KeyPackage> {
    if party.device.read_only {
        return Err(Error::not_allowed("An imported state makes no key packages."));
    }
    let suite = suite(suite_number)?;
    if !(1..=MAX_LIFETIME).contains(&seconds) && !party.policy.relaxed() {
        return Err(Error::unacceptable("A key package is valid for at most 84 days."));
    }
    if !party.swept {
        delete_expired(party)?;
        party.swept = true;
    }
    let mut builder = KeyPackage::builder()
        .leaf_node_capabilities(capabilities())
        .leaf_node_extensions(party.device.leaf_extensions()?)
        .key_package_lifetime(lifetime(seconds)?);
    if last_resort {
        builder = builder.mark_as_last_resort();
    }
    let bundle = builder.build(suite, &party.provider, &party.device.signer, party.device.credential()?)?;
    describe(party, bundle.into_key_package())
}

/// Forget one.
pub fn delete(party: &Party, reference: &[u8]) -> Result<()> {
    let framed = VLBytes::new(reference.to_vec()).tls_serialize_detached()?;
    let reference = KeyPackageRef::tls_deserialize_exact_bytes(&framed)?;
    party.store().delete(&key(KEY_PACKAGE, &reference)?);
    Ok(())
}

/// Parse and check somebody's, framed as MLSMessage.
pub fn check(party: &Party, bytes: &[u8]) -> Result<(KeyPackage, types::KeyPackage)> {
    let MlsMessageBodyIn::KeyPackage(unverified) = parse(bytes, MAX_WELCOME)?.extract() else {
        return Err(Error::malformed("This is not a key package."));
    };
    let key_package = unverified.validate(party.provider.crypto(), ProtocolVersion::Mls10)?;
    suite(key_package.ciphersuite().into())?;
    let described = describe(party, key_package.clone())?;
    Ok((key_package, described))
}

fn describe(party: &Party, key_package: KeyPackage) -> Result<types::KeyPackage> {
    let crypto = party.provider.crypto();
    let leaf = check_leaf(&party.policy, crypto, 0, key_package.leaf_node())?;
    let reference = key_package.hash_ref(crypto)?.as_slice().to_vec();
    let last_resort = key_package.last_resort();
    let not_after = not_after(&key_package);
    let bytes = MlsMessageOut::from(key_package).tls_serialize_detached()?;
    Ok(types::KeyPackage { bytes, reference, leaf, last_resort, not_after })
}

fn not_after(key_package: &KeyPackage) -> u64 {
    match key_package.leaf_node().leaf_node_source() {
        LeafNodeSource::KeyPackage(lifetime) => lifetime.not_after(),
        LeafNodeSource::Update | LeafNodeSource::Commit(_) => 0,
    }
}

/// Private keys of packages that nobody can use any more need not lie around.
fn delete_expired(party: &Party) -> Result<()> {
    let now = now()?;
    for key in party.store().keys(&[KEY_PACKAGE]) {
        let bundle: Option<KeyPackageBundle> = party.store().get(&key)?;
        if bundle.is_some_and(|bundle| not_after(bundle.key_package()) < now.saturating_sub(LIFETIME_MARGIN))
        {
            party.store().delete(&key);
        }
    }
    Ok(())
}
