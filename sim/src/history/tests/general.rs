//! The same question put to `stateright`'s general checker, which searches for an order of all
//! operations.
//!
//! The specification is stated anew, operation by operation: it shares no code with the check but
//! the record.

use std::rc::Rc;

use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use super::*;

/// Whether some order of the operations explains what callers were told.
pub(super) fn is_linearizable(history: &History) -> bool {
    let register = Register { history: Rc::new(history.clone()), past: Vec::new() };
    let mut tester = LinearizabilityTester::new(register);
    for (_, thread, point) in points(history) {
        match point {
            Point::Begins(operation) => tester.on_invoke(thread, operation).map(drop),
            Point::Ends(answer) => tester.on_return(thread, answer).map(drop),
        }
        .expect("every operation has a thread of its own");
    }
    tester.is_consistent()
}

/// The state: every version that the register has held, the last one being what it holds.
#[derive(Clone)]
struct Register {
    history: Rc<History>,
    past: Vec<VersionId>,
}

#[derive(Debug, Clone)]
enum Operation {
    /// In flight for good: whether it happens is up to the checker. A publish may have several.
    TakeEffect(PublishId, VersionId),
    Publish(PublishId),
    Read,
}

#[derive(Debug, Clone, PartialEq)]
enum Answer {
    Silence,
    Told(PublishTold),
    Holds(Option<VersionId>),
}

impl Register {
    fn attempt_of(&self, version: VersionId) -> AttemptId {
        self.history
            .publish(self.history.versions[&version].by.first().copied().expect("one"))
            .attempt
    }

    fn has_held_one_of(&self, attempt: AttemptId) -> bool {
        self.past.iter().any(|&version| self.attempt_of(version) == attempt)
    }

    fn allows(&self, publish: PublishId, version: VersionId) -> bool {
        let predecessor = self.history.versions[&version].predecessor;
        match self.history.publish(publish).follows {
            Follows::Whatever => true,
            Follows::Version(named) => predecessor == Some(named),
            Follows::Nothing => predecessor.is_none(),
        }
    }
}

impl SequentialSpec for Register {
    type Op = Operation;
    type Ret = Answer;

    /// Only what stays in flight is invoked without a known answer.
    fn invoke(&mut self, operation: &Operation) -> Answer {
        if let &Operation::TakeEffect(by, version) = operation {
            let signed = &self.history.versions[&version];
            if self.past.last().copied() == signed.predecessor
                && self.allows(by, version)
                && !self.has_held_one_of(self.attempt_of(version))
            {
                self.past.push(version);
            }
        }
        Answer::Silence
    }

    fn is_valid_step(&mut self, operation: &Operation, answer: &Answer) -> bool {
        match (operation, answer) {
            (Operation::Publish(id), Answer::Told(PublishTold::Published(version))) => {
                self.past.contains(version)
                    && self.attempt_of(*version) == self.history.publish(*id).attempt
                    && self.allows(*id, *version)
            }
            (Operation::Publish(id), Answer::Told(PublishTold::Conflict)) => {
                !self.has_held_one_of(self.history.publish(*id).attempt)
            }
            (
                Operation::Publish(_),
                Answer::Told(PublishTold::Unchanged | PublishTold::Unknown),
            ) => true,
            (Operation::Read, Answer::Holds(found)) => self.past.last() == found.as_ref(),
            (
                Operation::TakeEffect(..) | Operation::Publish(_) | Operation::Read,
                Answer::Silence | Answer::Told(_) | Answer::Holds(_),
            ) => unreachable!("answers are made to fit"),
        }
    }
}

enum Point {
    Begins(Operation),
    Ends(Answer),
}

/// Every beginning and end in the order of the history, each operation in a thread of its own.
fn points(history: &History) -> Vec<(u32, usize, Point)> {
    let mut points = Vec::new();
    let mut thread = 0;
    for (id, publish) in history.publishes() {
        if let Some((ended, told)) = publish.ended {
            let began = Point::Begins(Operation::Publish(id));
            points.push((publish.began.order, thread, began));
            points.push((ended.order, thread, Point::Ends(Answer::Told(told))));
            thread += 1;
        }
        let unchanged = [PublishTold::Conflict, PublishTold::Unchanged];
        if publish.ended.is_none_or(|(_, told)| !unchanged.contains(&told)) {
            for (&version, _) in
                history.versions.iter().filter(|(_, signed)| signed.by.contains(&id))
            {
                let effect = Point::Begins(Operation::TakeEffect(id, version));
                points.push((publish.began.order, thread, effect));
                thread += 1;
            }
        }
    }
    for read in &history.reads {
        if let Some((ended, ReadTold::Confirmed(found))) = read.ended {
            points.push((read.began.order, thread, Point::Begins(Operation::Read)));
            points.push((ended.order, thread, Point::Ends(Answer::Holds(found))));
            thread += 1;
        }
    }
    points.sort_by_key(|&(order, thread, _)| (order, thread));
    points
}
