//! Histories drawn at random: what a register really did is accepted, and after a change both
//! checkers agree.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_a_register_did_is_accepted(script in script()) {
        let history = replay(&draw(&script));
        prop_assert_eq!(history.check(), Ok(()));
        prop_assert!(general::is_linearizable(&history));
    }

    #[test]
    fn both_checkers_agree_on_a_changed_history(script in script(), changes in changes()) {
        let mut records = draw(&script);
        changes.iter().for_each(|&change| change_one(&mut records, change));
        let history = replay(&records);
        let verdict = history.check();
        prop_assert_eq!(verdict.is_ok(), general::is_linearizable(&history), "{:?}", verdict);
    }
}

#[test]
fn changed_histories_break_every_promise_that_they_can() {
    let mut runner = TestRunner::deterministic();
    let mut broken = BTreeMap::new();
    for _ in 0..4096 {
        let drawn = (script(), changes()).new_tree(&mut runner).expect("nothing is filtered");
        let (script, changes) = drawn.current();
        let mut records = draw(&script);
        changes.iter().for_each(|&change| change_one(&mut records, change));
        let verdict = replay(&records).check();
        *broken.entry(verdict.map_or_else(|v| v.promise(), |()| "none")).or_insert(0) += 1;
    }
    for promise in ["none", "P4", "P5", "P14", "P15"] {
        assert!(broken.get(promise).is_some_and(|&times| times >= 10), "{promise}: {broken:?}");
    }
}

/// What the world does next, each with a choice among what is possible.
#[derive(Debug, Clone, Copy)]
enum Step {
    BeginPublish { attempt: u8, follows: u8 },
    Sign { publish: u8, again: bool },
    TakeEffect { version: u8 },
    EndPublish { publish: u8, told: u8 },
    BeginRead,
    LookUp { read: u8 },
    EndRead { read: u8 },
}

fn script() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0..3_u8, 0..6_u8)
            .prop_map(|(attempt, follows)| Step::BeginPublish { attempt, follows }),
        3 => (any::<u8>(), any::<bool>())
            .prop_map(|(publish, again)| Step::Sign { publish, again }),
        3 => any::<u8>().prop_map(|version| Step::TakeEffect { version }),
        2 => (any::<u8>(), any::<u8>())
            .prop_map(|(publish, told)| Step::EndPublish { publish, told }),
        2 => Just(Step::BeginRead),
        3 => any::<u8>().prop_map(|read| Step::LookUp { read }),
        3 => any::<u8>().prop_map(|read| Step::EndRead { read }),
    ];
    prop::collection::vec(step, 0..60)
}

/// One call of the recorder. Operations are numbered in the order in which they begin.
#[derive(Debug, Clone, Copy)]
enum Record {
    PublishBegan { attempt: u8, follows: Follows },
    Signed { by: usize, version: u8, predecessor: Option<VersionId> },
    PublishEnded { publish: usize, told: PublishTold },
    ReadBegan,
    ReadEnded { read: usize, found: Option<VersionId> },
}

const PUBLISHES_MAX: usize = 4;
const VERSIONS_MAX: usize = 4;
const READS_MAX: usize = 4;

/// A register, and what those who use it know.
#[derive(Default)]
struct World {
    records: Vec<Record>,
    held: Vec<VersionId>,
    publishes: Vec<Writer>,
    versions: Vec<Made>,
    reads: Vec<Lookup>,
}

/// What a read found, once it looked, and whether its caller was told.
type Lookup = (Option<Option<VersionId>>, bool);

/// A version: who signed it, and for whom of them it took effect.
struct Made {
    by: Vec<usize>,
    predecessor: Option<VersionId>,
    taken_by: Option<usize>,
}

struct Writer {
    attempt: u8,
    follows: Follows,
    began_before_effect: bool,
    told: Option<PublishTold>,
}

fn draw(script: &[Step]) -> Vec<Record> {
    let mut world = World::default();
    for &step in script {
        world.take(step);
    }
    world.records
}

