//! A few rounds of every loop. `TARN_ROUNDS=200` plays more, and
//! `cargo run -p tarn-tests --bin tarn-loops -- --help` says how to run one of them for long.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]
#![allow(clippy::print_stdout, reason = "the row is a loop's result")]

use tarn_tests::loops::{ALL, Loop, Options, Row};
use tarn_tests::rounds::rounds;

/// A test for each of these loops.
macro_rules! tell {
    ($($(#[$note:meta])* $story:ident: $name:literal,)*) => {
        $(
            #[test]
            $(#[$note])*
            fn $story() {
                tell($name);
            }
        )*

        #[test]
        fn no_loop_is_left_out() {
            let told = [$($name),*];
            assert_eq!(ALL.map(|one| one.name), told);
        }
    };
}

tell! {
    a_publish_that_is_killed_takes_effect_once: "kill-and-replay",
    a_server_that_is_killed_during_a_publish_takes_nothing_with_it: "restart-while-publishing",
    nor_while_two_users_race: "restart-while-racing",
    servers_restarted_in_turn_stop_no_publish: "rolling-restarts",
    servers_that_hang_stop_no_publish: "frozen",
    another_store_at_an_old_address_is_not_believed: "emptied",
    a_server_put_back_to_an_old_copy_takes_nothing_back: "old-copy",
    full_servers_are_done_without_or_refused: "full-disk",
    no_promise_depends_on_the_clock: "clock-steps",
    no_promise_depends_on_the_network: "networks",
}

fn tell(name: &str) {
    let one = Loop::find(name).unwrap();
    let options = Options { rounds: rounds(one.few), seed: 1, log: None };
    println!("{}", Row::headings());
    match one.run(&options) {
        Ok(row) => println!("{row}"),
        Err(skipped) => println!("{name}: {skipped}"),
    }
}
