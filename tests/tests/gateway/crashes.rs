//! Killed at any moment: every task that was accepted ends, once, and none is forgotten.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tarn_proto::gateway::publish_header::Ticket;
use tarn_proto::gateway::{ListTasksRequest, OutcomeKind, TaskState};
use tarn_tests::Cluster;
use tarn_tests::gateway::{
    Gateway, chain, create, header, outcome, published, read, submit, submit_stubbornly,
};

#[tokio::test(flavor = "multi_thread")]
async fn every_task_that_was_accepted_ends_once_however_often_the_gateway_is_killed() {
    let cluster = Cluster::start(5);
    let mut gateway = Gateway::start(&cluster);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut told = Vec::new();
    for round in 0_u64..8 {
        let file = create(&mut gateway.calls()).await;
        let body = vec![7; if round % 2 == 0 { 10 } else { 3 << 20 }];
        let mut tasks = Vec::new();
        for place in 0..3_u64 {
            let header = header(&file, "", Ticket::Overwrite(true));
            let body = [&place.to_be_bytes(), body.as_slice()].concat();
            tasks.push(submit(&mut gateway.calls(), header, &body).await.unwrap().task.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..60))).await;
        gateway.kill();
        gateway.restart();
        let mut versions = Vec::new();
        for task in &tasks {
            versions.push(published(&outcome(&mut gateway.calls(), task).await));
        }
        let chain = chain(&mut gateway.calls(), &file, &versions[0]).await;
        assert_eq!(chain.len(), 2, "each took effect once");
        assert!(versions.windows(2).all(|pair| chain[&pair[1]] == pair[0]), "and in order");
        let content = read(&mut gateway.calls(), &file).await;
        assert_eq!(content, [&2_u64.to_be_bytes(), body.as_slice()].concat());
        told.extend(tasks);
    }
    let listed =
        gateway.calls().list_tasks(ListTasksRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.tasks.len(), told.len());
    assert!(listed.tasks.iter().all(|task| task.state() == TaskState::Ended));
    let left = std::fs::read_dir(gateway.home.path("data/gateway/contents")).unwrap().count();
    assert_eq!(left, 0, "contents that nobody needs are gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_told_to_stop_leaves_what_it_cannot_finish_to_the_next() {
    let cluster = Cluster::start(5);
    let mut gateway = Gateway::start(&cluster);
    let mut calls = gateway.calls();
    let file = create(&mut calls).await;
    let held = header(&file, "", Ticket::AfterKey("not yet".into()));
    let held = submit(&mut calls, held, b"held").await.unwrap().task.unwrap();
    let first = header(&file, "not yet", Ticket::Create(true));
    gateway.terminate();
    gateway.restart();
    submit_stubbornly(&mut gateway.calls(), &first, b"first").await.unwrap();
    published(&outcome(&mut gateway.calls(), &held).await);
    assert_eq!(read(&mut gateway.calls(), &file).await, b"held");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_drops_its_call_cancels_nothing_that_was_accepted() {
    let cluster = Cluster::start(5);
    let gateway = Gateway::start(&cluster);
    let mut calls = gateway.calls();
    let file = create(&mut calls).await;
    for millis in 0..12 {
        let header = header(&file, &format!("call {millis}"), Ticket::Overwrite(true));
        // In its task's row, or in a file of its own.
        let content = vec![7; if millis % 2 == 0 { 7 } else { 300_000 }];
        let call = submit(&mut calls, header.clone(), &content);
        let dropped = tokio::time::timeout(Duration::from_millis(millis), call).await;
        let task = submit(&mut calls, header, &content).await.unwrap();
        assert!(dropped.is_err() || task.repeated);
        published(&outcome(&mut calls, &task.task.unwrap()).await);
    }
    let listed = calls.list_tasks(ListTasksRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.tasks.len(), 12, "one task for each key");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_can_be_called_off_and_what_ended_can_be_forgotten() {
    use tarn_proto::gateway::{CancelTaskRequest, DeleteTaskRequest, GetTaskRequest};
    let cluster = Cluster::start(5);
    let gateway = Gateway::start(&cluster);
    let mut calls = gateway.calls();
    let file = create(&mut calls).await;
    let held = header(&file, "held", Ticket::AfterKey("never".into()));
    let task_id = submit(&mut calls, held, b"x").await.unwrap().task.unwrap().task_id;
    let delete = DeleteTaskRequest { task_id: task_id.clone() };
    let refused = calls.delete_task(delete.clone()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused}");
    let cancelled =
        calls.cancel_task(CancelTaskRequest { task_id: task_id.clone() }).await.unwrap();
    let cancelled = cancelled.into_inner();
    assert_eq!(cancelled.outcome.unwrap().kind(), OutcomeKind::Cancelled);
    calls.delete_task(delete).await.unwrap();
    let gone = calls.get_task(GetTaskRequest { task_id }).await.unwrap_err();
    assert_eq!(gone.code(), tonic::Code::NotFound, "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_breaks_off_submits_nothing_shorter() {
    use futures::StreamExt;
    use tarn_proto::gateway::PublishRequest;
    use tarn_proto::gateway::publish_request::Part;
    let cluster = Cluster::start(5);
    let gateway = Gateway::start(&cluster);
    let file = create(&mut gateway.calls()).await;
    for round in 0..30 {
        let begins = [
            Part::Header(header(&file, "", Ticket::Overwrite(true))),
            Part::Body(vec![1; 1_000].into()),
        ];
        let begins = begins.map(|part| PublishRequest { part: Some(part) });
        let endless = tokio_stream::iter(begins).chain(futures::stream::pending());
        let mut calls = gateway.calls();
        let call = calls.publish(endless);
        drop(tokio::time::timeout(Duration::from_millis(1 + round), call).await);
    }
    // Whatever was taken of them would be there before this.
    let whole = header(&file, "", Ticket::Create(true));
    let whole = submit(&mut gateway.calls(), whole, b"whole").await.unwrap().task.unwrap();
    published(&outcome(&mut gateway.calls(), &whole).await);
    let listed = gateway.calls().list_tasks(ListTasksRequest::default()).await.unwrap();
    assert_eq!(listed.into_inner().tasks.len(), 1);
}
