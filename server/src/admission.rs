//! Who is admitted, and how much at once: counts of what is in use, by connection and overall. What is taken is given
//! back when its [`Ticket`] is dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::Quota;

/// Counts what is in use under one quota.
#[derive(Debug)]
pub(crate) struct Ledger {
    quota: Quota,
    used: Mutex<Used>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Used {
    conversations: u32,
    reads: u32,
    staged_bytes: u64,
    memory_bytes: u64,
}

impl Used {
    const fn plus(self, more: Self) -> Self {
        Self {
            conversations: self.conversations.saturating_add(more.conversations),
            reads: self.reads.saturating_add(more.reads),
            staged_bytes: self.staged_bytes.saturating_add(more.staged_bytes),
            memory_bytes: self.memory_bytes.saturating_add(more.memory_bytes),
        }
    }

    const fn minus(self, less: Self) -> Self {
        Self {
            conversations: self.conversations.saturating_sub(less.conversations),
            reads: self.reads.saturating_sub(less.reads),
            staged_bytes: self.staged_bytes.saturating_sub(less.staged_bytes),
            memory_bytes: self.memory_bytes.saturating_sub(less.memory_bytes),
        }
    }

    const fn fits(self, quota: &Quota) -> bool {
        self.conversations <= quota.conversations_max
            && self.reads <= quota.reads_max
            && self.staged_bytes <= quota.staged_bytes_max
            && self.memory_bytes <= quota.memory_bytes_max
    }
}

impl Ledger {
    /// Nothing is in use yet.
    pub(crate) fn new(quota: Quota) -> Arc<Self> {
        Arc::new(Self { quota, used: Mutex::default() })
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, more: Used) -> bool {
        let mut used = self.used();
        let wanted = used.plus(more);
        let fits = wanted.fits(&self.quota);
        if fits {
            *used = wanted;
        }
        fits
    }

    fn give_back(&self, less: Used) {
        let mut used = self.used();
        *used = used.minus(less);
    }

    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        *self.used() == Used::default()
    }
}

/// What one call takes of its connection's quota and of the server's.
#[derive(Debug)]
pub(crate) struct Ticket {
    ledgers: [Arc<Ledger>; 2],
    taken: Used,
}

impl Ticket {
    /// Takes one conversation from both; none when either is used up.
    pub(crate) fn conversation(connection: Arc<Ledger>, server: Arc<Ledger>) -> Option<Self> {
        Self::with(connection, server, Used { conversations: 1, ..Used::default() })
    }

    /// Takes one read from both; none when either is used up.
    pub(crate) fn read(connection: Arc<Ledger>, server: Arc<Ledger>) -> Option<Self> {
        Self::with(connection, server, Used { reads: 1, ..Used::default() })
    }

    /// Takes bytes that are staged, and the memory they hold, from both; false when either is used up.
    #[must_use]
    pub(crate) fn stage(&mut self, staged_bytes: u64, memory_bytes: u64) -> bool {
        self.take(Used { staged_bytes, memory_bytes, ..Used::default() })
    }

    fn with(connection: Arc<Ledger>, server: Arc<Ledger>, first: Used) -> Option<Self> {
        let mut ticket = Self { ledgers: [connection, server], taken: Used::default() };
        ticket.take(first).then_some(ticket)
    }

    fn take(&mut self, more: Used) -> bool {
        let [connection, server] = &self.ledgers;
        if !connection.take(more) {
            return false;
        }
        if !server.take(more) {
            connection.give_back(more);
            return false;
        }
        self.taken = self.taken.plus(more);
        true
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        for ledger in &self.ledgers {
            ledger.give_back(self.taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(conversations_max: u32, staged_bytes_max: u64) -> Arc<Ledger> {
        Ledger::new(Quota {
            conversations_max,
            staged_bytes_max,
            memory_bytes_max: 8,
            reads_max: 1,
        })
    }

    #[test]
    fn what_a_ticket_took_is_given_back_when_it_goes() {
        let (connection, server) = (ledger(1, 10), ledger(9, 90));
        let take = || Ticket::conversation(Arc::clone(&connection), Arc::clone(&server));
        let mut ticket = take().unwrap();
        assert!(take().is_none());
        assert!(ticket.stage(10, 8) && !ticket.stage(1, 0) && !ticket.stage(0, 1));
        drop(ticket);
        assert!(take().unwrap().stage(10, 8));
    }

    #[test]
    fn reads_are_counted_apart_from_conversations() {
        let (connection, server) = (ledger(1, 10), ledger(9, 90));
        let read = || Ticket::read(Arc::clone(&connection), Arc::clone(&server));
        let conversation = Ticket::conversation(Arc::clone(&connection), Arc::clone(&server));
        assert!(conversation.is_some());
        let reading = read().unwrap();
        assert!(read().is_none());
        drop(reading);
        assert!(read().is_some());
    }

    #[test]
    fn what_the_server_refuses_is_not_counted_against_the_connection() {
        let (connection, server) = (ledger(2, 10), ledger(1, 5));
        let take = || Ticket::conversation(Arc::clone(&connection), Arc::clone(&server));
        let mut ticket = take().unwrap();
        assert!(take().is_none());
        assert!(!ticket.stage(6, 0));
        drop(ticket);
        assert!(connection.is_idle());
    }
}
