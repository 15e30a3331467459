//! A file that is watched: new versions by anyone, none missed, through whatever goes away meanwhile.

use tarn_proto::gateway::WatchFileRequest;
use tarn_proto::gateway::publish_header::Ticket;
use tarn_tests::gateway::{Gateway, create, header, outcome, published, submit};
use tarn_tests::{Cluster, Content};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_misses_no_version_of_anyone() {
    let cluster = Cluster::start(5);
    let mut gateway = Gateway::start(&cluster);
    let mut calls = gateway.calls();
    let file = create(&mut calls).await;
    // Somebody without the gateway, who has the cap.
    let other = cluster.home();
    let other = |content: u64| {
        let path = other.write("content", Content::new(content, 5_000).bytes());
        let words = ["publish", path.to_str().unwrap(), "--cap", &file.write_cap, "--json"]
            .map(str::to_owned);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        other.run(&words).ok();
    };
    let request = |after| WatchFileRequest { cap: file.verify_cap.clone(), after };
    let first = submit(&mut calls, header(&file, "", Ticket::Create(true)), b"1").await.unwrap();
    let first = published(&outcome(&mut calls, &first.task.unwrap()).await);
    let mut watch = calls.watch_file(request(Default::default())).await.unwrap().into_inner();
    let told = watch.message().await.unwrap().unwrap();
    assert_eq!((&told.version, told.sequence_number), (&first, 1));
    tokio::task::block_in_place(|| other(1));
    let told = watch.message().await.unwrap().unwrap();
    assert_eq!((&told.predecessor, told.sequence_number, told.gap), (&first, 2, false));
    let cursor = told.version;
    // While the gateway is away two servers go and come back, and three versions are published.
    gateway.kill();
    tokio::task::block_in_place(|| {
        cluster.kill(&[0]);
        (2..5).for_each(&other);
        cluster.revive();
    });
    gateway.restart();
    let mut watch = gateway.calls().watch_file(request(cursor.clone())).await.unwrap().into_inner();
    let mut last = cursor;
    for sequence_number in 3..=5 {
        let told = watch.message().await.unwrap().unwrap();
        assert_eq!((&told.predecessor, told.sequence_number), (&last, sequence_number));
        assert!(!told.gap);
        last = told.version;
    }
    // A server that goes away under the watch is watched again.
    tokio::task::block_in_place(|| {
        cluster.kill(&[1, 2]);
        cluster.revive();
        other(5);
    });
    let told = watch.message().await.unwrap().unwrap();
    assert_eq!((&told.predecessor, told.sequence_number), (&last, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_watch_a_file_others_are_served() {
    let cluster = Cluster::start(5);
    let gateway = Gateway::start(&cluster);
    let mut calls = gateway.calls();
    let file = create(&mut calls).await;
    let publish = async |content: &[u8]| {
        let header = header(&file, "", Ticket::Overwrite(true));
        let mut calls = gateway.calls();
        let task = submit(&mut calls, header, content).await.unwrap().task.unwrap();
        published(&outcome(&mut calls, &task).await)
    };
    let first = publish(b"1").await;
    // More than one connection to a server has streams for.
    let mut watches = Vec::new();
    for connection in 0..4 {
        let mut calls = gateway.calls();
        for watch in 0..300 {
            let request = WatchFileRequest { cap: file.verify_cap.clone(), after: first.clone() };
            let told = calls.watch_file(request).await;
            watches.push(told.unwrap_or_else(|status| panic!("{connection}, {watch}: {status}")));
        }
    }
    let second = publish(b"2").await;
    for watch in watches {
        let told = watch.into_inner().message().await.unwrap().unwrap();
        assert_eq!(told.version, second);
    }
}
