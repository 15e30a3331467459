//! The servers' side: the shipped slots, and versions as a server checks them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tarn_client::publish::action::MessageId;
use tarn_client::publish::event::Event;
use tarn_client::servermap::{Failure, ServerMap};
use tarn_client::time::Millis;
use tarn_proto::signing::Statement;
use tarn_proto::table::block_hash;
use tarn_proto::{
    AttemptId, HistoryQuery, Refusal, Row, Shape, ShareNumber, SignedHeader, StorageIndex, StoreId,
    Table, VersionId,
};
use tarn_server::manifest::{Content, Extent, Manifest};
use tarn_server::slot::{
    Change, Claim, Columns, HashedBlocks, HashedRows, Now, PreparedHeader, Slot, TableDigest,
    Verdict, VerifiedWrite,
};

use crate::messages::Ask;
use crate::{LENGTH, PROMISE, World};

impl World {
    /// What every server would tell whoever makes this attempt.
    pub(crate) fn map(&self, attempt: AttemptId) -> ServerMap {
        let history = HistoryQuery { attempt, since: None };
        let state = |slot: &Slot| slot.state(self.clock(), Some(history), None);
        let answers = self.servers.iter().map(|(&store, server)| (store, state(&server.slot)));
        ServerMap { answers: answers.collect(), ..ServerMap::default() }
    }

    fn clock(&self) -> Now {
        Now { elapsed: tarn_server::slot::Millis::new(self.now), unix_seconds: self.now }
    }

    /// One server's answer; none when the message belongs to a stream that is gone.
    pub(crate) fn serve(&mut self, store: StoreId, ask: Ask) -> Option<Event> {
        let now = self.clock();
        self.log.push(format!("{:>7} {store:?} <- {ask:?}", self.now).chars().take(240).collect());
        let server = self.servers.get_mut(&store).unwrap();
        let slot = &mut server.slot;
        let refused = |message, refusal, slot: &Slot| {
            Some(Event::Refused { message, refusal, state: Some(slot.state(now, None, None)) })
        };
        let dead = |message| {
            let failure = Failure::Dead("the stream is gone".to_owned());
            Some(Event::Failed { message, failure })
        };
        match ask {
            Ask::Query { message, history, conversation } => {
                let state = slot.state(now, Some(history), conversation);
                Some(Event::Mapped { message, state })
            }
            Ask::Seal { message, conversation, shares, tests, base, header, ancestors } => {
                if server.gone.contains(&conversation) {
                    return dead(message);
                }
                if base.is_some_and(|base| !has_whole(slot, base, &shares)) {
                    return refused(message, Refusal::BaseMissing, slot);
                }
                let _ = slot.open(conversation);
                let prepare = Statement::Prepare { store, header: header.bytes() }.sign(&self.key);
                let prepared = PreparedHeader::verify(
                    store,
                    header.verify_key(),
                    header.bytes().clone(),
                    &prepare,
                )
                .unwrap();
                let claim = Claim { header: prepared, tests, discard: None, ancestors };
                if slot.judge_seal(now, conversation, &claim).is_ok()
                    && let Change::Becomes(fenced) = slot.sealing(&claim)
                {
                    slot.became(fenced);
                }
                match slot.seal(now, conversation, claim, write(&header, &shares)) {
                    Ok(promise) => Some(Event::Sealed {
                        message,
                        state: slot.state(now, None, None),
                        promise: Millis(promise.get()),
                    }),
                    Err(refusal) => refused(message, refusal, slot),
                }
            }
            Ask::Extend { message, conversation } => {
                if server.gone.contains(&conversation) {
                    return dead(message);
                }
                match slot.extend(now, conversation) {
                    Ok(promise) => {
                        Some(Event::Extended { message, promise: Millis(promise.get()) })
                    }
                    Err(refusal) => refused(message, refusal, slot),
                }
            }
            Ask::Commit { message, conversation, header } => {
                if server.gone.contains(&conversation) {
                    return dead(message);
                }
                let change = slot.commit(now, conversation, header.signature());
                if change.is_ok() {
                    self.committed.insert(header.version());
                }
                let answer = changed(slot, message, change, now);
                slot.end(conversation);
                Some(answer)
            }
            Ask::Bring { message, header, shares, certificate, ancestors } => {
                let write = write(&header, &shares);
                let change = slot.bring(now, header, write, certificate, &ancestors);
                Some(changed(slot, message, change, now))
            }
            Ask::Finalize { message, certificate } => {
                let change = slot.finalize(certificate);
                let answer = changed(slot, message, change, now);
                let state = slot.state(now, None, None);
                let recorded = matches!(answer, Event::Written { .. });
                Some(if recorded { Event::Mapped { message, state } } else { answer })
            }
        }
    }
}

/// Whether the rest of a change of these shares can be taken from what is held.
fn has_whole(slot: &Slot, base: VersionId, shares: &BTreeSet<ShareNumber>) -> bool {
    let held = slot.manifest().generation(base);
    held.is_some_and(|held| shares.iter().all(|&share| held.is_whole(share)))
}

fn changed(
    slot: &mut Slot,
    message: MessageId,
    change: Result<Change, Refusal>,
    now: Now,
) -> Event {
    match change {
        Ok(Change::AlreadySo) => Event::Written { message },
        Ok(Change::Becomes(manifest)) => {
            slot.became(manifest);
            Event::Written { message }
        }
        Err(refusal) => {
            Event::Refused { message, refusal, state: Some(slot.state(now, None, None)) }
        }
    }
}

pub(crate) fn slot(store: StoreId, si: StorageIndex, manifest: Manifest) -> Slot {
    Slot::new(store, si, tarn_server::slot::Millis::new(PROMISE), manifest)
}

/// The one block of this share in an attempt's version.
fn block(shape: Shape, attempt: AttemptId, share: ShareNumber) -> Bytes {
    let length = usize::try_from(LENGTH).unwrap().div_ceil(usize::from(shape.k()));
    vec![attempt.as_bytes()[0] ^ share.get(); length].into()
}

pub(crate) fn table(shape: Shape, attempt: AttemptId) -> Table {
    let hashes: Vec<_> = ShareNumber::all(shape.n())
        .map(|share| block_hash(0, share, &block(shape, attempt, share)))
        .collect();
    Table::from_rows(shape.n(), [Row::new(&[0; 32], &hashes)])
}

/// These shares of a version, checked as a server checks them.
fn write(header: &SignedHeader, shares: &BTreeSet<ShareNumber>) -> VerifiedWrite {
    let (shape, attempt) = (header.header().shape, header.header().attempt);
    let listed: Vec<ShareNumber> = shares.iter().copied().collect();
    let table = table(shape, attempt);
    let mut rows = TableDigest::default();
    rows.append(HashedRows::hash(shape.n(), &listed, 0, table.bytes()).unwrap()).unwrap();
    let mut columns = Columns::new(&listed);
    let mut contents = BTreeMap::new();
    for &share in shares {
        let block = block(shape, attempt, share);
        let size = header.header().geometry.block_size();
        columns.append(HashedBlocks::hash(share, 0, size, &block)).unwrap();
        contents.insert(share, Content(vec![Extent::Inline(block)]));
    }
    let verdict = Verdict::check(header.header(), header.version(), &rows, &columns).unwrap();
    let table = Content(vec![Extent::Inline(table.bytes().clone())]);
    VerifiedWrite::new(&verdict, table, contents).unwrap()
}