impl World {
    fn take(&mut self, step: Step) {
        match step {
            Step::BeginPublish { attempt, follows } => self.begin_publish(attempt, follows),
            Step::Sign { publish, again } => self.sign(publish, again),
            Step::TakeEffect { version } => self.take_effect(version),
            Step::EndPublish { publish, told } => self.end_publish(publish, told),
            Step::BeginRead if self.reads.len() < READS_MAX => {
                self.reads.push((None, false));
                self.records.push(Record::ReadBegan);
            }
            Step::BeginRead => {}
            Step::LookUp { read } => {
                let now = self.held.last().copied();
                if let Some(read) = pick(&self.reads, read, |(found, _)| found.is_none()) {
                    self.reads[read].0 = Some(now);
                }
            }
            Step::EndRead { read } => {
                let looked_up = |&(found, over): &Lookup| found.is_some() && !over;
                if let Some(read) = pick(&self.reads, read, looked_up)
                    && let (Some(found), _) = self.reads[read]
                {
                    self.reads[read].1 = true;
                    self.records.push(Record::ReadEnded { read, found });
                }
            }
        }
    }

    fn begin_publish(&mut self, attempt: u8, follows: u8) {
        if self.publishes.len() == PUBLISHES_MAX {
            return;
        }
        let follows = match (follows, self.held.last()) {
            (0, Some(&version)) => Follows::Version(version),
            (1, Some(_)) | (0, None) => Follows::Nothing,
            (_, Some(_) | None) => Follows::Whatever,
        };
        let began_before_effect = self.effect_of(attempt).is_none();
        self.publishes.push(Writer { attempt, follows, began_before_effect, told: None });
        self.records.push(Record::PublishBegan { attempt, follows });
    }

    /// Signs a new version, or what another try of the submission has signed on the same base.
    fn sign(&mut self, publish: u8, again: bool) {
        let Some(by) = pick(&self.publishes, publish, |writer| writer.told.is_none()) else {
            return;
        };
        let predecessor = self.held.last().copied();
        let attempt = self.publishes[by].attempt;
        let same = |made: &Made| {
            made.predecessor == predecessor && self.publishes[made.by[0]].attempt == attempt
        };
        let index = match self.versions.iter().position(same).filter(|_| again) {
            Some(index) => index,
            None if self.versions.len() < VERSIONS_MAX => {
                self.versions.push(Made { by: Vec::new(), predecessor, taken_by: None });
                self.versions.len() - 1
            }
            None => return,
        };
        self.versions[index].by.push(by);
        self.records.push(Record::Signed { by, version: number(index + 1), predecessor });
    }

    fn take_effect(&mut self, version: u8) {
        let unchanged = [PublishTold::Conflict, PublishTold::Unchanged];
        let taker = |made: &Made| {
            let can = |&by: &usize| {
                let writer = &self.publishes[by];
                may_follow(writer.follows, made.predecessor)
                    && writer.told.is_none_or(|told| !unchanged.contains(&told))
                    && self.effect_of(writer.attempt).is_none()
            };
            let is_next = self.held.last().copied() == made.predecessor;
            made.by.iter().copied().find(can).filter(|_| is_next)
        };
        if let Some(index) = pick(&self.versions, version, |made| taker(made).is_some()) {
            self.versions[index].taken_by = taker(&self.versions[index]);
            self.held.push(super::version(number(index + 1)));
        }
    }

    /// Ends a publish with one of the things that are true.
    fn end_publish(&mut self, publish: u8, told: u8) {
        let Some(id) = pick(&self.publishes, publish, |writer| writer.told.is_none()) else {
            return;
        };
        let writer = &self.publishes[id];
        let effect = self.effect_of(writer.attempt);
        let mine = effect.is_some_and(|(_, by, _)| by == id);
        let mut truths = vec![PublishTold::Unknown];
        if let Some((version, _, predecessor)) = effect
            && may_follow(writer.follows, predecessor)
        {
            truths = vec![PublishTold::Published(version); 3];
        }
        if !mine {
            truths.push(PublishTold::Unchanged);
            if writer.began_before_effect {
                truths.push(PublishTold::Conflict);
            }
        }
        let told = truths[usize::from(told) % truths.len()];
        self.publishes[id].told = Some(told);
        self.records.push(Record::PublishEnded { publish: id, told });
    }

    /// The attempt's version that took effect, for whom, and what it follows.
    fn effect_of(&self, attempt: u8) -> Option<(VersionId, usize, Option<VersionId>)> {
        self.versions.iter().enumerate().find_map(|(index, made)| {
            let by = made.taken_by.filter(|&by| self.publishes[by].attempt == attempt)?;
            Some((version(number(index + 1)), by, made.predecessor))
        })
    }
}

