//! Publishes that follow each other, sent without waiting over connections that reorder and drop; and an outside writer in
//! between (H4).

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tarn_proto::gateway::publish_header::Ticket;
use tarn_proto::gateway::{CreateFileAnswer, Outcome, OutcomeKind, PublishHeader};
use tarn_tests::Cluster;
use tarn_tests::gateway::{
    Gateway, calls, chain, create, header, outcome, published, read, submit, submit_stubbornly,
};

const LENGTH: usize = 50;

/// The header of the `place`th publish of a chain.
fn link(file: &CreateFileAnswer, place: usize) -> PublishHeader {
    let ticket = match place {
        0 => Ticket::Create(true),
        _ => Ticket::AfterKey(Bytes::from(format!("link {}", place - 1))),
    };
    header(file, &format!("link {place}"), ticket)
}

/// Sends it, perhaps a few times, perhaps giving up a call in its middle.
async fn fire(address: String, header: PublishHeader, body: Vec<u8>, drops: bool) -> Outcome {
    let mut calls = calls(&address);
    if drops {
        let given_up = submit(&mut calls, header.clone(), &body);
        drop(tokio::time::timeout(Duration::from_millis(3), given_up).await);
    }
    let task = submit_stubbornly(&mut calls, &header, &body).await.unwrap();
    outcome(&mut calls, &task).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_fired_without_waiting_is_applied_in_order_and_none_is_lost() {
    let cluster = Cluster::start(5);
    let mut gateway = Gateway::start(&cluster);
    let file = create(&mut gateway.calls()).await;
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut order: Vec<usize> = (0..LENGTH).collect();
    order.shuffle(&mut rng);
    let fired: BTreeMap<usize, _> = order
        .into_iter()
        .map(|place| {
            let (header, body) = (link(&file, place), place.to_string().into_bytes());
            let told = fire(gateway.address.clone(), header, body, rng.random());
            (place, tokio::spawn(told))
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    gateway.kill();
    gateway.restart();
    let mut versions = Vec::new();
    for told in fired.into_values() {
        versions.push(published(&told.await.unwrap()));
    }
    let chain = chain(&mut gateway.calls(), &file, &versions[0]).await;
    assert_eq!(chain.len(), LENGTH - 1, "each took effect once");
    assert!(versions.windows(2).all(|pair| chain[&pair[1]] == pair[0]), "in ticket order");
    assert_eq!(read(&mut gateway.calls(), &file).await, (LENGTH - 1).to_string().into_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_built_on_a_state_that_an_outsider_replaced_is_stale() {
    let cluster = Cluster::start(5);
    let gateways = [Gateway::start(&cluster), Gateway::start(&cluster)];
    let mut ours = gateways[0].calls();
    let mut outside = gateways[1].calls();
    let file = create(&mut ours).await;
    // A1 and A2 are fired in parallel, B1 comes in between; both of A's that follow were built on what B1 replaced.
    let a1 = submit(&mut ours, link(&file, 0), b"A1").await.unwrap().task.unwrap();
    let a1 = published(&outcome(&mut ours, &a1).await);
    let b1 = submit(&mut outside, header(&file, "b1", Ticket::AfterVersion(a1.clone())), b"B1");
    let b1 = b1.await.unwrap().task.unwrap();
    let b1 = published(&outcome(&mut outside, &b1).await);
    let mut followers = Vec::new();
    for place in [2, 1] {
        followers.push(submit(&mut ours, link(&file, place), b"A").await.unwrap().task.unwrap());
    }
    let a3 = outcome(&mut ours, &followers[0]).await;
    let a2 = outcome(&mut ours, &followers[1]).await;
    assert_eq!(a2.kind(), OutcomeKind::Stale, "{a2:?}");
    assert_eq!((&a2.version, a2.sequence_number), (&b1, 2), "the evidence is B1");
    assert!(!a2.header.is_empty() && !a2.signature.is_empty());
    assert_eq!(a3.kind(), OutcomeKind::Stale, "{a3:?}");
    assert_eq!(a3.because_of_task, followers[1].task_id);
    assert_eq!(read(&mut ours, &file).await, b"B1", "nothing was overwritten silently");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_outsider_in_the_midst_every_version_is_built_on_what_it_names() {
    let cluster = Cluster::start(5);
    let gateways = [Gateway::start(&cluster), Gateway::start(&cluster)];
    let file = create(&mut gateways[0].calls()).await;
    let mut ours = Vec::new();
    for place in 0..20 {
        let body = format!("ours {place}").into_bytes();
        ours.push(tokio::spawn(fire(gateways[0].address.clone(), link(&file, place), body, false)));
    }
    let mut theirs = Vec::new();
    for place in 0..3 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        let header = header(&file, &format!("theirs {place}"), Ticket::Overwrite(true));
        theirs.push(fire(gateways[1].address.clone(), header, b"theirs".to_vec(), false).await);
    }
    let mut told = Vec::new();
    for ours in ours {
        told.push(ours.await.unwrap());
    }
    // Once one is stale, so are all that follow it; and what was published stands on the one before.
    let first_stale = told.iter().position(|told| told.kind() == OutcomeKind::Stale);
    let (applied, stale) = told.split_at(first_stale.unwrap_or(told.len()));
    assert!(stale.iter().all(|told| told.kind() == OutcomeKind::Stale), "{stale:?}");
    let first = published(&applied[0]);
    let chain = chain(&mut gateways[0].calls(), &file, &first).await;
    for pair in applied.windows(2) {
        let (below, above) = (published(&pair[0]), published(&pair[1]));
        assert_eq!(chain[&above], below, "built on what its ticket names, and on nothing else");
    }
}
