//! `Publish`: a header, then the content; the task once it is durable.

use rand_chacha::ChaCha8Rng;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use tarn_proto::gateway as wire;
use tarn_proto::gateway::publish_request::Part;
use tarn_proto::{Shape, Window};
use tonic::{Status, Streaming};

use super::{Service, parse, tasks};
use crate::caps::{WriteCap, fresh_attempt_id};
use crate::gateway::clock::UnixMillis;
use crate::gateway::registrar::{Request, SubmitError, Submitted};
use crate::gateway::staging::{Draft, StageError, Upload};
use crate::gateway::submission::{Named, Staged, Submission, keyed_attempt};
use crate::queue::{Caller, Key, TaskId};

/// Labels of one task, and bytes of each part of one.
const LABELS_MAX: usize = 16;
const LABEL_BYTES_MAX: usize = 256;
const CALLER_BYTES_MAX: usize = 256;

pub(super) async fn submit(
    service: &Service,
    mut parts: Streaming<wire::PublishRequest>,
) -> Result<wire::PublishAnswer, Status> {
    let header = match parts.message().await?.and_then(|request| request.part) {
        Some(Part::Header(header)) => Header::parse(header)?,
        Some(Part::Body(_) | Part::Complete(_)) | None => {
            return Err(parse::invalid("the header comes first"));
        }
    };
    let mut rng: ChaCha8Rng = rand::make_rng();
    let task = TaskId::new(rng.random());
    let upload = service.staging.upload(task);
    let (content, draft) = header.take(upload, &mut parts).await?;
    let submission = header.submission(service, task, content, &mut rng);
    let registrar = service.registrar.clone();
    // A task of its own: if the caller goes away now, what is accepted keeps its content.
    let accepted = tokio::spawn(async move {
        let submit = |answer| Request::Submit(Box::new(submission), answer);
        let submitted: Submitted = registrar.ask(submit).await?;
        if !submitted.repeated {
            draft.accepted();
        }
        Ok::<_, SubmitError>(submitted)
    });
    let accepted = accepted.await.map_err(|_stopping| Status::unavailable("the gateway stops"))?;
    let Submitted { task, repeated } = accepted?;
    // It is accepted, whatever else goes wrong: its id is enough to ask again.
    let unseen =
        || wire::Task { task_id: Bytes::copy_from_slice(task.as_bytes()), ..wire::Task::default() };
    let task = tasks::get(service, task).await.unwrap_or_else(|_unseen| unseen());
    Ok(wire::PublishAnswer { task: Some(task), repeated })
}

/// A header, checked.
struct Header {
    cap: WriteCap,
    ticket: Named,
    key: Option<Key>,
    length: Option<u64>,
    sha256: Option<[u8; 32]>,
    shape: Option<Shape>,
    origin: Option<(Shape, Window)>,
    message: wire::PublishHeader,
}

impl Header {
    fn parse(mut message: wire::PublishHeader) -> Result<Self, Status> {
        let text = zeroize::Zeroizing::new(std::mem::take(&mut message.write_cap));
        let cap = parse::write_cap(&text)?;
        let ticket = parse::ticket(message.ticket.take())?;
        let key = parse::key(&message.idempotency_key)?;
        if key.is_some() && matches!(ticket, Named::Task(_)) {
            return Err(parse::invalid(
                "what follows a task by its id cannot have an idempotency key: name that task by its key",
            ));
        }
        let sha256 = match message.sha256.len() {
            0 => None,
            _ => Some(
                message
                    .sha256
                    .as_ref()
                    .try_into()
                    .map_err(|_| parse::invalid("a SHA-256 has 32 bytes"))?,
            ),
        };
        let too_long = |text: &String| text.len() > LABEL_BYTES_MAX;
        if message.labels.len() > LABELS_MAX
            || message.labels.iter().any(|(name, value)| too_long(name) || too_long(value))
        {
            return Err(parse::invalid("a task has 16 labels at most, of 256 bytes each"));
        }
        if message.caller.len() > CALLER_BYTES_MAX {
            return Err(parse::invalid("a caller's name has 256 bytes at most"));
        }
        let length = message.length;
        let shape = parse::shape(message.shape)?;
        let origin = parse::origin(&message.origin)?;
        Ok(Self { cap, ticket, key, length, sha256, shape, origin, message })
    }

