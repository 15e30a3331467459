//! What a connection does to the bytes on it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;

const LONG: Duration = Duration::from_secs(1_000);

fn options() -> Options {
    Options { stall_per_mille: 0, latency_ms: 3..=9, writes_in_flight: 4, ..Options::draw(1) }
}

fn connection() -> (Arc<Connection>, End, End) {
    Connection::new(&options(), 1, [Condition::default(); 2], false)
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_in_order_each_after_its_latency() {
    let (_, mut client, mut server) = connection();
    let began = Instant::now();
    for byte in 0..4 {
        client.write_u8(byte).await.unwrap();
    }
    for byte in 0..4 {
        assert_eq!(server.read_u8().await.unwrap(), byte);
    }
    let took = began.elapsed();
    assert!((3..=9).contains(&took.as_millis()), "{took:?}");
    drop(client);
    assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_writer_waits_while_too_much_is_on_its_way() {
    let (_, mut client, _server) = connection();
    for _ in 0..4 {
        client.write_u8(0).await.unwrap();
    }
    assert!(timeout(LONG, client.write_u8(0)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_hold_stops_one_way_only_and_loses_nothing() {
    let (connection, mut client, mut server) = connection();
    connection.set(Way::ToServer, Condition { held: true, ..Condition::default() });
    client.write_u8(1).await.unwrap();
    server.write_u8(2).await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), 2);
    assert!(timeout(LONG, server.read_u8()).await.is_err());
    connection.set(Way::ToServer, Condition::default());
    assert_eq!(server.read_u8().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_way_takes_longer() {
    let (connection, mut client, mut server) = connection();
    connection.set(Way::ToServer, Condition { slow: LONG, ..Condition::default() });
    client.write_u8(1).await.unwrap();
    let began = Instant::now();
    server.read_u8().await.unwrap();
    assert!(began.elapsed() >= LONG);
}

#[tokio::test(start_paused = true)]
async fn both_ends_of_a_reset_connection_fail_in_the_end() {
    let (connection, mut client, mut server) = connection();
    client.write_all(&[7; 10]).await.unwrap();
    connection.reset();
    let mut arrived = Vec::new();
    let end = server.read_to_end(&mut arrived).await.unwrap_err();
    assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    assert!([0, 5, 10].contains(&arrived.len()), "{arrived:?}");
    assert!(client.write_u8(0).await.is_err() && client.read_u8().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_learns_of_a_dead_server_only_when_something_gets_through() {
    let (connection, mut client, mut server) = connection();
    connection.set(Way::ToClient, Condition { held: true, ..Condition::default() });
    connection.kill_server();
    assert!(server.write_u8(0).await.is_err() && server.read_u8().await.is_err());
    client.write_u8(0).await.unwrap();
    assert!(timeout(LONG, client.read_u8()).await.is_err());
    connection.set(Way::ToClient, Condition::default());
    assert!(client.read_u8().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn whoever_writes_to_a_dropped_end_is_told() {
    let (connection, mut client, server) = connection();
    drop(server);
    assert!(client.write_u8(0).await.is_err());
    assert!(!connection.is_over());
    drop(client);
    assert!(connection.is_over());
}
