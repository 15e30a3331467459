//! Placement and durability at scale: thousands of servers that fail, millions of files that are repaired, and what of
//! the files is left after years. No bytes move, and nothing of the protocol runs but the shipped placement.
//!
//! ```text
//! Options ──▶ layout: windows as shipped ──▶ simulation: queue of events ──▶ Report: table, SVG
//!                                             losses, absences, checks, repairs
//! ```
//!
//! A file is a row of numbers: which servers its window names and which shares each of them has, as a bit set. A server's
//! event touches the files that it keeps and no other; a file is looked at closely only when a count of its servers says
//! that something may have changed. That makes a million files over ten years a matter of a minute.

mod advice;
mod closed_form;
mod files;
mod layout;
mod measures;
mod options;
mod pictures;
mod plot;
mod queue;
mod repair;
mod report;
mod servers;
mod simulation;
#[cfg(test)]
mod tests;

pub use advice::{Advice, advise};
pub use options::{Options, OptionsError};
pub use report::Report;

/// Simulates a grid. The same options, byte for byte the same report.
pub fn run(options: &Options) -> Result<Report, OptionsError> {
    let terms = options.check()?;
    let placed = layout::place(options, terms);
    Ok(Report::new(options, terms, simulation::Simulation::new(options, terms, placed).run()))
}
