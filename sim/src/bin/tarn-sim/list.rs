//! `tarn-sim list`: what there is.

use tarn_sim::bugs;
use tarn_sim::promises;

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
}
