//! Waiting for a state that is bound to come, turn by turn: never for a time.

use std::time::Duration;

use tokio::runtime::Handle;

/// Only so that what never comes fails a test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Turns in which nothing begins or ends when nothing is under way. Many more than any message needs to be answered.
const QUIET_TURNS: usize = 2_000;

/// Waits for something that is bound to come, however slow the machine.
///
/// # Panics
///
/// When it does not come.
pub async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it came");
}

/// How many tasks the runtime has when nothing is under way: what a test begins with, and must come back to.
pub async fn tasks_at_rest() -> usize {
    let (mut count, mut turns) = (alive(), 0);
    while turns < QUIET_TURNS {
        tokio::task::yield_now().await;
        turns += 1;
        if alive() != count {
            (count, turns) = (alive(), 0);
        }
    }
    count
}

/// Waits until there are so many tasks, or fewer.
///
/// # Panics
///
/// When some are left behind.
pub async fn until_tasks_are(most: usize) {
    let waiting = async {
        while alive() > most {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("{} tasks are left behind", alive() - most));
}

/// Waits until all work that blocks, and was begun before, is done and what came of it was dropped or handed over. Only on
/// [`runtime`](crate::runtime), which does it in order.
///
/// # Panics
///
/// When such work does not end.
pub async fn until_blocking_is_done() {
    let waited = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(|| ())).await;
    waited.expect("it ends").expect("nothing is no work");
}

fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}
