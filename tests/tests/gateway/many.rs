//! Ten thousand tasks: memory stays small, order is kept in every file, and a restart is quick.
//!
//! `TARN_TASKS` says how many, on a tenth as many files; a thousand unless it is set.

use tokio::time::Instant;

use tarn_proto::gateway::publish_header::Ticket;
use tarn_proto::gateway::{ListTasksRequest, TaskState};
use tarn_tests::Cluster;
use tarn_tests::gateway::{Gateway, create, header, outcome, published, submit};

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_take_little_memory_and_keep_their_order() {
    let tasks: usize = std::env::var("TARN_TASKS").map_or(1_000, |tasks| tasks.parse().unwrap());
    let cluster = Cluster::start(5);
    let mut gateway = Gateway::start(&cluster);
    let mut calls = gateway.calls();
    let mut files = Vec::new();
    for _ in 0..tasks / 10 {
        files.push(create(&mut calls).await);
    }
    // All wait for the first of their file, which comes last.
    let mut waiting = Vec::new();
    let before = resident(&gateway);
    for place in 1..10 {
        for file in &files {
            let after = format!("{}", place - 1);
            let header = header(file, &place.to_string(), Ticket::AfterKey(after.into()));
            let body = vec![place; 1_000];
            waiting.push(submit(&mut calls, header, &body).await.unwrap().task.unwrap());
        }
    }
    let queued = resident(&gateway);
    gateway.kill();
    let began = Instant::now();
    gateway.restart();
    println!(
        "{} tasks held: {before} KiB resident before, {queued} with them; back after kill -9 in {:?}, {} KiB",
        waiting.len(),
        began.elapsed(),
        resident(&gateway)
    );
    assert!(queued < before + 32 * 1_024, "{before} KiB, then {queued} KiB");
    let mut calls = gateway.calls();
    for file in &files {
        submit(&mut calls, header(file, "0", Ticket::Create(true)), b"0").await.unwrap();
    }
    for (place, task) in waiting.iter().enumerate() {
        let told = outcome(&mut calls, task).await;
        published(&told);
        assert_eq!(
            told.sequence_number,
            (place / files.len()) as u64 + 2,
            "in order: nothing was killed meanwhile"
        );
    }
    let mut request = ListTasksRequest { page_size: 137, ..ListTasksRequest::default() };
    let mut listed = 0;
    loop {
        let page = calls.list_tasks(request.clone()).await.unwrap().into_inner();
        assert!(page.tasks.iter().all(|task| task.state() == TaskState::Ended));
        listed += page.tasks.len();
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(listed, tasks);
}

/// The memory it has now, in KiB.
fn resident(gateway: &Gateway) -> u64 {
    let status = format!("/proc/{}/status", gateway.pid().as_raw_nonzero());
    let status = std::fs::read_to_string(status).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}
