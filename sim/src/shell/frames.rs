//! What arrives at a server, read off the HTTP/2 frames of a connection: calls that begin, and calls that their client
//! gave up. Reads frame heads only, and changes nothing.

use std::sync::Arc;

use super::world::{HostId, ServerId, World};

const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;

/// The frames of one connection, from the client.
#[derive(Debug)]
pub(super) struct Frames {
    world: Arc<World>,
    from: HostId,
    at: ServerId,
    connection: u64,
    /// Bytes of no interest that come next.
    skip: usize,
    head: Vec<u8>,
}

impl Frames {
    pub(super) const fn new(
        world: Arc<World>,
        from: HostId,
        at: ServerId,
        connection: u64,
    ) -> Self {
        Self { world, from, at, connection, skip: PREFACE_BYTES, head: Vec::new() }
    }

    pub(super) fn arrived(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let wanted = (HEAD_BYTES - self.head.len()).min(bytes.len());
            let (head, rest) = bytes.split_at(wanted);
            self.head.extend_from_slice(head);
            bytes = rest;
            if let &[a, b, c, kind, _, w, x, y, z] = self.head.as_slice() {
                self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
                self.frame(kind, u32::from_be_bytes([w, x, y, z]));
                self.head.clear();
            }
        }
    }

    fn frame(&self, kind: u8, call: u32) {
        let said = match kind {
            HEADERS => {
                self.world.count(|counts| counts.rpcs += 1);
                "call"
            }
            RST_STREAM => "gives up call",
            0..=u8::MAX => return,
        };
        let (from, connection) = (self.from, self.connection);
        self.world.log(self.at, format_args!("{from} {said} {call} on connection {connection}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, call: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, call];
        frame.resize(HEAD_BYTES + usize::from(length), HEADERS);
        frame
    }

    #[tokio::test(start_paused = true)]
    async fn calls_are_seen_however_the_bytes_are_cut() {
        let bytes = [
            vec![0; PREFACE_BYTES],
            frame(4, 0, 12),
            frame(1, 3, 40),
            frame(0, 3, 9),
            frame(3, 3, 4),
        ]
        .concat();
        for step in 1..=bytes.len() {
            let world = World::new();
            let mut frames = Frames::new(Arc::clone(&world), HostId(1), ServerId(2), 9);
            for piece in bytes.chunks(step) {
                frames.arrived(piece);
            }
            assert_eq!(world.take_counts().rpcs, 1);
            let log = world.take_log();
            assert_eq!(log.lines().count(), 2, "{log}");
            assert!(log.contains("c1 gives up call 3 on connection 9"), "{log}");
        }
    }
}