fn changes() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    prop::collection::vec(any::<(u8, u8, u8)>(), 1..4)
}

/// Changes what one caller was told or named, what a version follows, or when an operation ended.
fn change_one(records: &mut Vec<Record>, (at, how, what): (u8, u8, u8)) {
    let Some(at) = pick(records, at, |_| true) else { return };
    let some_version = state(what % number(VERSIONS_MAX + 1));
    let signed = records.iter().any(|record| match *record {
        Record::Signed { version, .. } => Some(super::version(version)) == some_version,
        Record::PublishBegan { .. }
        | Record::PublishEnded { .. }
        | Record::ReadBegan
        | Record::ReadEnded { .. } => false,
    });
    match &mut records[at] {
        Record::PublishBegan { follows, .. } => {
            *follows = some_version.map_or(Follows::Nothing, Follows::Version);
        }
        Record::PublishEnded { told, .. } if how % 2 == 0 => {
            *told = match (what % 4, some_version) {
                (0, _) => PublishTold::Conflict,
                (1, _) => PublishTold::Unchanged,
                (_, Some(version)) if signed => PublishTold::Published(version),
                (_, Some(_) | None) => PublishTold::Unknown,
            };
        }
        Record::ReadEnded { found, .. } if how % 2 == 0 => {
            *found = some_version.filter(|_| signed);
        }
        Record::PublishEnded { .. } | Record::ReadEnded { .. } => move_end(records, at, what),
        Record::Signed { version, predecessor, .. } => *predecessor = state(what % *version),
        Record::ReadBegan => {}
    }
}

/// Moves the end of an operation to anywhere after its beginning and after what it signed.
fn move_end(records: &mut Vec<Record>, at: usize, to: u8) {
    let end = records.remove(at);
    let (mut publishes, mut reads) = (0, 0);
    let mut earliest = 0;
    for (index, record) in records.iter().enumerate() {
        let own = match (*record, end) {
            (Record::PublishBegan { .. }, Record::PublishEnded { publish, .. }) => {
                publishes += 1;
                publishes - 1 == publish
            }
            (Record::ReadBegan, Record::ReadEnded { read, .. }) => {
                reads += 1;
                reads - 1 == read
            }
            (Record::Signed { by, .. }, Record::PublishEnded { publish, .. }) => by == publish,
            (
                Record::PublishBegan { .. }
                | Record::Signed { .. }
                | Record::PublishEnded { .. }
                | Record::ReadBegan
                | Record::ReadEnded { .. },
                _,
            ) => false,
        };
        if own {
            earliest = index + 1;
        }
    }
    records.insert(earliest + usize::from(to) % (records.len() - earliest + 1), end);
}

fn replay(records: &[Record]) -> History {
    let mut history = History::default();
    let (mut publishes, mut reads) = (Vec::new(), Vec::new());
    for (event, record) in (0..).zip(records) {
        match *record {
            Record::PublishBegan { attempt: of, follows } => {
                publishes.push(history.publish_began(event, attempt(of), follows));
            }
            Record::Signed { by, version: of, predecessor } => {
                history.signed(publishes[by], version(of), predecessor);
            }
            Record::PublishEnded { publish, told } => {
                history.publish_ended(event, publishes[publish], told);
            }
            Record::ReadBegan => reads.push(history.read_began(event)),
            Record::ReadEnded { read, found } => {
                history.read_ended(event, reads[read], ReadTold::Confirmed(found));
            }
        }
    }
    history
}

fn may_follow(follows: Follows, predecessor: Option<VersionId>) -> bool {
    match follows {
        Follows::Whatever => true,
        Follows::Version(named) => predecessor == Some(named),
        Follows::Nothing => predecessor.is_none(),
    }
}

/// One of those that can be chosen.
fn pick<T>(among: &[T], choice: u8, can: impl Fn(&T) -> bool) -> Option<usize> {
    let possible: Vec<_> = (0..among.len()).filter(|&index| can(&among[index])).collect();
    let chosen = usize::from(choice).checked_rem(possible.len())?;
    Some(possible[chosen])
}

fn number(small: usize) -> u8 {
    u8::try_from(small).expect("a handful")
}
