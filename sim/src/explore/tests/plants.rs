//! Bugs that a search must find, each around the real machines.

use tarn_server::manifest::Manifest;

use crate::ids::ServerId;
use crate::plant::Plant;

/// A commit keeps nothing of what was there before.
#[derive(Debug, Clone)]
pub(super) struct DropsPrevious;

impl Plant for DropsPrevious {
    fn changes(&mut self, _: ServerId, _: &Manifest, next: &mut Manifest) {
        next.generations.truncate(1);
    }
}

/// What was sealed is not remembered once the promise is over.
#[derive(Debug, Clone)]
pub(super) struct ForgetsSealed;

impl Plant for ForgetsSealed {
    fn changes(&mut self, _: ServerId, _: &Manifest, next: &mut Manifest) {
        next.sealed = None;
    }
}
