//! A GroupInfo from the service, checked as a whole: signature, tree, every leaf.

use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::*;
use tls_codec::{DeserializeBytes, VLBytes};

use crate::config::{MAX_WELCOME, capabilities, join_config, suite};
use crate::errors::{Error, Result};
use crate::key::Key;
use crate::message::parse;
use crate::party::{Party, Provider};
use crate::rules::group_data;
use crate::types::Member;
use crate::welcome::check_tree;

/// What a GroupInfo says.
pub struct Inspected {
    /// MLS group id.
    pub group_id: Vec<u8>,
    /// The epoch that it describes.
    pub epoch: u64,
    /// Who signed it.
    pub signer: Member,
    /// All leaves, checked.
    pub members: Vec<Member>,
    /// GroupContext extension 0xff11.
    pub group_data: Vec<u8>,
}

/// Parse a framed GroupInfo of a suite of ours that brings its tree along.
pub fn parse_group_info(bytes: &[u8]) -> Result<VerifiableGroupInfo> {
    let MlsMessageBodyIn::GroupInfo(info) = parse(bytes, MAX_WELCOME)?.extract() else {
        return Err(Error::malformed("This is not a GroupInfo."));
    };
    suite(info.ciphersuite().into())?;
    Ok(info)
}

/// Check a GroupInfo.
///
/// OpenMLS's `PublicGroup::from_external` refuses a tree in which any leaf's key package has run out since
/// it was added, so one silent member would end all rejoining after 84 days. The builder of external commits
/// can pass over that, so the tree is read by entering it as nobody, in a store of its own that is dropped.
pub fn inspect(party: &Party, bytes: &[u8]) -> Result<Inspected> {
    let info = parse_group_info(bytes)?;
    let (group_id, epoch) = (info.group_id().to_vec(), info.epoch().as_u64());
    let signer = signer_index(bytes)?;
    let group = enter_as_nobody(info)?;
    let members = check_tree(party, &group, Some(group.own_leaf_index()))?;
    let signer = members.iter().find(|member| member.index == signer).cloned();
    Ok(Inspected {
        group_id,
        epoch,
        signer: signer.ok_or_else(|| Error::forged("The GroupInfo is signed by nobody in the group."))?,
        members,
        group_data: group_data(group.public_group().group_context()),
    })
}

fn enter_as_nobody(info: VerifiableGroupInfo) -> Result<MlsGroup> {
    let provider = Provider::default();
    let key = Key::generate()?;
    let credential = BasicCredential::new(b"nobody".to_vec()).into();
    let nobody = CredentialWithKey { credential, signature_key: key.public().into() };
    let (group, _) = MlsGroup::external_commit_builder()
        .with_config(join_config())
        .skip_lifetime_validation()
        .build_group(&provider, info, nobody)?
        .leaf_node_parameters(LeafNodeParameters::builder().with_capabilities(capabilities()).build())
        .load_psks(provider.storage())?
        .build(provider.rand(), provider.crypto(), &key, |_| true)?
        .finalize(&provider)?;
    Ok(group)
}

/// Leaf index of the signer (RFC 9420 section 12.4.3): OpenMLS keeps it to itself.
fn signer_index(bytes: &[u8]) -> Result<u32> {
    let body = bytes.get(4..).unwrap_or_default(); // version and wire format
    let (_, rest) = GroupContext::tls_deserialize_bytes(body)?;
    let (_extensions, rest) = VLBytes::tls_deserialize_bytes(rest)?;
    let (_confirmation_tag, rest) = VLBytes::tls_deserialize_bytes(rest)?;
    Ok(u32::tls_deserialize_bytes(rest)?.0)
}
