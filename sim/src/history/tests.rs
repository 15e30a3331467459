//! Histories made by hand and drawn at random; every verdict is compared with that of a general
//! checker.

mod drawn;
mod general;
mod legal;
mod violations;

use super::*;

/// A history in the making, one event after the other.
#[derive(Default)]
struct Script {
    history: History,
    event: u64,
}

impl Script {
    fn publish(&mut self, attempt_of: u8) -> PublishId {
        self.publish_after(attempt_of, Follows::Whatever)
    }

    fn publish_after(&mut self, attempt_of: u8, follows: Follows) -> PublishId {
        self.event += 1;
        self.history.publish_began(self.event, attempt(attempt_of), follows)
    }

    fn sign(&mut self, by: PublishId, signed: u8, predecessor: u8) {
        self.event += 1;
        self.history.signed(by, version(signed), state(predecessor));
    }

    fn told(&mut self, publish: PublishId, told: PublishTold) {
        self.event += 1;
        self.history.publish_ended(self.event, publish, told);
    }

    fn published(&mut self, publish: PublishId, of: u8) {
        self.told(publish, PublishTold::Published(version(of)));
    }

    /// A publish from its beginning to its end, alone.
    fn whole_publish(&mut self, attempt_of: u8, signed: u8, predecessor: u8) -> PublishId {
        let publish = self.publish(attempt_of);
        self.sign(publish, signed, predecessor);
        self.published(publish, signed);
        publish
    }

    /// A publish that signs and is killed.
    fn killed_publish(&mut self, attempt_of: u8, signed: u8, predecessor: u8) -> PublishId {
        let publish = self.publish(attempt_of);
        self.sign(publish, signed, predecessor);
        publish
    }

    fn read(&mut self) -> ReadId {
        self.event += 1;
        self.history.read_began(self.event)
    }

    fn confirmed(&mut self, read: ReadId, found: u8) {
        self.event += 1;
        self.history.read_ended(self.event, read, ReadTold::Confirmed(state(found)));
    }

    /// A read from its beginning to its end, alone.
    fn whole_read(&mut self, found: u8) -> ReadId {
        let read = self.read();
        self.confirmed(read, found);
        read
    }

    /// The check's verdict, with which the general checker must agree.
    fn verdict(&self) -> Result<(), Violation> {
        let verdict = self.history.check();
        assert_eq!(verdict.is_ok(), general::is_linearizable(&self.history), "{verdict:?}");
        verdict
    }

    fn violation(&self) -> Violation {
        self.verdict().expect_err("this history contradicts itself")
    }
}

fn version(number: u8) -> VersionId {
    VersionId::new([number; VersionId::WIDTH])
}

/// What a register holds; 0 stands for nothing.
fn state(number: u8) -> Option<VersionId> {
    (number > 0).then(|| version(number))
}

fn attempt(number: u8) -> AttemptId {
    AttemptId::new([number; AttemptId::WIDTH])
}