    /// Takes the content in, and holds it to what the header says of it.
    async fn take(
        &self,
        mut upload: Upload,
        parts: &mut Streaming<wire::PublishRequest>,
    ) -> Result<(Staged, Draft), Status> {
        if let Err(refused) = self.take_all(&mut upload, parts).await {
            upload.called_off().await;
            return Err(refused);
        }
        let (staged, draft) = upload.finish().await?;
        if self.sha256.is_some_and(|digest| digest != staged.sha256) {
            return Err(Status::data_loss("the content is not what its SHA-256 says"));
        }
        Ok((staged, draft))
    }

    /// Takes in all of the content, and sees that it is as long as it should be.
    async fn take_all(
        &self,
        upload: &mut Upload,
        parts: &mut Streaming<wire::PublishRequest>,
    ) -> Result<(), Status> {
        let mut taken = 0_u64;
        let mut complete = false;
        while let Some(request) = parts.message().await? {
            let piece = match request.part {
                Some(Part::Body(piece)) if !complete => piece,
                Some(Part::Complete(true)) if !complete => {
                    complete = true;
                    continue;
                }
                Some(Part::Header(_) | Part::Body(_) | Part::Complete(_)) | None => {
                    return Err(parse::invalid("after the header comes the content, then its end"));
                }
            };
            taken += piece.len() as u64;
            if self.length.is_some_and(|length| taken > length) {
                return Err(Status::data_loss("the content is longer than its header says"));
            }
            upload.take(piece).await?;
        }
        // A call that was given up may end like any other.
        if self.length.is_none() && !complete {
            return Err(Status::data_loss(
                "the content neither has a length nor says that it is complete",
            ));
        }
        if self.length.is_some_and(|length| taken < length) {
            return Err(Status::data_loss("the content is shorter than its header says"));
        }
        Ok(())
    }

    fn submission(
        self,
        service: &Service,
        task: TaskId,
        content: Staged,
        rng: &mut ChaCha8Rng,
    ) -> Submission {
        let keyed =
            self.key.as_ref().and_then(|key| keyed_attempt(&self.cap, key, &self.ticket, &content));
        let attempt =
            keyed.unwrap_or_else(|| fresh_attempt_id(rng, Duration::from(UnixMillis::now())));
        Submission {
            task,
            file: self.cap.verify_cap().storage_index(),
            sealed_cap: service.key.seal(task, &self.cap, rng),
            attempt,
            caller: Caller(self.message.caller),
            key: self.key,
            ticket: self.ticket,
            shape: self.shape,
            origin: self.origin,
            labels: self.message.labels,
            content,
        }
    }
}

impl From<StageError> for Status {
    fn from(error: StageError) -> Self {
        let sentence = error.to_string();
        match error {
            StageError::TooLong { .. } | StageError::Full { .. } => {
                Self::resource_exhausted(sentence)
            }
            StageError::Disk(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                Self::resource_exhausted(sentence)
            }
            StageError::Disk(_) => Self::internal(sentence),
        }
    }
}

impl From<SubmitError> for Status {
    fn from(error: SubmitError) -> Self {
        let sentence = error.to_string();
        match error {
            SubmitError::KeyReused(_) => Self::already_exists(sentence),
            SubmitError::NoSuchTask(_) => Self::not_found(sentence),
            SubmitError::OtherFile(_) => Self::invalid_argument(sentence),
            SubmitError::Refused(refused) => refused.into(),
        }
    }
}
