//! A file that is published and read for nothing but the time it takes, and what is published as it.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tarn_client::base::Origin;
use tarn_client::caps::{WriteCap, fresh_attempt_id};
use tarn_client::client::{Client, PublishOptions};
use tarn_client::encode::source::Source;
use tarn_client::publish::Follows;
use tarn_client::publish::outcome::Report;
use tarn_client::publish::publishing::{NoJournal, Publishing};
use tarn_client::retrieve::reading::RetrieveRequest;
use tarn_client::update::{Change, Place, Then, UpdateOptions};
use tarn_proto::gateway::gateway_client::GatewayClient;
use tarn_proto::{Shape, Window};
use tokio::time::Instant;
use tonic::transport::Channel;

use super::through;
use crate::clock::UnixSeconds;
use crate::error::{CommandError, chain};
use crate::output::short;

/// So many random bytes are drawn, and repeated: nothing on the way looks for repetition.
const DRAWN: usize = 1 << 20;

/// So many bytes are changed of a file.
const CHANGED: u64 = 1 << 10;

/// Two contents of one length, published in turn.
#[derive(Debug)]
pub(super) struct Inputs {
    /// Where they lie.
    folder: PathBuf,
    length: u64,
    sources: [Source; 2],
}

impl Inputs {
    /// Writes two files of this length to a folder. Blocks. They are read from the system's cache later, as a file that
    /// was just saved would be.
    pub(super) fn make(folder: &Path, length: u64) -> Result<Self, CommandError> {
        let make = |name: &str| {
            let path = folder.join(format!("{length}-{name}"));
            write_random(&path, length)
                .map_err(|error| CommandError::file("write", &path, &error))?;
            Source::file(&path).map_err(|error| CommandError::failed(chain(&error)))
        };
        Ok(Self { folder: folder.to_owned(), length, sources: [make("one")?, make("two")?] })
    }

    /// The length of both, in bytes.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }
}

fn write_random(path: &Path, length: u64) -> std::io::Result<()> {
    use std::io::Write;
    let mut drawn = vec![0; DRAWN];
    rng().fill_bytes(&mut drawn);
    let mut file = std::fs::File::create(path)?;
    let mut rest = length;
    while rest > 0 {
        let piece = usize::try_from(rest).map_or(DRAWN, |rest| rest.min(DRAWN));
        file.write_all(&drawn[..piece])?;
        rest -= piece as u64;
    }
    Ok(())
}

/// The calls of a gateway.
pub(super) type Calls = GatewayClient<Channel>;

/// Where files are.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// A client of the servers.
    pub(super) client: Client,
    /// A gateway of the same servers, if one was asked for.
    pub(super) gateway: Option<Calls>,
}

/// One file on the servers.
#[derive(Debug)]
pub(super) struct File {
    client: Client,
    gateway: Option<Calls>,
    cap: WriteCap,
    window: Window,
    /// How often it was published.
    published: usize,
    /// The publish before, whose certificates and missing shares may still be on their way.
    leaving: Option<Publishing>,
}

impl File {
    /// A file that nothing was published as.
    pub(super) fn new(on: &Target) -> Result<Self, CommandError> {
        let Target { client, gateway } = on.clone();
        let cap = WriteCap::generate(&mut rng());
        let window = client.choose_window(cap.verify_cap().storage_index(), Shape::default());
        let window = window.map_err(CommandError::failed)?;
        Ok(Self { client, gateway, cap, window, published: 0, leaving: None })
    }

    /// Publishes the input that was not published the last time. Says how long it took until it was published.
    pub(super) async fn publish(&mut self, inputs: &Inputs) -> Result<Duration, CommandError> {
        let source = inputs.sources[self.published % inputs.sources.len()].clone();
        self.published += 1;
        self.submit(source, false).await
    }

    /// The same through the gateway.
    pub(super) async fn publish_through(
        &mut self,
        inputs: &Inputs,
    ) -> Result<Duration, CommandError> {
        let source = inputs.sources[self.published % inputs.sources.len()].clone();
        self.published += 1;
        let gateway = self.gateway.as_mut();
        let gateway = gateway.ok_or_else(|| CommandError::failed("there is no gateway"))?;
        through::publish(gateway, &self.cap, &self.window, &source).await
    }

