//! The button pressed a hundred times: one submission, sent at once to one gateway or to two, which are killed meanwhile,
//! is one version, and every caller is told of it (H2, P14).
//!
//! `TARN_ROUNDS` says how many rounds; few unless it is set.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use tarn_proto::gateway::CreateFileAnswer;
use tarn_proto::gateway::publish_header::Ticket;
use tarn_tests::Cluster;
use tarn_tests::gateway::{
    Calls, Gateway, calls, create, header, newest, outcome, published, submit, submit_stubbornly,
};
use tarn_tests::rounds::{rng, rounds};
use tonic::Code;

const CALLERS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn one_submission_sent_a_hundred_times_is_one_version() {
    let rounds = rounds(6);
    let cluster = Cluster::start(5);
    let mut gateways = [Gateway::start(&cluster), Gateway::start(&cluster)];
    let mut rng = rng(1);
    for round in 0..rounds {
        let file = create(&mut gateways[0].calls()).await;
        let body = round.to_be_bytes().repeat(1 + 40_000 * usize::from(round % 3 == 2));
        let both = round % 2 == 1;
        let addresses: Vec<String> =
            gateways.iter().take(1 + usize::from(both)).map(|g| g.address.clone()).collect();
        let pressed: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let address = addresses[caller % addresses.len()].clone();
                tokio::spawn(press(address, file.clone(), body.clone()))
            })
            .collect();
        // One of them is killed at some moment, and comes back.
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..150))).await;
        let victim = &mut gateways[rng.random_range(0..addresses.len())];
        victim.kill();
        victim.restart();
        let mut versions = BTreeSet::new();
        for pressed in pressed {
            versions.insert(pressed.await.unwrap());
        }
        assert_eq!(versions.len(), 1, "round {round}");
        let newest = newest(&mut gateways[0].calls(), &file).await;
        assert!(
            versions.contains(&newest.version) && newest.predecessor.is_empty(),
            "round {round}"
        );
    }
    cluster.never_panicked();
}

async fn press(address: String, file: CreateFileAnswer, body: Vec<u8>) -> Bytes {
    let mut calls = calls(&address);
    let header = header(&file, "the button", Ticket::Overwrite(true));
    let task = submit_stubbornly(&mut calls, &header, &body).await.unwrap();
    published(&outcome(&mut calls, &task).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stands_for_its_content_and_is_remembered_after_a_restart() {
    let cluster = Cluster::start(5);
    let mut gateway = Gateway::start(&cluster);
    let mut calls = gateway.calls();
    let file = create(&mut calls).await;
    let first = header(&file, "k", Ticket::Create(true));
    let answer = submit(&mut calls, first.clone(), b"one").await.unwrap();
    assert!(!answer.repeated);
    let version = published(&outcome(&mut calls, answer.task.as_ref().unwrap()).await);
    gateway.kill();
    gateway.restart();
    let again = submit(&mut gateway.calls(), first.clone(), b"one").await.unwrap();
    assert!(again.repeated);
    let task = again.task.unwrap();
    assert_eq!(task.task_id, answer.task.unwrap().task_id);
    assert_eq!(task.outcome.unwrap().version, version);
    let other = submit(&mut gateway.calls(), first, b"two").await.unwrap_err();
    assert_eq!(other.code(), Code::AlreadyExists, "{other}");
    let ticket = header(&file, "k", Ticket::Overwrite(true));
    let other = submit(&mut gateway.calls(), ticket, b"one").await.unwrap_err();
    assert_eq!(other.code(), Code::AlreadyExists, "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_is_recognised_by_another_gateway_though_others_published_since() {
    let cluster = Cluster::start(5);
    let gateways = [Gateway::start(&cluster), Gateway::start(&cluster)];
    let mut one = gateways[0].calls();
    let file = create(&mut one).await;
    let told = |header, body: &'static [u8], mut calls: Calls| async move {
        let task = submit(&mut calls, header, body).await.unwrap().task.unwrap();
        outcome(&mut calls, &task).await
    };
    let key = header(&file, "k", Ticket::Overwrite(true));
    let version = published(&told(key.clone(), b"one", one.clone()).await);
    let other = header(&file, "", Ticket::Overwrite(true));
    let between = published(&told(other, b"two", one.clone()).await);
    let repeated = told(key, b"one", gateways[1].calls()).await;
    assert_eq!(published(&repeated), version);
    assert!(repeated.repeated_earlier);
    assert_eq!(tarn_tests::gateway::read(&mut one, &file).await, b"two");
    assert_ne!(version, between);
}
