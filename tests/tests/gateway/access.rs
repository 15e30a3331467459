//! Who may use a gateway, and what it takes: tokens, bounds, and what is said of bad input. Secrets are never repeated.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tarn_proto::gateway::publish_header::Ticket;
use tarn_proto::gateway::{DescribeRequest, PublishHeader};
use tarn_tests::Cluster;
use tarn_tests::gateway::{Gateway, create, header, outcome, published, read, submit};
use tonic::{Code, Request};

#[tokio::test(flavor = "multi_thread")]
async fn on_the_network_only_whoever_sends_the_token_is_let_in() {
    let cluster = Cluster::start(5);
    let token = cluster.home();
    let file = token.write("token", b"open sesame is too short\n");
    let refused = token.run(&["gateway", "--listen", "0.0.0.0:0"]).fails(2);
    assert!(refused.contains("--token-file"), "{refused}");
    let spaces = token.run(&["gateway", "--token-file", file.to_str().unwrap()]).fails(2);
    assert!(spaces.contains("without spaces"), "{spaces}");
    let file = token.write("token", b"0123456789abcdef0123\n");
    let file = file.to_str().unwrap();
    let gateway = Gateway::start_with(&cluster, &["--token-file", file]);
    let with = |token: &str| {
        let mut request = Request::new(DescribeRequest {});
        request.metadata_mut().insert("authorization", token.parse().unwrap());
        request
    };
    let mut calls = gateway.calls();
    let without = calls.describe(DescribeRequest {}).await.unwrap_err();
    assert_eq!(without.code(), Code::Unauthenticated, "{without}");
    let wrong = calls.describe(with("Bearer 0123456789abcdef0124")).await.unwrap_err();
    assert_eq!(wrong.code(), Code::Unauthenticated, "{wrong}");
    calls.describe(with("Bearer 0123456789abcdef0123")).await.unwrap();
    // By the socket, which only its user can reach, none is asked for.
    let socket = gateway.home.path("data/gateway/socket");
    let url = format!("unix:{}", socket.display());
    let content = gateway.home.write("content", b"by the socket");
    tokio::task::block_in_place(|| {
        let words =
            ["--gateway", &url, "publish", content.to_str().unwrap(), "--k", "2", "--n", "4"];
        gateway.home.run(&words).ok();
        let got = gateway.home.run(&["--gateway", &url, "get", "content"]).ok();
        assert_eq!(got.stdout, b"by the socket");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_is_held_to_what_its_header_says_and_to_what_the_gateway_takes() {
    let cluster = Cluster::start(5);
    let gateway = Gateway::start_with(&cluster, &["--body-max", "1MiB", "--staged-max", "1MiB"]);
    let mut calls = gateway.calls();
    let file = create(&mut calls).await;
    let plain = header(&file, "", Ticket::Overwrite(true));
    let body = vec![9; 300_000];
    let with = |change: &dyn Fn(&mut PublishHeader)| {
        let mut header = plain.clone();
        change(&mut header);
        header
    };
    let cases = [
        (with(&|header| header.length = Some(299_999)), Code::DataLoss),
        (with(&|header| header.length = Some(300_001)), Code::DataLoss),
        (with(&|header| header.sha256 = Bytes::from(vec![0; 32])), Code::DataLoss),
        (with(&|header| header.sha256 = Bytes::from(vec![0; 31])), Code::InvalidArgument),
        (with(&|header| header.idempotency_key = vec![0; 256].into()), Code::InvalidArgument),
        (with(&|header| header.origin = vec![0; 17].into()), Code::InvalidArgument),
        (
            with(&|header| header.ticket = Some(Ticket::AfterTask(vec![0; 15].into()))),
            Code::InvalidArgument,
        ),
        (
            with(&|header| header.ticket = Some(Ticket::AfterTask(vec![0; 16].into()))),
            Code::NotFound,
        ),
        (with(&|header| header.ticket = Some(Ticket::Create(false))), Code::InvalidArgument),
    ];
    for (header, code) in cases {
        let refused = submit(&mut calls, header.clone(), &body).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert!(!refused.message().contains(&file.write_cap), "a secret is repeated");
    }
    let mut mistyped = plain.clone();
    mistyped.write_cap.replace_range(10..11, "b");
    let refused = submit(&mut calls, mistyped.clone(), &body).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(!refused.message().contains(&mistyped.write_cap), "{refused}");
    let too_long = submit(&mut calls, plain.clone(), &vec![0; (1 << 20) + 1]).await.unwrap_err();
    assert_eq!(too_long.code(), Code::ResourceExhausted, "{too_long}");
    let left = || std::fs::read_dir(gateway.home.path("data/gateway/contents")).unwrap().count();
    assert_eq!(left(), 0, "nothing is left of what was refused");
    // Contents that wait fill what is kept for them, and make room again.
    let held = header(&file, "", Ticket::AfterKey("later".into()));
    let big = vec![1; 800_000];
    let held = submit(&mut calls, held, &big).await.unwrap().task.unwrap();
    let full = submit(&mut calls, plain.clone(), &big).await.unwrap_err();
    assert_eq!(full.code(), Code::ResourceExhausted, "{full}");
    let later = header(&file, "later", Ticket::Create(true));
    submit(&mut calls, later, b"small").await.unwrap();
    published(&outcome(&mut calls, &held).await);
    let mut good = plain;
    good.length = Some(300_000);
    good.sha256 = Bytes::copy_from_slice(&Sha256::digest(&body));
    let good = submit(&mut calls, good, &body).await.unwrap().task.unwrap();
    published(&outcome(&mut calls, &good).await);
    assert_eq!(read(&mut calls, &file).await, body);
    let said = gateway.said();
    assert!(!said.contains("tarnw1") && !said.contains("tarnr1"), "a cap is logged: {said}");
}
