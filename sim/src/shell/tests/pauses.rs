//! What comes through a pipe comes when it does: however long it pauses, no conversation ends meanwhile. On virtual time, as
//! both sides end one that is silent for a minute.

use tarn_client::encode::source::Once;
use tarn_client::publish::publishing::Content;
use tokio::io::AsyncWriteExt;

use super::quiet::on_a_quiet_grid;
use super::*;

/// Two blocks.
const SEGMENT: usize = 2 * (64 << 10);
const PAUSE: Duration = Duration::from_secs(3_600);

#[test]
fn a_pipe_may_pause_for_as_long_as_it_likes() {
    on_a_quiet_grid(async |quiet| {
        let (mut pipe, input) = tokio::io::duplex(SEGMENT);
        let written = tokio::spawn(async move {
            for pieces in [0, 1, 40, 1] {
                tokio::time::sleep(PAUSE).await;
                pipe.write_all(&vec![7; pieces * SEGMENT + 1]).await.expect("it is read");
            }
        });
        let took = quiet.publish_of(Content::Once(Once::new(input))).await;
        assert!(took >= 4 * PAUSE, "{took:?}");
        written.await.expect("it was read to its end");
        let bytes = 42 * SEGMENT as u64 + 4;
        assert_eq!(quiet.length().await, bytes);
    });
}
