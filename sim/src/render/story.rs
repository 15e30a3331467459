//! A run as it is told: what happened at each event and what came of it, and every message from its sending to its end.
//! Made by playing a trace; says nothing of how it is drawn.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{ClientId, EnvelopeId, ServerId};
use crate::promises::Broken;
use crate::setup::Setup;
use crate::trace::{Player, Trace};

use super::teller::Teller;
use super::view::{self, ClientView, ServerView};

/// A whole run.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) title: String,
    pub(super) setup: Setup,
    pub(super) moments: Vec<Moment>,
    pub(super) messages: Vec<Message>,
    pub(super) callers: Vec<Caller>,
    pub(super) broken: Option<(usize, Broken)>,
}

/// One event and what came of it.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) at: u64,
    /// False for what only brings the run to rest.
    pub(super) own: bool,
    /// False when it could not happen.
    pub(super) applied: bool,
    pub(super) sort: Sort,
    /// In a word or two.
    pub(super) what: String,
    /// What it was about, by its name.
    pub(super) envelope: Option<EnvelopeId>,
    /// Where it happened.
    pub(super) place: Place,
    pub(super) detail: String,
    pub(super) servers: BTreeMap<ServerId, ServerView>,
    pub(super) clients: BTreeMap<ClientId, ClientView>,
    /// Who was told how their task ended.
    pub(super) told: Vec<ClientId>,
}

/// What sort of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Began,
    Arrived,
    Answered,
    Local,
    Lost,
    Copied,
    Fault,
    Disk,
    Mended,
    Noted,
}

/// Where something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Nowhere,
    Client(ClientId),
    Server(ServerId),
}

/// One message, or one copy of it.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: EnvelopeId,
    pub(super) server: ServerId,
    pub(super) kind: Kind,
    /// What it says.
    pub(super) says: String,
    /// The same in two words, and in one.
    pub(super) brief: [String; 2],
    pub(super) is_answer: bool,
    /// The event that sent it.
    pub(super) sent: usize,
    pub(super) end: MessageEnd,
}

impl Message {
    /// The last event it has to do with.
    pub(super) const fn last_event(&self) -> usize {
        match self.end {
            MessageEnd::UnderWay => self.sent,
            MessageEnd::Arrived(at) | MessageEnd::Lost(at) => at,
        }
    }
}

/// How a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MessageEnd {
    /// It is on its way still.
    UnderWay,
    /// At this event.
    Arrived(usize),
    /// At this event.
    Lost(usize),
}

/// The kinds that look different.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Query,
    Seal,
    Extend,
    Commit,
    Bring,
    Finalize,
    End,
    Read,
    Answer,
    Refused,
    /// No answer will come.
    Dead,
}

/// One task from outside.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) client: ClientId,
    pub(super) asked: String,
    pub(super) began: usize,
    pub(super) told: Option<(usize, String)>,
    pub(super) view: ClientView,
}

impl Story {
    /// Plays the trace and tells it.
    pub(super) fn tell(trace: &Trace, mut player: Player) -> Self {
        let mut teller = Teller::default();
        let mut moments = Vec::new();
        let mut broken = None;
        while let Some(step) = player.step() {
            moments.push(teller.moment(player.world(), &step));
            broken = step.broken.map(|broken| (step.index, broken));
        }
        let views = view::clients(player.world());
        for caller in &mut teller.callers {
            caller.view = views.get(&caller.client).copied().unwrap_or(caller.view);
        }
        Self {
            title: trace.title.clone(),
            setup: trace.setup.clone(),
            moments,
            messages: teller.messages,
            callers: teller.callers,
            broken,
        }
    }

    /// Every server that ever was.
    pub(super) fn servers(&self) -> BTreeSet<ServerId> {
        let last =
            self.moments.last().into_iter().flat_map(|moment| moment.servers.keys().copied());
        (0..self.setup.servers).map(ServerId).chain(last).collect()
    }
}
