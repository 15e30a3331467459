//! The parts that only compute, segment by segment. A thread has one segment's buffer and uses it again and again, as the
//! pool of the encoder does.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tarn_client::encode::cipher;
use tarn_client::encode::erasure::Erasure;
use tarn_proto::table::block_hash;
use tarn_proto::{AttemptId, Geometry, SequenceNumber, ShareNumber};
use tokio::time::Instant;

use super::{Part, Stage, repeated};

/// Fewer coded bytes are left to one core: beginning a thread would take longer than they do.
const SPREAD_FROM: u64 = 256 << 10;

pub(super) fn salt(geometry: &Geometry) -> Part {
    let (key, attempt) = ([7; 32], AttemptId::new([7; 16]));
    let once = |buffer: &mut [u8], segment| {
        let data = &buffer[..geometry.segment_length(segment)];
        std::hint::black_box(cipher::salt(&key, attempt, SequenceNumber::FIRST, segment, data));
    };
    part(Stage::Salt, geometry.length(), every_segment(geometry, once))
}

pub(super) fn cipher(geometry: &Geometry) -> Part {
    let once = |buffer: &mut [u8], segment| {
        cipher::apply(&[7; 32], &mut buffer[..geometry.segment_length(segment)]);
    };
    part(Stage::Cipher, geometry.length(), every_segment(geometry, once))
}

pub(super) fn coding(geometry: &Geometry) -> Part {
    let erasure = Erasure::of(geometry);
    let once = |buffer: &mut [u8], segment| {
        let length = geometry.block_length(segment);
        let all = &mut buffer[..length * usize::from(geometry.n())];
        let (primary, secondary) = all.split_at_mut(length * usize::from(geometry.k()));
        erasure.encode(length, primary, secondary);
    };
    part(Stage::Coding, coded(geometry, geometry.n()), every_segment(geometry, once))
}

/// The hashes of the blocks of so many shares, side by side as the segments are.
pub(super) fn hashing(geometry: &Geometry, shares: u8) -> Part {
    let once = |buffer: &mut [u8], segment| {
        for share in ShareNumber::all(shares) {
            hash(geometry, buffer, segment, share);
        }
    };
    part(Stage::Hashing, coded(geometry, shares), every_segment(geometry, once))
}

/// The same hashes, side by side as the shares are, each on its server.
pub(super) fn server_hashing(geometry: &Geometry, shares: u8) -> Part {
    let once = |buffer: &mut [u8], share: u32| {
        let share = ShareNumber::all(shares).nth(share as usize);
        let share = share.expect("shares are counted from zero");
        for segment in 0..geometry.segments() {
            hash(geometry, buffer, segment, share);
        }
    };
    let time = side_by_side(geometry, shares.into(), once);
    part(Stage::ServerHashing, coded(geometry, shares), time)
}

fn hash(geometry: &Geometry, buffer: &[u8], segment: u32, share: ShareNumber) {
    let length = geometry.block_length(segment);
    let start = share.index() * length;
    std::hint::black_box(block_hash(segment, share, &buffer[start..start + length]));
}

/// Bytes of so many shares.
fn coded(geometry: &Geometry, shares: u8) -> u64 {
    geometry.share_length() * u64::from(shares)
}

fn part(stage: Stage, bytes: u64, time: Duration) -> Part {
    Part { stage, time, bytes }
}

fn every_segment(geometry: &Geometry, work: impl Fn(&mut [u8], u32) + Sync) -> Duration {
    side_by_side(geometry, geometry.segments(), work)
}

/// How long it takes to do so many pieces of work on all cores, each with a buffer for a coded segment.
fn side_by_side(
    geometry: &Geometry,
    pieces: u32,
    work: impl Fn(&mut [u8], u32) + Sync,
) -> Duration {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let is_spread = coded(geometry, geometry.n()) >= SPREAD_FROM;
    let threads = if is_spread { cores.min(pieces as usize) } else { 1 };
    let length = usize::from(geometry.n()) * geometry.block_length(0);
    let mut buffers = vec![vec![7; length]; threads];
    let next = AtomicU32::new(0);
    let worker = |buffer: &mut Vec<u8>| {
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= pieces {
                return;
            }
            work(buffer, piece);
        }
    };
    let once = || {
        next.store(0, Ordering::Relaxed);
        let begun = Instant::now();
        match &mut buffers[..] {
            [only] => worker(only),
            buffers => std::thread::scope(|threads| {
                for buffer in buffers {
                    threads.spawn(|| worker(buffer));
                }
            }),
        }
        Ok::<_, Infallible>(begun.elapsed())
    };
    match repeated(once) {
        Ok(time) => time,
    }
}
