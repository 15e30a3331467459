//! Where a planted bug takes hold of a world: hooks around the real machines, never inside them. By default each hook
//! leaves everything as it is. The bugs themselves are in [`crate::bugs`].

use std::fmt::Debug;

use tarn_client::publish::action::Action;
use tarn_client::publish::event::Event;
use tarn_client::publish::{Publish, Request};
use tarn_client::retrieve;
use tarn_server::manifest::Manifest;

use crate::ids::{ClientId, ServerId};
use crate::world::{Handled, Reply, Request as Asked, Server, Stage, World};

/// A planted bug, and what it has to remember.
pub trait Plant: Copied + Debug + Send + Sync {
    /// What a publish is asked for.
    fn begins(&mut self, _world: &World, _client: ClientId, _request: &mut Request) {}

    /// What a publish hears in place of this event. The world is as it was before; `machine` has not heard it.
    fn hears(
        &mut self,
        _world: &World,
        _client: ClientId,
        _machine: &mut Publish,
        event: Event,
    ) -> Vec<Event> {
        vec![event]
    }

    /// What is done in place of what a publish decided.
    fn does(&mut self, _world: &World, _client: ClientId, actions: Vec<Action>) -> Vec<Action> {
        actions
    }

    /// Whether a send to a dead server fails at once, in the midst of the sends of one step.
    fn reenters(&self) -> bool {
        false
    }

    /// What a retrieve hears in place of this event.
    fn reader_hears(
        &mut self,
        _world: &World,
        _client: ClientId,
        event: retrieve::event::Event,
    ) -> Vec<retrieve::event::Event> {
        vec![event]
    }

    /// What is done in place of what a retrieve decided. What is returned as events the machine hears at once.
    fn reader_does(
        &mut self,
        _world: &World,
        _client: ClientId,
        actions: Vec<retrieve::action::Action>,
    ) -> (Vec<retrieve::action::Action>, Vec<retrieve::event::Event>) {
        (actions, Vec::new())
    }

    /// A request is about to be handled. False: it is dropped without a trace.
    fn serves(&mut self, _now: u64, _server: &mut Server, _request: &mut Asked) -> bool {
        true
    }

    /// A request has to wait for the slot's lock.
    fn waits(&mut self, _server: &mut Server, _request: &Asked) {}

    /// What a server does in place of what it should do at this stage of a request; none: what it should.
    fn handles(
        &mut self,
        _now: u64,
        _server: &mut Server,
        _request: &Asked,
        _stage: &Stage,
    ) -> Option<Handled> {
        None
    }

    /// A server is about to say this.
    fn says(&mut self, _now: u64, _server: &mut Server, _request: &Asked, _reply: &mut Reply) {}

    /// A slot is about to become `next`.
    fn changes(&mut self, _server: ServerId, _old: &Manifest, _next: &mut Manifest) {}

    /// Whether changes are acknowledged before they are durable.
    fn acknowledges_before_sync(&self) -> bool {
        false
    }

    /// A server has just restarted.
    fn restarts(&mut self, _server: &mut Server) {}

    /// Whether a server that lost its disk comes back under its old store id.
    fn empties_in_place(&self) -> bool {
        false
    }
}

/// Whatever can be cloned can be copied into a box: worlds are cloned, and the bug in them too.
pub trait Copied {
    /// A copy of its own.
    fn boxed(&self) -> Box<dyn Plant>;
}

impl<P: Plant + Clone + 'static> Copied for P {
    fn boxed(&self) -> Box<dyn Plant> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Plant> {
    fn clone(&self) -> Self {
        self.boxed()
    }
}
