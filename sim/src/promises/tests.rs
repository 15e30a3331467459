//! No promise cries wolf: worlds drawn at random, with every fault that is nobody's to blame, break none. The real
//! sweep is the scheduler's; this one only shows that the checks accept what they must.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{check, check_at_rest};
use crate::event::{Edit, Event, Fate, Follow, Lie, Manner, PublishTask, ReadTask, Task, Timed};
use crate::ids::{ClientId, EnvelopeId, ServerId, Submission};
use crate::setup::Setup;
use crate::trace::Trace;
use crate::world::World;

#[test]
fn no_promise_is_broken_by_the_machines_that_ship() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("TARN_PROMISES_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TARN_PROMISES_RUNS").unwrap_or(150),
    };
    let broken: Vec<String> = seeds.filter_map(|seed| Run::new(seed).run().err()).collect();
    assert!(broken.is_empty(), "{} runs: {}", broken.len(), broken.join("\n"));
}

struct Run {
    seed: u64,
    rng: ChaCha8Rng,
    world: World,
    events: Vec<Timed>,
    losses: u32,
    tasks: u16,
    /// The newest submission.
    newest: Option<PublishTask>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let window = rng.random_range(3..=5);
        let setup = Setup {
            servers: window + rng.random_range(0..=1),
            window,
            instant_disk: rng.random_bool(0.5),
            single_writer: rng.random_bool(0.3),
            liars: rng.random_bool(0.2),
            ..Setup::default()
        };
        let losses = [0, 20, 80, 200][rng.random_range(0..4_usize)];
        Self {
            seed,
            rng,
            world: World::new(setup, None),
            events: Vec::new(),
            losses,
            tasks: 0,
            newest: None,
        }
    }

    fn run(mut self) -> Result<(), String> {
        for _ in 0..self.rng.random_range(100..900) {
            if self.rng.random_bool(0.06) {
                self.disturb()?;
            }
            self.advance()?;
        }
        self.losses = 0;
        self.apply(Event::Healed)?;
        let servers: Vec<ServerId> = self.world.servers().map(|server| server.id()).collect();
        for server in servers {
            self.apply(Event::ServerRestarted { server })?;
        }
        for _ in 0..50_000 {
            if !self.advance()? {
                return check_at_rest(&self.world).map_err(|broken| self.tell(&broken.to_string()));
            }
        }
        Err(self.tell("it does not come to rest"))
    }

    /// Something arrives, is lost, or becomes durable. False when nothing is left.
    fn advance(&mut self) -> Result<bool, String> {
        let syncing = self.world.servers().filter(|server| server.is_writing() && server.is_up());
        let mut choices: Vec<Event> =
            syncing.map(|server| Event::DiskSynced { server: server.id() }).collect();
        let ready = self.world.in_flight().filter(|envelope| envelope.due.is_none());
        choices.extend(ready.map(|envelope| Event::Delivered { envelope: envelope.id }));
        if choices.is_empty() || self.rng.random_range(0..100) < 3 {
            let all = self.world.in_flight().min_by_key(|envelope| envelope.due);
            choices = all
                .map(|envelope| Event::Delivered { envelope: envelope.id })
                .into_iter()
                .collect();
        }
        if choices.is_empty() {
            return Ok(false);
        }
        let index = self.rng.random_range(0..choices.len());
        let event = choices.swap_remove(index);
        if let Event::Delivered { envelope } = event
            && self.rng.random_range(0..1000) < self.losses
        {
            let event = if self.rng.random_bool(0.8) {
                Event::Lost { envelope }
            } else {
                Event::Duplicated { envelope }
            };
            self.apply(event)?;
            return Ok(true);
        }
        self.apply(event)?;
        Ok(true)
    }

    fn disturb(&mut self) -> Result<(), String> {
        let server = ServerId(self.rng.random_range(0..self.world.setup().servers));
        let client = ClientId(self.rng.random_range(0..self.tasks.max(1)));
        let fates = [Fate::Lost, Fate::Kept, Fate::Torn];
        let event = match self.rng.random_range(0..100) {
            0..50 => return self.begin(),
            _ if self.losses == 0 => return Ok(()),
            50..60 => {
                Event::ServerCrashed { server, unsynced: fates[self.rng.random_range(0..3_usize)] }
            }
            60..75 => Event::ServerRestarted { server },
            75 => Event::ServerReplaced { server },
            76..79 => Event::ShareRotted { server, share: self.rng.random_range(0..5) },
            79..84 => Event::ClockStepped { server, forward: 30_000, wall: -5 },
            84..88 => Event::ClientKilled { client },
            88..91 => Event::CancelRequested { client },
            91..94 => Event::DiskFailed { server, kept: self.rng.random_bool(0.5) },
            94..96 => Event::Stalled { client, server, waited: 60_000 },
            96 => Event::SourceChanged { client, how: Edit::Noticed },
            97 => Event::JournalFailed { client },
            _ => {
                let liars = self.world.setup().liars;
                let manner = match self.rng.random_range(0..4) {
                    0 => Manner::Full,
                    1 => Manner::ReadOnly,
                    2 if liars => Manner::Lying(Lie::ALL[self.rng.random_range(0..Lie::ALL.len())]),
                    _ => Manner::Honest,
                };
                Event::Turned { server, manner }
            }
        };
        self.apply(event)
    }

    fn begin(&mut self) -> Result<(), String> {
        let caller = self.rng.random_range(0..3);
        let seed = self.rng.random();
        let cap_holder = self.rng.random_bool(0.2);
        let strict = self.rng.random_bool(0.3);
        if self.tasks > 20 {
            return Ok(());
        }
        let task = if self.rng.random_bool(0.4) {
            Task::Read(ReadTask { caller, strict, cap_holder, seed })
        } else {
            let single = self.world.setup().single_writer;
            if single && self.world.clients().any(|client| client.is_running()) {
                return Ok(());
            }
            Task::Publish(self.publish(if single { 0 } else { caller }, cap_holder, seed))
        };
        let client = ClientId(self.tasks);
        self.tasks += 1;
        self.apply(Event::Began { client, task })
    }

    /// A new submission, or one more try of the newest. An older one whose traces are gone may be made anew, which breaks
    /// P14: that is for the sweep to show.
    fn publish(&mut self, caller: u8, cap_holder: bool, seed: u64) -> PublishTask {
        let again = self.newest.clone().filter(|_| self.rng.random_bool(0.3));
        if let Some(again) = again {
            return PublishTask { caller, cap_holder, seed, ..again };
        }
        let n = self.rng.random_range(1..=5);
        let named = ClientId(self.rng.random_range(0..self.tasks.max(1)));
        let follows = match self.rng.random_range(0..4) {
            0 if self.world.oracle().version_of(named).is_some() => Follow::ResultOf(named),
            1 => Follow::Nothing,
            _ => Follow::Whatever,
        };
        let number = self.newest.as_ref().map_or(0, |newest| newest.submission.0 + 1);
        let task = PublishTask {
            caller,
            submission: Submission(number),
            shape: Some((self.rng.random_range(1..=n), self.rng.random_range(1..=n), n)),
            length: self.rng.random_range(0..3) * 40,
            tombstone: self.rng.random_bool(0.05),
            follows,
            part: false,
            once: false,
            cap_holder,
            spent: None,
            resumes: None,
            seed,
        };
        self.newest = Some(task.clone());
        task
    }

    fn apply(&mut self, event: Event) -> Result<(), String> {
        let due = if let Event::Delivered { envelope } = event { self.due(envelope) } else { None };
        let timed = event.at(due.unwrap_or(0).max(self.world.now() + 1));
        if self.world.apply(&timed) {
            self.events.push(timed);
        }
        check(&self.world).map_err(|broken| self.tell(&broken.to_string()))
    }

    fn due(&self, envelope: EnvelopeId) -> Option<u64> {
        self.world.envelope(envelope)?.due
    }

    fn tell(&self, broken: &str) -> String {
        if std::env::var("TARN_PROMISES_SEED").is_ok() {
            let (title, setup) = (broken.to_owned(), self.world.setup().clone());
            let trace = Trace { title, setup, events: self.events.clone() };
            println!("{}", serde_json::to_string(&trace).unwrap());
        }
        format!("seed {}, {} events: {broken}", self.seed, self.events.len())
    }
}
