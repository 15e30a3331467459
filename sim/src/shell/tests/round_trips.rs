//! How many round trips an operation takes, counted on virtual time: on a network where every way takes equally long and
//! nothing else takes any time, what has taken so long has gone back and forth so often.

use tarn_client::lately::Lately;

use super::quiet::{ONE_WAY_MS, ROUND_TRIP, on_a_quiet_grid};
use super::*;

#[test]
fn the_first_byte_of_a_read_comes_after_two_round_trips() {
    on_a_quiet_grid(async |quiet| {
        quiet.publish(1_024).await;
        assert_eq!(quiet.read(None).await, (2 * ROUND_TRIP, 2 * ROUND_TRIP));
        assert_eq!(quiet.read(Some(1_000..1_001)).await.0, 2 * ROUND_TRIP);
        quiet.publish(1 << 20).await;
        assert_eq!(quiet.read(None).await.0, 2 * ROUND_TRIP, "however long the file");
        assert_eq!(quiet.read(Some(1_000_000..1_000_001)).await.0, 2 * ROUND_TRIP);
    });
}

#[test]
fn a_connection_that_is_yet_to_be_made_takes_no_round_trip_but_its_own() {
    on_a_quiet_grid(async |quiet| {
        quiet.publish(1_024).await;
        quiet.clients = quiet.run.caller(HostId(1)).clients;
        let dialled = Duration::from_millis(ONE_WAY_MS);
        assert_eq!(quiet.read(None).await.0, dialled + 2 * ROUND_TRIP);
    });
}

#[test]
fn a_short_publish_takes_three_round_trips_and_soon_after_another_two() {
    on_a_quiet_grid(async |quiet| {
        quiet.publish(1_024).await;
        assert_eq!(quiet.publish(1_024).await, 2 * ROUND_TRIP);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(quiet.publish(1_024).await, 3 * ROUND_TRIP, "servers are asked after a while");
        quiet.lately = Lately::default();
        assert_eq!(quiet.publish(1_024).await, 3 * ROUND_TRIP, "another process asks");
    });
}

#[test]
fn what_is_remembered_and_out_of_date_costs_one_round_trip() {
    on_a_quiet_grid(async |quiet| {
        quiet.publish(1_024).await;
        let remembered = std::mem::take(&mut quiet.lately);
        quiet.publish(1_024).await;
        quiet.lately = remembered;
        assert_eq!(quiet.publish(1_024).await, 4 * ROUND_TRIP);
        assert_eq!(quiet.publish(1_024).await, 2 * ROUND_TRIP);
    });
}

#[test]
fn an_update_takes_four_round_trips_as_it_maps_once() {
    on_a_quiet_grid(async |quiet| {
        quiet.publish(1 << 20).await;
        assert_eq!(quiet.update(300_000, 1_024).await, (4 * ROUND_TRIP, true));
        quiet.publish(1_024).await;
        assert_eq!(quiet.update(1_000, 10).await, (4 * ROUND_TRIP, false), "too short for a part");
    });
}

#[test]
fn an_update_soon_after_another_takes_three_round_trips() {
    on_a_quiet_grid(async |quiet| {
        quiet.publish(1 << 20).await;
        let client = quiet.client();
        assert_eq!(quiet.update_by(&client, 300_000, 1_024).await, (4 * ROUND_TRIP, true));
        assert_eq!(quiet.update_by(&client, 300_000, 1_024).await, (3 * ROUND_TRIP, true));
    });
}
