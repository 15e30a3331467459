//! `tarn-sim list`: what there is.

use tarn_sim::bugs;
use tarn_sim::promises;
use tarn_sim::queue;

pub(crate) fn list() {
    println!("promises");
    for promise in promises::ALL {
        let liars = if promise.against_liars { "also against liars" } else { "without liars" };
        println!("  {:<4} {} ({liars})", promise.id, promise.sentence);
    }
    println!("\nplanted bugs");
    for bug in bugs::all() {
        println!("  {:<32} {:<3} {}", bug.name, bug.hazard.unwrap_or(""), bug.sentence);
    }
    println!("\nchecks of the lane `queue`");
    for check in queue::CHECKS {
        println!("  {:<8} {}", check.id, check.sentence);
    }
    println!("\nplanted bugs of the lane `queue`");
    for bug in queue::bugs::all() {
        println!("  {:<32} {:<3} {}", bug.name, bug.hazard.unwrap_or(""), bug.sentence);
    }
}
