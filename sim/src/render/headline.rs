//! An event in words by itself, before what came of it. Of messages it knows only the names.

use crate::event::{Edit, Event, Manner};
use crate::ids::EnvelopeId;

use super::names::Names;
use super::story::{Place, Sort};
use super::words;

/// What happened.
pub(super) struct Headline {
    pub(super) sort: Sort,
    pub(super) what: String,
    pub(super) envelope: Option<EnvelopeId>,
    pub(super) place: Place,
    pub(super) detail: String,
}

impl Headline {
    /// Something that befell a message, wherever that is.
    pub(super) fn of_message(sort: Sort, what: &str, id: EnvelopeId, detail: String) -> Self {
        let place = Place::Nowhere;
        Self { sort, what: what.to_owned(), envelope: Some(id), place, detail }
    }

    /// Any event. What a message says is for whoever remembers it to add.
    pub(super) fn of(event: &Event, names: &mut Names) -> Self {
        let fault = |what: &str, place, detail: String| Self {
            sort: Sort::Fault,
            what: what.to_owned(),
            envelope: None,
            place,
            detail,
        };
        let (client_at, server_at) = (Place::Client, Place::Server);
        match event {
            Event::Began { client, task } => {
                let asked = words::task(task, names);
                let detail = format!("{client} begins: {asked}");
                Self { sort: Sort::Began, ..fault("begin", client_at(*client), detail) }
            }
            Event::Delivered { envelope }
            | Event::Duplicated { envelope }
            | Event::Lost { envelope } => {
                Self::of_message(Sort::Local, "message", *envelope, String::new())
            }
            Event::Stalled { client, server, waited } => {
                let detail = format!("{client} has waited {waited} ms for {server} to take bytes");
                fault("stall", client_at(*client), detail)
            }
            Event::Progressed { client, server } => {
                let detail = format!("{server} takes bytes of {client} again");
                Self { sort: Sort::Mended, ..fault("progress", client_at(*client), detail) }
            }
            Event::SourceChanged { client, how } => {
                let detail = match how {
                    Edit::Noticed => format!("the source of {client} changed"),
                    Edit::BetweenPasses => format!("the source of {client} changes unnoticed"),
                    Edit::Unreadable => format!("the source of {client} cannot be read"),
                };
                fault("source", client_at(*client), detail)
            }
            Event::JournalFailed { client } => {
                fault("journal", client_at(*client), format!("{client} cannot write its journal"))
            }
            Event::CancelRequested { client } => {
                fault("cancel", client_at(*client), format!("the caller of {client} lets go"))
            }
            Event::ClientKilled { client } => {
                fault("kill", client_at(*client), format!("{client} is killed"))
            }
            Event::DiskSynced { server } => {
                let detail = format!("{server}: its change is durable");
                Self { sort: Sort::Disk, ..fault("sync", server_at(*server), detail) }
            }
            Event::DiskFailed { server, kept } => {
                let kept =
                    if *kept { "but the change is there" } else { "the change is not there" };
                fault("disk fails", server_at(*server), format!("{server}: sync failed, {kept}"))
            }
            Event::ServerCrashed { server, unsynced } => {
                let detail = format!("{server} dies; {}", words::fate(*unsynced));
                fault("crash", server_at(*server), detail)
            }
            Event::ServerRestarted { server } => {
                let detail = format!("{server} is back on its disk");
                Self { sort: Sort::Mended, ..fault("restart", server_at(*server), detail) }
            }
            Event::ServerReplaced { server } => {
                let detail = format!("{server} loses its disk for good; an empty one takes over");
                fault("replaced", server_at(*server), detail)
            }
            Event::ClockStepped { server, forward, wall } => {
                let detail = format!("{server}: clock {forward} ms forward, wall clock {wall:+} s");
                fault("clock", server_at(*server), detail)
            }
            Event::ShareRotted { server, share } => {
                fault("rot", server_at(*server), format!("{server}: share {share} rots"))
            }
            Event::Turned { server, manner } => {
                let detail = format!("{server} is {}", words::manner(*manner));
                let headline = fault(words::manner_kind(*manner), server_at(*server), detail);
                let sort = match manner {
                    Manner::Honest => Sort::Mended,
                    Manner::Full | Manner::ReadOnly | Manner::Lying(_) => Sort::Fault,
                };
                Self { sort, ..headline }
            }
            Event::Noted { text } => {
                Self { sort: Sort::Noted, ..fault("note", Place::Nowhere, text.clone()) }
            }
            Event::Healed => {
                let detail = "from here on nothing fails".to_owned();
                Self { sort: Sort::Mended, ..fault("healed", Place::Nowhere, detail) }
            }
        }
    }
}
