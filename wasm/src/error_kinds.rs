//! Which of OpenMLS's errors is which of ours: by variant, never by text. A new variant does not compile.

use openmls::framing::errors::{
    MessageDecryptionError, MlsMessageError, ProtocolMessageError, SecretTreeError,
};
use openmls::messages::group_info::GroupInfoError;
use openmls::prelude::*;
use openmls::schedule::errors::PskError;
use openmls::treesync::errors::{LeafNodeValidationError, UpdatePathError};

use crate::errors::{Error, Kind};
use crate::store::StoreError;

/// `From` by a function that gives the kind of each variant.
macro_rules! mapped {
    ($($type:ty => $function:expr;)*) => {
        $(impl From<$type> for Error {
            fn from(error: $type) -> Self {
                #[allow(clippy::redundant_closure_call)]
                let kind = ($function)(&error);
                Error::new(kind, &error)
            }
        })*
    };
}

mapped! {
    StoreError => |_: &StoreError| Kind::Corrupt;
    LibraryError => |_: &LibraryError| Kind::Internal;
    CryptoError => |_: &CryptoError| Kind::Internal;
    tls_codec::Error => |_: &tls_codec::Error| Kind::Malformed;
    MlsMessageError => |_: &MlsMessageError| Kind::Malformed;
    ProtocolMessageError => |_: &ProtocolMessageError| Kind::Malformed;
    InvalidExtensionError => |_: &InvalidExtensionError| Kind::Unacceptable;
    LeafNodeValidationError => |_: &LeafNodeValidationError| Kind::Unacceptable;
    MlsGroupStateError => group_state;
    KeyPackageVerifyError => key_package_verify;
    KeyPackageNewError => key_package_new;
    NewGroupError<StoreError> => new_group;
    CreateMessageError => create_message;
    CreateCommitError => create_commit;
    CommitBuilderStageError<StoreError> => commit_stage;
    MergePendingCommitError<StoreError> => merge_pending;
    MergeCommitError<StoreError> => merge_commit;
    ProcessMessageError<StoreError> => process_message;
    WelcomeError<StoreError> => welcome;
    ExportGroupInfoError => export_group_info;
    ExportSecretError => export_secret;
    ExternalCommitBuilderError<StoreError> => external_commit;
    ExternalCommitBuilderFinalizeError<StoreError> => external_commit_finalize;
}

fn group_state(error: &MlsGroupStateError) -> Kind {
    match error {
        MlsGroupStateError::LibraryError(_) => Kind::Internal,
        MlsGroupStateError::UseAfterEviction
        | MlsGroupStateError::PendingProposal
        | MlsGroupStateError::PendingCommit
        | MlsGroupStateError::NoPendingCommit
        | MlsGroupStateError::PendingProposalNotFound => Kind::NotAllowed,
    }
}

fn key_package_verify(error: &KeyPackageVerifyError) -> Kind {
    use KeyPackageVerifyError as E;
    match error {
        E::LibraryError(_) => Kind::Internal,
        E::InvalidSignature | E::InvalidLeafNodeSignature => Kind::Forged,
        E::LifetimeError(_)
        | E::MissingLifetime
        | E::UnsupportedExtension
        | E::InvalidLeafNodeSourceType
        | E::InitKeyEqualsEncryptionKey
        | E::InvalidProtocolVersion
        | E::ExtensionTypeNotValidInKeyPackage(_) => Kind::Unacceptable,
    }
}

fn key_package_new(error: &KeyPackageNewError) -> Kind {
    match error {
        KeyPackageNewError::StorageError => Kind::Corrupt,
        KeyPackageNewError::UnsupportedCiphersuite(_) => Kind::Unsupported,
        KeyPackageNewError::LibraryError(_)
        | KeyPackageNewError::CiphersuiteSignatureSchemeMismatch
        | KeyPackageNewError::SignatureError(_) => Kind::Internal,
    }
}

fn new_group(error: &NewGroupError<StoreError>) -> Kind {
    match error {
        NewGroupError::StorageError(_) => Kind::Corrupt,
        NewGroupError::UnsupportedCiphersuite(_) => Kind::Unsupported,
        NewGroupError::GroupAlreadyExists => Kind::NotAllowed,
        NewGroupError::LibraryError(_)
        | NewGroupError::NoMatchingKeyPackage
        | NewGroupError::UnsupportedProposalType
        | NewGroupError::UnsupportedExtensionType
        | NewGroupError::InvalidExtensions(_) => Kind::Internal,
    }
}

fn create_message(error: &CreateMessageError) -> Kind {
    match error {
        CreateMessageError::LibraryError(_) => Kind::Internal,
        CreateMessageError::GroupStateError(state) => group_state(state),
    }
}

