//! Scopes that begin in the midst of things: what has happened before is told step by step, so that the search has only
//! the moments left that matter.

use super::{NONE, ONE_OF_THREE, TWO_OF_THREE, again, once, publish, read};
use crate::event::{Event, Fate};
use crate::explore::script::Script;
use crate::explore::{Begins, Faults, Planned, Scope};
use crate::ids::{ClientId, ServerId};
use crate::setup::Setup;
use crate::world::RequestKind;

/// Two siblings on 5 servers, any two shares of which bring a version back: the older is on two servers and its
/// writer dead; the younger saw it on one, could not reach the other, is sealed on the remaining four, and about to be
/// committed. A reader comes. `brief`: the younger one's writer is not followed beyond that round, and the promise on
/// the one server that neither holds has run out already.
pub(super) fn siblings(brief: bool) -> Scope {
    let (older, younger) = (ClientId(0), ClientId(1));
    let shape = (2, 2, 5);
    let mut scope = Scope::of(5, [read(3, false)]);
    let mut script = Script::new(&scope.setup);
    let is_commit = |kind| kind == RequestKind::Commit;
    script.begin(older, publish(1, shape)).run(|kind, _| !is_commit(kind));
    script.run(|kind, server| is_commit(kind) && server <= ServerId(1));
    script.act(Event::ClientKilled { client: older }).run(|kind, _| !is_commit(kind));
    script.begin(younger, publish(2, shape)).run(|_, _| false);
    script.lose(|_, server| server == ServerId(1)).run(|kind, _| !is_commit(kind));
    if brief {
        let forward = scope.setup.promise;
        script.act(Event::ClockStepped { server: ServerId(2), forward, wall: 0 });
        scope.rounds = 1;
    } else {
        let begins = Begins::AnyTime;
        scope.tasks.push(Planned { task: read(4, true), begins });
    }
    scope.opening = script.events();
    scope
}

/// A first version of this shape is sealed by all of so many servers, and its commits are on their way, when a publish begins
/// that can read its content only once.
pub(super) fn read_once(servers: u8, shape: (u8, u8, u8)) -> Scope {
    let rough = Faults { losses: 1, lapses: 1, ..NONE };
    let mut scope = Scope::of(servers, [once(2, shape)]).with(rough);
    let mut script = Script::new(&scope.setup);
    script.begin(ClientId(0), publish(1, shape)).run(|kind, _| kind != RequestKind::Commit);
    scope.opening = script.events();
    scope
}

/// A version of a dead writer, and on it one of another, are on the third of three servers. A publish whose question to
/// that server was lost builds on nothing, and comes out below them. A reader comes.
pub(super) fn leftover() -> Scope {
    let mut scope = Scope::of(3, [read(4, false)]);
    let mut script = Script::new(&scope.setup);
    let is_commit = |kind| kind == RequestKind::Commit;
    for (client, number) in [(ClientId(0), 1), (ClientId(1), 2)] {
        script.begin(client, publish(number, ONE_OF_THREE));
        script.run(|kind, server| !is_commit(kind) || server == ServerId(2));
        script.act(Event::ClientKilled { client }).run(|kind, _| !is_commit(kind));
    }
    script.begin(ClientId(2), publish(3, ONE_OF_THREE)).run(|_, _| false);
    script.lose(|_, server| server == ServerId(2));
    scope.opening = script.events();
    scope
}

/// A publish of this shape on three servers, whose message of this kind to the second was lost, and with it that server.
/// It was committed on the first, and its promises have run out before its commit reaches the third.
fn half_committed(setup: &Setup, shape: (u8, u8, u8), lost: RequestKind) -> Script {
    let mut script = Script::new(setup);
    script.begin(ClientId(0), publish(1, shape));
    script.run(|kind, _| kind == RequestKind::Query && kind != lost);
    script.lose(|kind, server| kind == lost && server == ServerId(1));
    script.run(|kind, server| kind != RequestKind::Commit || server == ServerId(0));
    for server in [ServerId(0), ServerId(2)] {
        script.act(Event::ClockStepped { server, forward: setup.promise, wall: 0 });
    }
    script
}

