//! The versions of a file as clients were told of them, each on its base. Those that took effect are to form one chain.

use std::collections::BTreeMap;

use super::{Act, Doing, Said, Violation};

/// A version's place among those of its file, in no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(usize);

/// All versions of a file.
#[derive(Debug, Default)]
pub(super) struct Chain<'a> {
    versions: Vec<Version<'a>>,
    places: BTreeMap<&'a str, Place>,
    /// What was told of one version and cannot be true of one.
    pub(super) mixed: Vec<Violation>,
    is_line: bool,
}

/// What is known of one version.
#[derive(Debug)]
pub(super) struct Version<'a> {
    pub(super) id: &'a str,
    base: Option<Base>,
    /// Unknown if nobody who said what it holds was told its id, nor read it.
    pub(super) content: Option<&'a str>,
    /// Whether somebody was told that it is published, or confirmed, or somebody built on it who was.
    pub(super) took_effect: bool,
    /// The first line that tells that it is there, if one does.
    pub(super) seen_at: Option<usize>,
    /// How many versions are below it.
    depth: usize,
}

/// What a version was built on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    Nothing,
    On(Place),
}

impl<'a> Chain<'a> {
    /// The versions that these operations tell of.
    pub(super) fn of(acts: &[&'a Act]) -> Self {
        let mut chain = Self::default();
        for act in acts {
            if let Some((line, said)) = &act.ended {
                chain.add(&act.begins.doing, *line, said);
            }
        }
        chain.spread_effect();
        chain.measure();
        chain.is_line = chain.broken().is_empty();
        chain
    }

    fn add(&mut self, doing: &'a Doing, line: usize, said: &'a Said) {
        match (said, doing) {
            (Said::Published { version, seqnum, base }, Doing::Publish { content, .. }) => {
                let place = self.place(version);
                self.holds(place, content);
                if seqnum.is_some() {
                    self.is_on(place, base.as_deref());
                }
                self.is_seen(place, line);
                self.versions[place.0].took_effect = true;
            }
            (Said::Unsettled { version, base, .. }, Doing::Publish { content, .. }) => {
                if let Some(version) = version {
                    let place = self.place(version);
                    self.holds(place, content);
                    self.is_on(place, base.as_deref());
                }
            }
            (Said::Read { content, version, confirmed }, Doing::Read) => {
                let place = self.place(version);
                self.holds(place, content);
                self.is_seen(place, line);
                self.versions[place.0].took_effect |= confirmed;
            }
            (Said::Refused { .. } | Said::Killed, Doing::Publish { .. })
            | (Said::Unread { .. } | Said::Killed, Doing::Read) => {}
            (said, doing) => panic!("{doing:?} does not end as {said:?}"),
        }
    }

    fn place(&mut self, id: &'a str) -> Place {
        let next = Place(self.versions.len());
        let place = *self.places.entry(id).or_insert(next);
        if place == next {
            let (base, content, seen_at) = (None, None, None);
            self.versions.push(Version {
                id,
                base,
                content,
                took_effect: false,
                seen_at,
                depth: 0,
            });
        }
        place
    }

    fn holds(&mut self, place: Place, content: &'a str) {
        let version = &mut self.versions[place.0];
        if *version.content.get_or_insert(content) != content {
            self.mixed.push(Violation::Mixed { version: version.id.to_owned() });
        }
    }

    fn is_on(&mut self, place: Place, base: Option<&'a str>) {
        let base = base.map_or(Base::Nothing, |base| Base::On(self.place(base)));
        let version = &mut self.versions[place.0];
        if *version.base.get_or_insert(base) != base {
            self.mixed.push(Violation::Mixed { version: version.id.to_owned() });
        }
    }

    fn is_seen(&mut self, place: Place, line: usize) {
        let seen_at = &mut self.versions[place.0].seen_at;
        *seen_at = Some(seen_at.map_or(line, |seen_at| seen_at.min(line)));
    }

    /// What a version that took effect was built on took effect, too, and was there at least as early.
    fn spread_effect(&mut self) {
        let mut waiting: Vec<Place> = self.effective().collect();
        while let Some(place) = waiting.pop() {
            let Version { base: Some(Base::On(base)), seen_at: Some(line), .. } =
                self.versions[place.0]
            else {
                continue;
            };
            let below = &self.versions[base.0];
            if !below.took_effect || below.seen_at.is_none_or(|seen_at| seen_at > line) {
                self.is_seen(base, line);
                self.versions[base.0].took_effect = true;
                waiting.push(base);
            }
        }
    }

    fn measure(&mut self) {
        for start in 0..self.versions.len() {
            let (mut depth, mut place) = (0, Place(start));
            // No more steps than there are versions: a made-up log may go in circles.
            while let Some(Base::On(base)) = self.versions[place.0].base
                && depth <= self.versions.len()
            {
                (depth, place) = (depth + 1, base);
            }
            self.versions[start].depth = depth;
        }
    }

    /// Those that took effect.
    pub(super) fn effective(&self) -> impl Iterator<Item = Place> {
        self.all().filter(|place| self.versions[place.0].took_effect)
    }

    /// All versions.
    pub(super) fn all(&self) -> impl Iterator<Item = Place> + use<> {
        (0..self.versions.len()).map(Place)
    }

    /// What is known of one.
    pub(super) fn version(&self, place: Place) -> &Version<'a> {
        &self.versions[place.0]
    }

    /// How many versions are below this one.
    pub(super) fn depth(&self, place: Place) -> usize {
        self.versions[place.0].depth
    }

    /// Whether those that took effect are one chain: then who has more below is above.
    pub(super) const fn is_line(&self) -> bool {
        self.is_line
    }

    /// The version of this id.
    pub(super) fn find(&self, id: &str) -> Option<Place> {
        self.places.get(id).copied()
    }

    /// Where more than one version that took effect was built on one, or from nothing; and versions that took effect
    /// of which nobody was told what they were built on.
    pub(super) fn broken(&self) -> Vec<Violation> {
        let mut above = BTreeMap::<Option<Place>, Vec<Place>>::new();
        let mut broken = Vec::new();
        for place in self.effective() {
            match self.version(place).base {
                Some(Base::On(base)) => above.entry(Some(base)).or_default().push(place),
                Some(Base::Nothing) => above.entry(None).or_default().push(place),
                None => {
                    broken.push(Violation::Unlinked { version: self.version(place).id.to_owned() });
                }
            }
        }
        let id = |place: &Place| self.version(*place).id.to_owned();
        let forks = above.iter().filter(|(_, above)| above.len() > 1);
        broken.extend(forks.map(|(base, above)| Violation::Fork {
            base: base.as_ref().map(id),
            versions: above.iter().map(id).collect(),
        }));
        broken
    }

    /// Whether this version is that one, or was built on it, directly or not. Both took effect.
    pub(super) fn descends(&self, version: Place, from: Place) -> bool {
        let mut place = version;
        for _ in self.depth(from)..self.depth(version) {
            let Some(Base::On(base)) = self.version(place).base else { return false };
            place = base;
        }
        place == from
    }
}
