//! Sizes, times, capabilities and group settings: everything that all members must agree on.

use openmls::prelude::*;

use crate::errors::{Error, Result};

/// Largest message that is parsed or made, framed as MLSMessage.
pub const MAX_MESSAGE: usize = 1 << 20;
/// Largest Welcome, GroupInfo or key package.
pub const MAX_WELCOME: usize = 8 << 20;
/// Longest lifetime of a key package, in seconds: 84 days.
pub const MAX_LIFETIME: u64 = 84 * 24 * 3600;
/// How far `not_before` lies in the past, for receivers whose clock is slow: one hour, in seconds.
pub const LIFETIME_MARGIN: u64 = 3600;
/// Longest identity, `user_id#device_id`, in bytes.
pub const MAX_IDENTITY: usize = 255;
/// Longest user id, in bytes.
pub const MAX_USER_ID: usize = 200;
/// GroupContext extension: group data.
pub const GROUP_DATA: u16 = 0xff11;
/// LeafNode extension: device certificate.
pub const CERTIFICATE: u16 = 0xff12;

/// The cipher suites that we use; 0x0001 is the default, 0x0003 needs no AES hardware.
const SUITES: [Ciphersuite; 2] = [
    Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519,
    Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519,
];

/// The cipher suite of that number, if we use it.
pub fn suite(number: u16) -> Result<Ciphersuite> {
    SUITES
        .into_iter()
        .find(|suite| u16::from(*suite) == number)
        .ok_or_else(|| Error::unsupported("This cipher suite is not supported."))
}

/// What our leaves say that they understand. Nothing here can be added to another member's leaf later.
pub fn capabilities() -> Capabilities {
    Capabilities::new(
        None,
        Some(&SUITES),
        Some(&[
            ExtensionType::LastResort,
            ExtensionType::Unknown(GROUP_DATA),
            ExtensionType::Unknown(CERTIFICATE),
        ]),
        Some(&[ProposalType::SelfRemove]),
        Some(&[CredentialType::Basic]),
    )
}

/// What every group demands of its leaves.
pub fn required_capabilities() -> RequiredCapabilitiesExtension {
    RequiredCapabilitiesExtension::new(
        &[ExtensionType::Unknown(GROUP_DATA), ExtensionType::Unknown(CERTIFICATE)],
        &[],
        &[CredentialType::Basic],
    )
}

/// GroupContext extensions of a group with this group data.
pub fn group_context_extensions(group_data: &[u8]) -> Result<Extensions<GroupContext>> {
    Ok(Extensions::from_vec(vec![
        Extension::RequiredCapabilities(required_capabilities()),
        Extension::Unknown(GROUP_DATA, UnknownExtension(group_data.to_vec())),
    ])?)
}

/// Ratchets per sender and epoch: how many late messages are kept openable, how far one may run ahead.
fn ratchets() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(64, 2000)
}

/// Settings of a group that is entered.
pub fn join_config() -> MlsGroupJoinConfig {
    join_config_builder().build()
}

/// The settings, for tests to bend.
pub fn join_config_builder() -> MlsGroupJoinConfigBuilder {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .padding_size(128)
        .max_past_epochs(0)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(true)
        .sender_ratchet_configuration(ratchets())
}

/// Settings of a group that is made.
pub fn create_config(
    suite: Ciphersuite,
    group_data: &[u8],
    leaf_extensions: Extensions<LeafNode>,
) -> Result<MlsGroupCreateConfig> {
    Ok(MlsGroupCreateConfig::builder()
        .ciphersuite(suite)
        .capabilities(capabilities())
        .lifetime(lifetime(MAX_LIFETIME)?)
        .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .padding_size(128)
        .max_past_epochs(0)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(true)
        .sender_ratchet_configuration(ratchets())
        .with_group_context_extensions(group_context_extensions(group_data)?)
        .with_leaf_node_extensions(leaf_extensions)?
        .build())
}

/// From one hour ago until that many seconds from now. (`Lifetime::new` panics where the clock is before 1970.)
pub fn lifetime(seconds: u64) -> Result<Lifetime> {
    let now = now()?;
    Ok(Lifetime::init(now.saturating_sub(LIFETIME_MARGIN), now.saturating_add(seconds)))
}

/// Seconds since 1970 by this device's clock.
pub fn now() -> Result<u64> {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map(|elapsed| elapsed.as_secs())
        .map_err(|_| Error::internal("This device's clock is before 1970."))
}