    /// Changes [`CHANGED`] bytes in the middle, or half of a shorter file. Says how long it took until it was published.
    pub(super) async fn change(&mut self, inputs: &Inputs) -> Result<Duration, CommandError> {
        let length = CHANGED.min(inputs.length / 2);
        self.published += 1;
        let marked = vec![self.published.to_le_bytes()[0]; usize::try_from(length).unwrap_or(0)];
        let change = Change {
            at: Place::Offset(inputs.length / 2),
            source: Source::Bytes(marked.into()),
            then: Then::Keeps,
        };
        let begun = Instant::now();
        let updated = self.client.update(&self.cap, &change, self.update_options(inputs)).await;
        let updated = updated.map_err(|error| CommandError::failed(chain(&error)))?;
        self.leaving = Some(updated.publishing);
        Ok(begun.elapsed())
    }

    /// Deletes it: its servers have room again when this returns.
    pub(super) async fn delete(mut self) -> Result<(), CommandError> {
        self.submit(Source::Bytes(Bytes::new()), true).await?;
        if let Some(leaving) = self.leaving {
            leaving.settled().await;
        }
        Ok(())
    }

    async fn submit(&mut self, source: Source, tombstone: bool) -> Result<Duration, CommandError> {
        let begun = Instant::now();
        let mut publishing = self.client.publish(self.cap.clone(), source, self.options(tombstone));
        let report = publishing.report().await.map_err(CommandError::failed)?;
        let took = begun.elapsed();
        self.leaving = Some(publishing);
        if report.outcome.published().is_some() { Ok(took) } else { Err(not_published(&report)) }
    }

    /// Reads all of its newest version, `length` bytes, and lets go of them.
    pub(super) async fn read(&self, length: u64) -> Result<Duration, CommandError> {
        let failed = |error: &dyn std::error::Error| CommandError::failed(chain(error));
        let begun = Instant::now();
        let reading = self.client.retrieve(self.request(), rng()).await;
        let mut reading = reading.map_err(|error| failed(&error))?;
        let mut read = 0;
        while let Some(segment) = reading.next_segment().await.map_err(|error| failed(&error))? {
            read += segment.len() as u64;
        }
        let took = begun.elapsed();
        if read == length {
            return Ok(took);
        }
        Err(CommandError::failed(format_args!("{length} bytes were published and {read} read")))
    }

    fn options(&self, tombstone: bool) -> PublishOptions {
        let mut rng = rng();
        PublishOptions {
            origin: Origin::Creator(self.window.clone()),
            follows: Follows::Whatever,
            shape: None,
            first_shape: Shape::default(),
            attempt: fresh_attempt_id(&mut rng, UnixSeconds::since_epoch()),
            first_try: true,
            tombstone,
            high_water: None,
            spent: None,
            suspects: BTreeSet::new(),
            left: None,
            journal: Arc::new(NoJournal),
            rng,
        }
    }

    fn update_options(&self, inputs: &Inputs) -> UpdateOptions {
        let mut rng = rng();
        UpdateOptions {
            first_try: true,
            origin: Origin::Creator(self.window.clone()),
            first_shape: Shape::default(),
            if_version: None,
            attempt: fresh_attempt_id(&mut rng, UnixSeconds::since_epoch()),
            high_water: None,
            suspects: BTreeSet::new(),
            journal: Arc::new(NoJournal),
            spools: inputs.folder.clone(),
            tries: NonZeroU32::MIN,
            rng,
        }
    }

    fn request(&self) -> RetrieveRequest {
        RetrieveRequest {
            cap: self.cap.read_cap(),
            origin: Origin::Creator(self.window.clone()),
            version: None,
            range: None,
            strict: true,
            allow_rollback: false,
            high_water: None,
            suspects: BTreeSet::new(),
            map: None,
        }
    }
}

/// Nobody else writes, and nobody is to fail: whatever the outcome, there is nothing to measure.
fn not_published(report: &Report) -> CommandError {
    let troubles = report.troubles.iter();
    let troubles =
        troubles.map(|(store, trouble)| format!("\n  {}: {}", short(*store), trouble.failure));
    let troubles: String = troubles.collect();
    CommandError::failed(format_args!("a publish ended as {:?}{troubles}", report.outcome))
        .hint("is there room in the bench's folder? --dir names another")
}

/// A generator seeded by the operating system: the command is the edge.
fn rng() -> ChaCha8Rng {
    rand::make_rng()
}
