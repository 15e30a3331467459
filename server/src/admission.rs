//! Who is admitted, and how much at once: counts of open conversations and staged bytes, by connection and overall.
//! What is taken is given back when its [`Ticket`] is dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::Quota;

/// Counts what is in use under one quota.
#[derive(Debug)]
pub(crate) struct Ledger {
    quota: Quota,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    conversations: u32,
    staged_bytes: u64,
}

impl Ledger {
    /// Nothing is in use yet.
    pub(crate) fn new(quota: Quota) -> Arc<Self> {
        Arc::new(Self { quota, used: Mutex::default() })
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_conversation(&self) -> bool {
        let mut used = self.used();
        let fits = used.conversations < self.quota.conversations_max;
        used.conversations += u32::from(fits);
        fits
    }

    fn take_bytes(&self, bytes: u64) -> bool {
        let mut used = self.used();
        let wanted = used.staged_bytes.saturating_add(bytes);
        let fits = wanted <= self.quota.staged_bytes_max;
        if fits {
            used.staged_bytes = wanted;
        }
        fits
    }

    fn give_back(&self, conversations: u32, bytes: u64) {
        let mut used = self.used();
        used.conversations = used.conversations.saturating_sub(conversations);
        used.staged_bytes = used.staged_bytes.saturating_sub(bytes);
    }
}

/// One conversation's part of its connection's quota and of the server's.
#[derive(Debug)]
pub(crate) struct Ticket {
    ledgers: [Arc<Ledger>; 2],
    staged_bytes: u64,
}

impl Ticket {
    /// Takes one conversation from both; none when either is used up.
    pub(crate) fn take(connection: Arc<Ledger>, server: Arc<Ledger>) -> Option<Self> {
        if !connection.take_conversation() {
            return None;
        }
        if !server.take_conversation() {
            connection.give_back(1, 0);
            return None;
        }
        Some(Self { ledgers: [connection, server], staged_bytes: 0 })
    }

    /// Takes bytes from both; false when either is used up.
    #[must_use]
    pub(crate) fn stage(&mut self, bytes: u64) -> bool {
        let [connection, server] = &self.ledgers;
        if !connection.take_bytes(bytes) {
            return false;
        }
        if !server.take_bytes(bytes) {
            connection.give_back(0, bytes);
            return false;
        }
        self.staged_bytes += bytes;
        true
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        for ledger in &self.ledgers {
            ledger.give_back(1, self.staged_bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(conversations_max: u32, staged_bytes_max: u64) -> Arc<Ledger> {
        Ledger::new(Quota { conversations_max, staged_bytes_max })
    }

    #[test]
    fn what_a_ticket_took_is_given_back_when_it_goes() {
        let (connection, server) = (ledger(1, 10), ledger(9, 90));
        let take = || Ticket::take(Arc::clone(&connection), Arc::clone(&server));
        let mut ticket = take().unwrap();
        assert!(take().is_none());
        assert!(ticket.stage(10) && !ticket.stage(1));
        drop(ticket);
        assert!(take().unwrap().stage(10));
    }

    #[test]
    fn what_the_server_refuses_is_not_counted_against_the_connection() {
        let (connection, server) = (ledger(2, 10), ledger(1, 5));
        let take = || Ticket::take(Arc::clone(&connection), Arc::clone(&server));
        let mut ticket = take().unwrap();
        assert!(take().is_none());
        assert!(!ticket.stage(6));
        drop(ticket);
        let used = connection.used();
        assert_eq!((used.conversations, used.staged_bytes), (0, 0));
    }
}
