//! Bringing a version to a quorum: which shares of a version that is signed already should go to which servers, and
//! whether it is enough. A part of the publish and retrieve machines; needs no secret; sends nothing itself.

use std::collections::BTreeSet;

use tarn_proto::{Certificate, SignedHeader, StoreId};

use crate::base::Seen;
use crate::placement::plan;
use crate::quorum::{Placement, Terms, is_quorum};
use crate::servermap::ServerMap;

/// A version on its way to a quorum.
#[derive(Debug, Clone)]
pub struct Bring {
    header: SignedHeader,
    certificate: Option<Certificate>,
    /// What it was built on, back to a version known to be Published.
    ancestors: Vec<SignedHeader>,
    /// Who has which of its shares.
    held: Placement,
    /// Who has shares of it that can be read.
    sources: Placement,
    /// Whom to bring what.
    wanted: Placement,
    /// Whom something is being brought to.
    sent: Placement,
}

impl Bring {
    /// Plans to bring `header` to the servers of its window that answered, `order` saying whom first.
    ///
    /// A server takes a version only in place of nothing, of its own predecessor, or, with a certificate, of
    /// anything older; it always takes shares that it lacks of a version it has.
    pub fn plan(header: &SignedHeader, map: &ServerMap, order: &[StoreId]) -> Self {
        let evidence = map.evidence();
        let version = header.version();
        let certificate = evidence.certificate(version).copied();
        let seen = evidence.seen(version);
        let held = seen.map(Seen::placement).unwrap_or_default();
        let sources = seen.map(Seen::readable).unwrap_or_default();
        let servers: Vec<StoreId> = order
            .iter()
            .copied()
            .filter(|store| Terms::from(header.header()).windows().any(|w| w.contains(*store)))
            .filter(|store| takes(header, certificate.is_some(), map, *store))
            .collect();
        let quorum = header.header().window.quorum(header.header().shape);
        let mut wanted = plan(header.header().shape, &servers, &held, quorum);
        for (store, shares) in &mut wanted {
            if let Some(already) = held.get(store) {
                shares.retain(|share| !already.contains(share));
            }
        }
        wanted.retain(|_, shares| !shares.is_empty());
        Self {
            header: header.clone(),
            certificate,
            ancestors: evidence.ancestors(header.header().predecessor),
            held,
            sources,
            wanted,
            sent: Placement::new(),
        }
    }

    /// The version.
    pub const fn header(&self) -> &SignedHeader {
        &self.header
    }

    /// Its certificate, if one was seen.
    pub const fn certificate(&self) -> Option<Certificate> {
        self.certificate
    }

    /// What it was built on, back to a version known to be Published.
    pub fn ancestors(&self) -> &[SignedHeader] {
        &self.ancestors
    }

    /// Who has which of its shares.
    pub const fn held(&self) -> &Placement {
        &self.held
    }

    /// Who has shares of it that can be read.
    pub const fn sources(&self) -> &Placement {
        &self.sources
    }

    /// What to bring to whom and was not sent yet. Marks it as sent.
    pub fn send(&mut self) -> Placement {
        self.send_but(&BTreeSet::new())
    }

    /// As [`Bring::send`], but for these servers: theirs stays to be sent.
    pub fn send_but(&mut self, busy: &BTreeSet<StoreId>) -> Placement {
        let wanted = std::mem::take(&mut self.wanted);
        let (waiting, sending): (Placement, Placement) =
            wanted.into_iter().partition(|(store, _)| busy.contains(store));
        self.wanted = waiting;
        self.sent.extend(sending.clone());
        sending
    }

    /// A server has what it was brought.
    pub fn arrived(&mut self, server: StoreId) {
        if let Some(shares) = self.sent.remove(&server) {
            self.held.entry(server).or_default().extend(shares);
        }
    }

    /// A server does not take it.
    pub fn failed(&mut self, server: StoreId) {
        self.sent.remove(&server);
    }

    /// Whether the version is at a quorum.
    pub fn is_quorum(&self) -> bool {
        is_quorum(self.header.header().into(), &self.held)
    }

    /// Whether nothing is on its way any more.
    pub fn is_idle(&self) -> bool {
        self.wanted.is_empty() && self.sent.is_empty()
    }
}

fn takes(header: &SignedHeader, certified: bool, map: &ServerMap, store: StoreId) -> bool {
    let Some(state) = map.answers.get(&store) else {
        return false;
    };
    match state.current() {
        None => true,
        Some(_) if state.generation(header.version()).is_some() => true,
        Some(current) => {
            let older = current.header.order() < header.order();
            header.header().predecessor == Some(current.header.version()) || certified && older
        }
    }
}
