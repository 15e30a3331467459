//! What can go wrong between a client and one storage server, as values that machines compare and people read.
//! Refusals of a conversation are not here: they are answers.

use std::error::Error;
use std::time::Duration;

use tarn_proto::convert::ConvertError;
use tarn_proto::state::ReadRefusal;
use tarn_proto::table::TableError;
use tarn_proto::{Refusal, SlotState, StoreId};
use tonic::{Code, Status};

use super::cut::RunError;
use crate::servermap::Failure;
use crate::time::Millis;

/// What a failure says of its server, as coarsely as a machine wants to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// Nobody is there, or no longer: an answer that is missing will not come.
    Dead,
    /// Nothing came in time; it may still come.
    Late,
    /// What came cannot be used: a broken, lying or different server.
    Broken,
    /// The server said no.
    Refused,
}

/// Why a call to a server brought no answer. Whether a write took effect is unknown, unless the kind is Refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Try another server: there is no connection, or it broke.
    #[error("the server cannot be reached: {cause}")]
    Unreachable {
        /// The innermost cause, for people.
        cause: String,
    },
    /// Wait on, or try another server.
    #[error("the server did not answer within {} ms", after.as_millis())]
    TimedOut {
        /// The deadline that ran out.
        after: Duration,
    },
    /// Correct the grid: this is a different member.
    #[error("another store answered: expected {expected}, found {found}")]
    OtherStore {
        /// The store asked for.
        expected: StoreId,
        /// The store that answered.
        found: StoreId,
    },
    /// Try another server: this one ended the conversation.
    #[error("the server ended the conversation without an answer")]
    StreamEnded,
    /// Try another server: this one is broken or lies.
    #[error("the server's answer is malformed: {0}")]
    Malformed(ConvertError),
    /// Get a token.
    #[error("the server does not admit this client; it needs a valid token")]
    Unauthenticated,
    /// Look at the server, or at this client: one takes the other for malformed.
    #[error("the server rejected the call ({code:?}): {message}")]
    Rejected {
        /// The gRPC code.
        code: Code,
        /// The server's words, for people.
        message: String,
    },
}

impl CallError {
    /// What the failure says of the server.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Unreachable { .. } | Self::StreamEnded => FailureKind::Dead,
            Self::TimedOut { .. } => FailureKind::Late,
            Self::OtherStore { .. } | Self::Malformed(_) => FailureKind::Broken,
            Self::Unauthenticated => FailureKind::Refused,
            Self::Rejected { code, .. } => {
                // Codes that a sane server never sends of its own will, and those for messages that do not decode.
                let broken = matches!(
                    code,
                    Code::Ok
                        | Code::Unknown
                        | Code::Internal
                        | Code::DataLoss
                        | Code::OutOfRange
                        | Code::Unimplemented
                );
                if broken { FailureKind::Broken } else { FailureKind::Refused }
            }
        }
    }
}

impl From<ConvertError> for CallError {
    fn from(error: ConvertError) -> Self {
        Self::Malformed(error)
    }
}

impl From<Status> for CallError {
    /// A status that tonic made of a local failure has a source; one that the server sent has none.
    fn from(status: Status) -> Self {
        let code = status.code();
        if status.source().is_some() || code == Code::Unavailable {
            Self::Unreachable { cause: for_people(&innermost(&status)) }
        } else if matches!(code, Code::Unauthenticated | Code::PermissionDenied) {
            Self::Unauthenticated
        } else {
            Self::Rejected { code, message: for_people(status.message()) }
        }
    }
}

impl From<CallError> for Failure {
    /// As the machines know it.
    fn from(error: CallError) -> Self {
        let words = error.to_string();
        match error {
            CallError::Unreachable { .. } | CallError::StreamEnded => Self::Dead(words),
            CallError::TimedOut { after } => {
                Self::Late(Millis(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)))
            }
            CallError::Unauthenticated => Self::Refused(Refusal::Unauthenticated),
            CallError::OtherStore { .. } | CallError::Malformed(_) | CallError::Rejected { .. } => {
                Self::Broken(words)
            }
        }
    }
}

/// Why a table, row or block could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The server said no; the reason says what to do instead.
    #[error("the server refused the read: {0}")]
    Refused(ReadRefusal),
    /// Try another server: the runs are not those asked for.
    #[error("the server sent something else than asked: {0}")]
    Malformed(RunError),
    /// Try another server: the rows are not those of the version.
    #[error("the server sent rows of something else: {0}")]
    Forged(TableError),
}

impl ReadError {
    /// What the failure says of the server.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Call(error) => error.kind(),
            Self::Refused(_) => FailureKind::Refused,
            Self::Malformed(_) | Self::Forged(_) => FailureKind::Broken,
        }
    }
}

impl From<ConvertError> for ReadError {
    fn from(error: ConvertError) -> Self {
        Self::Call(error.into())
    }
}

/// Why a certificate was not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FinalizeError {
    /// The call failed; the certificate may be recorded or not, and may be sent again.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The server said no.
    #[error("the server refused the certificate: {refusal}")]
    Refused {
        /// Why.
        refusal: Refusal,
        /// The server's words, for people.
        detail: String,
        /// The slot as it is.
        state: Option<Box<SlotState>>,
    },
}

impl FinalizeError {
    /// What the failure says of the server.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Call(error) => error.kind(),
            Self::Refused { .. } => FailureKind::Refused,
        }
    }
}

/// The words of the first cause in a chain of errors.
fn innermost(status: &Status) -> String {
    let Some(mut source) = status.source() else {
        return status.message().to_owned();
    };
    while let Some(deeper) = source.source() {
        source = deeper;
    }
    source.to_string()
}

/// Text from outside, fit to be printed: one line, no control characters, not too long.
pub(super) fn for_people(text: &str) -> String {
    const CHARACTERS_MAX: usize = 200;
    text.chars()
        .take(CHARACTERS_MAX)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_server_cannot_steer_a_terminal() {
        assert_eq!(for_people("red\x1b[31m\nline"), "red [31m line");
        assert_eq!(for_people(&"é".repeat(1000)).chars().count(), 200);
    }

    #[test]
    fn a_status_tells_who_is_at_fault() {
        let kind = |status: Status| CallError::from(status).kind();
        assert_eq!(kind(Status::unavailable("closing")), FailureKind::Dead);
        assert_eq!(kind(Status::unauthenticated("who?")), FailureKind::Refused);
        assert_eq!(kind(Status::invalid_argument("bad id")), FailureKind::Refused);
        assert_eq!(kind(Status::internal("cannot decode")), FailureKind::Broken);
        let lost = Status::from_error(Box::new(std::io::Error::other("reset")));
        assert_eq!(CallError::from(lost), CallError::Unreachable { cause: "reset".to_owned() });
    }
}
