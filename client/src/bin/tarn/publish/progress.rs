//! A publish's progress on a terminal: bytes that servers have taken in, then whom it waits for. Quiet when standard
//! error is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tarn_client::grid::Grid;
use tarn_client::publish::Step;
use tarn_client::publish::publishing::Status;
use tokio::sync::watch;

/// Names at most so many servers that are waited for.
const NAMED_MAX: usize = 3;
/// How often the bar is looked at while nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// What is shown while bytes are taken in.
const OF_ALL: &str = "{bytes:>10} of {total_bytes:<10} {bar:24} {wide_msg}";
/// The same where nobody knows how many there will be.
const SO_FAR: &str = "{bytes:>10} {wide_msg}";

/// Shows a publish's status until its sender is gone. Never returns before.
pub(crate) async fn show(mut status: watch::Receiver<Status>, grid: &Grid) {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    set_style(&bar, "{wide_msg}");
    let mut is_sending = false;
    loop {
        let now = status.borrow_and_update().clone();
        let (is_known, has_begun) = (now.total.is_some(), now.acknowledged > 0);
        if (is_known || has_begun) && !is_sending {
            is_sending = true;
            set_style(&bar, if is_known { OF_ALL } else { SO_FAR });
        }
        bar.set_length(now.total.unwrap_or(now.acknowledged));
        bar.set_position(now.acknowledged);
        bar.set_message(message(&now, grid));
        if now.progress.step == Step::Ended {
            break;
        }
        match tokio::time::timeout(TICK, status.changed()).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(_)) => break,
        }
    }
    bar.finish_and_clear();
}

fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

fn message(status: &Status, grid: &Grid) -> String {
    let doing = match status.progress.step {
        Step::Mapping => "asking",
        Step::BackingOff => return "giving way to another writer".to_owned(),
        Step::Preparing => "sending",
        Step::Committing => "committing",
        Step::Bringing => "bringing an earlier try",
        Step::Ended => return "done".to_owned(),
    };
    let awaited = &status.progress.awaited;
    let named = awaited.iter().filter_map(|store| grid.find(*store));
    let named: Vec<String> =
        named.take(NAMED_MAX).map(|server| server.address.to_string()).collect();
    match awaited.len() {
        0 => doing.to_owned(),
        count if count <= NAMED_MAX => format!("{doing}, waiting for {}", named.join(", ")),
        count => format!("{doing}, waiting for {count} servers"),
    }
}
