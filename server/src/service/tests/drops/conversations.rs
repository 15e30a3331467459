//! A conversation that is dropped, by its client and by its server, and one whose requests end at each point.

use std::cell::Cell;

use futures::stream;
use tarn_drops::Tried;

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
    for &drops in Drops::on::<E>() {
        held::<E>(&mut table, drops).await;
    }
    served::<E>(&mut table).await;
    cut_short::<E>(&mut table).await;
}

/// What the client of a conversation has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Come {
    Nothing,
    Commit,
    Written,
}

/// By its client, from Open to Written.
async fn held<E: Engine>(table: &mut Table, drops: Drops) {
    let base = &base();
    let next = &successor(base);
    let come = &Cell::new(Come::Nothing);
    let talk = |stage: Arc<Stage<E>>| async move {
        come.set(Come::Nothing);
        let mut talk = Direct::begin(&stage, prepared(2, next, &SHARES)).await;
        assert!(matches!(talk.answer().await, Some(Ok(Answer::Sealed(_)))));
        talk.send(Request::Extend(wire::Extend {})).await;
        assert!(matches!(talk.answer().await, Some(Ok(Answer::Extended(_)))));
        come.set(Come::Commit);
        talk.send(commit(next)).await;
        assert!(matches!(talk.answer().await, Some(Ok(Answer::Written(_)))));
        come.set(Come::Written);
        assert!(talk.answer().await.is_none());
    };
    drop_each(table, ("test_and_write", drops), base, talk, |outcome| {
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
async fn served<E: Engine>(table: &mut Table) {
    let base = &base();
    let next = &successor(base);
    let answers = &RefCell::new(None);
    let serve = |stage: Arc<Stage<E>>| {
        let mut messages = prepared(2, next, &SHARES);
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
    let operation = ("test_and_write, by its server", Drops::AtEveryPoll);
    drop_each(table, operation, base, serve, |outcome| {
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
