//! A conversation that is dropped, by its client and by its server, and one whose requests end at each point.

use std::cell::Cell;

use futures::stream;
use tarn_drops::Tried;

use super::super::update::update;
use super::*;
use crate::conversation;

#[test]
fn a_dropped_conversation_leaves_nothing_behind_in_memory() {
    runtime().block_on(conversations::<MemoryStore>());
}

#[test]
fn a_dropped_conversation_leaves_nothing_behind_on_a_disk() {
    runtime().block_on(conversations::<LocalStore>());
}

async fn conversations<E: Engine>() {
    let mut table = Table::new(format!("conversations, {} store", E::NAME));
    for write in [whole(), update_of_base()] {
        for &drops in Drops::on::<E>() {
            held::<E>(&mut table, drops, &write).await;
        }
        served::<E>(&mut table, &write).await;
    }
    cut_short::<E>(&mut table).await;
}

/// A version that comes after the base, and all of its conversation up to Seal.
struct Write {
    name: &'static str,
    next: Version,
    messages: Vec<Request>,
}

fn whole() -> Write {
    let next = successor(&base());
    Write { name: "test_and_write", messages: prepared(2, &next, &SHARES), next }
}

fn update_of_base() -> Write {
    let (base, touched) = (base(), [1..2]);
    let next = base.updated(2, &touched, base.header().geometry.length());
    let messages = update(2, &base, &next, &SHARES, &touched);
    Write { name: "test_and_write, of an update", next, messages }
}

/// What the client of a conversation has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Come {
    Nothing,
    Commit,
    Written,
}

/// By its client, from Open to Written.
async fn held<E: Engine>(table: &mut Table, drops: Drops, write: &Write) {
    let base = &base();
    let next = &write.next;
    let come = &Cell::new(Come::Nothing);
    let talk = |stage: Arc<Stage<E>>| async move {
        come.set(Come::Nothing);
        let mut talk = Direct::begin(&stage, write.messages.clone()).await;
        assert!(matches!(talk.answer().await, Some(Ok(Answer::Sealed(_)))));
        talk.send(Request::Extend(wire::Extend {})).await;
        assert!(matches!(talk.answer().await, Some(Ok(Answer::Extended(_)))));
        come.set(Come::Commit);
        talk.send(commit(next)).await;
        assert!(matches!(talk.answer().await, Some(Ok(Answer::Written(_)))));
        come.set(Come::Written);
        assert!(talk.answer().await.is_none());
    };
    drop_each(table, (write.name, drops), base, talk, |outcome| {
        assert!(outcome.is_none() || come.get() == Come::Written);
        match come.get() {
            Come::Nothing => vec![base],
            Come::Commit => vec![base, next],
            Come::Written => vec![next],
        }
    })
    .await;
}

/// By whoever serves it: the server's own task, which nobody drops but a runtime that goes down.
async fn served<E: Engine>(table: &mut Table, write: &Write) {
    let base = &base();
    let next = &write.next;
    let answers = &RefCell::new(None);
    let serve = |stage: Arc<Stage<E>>| {
        let mut messages = write.messages.clone();
        messages.push(commit(next));
        let messages = inbound(stream::iter(messages.into_iter().map(|message| Ok(wrap(message)))));
        let (outbound, inbox) = mpsc::channel(64);
        answers.replace(Some(inbox));
        conversation::serve(
            Arc::clone(&stage.server),
            Arc::clone(&stage.connection),
            messages,
            outbound,
        )
    };
    let operation = format!("{}, by its server", write.name);
    drop_each(table, (&operation, Drops::AtEveryPoll), base, serve, |outcome| {
        let mut told = Vec::new();
        let mut inbox: mpsc::Receiver<Result<wire::WriteAnswer, Status>> = answers.take().unwrap();
        while let Ok(answer) = inbox.try_recv() {
            told.push(answer.unwrap().answer.unwrap());
        }
        let written = told.iter().any(|answer| matches!(answer, Answer::Written(_)));
        assert_eq!(written, outcome.is_some(), "{told:?}");
        if written { vec![next] } else { vec![base, next] }
    })
    .await;
}

/// Its requests end, or fail, after each of them, and its answers are listened to.
async fn cut_short<E: Engine>(table: &mut Table) {
    let base = base();
    let next = successor(&base);
    let mut messages = prepared(2, &next, &SHARES);
    messages.extend([Request::Extend(wire::Extend {}), commit(&next)]);
    let ends = [None, Some(Status::cancelled("the client is gone"))];
    for sent in 0..=messages.len() {
        for end in &ends {
            let stage = Stage::<E>::fresh();
            stage.publish(1, &base, &SHARES).await;
            let mut talk = Direct::begin(&stage, messages[..sent].to_vec()).await;
            if let Some(status) = end {
                talk.requests.send(Err(status.clone())).await.unwrap();
            }
            drop(std::mem::replace(&mut talk.requests, mpsc::channel(1).0));
            let mut written = false;
            while let Some(answer) = talk.answer().await {
                written |= matches!(answer, Ok(Answer::Written(_)));
            }
            assert_eq!(written, sent == messages.len(), "after {sent} messages");
            stage.goes_on(&[if written { &next } else { &base }]).await;
        }
    }
    let drops = ends.len() * (messages.len() + 1);
    table.add("test_and_write, its requests ended", "ends", Tried { polls: drops, drops });
}