fn create_commit(error: &CreateCommitError) -> Kind {
    use CreateCommitError as E;
    use ProposalValidationError as P;
    match error {
        E::CannotRemoveSelf => Kind::NotAllowed,
        E::ProposalValidationError(
            P::UnknownMemberRemoval | P::DuplicateMemberRemoval | P::UnknownMember,
        ) => Kind::NotAllowed,
        E::ProposalValidationError(inner) => proposal_validation(inner),
        E::GroupContextExtensionsProposalValidationError(_)
        | E::InvalidExternalCommit(_)
        | E::LeafNodeValidation(_)
        | E::PskError(_)
        | E::InvalidExtensionError(_) => Kind::Unacceptable,
        E::OwnKeyNotFound => Kind::Corrupt,
        E::LibraryError(_)
        | E::MissingProposal
        | E::WrongProposalSenderType
        | E::SignatureError(_)
        | E::MissingCredential
        | E::PublicTreeError(_)
        | E::TreeSyncAddLeaf(_)
        | E::InvalidLeafNodeParameters
        | E::InvalidSignerCiphersuite
        | E::ExternalCommitCredentialMismatch
        | E::ExternalCommitWithNewSigner => Kind::Internal,
    }
}

fn proposal_validation(error: &ProposalValidationError) -> Kind {
    match error {
        ProposalValidationError::LibraryError(_) => Kind::Internal,
        _ => Kind::Unacceptable, // every other variant is a rule of RFC 9420 section 12.2
    }
}

fn commit_stage(error: &CommitBuilderStageError<StoreError>) -> Kind {
    match error {
        CommitBuilderStageError::LibraryError(_) => Kind::Internal,
        CommitBuilderStageError::KeyStoreError(_) => Kind::Corrupt,
    }
}

fn merge_pending(error: &MergePendingCommitError<StoreError>) -> Kind {
    match error {
        MergePendingCommitError::MlsGroupStateError(state) => group_state(state),
        MergePendingCommitError::MergeCommitError(merge) => merge_commit(merge),
    }
}

fn merge_commit(error: &MergeCommitError<StoreError>) -> Kind {
    match error {
        MergeCommitError::LibraryError(_) => Kind::Internal,
        MergeCommitError::StorageError(_) => Kind::Corrupt,
    }
}

fn process_message(error: &ProcessMessageError<StoreError>) -> Kind {
    use ProcessMessageError as E;
    match error {
        E::LibraryError(_) => Kind::Internal,
        E::StorageError(_) => Kind::Corrupt,
        E::ValidationError(inner) => validation(inner),
        E::GroupStateError(state) => group_state(state),
        E::InvalidCommit(inner) => stage_commit(inner),
        E::IncompatibleWireFormat
        | E::UnauthorizedExternalApplicationMessage
        | E::UnauthorizedExternalCommitMessage
        | E::UnsupportedProposalType => Kind::Unacceptable,
    }
}

fn validation(error: &ValidationError) -> Kind {
    use ValidationError as E;
    match error {
        E::LibraryError(_) => Kind::Internal,
        E::WrongGroupId => Kind::WrongGroup,
        E::WrongEpoch | E::NoPastEpochData => Kind::Stale, // a future epoch was told apart before
        E::UnableToDecrypt(inner) => decryption(inner),
        E::KeyPackageVerifyError(inner) => key_package_verify(inner),
        E::UnknownMember
        | E::MissingMembershipTag
        | E::InvalidMembershipTag
        | E::MissingConfirmationTag
        | E::InvalidSignature
        | E::InvalidLeafNodeSignature
        | E::UpdatePathError(UpdatePathError::SignatureError(_)) => Kind::Forged,
        E::WrongWireFormat => Kind::Malformed,
        E::NotACommit
        | E::NotAnExternalAddProposal
        | E::NoPath
        | E::UnencryptedApplicationMessage
        | E::NonMemberApplicationMessage
        | E::UnauthorizedExternalSender
        | E::NoExternalSendersExtension
        | E::UpdatePathError(UpdatePathError::InvalidType)
        | E::InvalidLeafNodeSourceType
        | E::InvalidSenderType
        | E::CommitterIncludedOwnUpdate
        | E::InvalidAddProposalCiphersuite
        | E::ExternalCommitValidation(_)
        | E::InvalidExtension(_) => Kind::Unacceptable,
    }
}

fn decryption(error: &MessageDecryptionError) -> Kind {
    match error {
        MessageDecryptionError::LibraryError(_) => Kind::Internal,
        MessageDecryptionError::GenerationOutOfBound | MessageDecryptionError::AeadError => Kind::Forged,
        MessageDecryptionError::WrongWireFormat | MessageDecryptionError::MalformedContent => Kind::Malformed,
        MessageDecryptionError::SecretTreeError(inner) => match inner {
            SecretTreeError::SecretReuseError | SecretTreeError::TooDistantInThePast => Kind::Stale,
            SecretTreeError::TooDistantInTheFuture => Kind::TooEarly,
            SecretTreeError::IndexOutOfBounds => Kind::Forged,
            SecretTreeError::RatchetTooLong
            | SecretTreeError::RatchetTypeError
            | SecretTreeError::LibraryError
            | SecretTreeError::CodecError(_)
            | SecretTreeError::CryptoError(_) => Kind::Internal,
        },
    }
}

