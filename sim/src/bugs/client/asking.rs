//! Bugs in what is asked for: a publish without its ticket, or of what it believes to have kept; a read that brings nothing.

use tarn_client::publish::{Follows, Input, Request};
use tarn_client::retrieve::action::Action;
use tarn_client::retrieve::event::Event;

use crate::ids::ClientId;
use crate::plant::Plant;
use crate::world::World;

/// A publish follows whatever is there, whatever its caller named.
#[derive(Debug, Clone)]
pub(super) struct NoTicket;

impl Plant for NoTicket {
    fn begins(&mut self, _: &World, _: ClientId, request: &mut Request) {
        request.follows = Follows::Whatever;
    }
}

/// What can be read only once is taken for what can be read again.
#[derive(Debug, Clone)]
pub(super) struct ReadAgain;

impl Plant for ReadAgain {
    fn begins(&mut self, _: &World, _: ClientId, request: &mut Request) {
        if request.input.is_read_once() {
            request.input = Input::Whole { length: 8 };
        }
    }
}

/// A reader takes a version in doubt for confirmed, and brings it nowhere.
#[derive(Debug, Clone)]
pub(super) struct NoWriteBack;

impl Plant for NoWriteBack {
    fn reader_does(
        &mut self,
        _: &World,
        _: ClientId,
        actions: Vec<Action>,
    ) -> (Vec<Action>, Vec<Event>) {
        let (mut done, mut brought) = (Vec::new(), Vec::new());
        for action in actions {
            match action {
                Action::Bring { message, .. } => brought.push(Event::Brought { message }),
                other @ (Action::Query { .. }
                | Action::ReadRows { .. }
                | Action::ReadBlocks(_)
                | Action::Abandon(_)
                | Action::Announce(_)
                | Action::Deliver { .. }
                | Action::WaitUntil { .. }
                | Action::Finish(_)) => done.push(other),
            }
        }
        (done, brought)
    }
}
