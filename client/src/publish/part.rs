//! A publish that changes a part of a version. It is like any other but for what is sent: a server takes the rest from
//! its shares of that version, so only those that hold it can take part, with the shares they have.

use std::collections::BTreeSet;

use tarn_proto::{ShareHealth, ShareNumber, SlotState, StoreId};

use super::Publish;
use super::action::Draft;
use super::outcome::Shortfall;
use crate::base::Base;
use crate::placement::plan_in_place;
use crate::quorum::Placement;

impl Publish {
    /// Which share is made anew where: every server that has the changed version as its current one keeps its whole
    /// shares, but for spare copies in the window. What is elsewhere, or damaged, is brought afterwards.
    pub(super) fn goal_in_place(&self, draft: &Draft) -> Placement {
        let usable = self.usable(&self.servermap.answers.keys().copied().collect());
        let held = usable.into_iter().filter_map(|store| {
            let whole = self.whole_shares_of_base(self.servermap.answers.get(&store)?);
            (!whole.is_empty()).then_some((store, whole))
        });
        let is_inside = |store: &StoreId| draft.terms().windows().any(|w| w.contains(*store));
        let (inside, beyond): (Placement, Placement) =
            held.partition(|(store, _)| is_inside(store));
        let mut goal = plan_in_place(draft.shape, inside);
        goal.extend(beyond);
        goal
    }

    /// The shares that a server can take the rest of a changed version from.
    fn whole_shares_of_base(&self, state: &SlotState) -> BTreeSet<ShareNumber> {
        let current = state
            .current()
            .filter(|current| Some(current.header.version()) == self.request.input.changes());
        let shares = current.into_iter().flat_map(|current| &current.shares);
        shares
            .filter(|(_, health)| **health == ShareHealth::Whole)
            .map(|(&share, _)| share)
            .collect()
    }

    /// Whether a server in this state can go on with the conversation it has with us: always, if it is sent all.
    pub(super) fn still_serves(&self, server: StoreId, state: &SlotState) -> bool {
        let serves = |shares: &BTreeSet<_>| shares.is_subset(&self.whole_shares_of_base(state));
        self.request.input.changes().is_none()
            || self.lanes.get(&server).is_some_and(|lane| serves(&lane.shares))
    }

    /// How far the servers that can change the version in place fall short of a quorum.
    pub(super) fn shortfall_in_place(&self, base: &Base, goal: &Placement) -> Shortfall {
        let inside = goal.keys().filter(|store| base.window().contains(**store));
        Shortfall { usable: inside.count(), ..self.shortfall(base) }
    }
}
