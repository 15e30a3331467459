//! The files of a run: their keys and windows, drawn from the seed.

use tarn_client::caps::WriteCap;
use tarn_client::placement::{Candidate, choose_window, rendezvous_order};
use tarn_client::publish::Roster;
use tarn_proto::{StorageIndex, Window};

use super::machine::store_id;
use super::options::Options;
use super::world::ServerId;
use crate::streams::stream;

/// A file of the run.
pub(super) struct File {
    /// The right to write it.
    pub(super) cap: WriteCap,
    /// Where it lives.
    pub(super) window: Window,
    /// The grid in the order in which it prefers it.
    pub(super) roster: Roster,
}

impl File {
    pub(super) fn new(options: &Options, number: u8) -> Self {
        let cap = WriteCap::generate(&mut stream(options.seed, "file", number.into()));
        let file = cap.verify_cap().storage_index();
        let grid: Vec<Candidate> = (0..options.servers)
            .map(|server| Candidate { store: store_id(ServerId(server)), zone: None, weight: 1 })
            .collect();
        let window = choose_window(file, options.shape, &grid).expect("the grid has servers");
        let order = rendezvous_order(file, &grid).into_iter().map(|candidate| candidate.store);
        Self { cap, window, roster: Roster(order.collect()) }
    }

    pub(super) fn storage_index(&self) -> StorageIndex {
        self.cap.verify_cap().storage_index()
    }
}
