//! Plaintext to blocks and back: each part alone, then a whole segment.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tarn_client::caps::{ReadCap, WriteCap};
use tarn_client::encode::erasure::Erasure;
use tarn_client::encode::{CodedSegment, SegmentDecoder, SegmentEncoder, VerifiedBlock, cipher};
use tarn_proto::geometry::BLOCK_SIZE_DEFAULT;
use tarn_proto::table::block_hash;
use tarn_proto::{AttemptId, Geometry, SequenceNumber, Shape, ShareNumber};

const BLOCK: usize = BLOCK_SIZE_DEFAULT as usize;
const ATTEMPT: AttemptId = AttemptId::new([7; 16]);

pub(crate) fn measure(criterion: &mut Criterion) {
    plain(criterion);
    for (k, n) in [(3, 10), (8, 12)] {
        let shape = Shape::with_default_happy(k, n).expect("a good shape");
        let length = u64::from(k) * BLOCK as u64;
        let geometry = Geometry::choose(shape, length).expect("a good geometry");
        whole(criterion, geometry);
    }
}

/// What does not depend on k and n.
fn plain(criterion: &mut Criterion) {
    let mut block = vec![7; BLOCK];
    let mut group = criterion.benchmark_group("block of 64 KiB");
    group.throughput(Throughput::Bytes(BLOCK as u64));
    group.bench_function("salt", |bencher| {
        bencher
            .iter(|| cipher::salt(&[7; 32], ATTEMPT, SequenceNumber::FIRST, 0, black_box(&block)));
    });
    let share = ShareNumber::new(0).expect("a share");
    group
        .bench_function("hash", |bencher| bencher.iter(|| block_hash(0, share, black_box(&block))));
    group.bench_function("cipher", |bencher| {
        bencher.iter(|| cipher::apply(&[7; 32], black_box(&mut block)));
    });
    group.finish();
}

/// One segment of this geometry, which has no other; throughput is that of the plaintext.
fn whole(criterion: &mut Criterion, geometry: Geometry) {
    let cap = WriteCap::generate(&mut ChaCha8Rng::seed_from_u64(7)).read_cap();
    let (k, n) = (geometry.k(), geometry.n());
    let mut group = criterion.benchmark_group(format!("segment {k}-of-{n}"));
    group.throughput(Throughput::Bytes(geometry.length()));

    let erasure = Erasure::of(&geometry);
    let mut blocks = vec![7; usize::from(n) * BLOCK];
    let (primary, secondary) = blocks.split_at_mut(usize::from(k) * BLOCK);
    group.bench_function("coding", |bencher| {
        bencher.iter(|| erasure.encode(BLOCK, black_box(primary), secondary));
    });
    let encoder = SegmentEncoder::new(&cap, geometry, ATTEMPT, SequenceNumber::FIRST);
    group.bench_function("encode_buffer", |bencher| {
        bencher.iter(|| encoder.encode_buffer(encoder.buffer(0)));
    });
    let plaintext = vec![7; encoder.geometry().segment_length(0)];
    let coded = encoder.encode(0, &plaintext);
    let missing_all = usize::from(n - k).min(k.into());
    for (name, missing) in
        [("decode", 0), ("decode, one primary missing", 1), ("decode, most missing", missing_all)]
    {
        let (decoder, blocks) = reader(&cap, geometry, &coded, missing);
        group.bench_function(name, |bencher| {
            bencher.iter(|| decoder.decode(0, &coded.row, black_box(&blocks)));
        });
    }
    group.finish();
}

/// What a reader has of a segment whose first shares are missing: the k blocks after them.
fn reader(
    cap: &ReadCap,
    geometry: Geometry,
    coded: &CodedSegment,
    missing: usize,
) -> (SegmentDecoder, Vec<VerifiedBlock>) {
    let shares = ShareNumber::all(geometry.n()).zip(&coded.blocks);
    let shares = shares.skip(missing).take(geometry.k().into());
    let blocks = shares.map(|(share, block)| {
        VerifiedBlock::check(&coded.row, 0, share, block.clone()).expect("blocks match their row")
    });
    (SegmentDecoder::new(cap, geometry), blocks.collect())
}
