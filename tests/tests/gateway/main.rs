//! Gateways: real processes on a real grid, killed, frozen and raced.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]

mod access;
mod chains;
mod crashes;
mod double_submit;
mod many;
mod two_instances;
mod watching;
