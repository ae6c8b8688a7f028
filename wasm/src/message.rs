//! Encrypting application messages, and opening what arrives.

use crate::config::MAX_MESSAGE;
use crate::errors::{Error, Result};
use crate::merge::{Origin, Staged, merge};
use crate::party::{Inner, Party};
use crate::types::{Application, Merged, Own};
use openmls::prelude::*;

/// What a message turned out to be.
pub enum Processed {
    /// Somebody's application message.
    Application(Application),
    /// Somebody's commit, merged.
    Merged(Merged),
    /// One that names us as its sender.
    Own(Own),
}

/// Parse one MLSMessage of at most that size, with nothing left over.
pub fn parse(bytes: &[u8], limit: usize) -> Result<MlsMessageIn> {
    if bytes.len() > limit {
        return Err(Error::malformed("This is larger than we read."));
    }
    Ok(MlsMessageIn::tls_deserialize_exact_bytes(bytes)?)
}

/// An application message as PrivateMessage.
pub fn encrypt(
    party: &Party,
    group: &mut MlsGroup,
    data: &[u8],
    authenticated_data: &[u8],
) -> Result<Vec<u8>> {
    party.check_may_send(group)?;
    let too_large = || Error::malformed("The message would be larger than 1 MiB.");
    if data.len().saturating_add(authenticated_data.len()) > MAX_MESSAGE {
        return Err(too_large());
    }
    group.set_aad(authenticated_data.to_vec());
    let message = group.create_message(&party.provider, &party.device.signer, data)?.to_bytes()?;
    if message.len() > MAX_MESSAGE { Err(too_large()) } else { Ok(message) }
}

/// Open one message: decrypt it, or check and merge a commit.
pub fn process(inner: &mut Inner, id: &[u8], message: &[u8]) -> Result<Processed> {
    let message = parse(message, MAX_MESSAGE)?.try_into_protocol_message()?;
    // Looked at first, so that a flood of old messages does not make us load the group again and again.
    inner.see(id, |party, group| check_header(party, group, &message))?;
    inner.in_group(id, |party, group| open(party, group, message))
}

fn check_header(party: &Party, group: &MlsGroup, message: &ProtocolMessage) -> Result<()> {
    party.check_active(group)?;
    if message.group_id() != group.group_id() {
        return Err(Error::wrong_group("The message is for another group."));
    }
    if message.epoch() < group.epoch() {
        return Err(Error::stale("The message is of an epoch that is gone."));
    }
    if message.epoch() > group.epoch() {
        return Err(Error::too_early("The message is of an epoch that has not come yet."));
    }
    if message.content_type() == ContentType::Proposal {
        return Err(Error::unacceptable("Proposals outside of commits are refused."));
    }
    Ok(())
}

fn open(party: &Party, group: &mut MlsGroup, message: ProtocolMessage) -> Result<Processed> {
    let content_type = message.content_type() as u8;
    let message = group.process_message(&party.provider, message)?;
    let (sender, epoch) = (message.sender().clone(), message.epoch().as_u64());
    let authenticated_data = message.aad().to_vec();
    match message.into_content() {
        ProcessedMessageContent::ApplicationMessage(content) => {
            let sender = party.member(group, member_index(&sender)?)?;
            let data = content.into_bytes();
            Ok(Processed::Application(Application { sender, epoch, data, authenticated_data }))
        }
        ProcessedMessageContent::StagedCommitMessage(staged) => {
            let origin = match sender {
                Sender::NewMemberCommit => Origin::External(group.ext_commit_sender_index(&staged)?),
                other => Origin::Member(member_index(&other)?),
            };
            let merged = merge(party, group, origin, Staged::Received(staged), authenticated_data)?;
            Ok(Processed::Merged(merged))
        }
        ProcessedMessageContent::OwnPrivateMessage => Ok(Processed::Own(Own { content_type, epoch })),
        ProcessedMessageContent::OwnPendingCommit
        | ProcessedMessageContent::ProposalMessage(_)
        | ProcessedMessageContent::ExternalJoinProposalMessage(_) => {
            Err(Error::unacceptable("A message of a kind that we do not accept."))
        }
    }
}

fn member_index(sender: &Sender) -> Result<LeafNodeIndex> {
    match sender {
        Sender::Member(index) => Ok(*index),
        Sender::External(_) | Sender::NewMemberProposal | Sender::NewMemberCommit => {
            Err(Error::unacceptable("The message is not from a member."))
        }
    }
}
