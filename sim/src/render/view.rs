//! How servers and clients stand after an event, as far as a picture shows it.

use std::collections::{BTreeMap, BTreeSet};

use tarn_proto::ConversationId;

use crate::event::Manner;
use crate::ids::{ClientId, ServerId};
use crate::world::{Body, Client, RequestKind, Server, Told, World};

use super::names::Names;
use super::words;

/// A server at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerView {
    pub(super) life: Life,
    pub(super) manner: Manner,
    /// Whether a change is being made durable.
    pub(super) writing: bool,
    /// Whom its promise holds the slot for.
    pub(super) promised: Option<ClientId>,
    /// The current version on its disk, with its shares.
    pub(super) holds: Option<String>,
    /// Whether that is the newest version on any disk.
    pub(super) newest: bool,
    /// Whether a write is on its way to it, or the answer from it.
    pub(super) in_flight: bool,
    /// Whether some writer does not know what became of a write to it.
    pub(super) unknown: bool,
}

/// Whether a server is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Up,
    Down,
    /// Its disk is lost.
    Gone,
}

/// A client at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientView {
    Running,
    Published,
    Read,
    Unchanged,
    InDoubt,
    Killed,
    /// Its caller let go of it.
    Dropped,
}

/// What is not in the world, but known from what happened.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Who opened each conversation.
    pub(super) openers: BTreeMap<ConversationId, ClientId>,
    /// Whose write to whom has an unknown fate.
    pub(super) unknown: BTreeSet<(ClientId, ServerId)>,
}

pub(super) fn servers(
    world: &World,
    names: &Names,
    known: &Known,
) -> BTreeMap<ServerId, ServerView> {
    let current =
        |server: &Server| server.disk().generations.first().map(|held| held.header.order());
    let newest = world.servers().filter_map(current).max();
    let writing_to: BTreeSet<ServerId> = world
        .in_flight()
        .filter_map(|envelope| match &envelope.body {
            Body::Request { server, request } | Body::Answer { server, request, .. } => {
                is_write(request.kind()).then_some(*server)
            }
            Body::Local(_) => None,
        })
        .collect();
    let view = |server: &Server| ServerView {
        life: match (server.is_destroyed(), server.is_up()) {
            (true, _) => Life::Gone,
            (false, true) => Life::Up,
            (false, false) => Life::Down,
        },
        manner: server.manner(),
        writing: server.is_writing(),
        promised: server
            .slot()
            .and_then(|slot| slot.promised_to(server.now(world.now())))
            .and_then(|conversation| known.openers.get(&conversation).copied()),
        holds: words::current(server.disk(), names),
        newest: current(server).is_some() && current(server) == newest,
        in_flight: writing_to.contains(&server.id()),
        unknown: known.unknown.iter().any(|(_, at)| *at == server.id()),
    };
    world.servers().map(|server| (server.id(), view(server))).collect()
}

pub(super) fn clients(world: &World) -> BTreeMap<ClientId, ClientView> {
    let told = |client: &Client| world.oracle().task(client.id()).map(|record| &record.told);
    let view = |client: &Client| match told(client) {
        Some(Told::Published { .. }) => ClientView::Published,
        Some(Told::Read(_)) => ClientView::Read,
        Some(Told::Unchanged { .. }) => ClientView::Unchanged,
        Some(Told::InDoubt { .. }) => ClientView::InDoubt,
        Some(Told::Nothing) | None if client.is_running() => ClientView::Running,
        Some(Told::Nothing) | None if client.is_cancelled() => ClientView::Dropped,
        Some(Told::Nothing) | None => ClientView::Killed,
    };
    world.clients().map(|client| (client.id(), view(client))).collect()
}

/// Whether a request can change what a slot holds visibly.
pub(super) const fn is_write(kind: RequestKind) -> bool {
    match kind {
        RequestKind::Seal | RequestKind::Commit | RequestKind::Bring | RequestKind::Finalize => {
            true
        }
        RequestKind::Query
        | RequestKind::Extend
        | RequestKind::End
        | RequestKind::ReadRows
        | RequestKind::ReadBlocks => false,
    }
}
