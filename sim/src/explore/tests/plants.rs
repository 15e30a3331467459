//! Bugs that a search must find, each around the real machines.

use tarn_proto::Refusal;
use tarn_server::manifest::Manifest;

use crate::ids::ServerId;
use crate::plant::Plant;
use crate::world::{Reply, Request, Server};

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

/// A slot loses everything when a commit of what it holds comes after its promise was lost: shows that one does.
#[derive(Debug, Clone)]
pub(super) struct DropsHeldWithoutPromise;

impl Plant for DropsHeldWithoutPromise {
    fn says(&mut self, _: u64, server: &mut Server, request: &Request, reply: &mut Reply) {
        if let Request::Commit { header, .. } = request
            && let Reply::Refused { refusal: Refusal::PromiseLost, .. } = reply
            && server.disk().is_current(header.version())
        {
            server.disk_mut().generations.clear();
            *reply = Reply::Written;
        }
    }
}