/// That version was brought to both other servers meanwhile, to the third by one of the three shares that it is to have.
/// A publish on it did not reach the third, was committed on the first, and its writer is dead. A reader comes.
pub(super) fn overtaken() -> Scope {
    let shape = (1, 2, 6);
    let mut scope = Scope::of(3, [read(4, false)]);
    let mut script = half_committed(&scope.setup, shape, RequestKind::Query);
    let is_commit = |kind| kind == RequestKind::Commit;
    script.begin(ClientId(1), read(2, false)).run(|kind, _| !is_commit(kind));
    let over = ClientId(2);
    script.begin(over, publish(3, shape)).run(|kind, _| kind == RequestKind::Query);
    script.lose(|kind, server| kind == RequestKind::Seal && server == ServerId(2));
    script.run(|kind, server| !is_commit(kind) || server == ServerId(0));
    script.act(Event::ClientKilled { client: over }).run(|kind, _| !is_commit(kind));
    scope.opening = script.events();
    scope
}

/// Another publish cannot see that version, as its question to the first server was lost; it may yet seal the third, and
/// its promise run out there before a reader brings the version.
pub(super) fn resealed() -> Scope {
    let mut scope = Scope { rounds: 1, ..Scope::of(3, [read(3, false)]) };
    scope.faults = Faults { lapses: 2, ..NONE };
    let mut script = half_committed(&scope.setup, ONE_OF_THREE, RequestKind::Seal);
    script.begin(ClientId(1), publish(2, ONE_OF_THREE)).run(|_, _| false);
    script.lose(|kind, server| kind == RequestKind::Query && server == ServerId(0));
    scope.opening = script.events();
    scope
}

/// A version's commit reached the first of three servers only, and its writer, which asks once more, does not hear from
/// that one. Another has seen all three. Both are about to seal the other two, each in its own order, and promises run out
/// there. What is made in the second round must not add to what the first one left: the other counted that, and only that.
pub(super) fn fell_short() -> Scope {
    let mut scope = Scope { rounds: 1, ..Scope::of(3, []) };
    scope.faults = Faults { lapses: 2, ..NONE };
    let (again, other) = (ClientId(0), ClientId(1));
    let is_query = |kind| kind == RequestKind::Query;
    let mut script = Script::new(&scope.setup);
    script.begin(again, publish(1, TWO_OF_THREE));
    script.run(|kind, server| kind != RequestKind::Commit || server == ServerId(0));
    script.lose(|kind, _| kind == RequestKind::Commit).run(|_, _| true);
    script.begin(other, publish(2, TWO_OF_THREE)).run(|kind, _| is_query(kind));
    script.fire(again).lose(|kind, server| is_query(kind) && server == ServerId(0));
    script.run(|kind, _| is_query(kind));
    scope.opening = script.events();
    scope
}

/// A version is on the first two of three servers, the first of which was not told that it was Published; two that came
/// after it are on the last two, the third of which never had anything of the first version. The second server, which
/// remembers all, is down, and the submission of the first version is made again.
pub(super) fn unlinked() -> Scope {
    let mut scope = Scope { rounds: 4, ..Scope::of(3, [again(4, publish(1, ONE_OF_THREE))]) };
    scope.faults = Faults { delays: 1, duplicates: 1, ..NONE };
    let mut script = Script::new(&scope.setup);
    for (client, number, away) in [(0, 1, 2), (1, 2, 0), (2, 3, 0)] {
        script.begin(ClientId(client), publish(number, ONE_OF_THREE)).run(|_, _| false);
        script.lose(|_, server| server == ServerId(away));
        script.run(|kind, server| kind != RequestKind::Finalize || server != ServerId(0));
        script.lose(|kind, _| kind == RequestKind::Finalize).run(|_, _| true);
    }
    script.act(Event::ServerCrashed { server: ServerId(1), unsynced: Fate::Lost });
    scope.opening = script.events();
    scope
}

/// A version of which a share on the first server is damaged, and nobody has noticed yet.
pub(super) fn rotted() -> Scope {
    let mut scope = Scope::of(3, [read(2, false), publish(3, TWO_OF_THREE)]);
    let mut script = Script::new(&scope.setup);
    script.begin(ClientId(0), publish(1, TWO_OF_THREE)).run(|_, _| true);
    // Whichever share it holds: those it does not hold cannot rot.
    for share in 0..3 {
        script.act(Event::ShareRotted { server: ServerId(0), share });
    }
    scope.opening = script.events();
    scope
}