fn stage_commit(error: &StageCommitError) -> Kind {
    use StageCommitError as E;
    match error {
        E::LibraryError(_) => Kind::Internal,
        E::EpochMismatch => Kind::Stale,
        E::OwnCommitMismatch => Kind::NotAllowed,
        E::WrongPlaintextContentType => Kind::Malformed,
        E::OwnKeyNotFound | E::MissingDecryptionKey => Kind::Corrupt,
        E::PathLeafNodeVerificationFailure
        | E::ConfirmationTagMissing
        | E::ConfirmationTagMismatch
        | E::UpdatePathError(_)
        | E::VerifiedUpdatePathError(_) => Kind::Forged,
        E::RequiredPathNotFound
        | E::AttemptedSelfRemoval
        | E::MissingProposal
        | E::InconsistentSenderIndex
        | E::SenderTypeExternal
        | E::SenderTypeNewMemberProposal
        | E::TooManyNewMembers
        | E::PskError(_)
        | E::ExternalCommitValidation(_)
        | E::GroupContextExtensionsProposalValidationError(_)
        | E::LeafNodeValidation(_)
        | E::DuplicatePskId(_) => Kind::Unacceptable,
        E::ProposalValidationError(inner) => proposal_validation(inner),
    }
}

fn welcome(error: &WelcomeError<StoreError>) -> Kind {
    use WelcomeError as E;
    match error {
        E::LibraryError(_) | E::KeySchedule(_) => Kind::Internal,
        E::StorageError(_) | E::NoMatchingEncryptionKey => Kind::Corrupt,
        E::Psk(PskError::Storage) => Kind::Corrupt,
        E::GroupSecrets(GroupSecretsError::DecryptionFailed)
        | E::GroupInfo(GroupInfoError::DecryptionFailed)
        | E::ConfirmationTagMismatch
        | E::InvalidGroupInfoSignature
        | E::UnknownSender
        | E::UnableToDecrypt
        | E::PublicTreeError(_) => Kind::Forged,
        E::GroupSecrets(GroupSecretsError::Malformed)
        | E::GroupInfo(GroupInfoError::Malformed)
        | E::NotAWelcomeMessage
        | E::MalformedWelcomeMessage => Kind::Malformed,
        E::PrivateInitKeyNotFound
        | E::JoinerSecretNotFound
        | E::NoMatchingKeyPackage
        | E::GroupAlreadyExists => Kind::NotAllowed,
        E::UnsupportedMlsVersion | E::UnsupportedCapability | E::UnsupportedCiphersuite(_) => {
            Kind::Unsupported
        }
        E::CiphersuiteMismatch
        | E::MissingRatchetTree
        | E::UnsupportedExtensions
        | E::Psk(_)
        | E::LeafNodeValidation(_) => Kind::Unacceptable,
        E::PublicGroupError(inner) => from_group_info(inner),
    }
}

fn from_group_info(error: &CreationFromExternalError<StoreError>) -> Kind {
    use CreationFromExternalError as E;
    match error {
        E::LibraryError(_) => Kind::Internal,
        E::WriteToStorageError(_) => Kind::Corrupt,
        E::UnsupportedMlsVersion | E::UnsupportedCiphersuite(_) => Kind::Unsupported,
        E::LeafNodeValidation(_) | E::DuplicateEncryptionKey | E::DuplicateSignatureKey => Kind::Unacceptable,
        E::TreeSyncError(_)
        | E::UnknownSender
        | E::InvalidGroupInfoSignature
        | E::TreeHashMismatch
        | E::UnmergedLeafNotADescendant
        | E::IntermediateNodeMissingUnmergedLeaf => Kind::Forged,
    }
}

fn export_group_info(error: &ExportGroupInfoError) -> Kind {
    match error {
        ExportGroupInfoError::GroupStateError(state) => group_state(state),
        ExportGroupInfoError::LibraryError(_) | ExportGroupInfoError::InvalidExtensionError(_) => {
            Kind::Internal
        }
    }
}

fn export_secret(error: &ExportSecretError) -> Kind {
    match error {
        ExportSecretError::LibraryError(_) => Kind::Internal,
        ExportSecretError::KeyLengthTooLong => Kind::Malformed,
        ExportSecretError::GroupStateError(state) => group_state(state),
    }
}

fn external_commit(error: &ExternalCommitBuilderError<StoreError>) -> Kind {
    use ExternalCommitBuilderError as E;
    match error {
        E::LibraryError(_) => Kind::Internal,
        E::StorageError(_) => Kind::Corrupt,
        E::UnsupportedCiphersuite(_) => Kind::Unsupported,
        E::PublicGroupError(inner) => from_group_info(inner),
        E::MissingRatchetTree | E::MissingExternalPub => Kind::Unacceptable,
        E::InvalidProposal(inner) => validation(inner),
    }
}

fn external_commit_finalize(error: &ExternalCommitBuilderFinalizeError<StoreError>) -> Kind {
    match error {
        ExternalCommitBuilderFinalizeError::LibraryError(_) => Kind::Internal,
        ExternalCommitBuilderFinalizeError::StorageError(_) => Kind::Corrupt,
        ExternalCommitBuilderFinalizeError::MergeCommitError(inner) => merge_pending(inner),
    }
}
