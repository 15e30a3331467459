//! Fields of requests to checked types. What is malformed is the client's fault and a gRPC error; what is well-formed
//! and does not verify is a refusal.

use tarn_proto::convert::{self, ConvertError};
use tarn_proto::header::SignedHeaderError;
use tarn_proto::ids::IdError;
use tarn_proto::known::Known;
use tarn_proto::{Certificate, Refusal, SequenceNumber, SignedHeader, StorageIndex, wire};
use tonic::Status;

/// Whatever says what is wrong: an error or a sentence.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why something that the file's key should have signed is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadStatement {
    /// Its fields are not what they should be.
    #[error(transparent)]
    Malformed(ConvertError),
    /// It was not signed by the file's key.
    #[error("the signature does not verify")]
    Forged,
}

/// A certificate of this file.
pub(crate) fn certificate(
    known: &Known,
    storage_index: StorageIndex,
    message: &wire::Certificate,
) -> Result<Certificate, BadStatement> {
    let widths_fit = widths_fit(&message.verify_key, &message.signature);
    known.certificate(storage_index, message).map_err(|error| bad(error, widths_fit))
}

/// Headers of this file that others were built on.
pub(crate) fn ancestors(
    known: &Known,
    storage_index: StorageIndex,
    messages: &[wire::SignedHeader],
) -> Result<Vec<SignedHeader>, BadStatement> {
    let fits = |message: &wire::SignedHeader| widths_fit(&message.verify_key, &message.signature);
    let widths_fit = messages.iter().all(fits);
    convert::ancestors(known, storage_index, messages).map_err(|error| bad(error, widths_fit))
}

fn widths_fit(verify_key: &[u8], signature: &[u8]) -> bool {
    verify_key.len() == 32 && signature.len() == 64
}

fn bad(error: ConvertError, widths_fit: bool) -> BadStatement {
    match error {
        ConvertError::Signing(_) | ConvertError::Header(SignedHeaderError::Signing(_))
            if widths_fit =>
        {
            BadStatement::Forged
        }
        ConvertError::Signing(_)
        | ConvertError::Missing(_)
        | ConvertError::TooMany { .. }
        | ConvertError::Unknown { .. }
        | ConvertError::Share(_)
        | ConvertError::Id(_)
        | ConvertError::Header(_) => BadStatement::Malformed(error),
    }
}

/// An id that must be there.
pub(crate) fn id<'a, T>(bytes: &'a [u8]) -> Result<T, Status>
where
    T: TryFrom<&'a [u8], Error = IdError>,
{
    T::try_from(bytes).map_err(malformed)
}

/// An id that may be left out.
pub(crate) fn optional_id<'a, T>(bytes: &'a [u8]) -> Result<Option<T>, Status>
where
    T: TryFrom<&'a [u8], Error = IdError>,
{
    match bytes {
        [] => Ok(None),
        bytes => id(bytes).map(Some),
    }
}

/// A sequence number that may be left out, which zero says.
pub(crate) fn optional_number(number: u64) -> Result<Option<SequenceNumber>, Status> {
    match number {
        0 => Ok(None),
        number => SequenceNumber::try_from(number).map(Some).map_err(malformed),
    }
}

/// The gRPC error of a malformed request.
pub(crate) fn malformed(why: impl Into<BoxError>) -> Status {
    Status::invalid_argument(why.into().to_string())
}

/// The gRPC error of a call that a failing store leaves without an answer.
pub(crate) fn unavailable(refusal: Refusal) -> Status {
    Status::unavailable(refusal.to_string())
}
