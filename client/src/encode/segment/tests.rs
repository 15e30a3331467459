use proptest::prelude::*;
use tarn_proto::{Shape, Table};
use zeroize::Zeroizing;

use super::super::block::BlockMismatch;
use super::*;
use crate::caps::WriteCap;

const SHAPES: [(u8, u8); 6] = [(1, 1), (1, 3), (3, 10), (5, 5), (16, 20), (254, 255)];

fn read_cap() -> ReadCap {
    WriteCap::from_secret(Zeroizing::new([7; 32])).read_cap()
}

fn geometry(k: u8, n: u8, block_size: u32, length: u64) -> Geometry {
    Geometry::new(Shape::with_default_happy(k.into(), n.into()).unwrap(), block_size, length)
        .unwrap()
}

fn encoder(geometry: Geometry) -> SegmentEncoder {
    let attempt = AttemptId::new([1; 16]);
    SegmentEncoder::new(&read_cap(), geometry, attempt, SequenceNumber::FIRST)
}

fn plaintext(length: u64) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

fn encode_all(encoder: &SegmentEncoder, plaintext: &[u8]) -> Vec<CodedSegment> {
    let cut = *encoder.geometry();
    (0..cut.segments())
        .map(|segment| {
            let start = usize::try_from(cut.segment_offset(segment)).unwrap();
            encoder.encode(segment, &plaintext[start..start + cut.segment_length(segment)])
        })
        .collect()
}

fn verified(
    coded: &CodedSegment,
    shares: impl IntoIterator<Item = ShareNumber>,
) -> Vec<VerifiedBlock> {
    let verify = |share: ShareNumber| {
        let block = coded.blocks[share.index()].clone();
        VerifiedBlock::check(&coded.row, coded.segment, share, block).unwrap()
    };
    shares.into_iter().map(verify).collect()
}

fn share(number: u8) -> ShareNumber {
    ShareNumber::new(number).unwrap()
}

/// A row over these blocks as a lying writer would sign it.
fn row_over(segment: u32, salt: &[u8; 32], blocks: &[Bytes]) -> Row {
    let hashes: Vec<Digest32> = ShareNumber::all(255)
        .zip(blocks)
        .map(|(share, block)| block_hash(segment, share, block))
        .collect();
    Row::new(salt, &hashes)
}

#[test]
fn lengths_around_every_boundary_round_trip_in_every_shape() {
    for (k, n) in SHAPES {
        let (block, segment) = (8, 8 * u64::from(k));
        let boundaries = [0, u64::from(k), block, segment, 2 * segment];
        for length in boundaries.into_iter().flat_map(|at| [at.saturating_sub(1), at, at + 1]) {
            let cut = geometry(k, n, 8, length);
            let data = plaintext(length);
            let coded = encode_all(&encoder(cut), &data);
            let decoder = SegmentDecoder::new(&read_cap(), cut);
            for choose in [true, false] {
                let mut decoded = Vec::new();
                for coded in &coded {
                    let mut shares: Vec<ShareNumber> = ShareNumber::all(cut.n()).collect();
                    if choose {
                        shares.reverse();
                    }
                    shares.truncate(usize::from(k));
                    let blocks = verified(coded, shares);
                    decoded.extend(decoder.decode(coded.segment, &coded.row, &blocks).unwrap());
                }
                assert_eq!(decoded, data, "{k}-of-{n}, {length} bytes");
            }
        }
    }
}

#[test]
fn blocks_have_the_lengths_the_geometry_says() {
    let cut = geometry(3, 10, 8, 24 + 4);
    let coded = encode_all(&encoder(cut), &plaintext(28));
    let table = Table::from_rows(10, coded.iter().map(|coded| coded.row.clone()));
    assert_eq!(table.bytes().len(), cut.table_length());
    for coded in &coded {
        assert_eq!(coded.blocks.len(), 10);
        let length = cut.block_length(coded.segment);
        assert!(coded.blocks.iter().all(|block| block.len() == length));
    }
    // The last segment has 4 bytes in three blocks of 2; the padding is zero and not encrypted.
    assert_eq!(coded[1].blocks[2].as_ref(), [0, 0]);
}

#[test]
fn the_same_submission_makes_the_same_rows_and_another_makes_other_salts() {
    let cut = geometry(3, 10, 8, 50);
    let (cap, data) = (read_cap(), plaintext(50));
    let attempts = [AttemptId::new([1; 16]), AttemptId::new([2; 16])];
    let first = encode_all(&encoder(cut), &data);
    assert_eq!(first, encode_all(&encoder(cut), &data));
    let second = SequenceNumber::new(2).unwrap();
    for other in [
        SegmentEncoder::new(&cap, cut, attempts[1], SequenceNumber::FIRST),
        SegmentEncoder::new(&cap, cut, attempts[0], second),
    ] {
        for (one, two) in first.iter().zip(encode_all(&other, &data)) {
            assert_ne!(one.row.salt(), two.row.salt());
            assert_ne!(one.blocks[0], two.blocks[0]);
        }
    }
}

#[test]
fn equal_segments_of_one_version_are_encrypted_differently() {
    let coded = encode_all(&encoder(geometry(2, 3, 8, 32)), &[0; 32]);
    assert_ne!(coded[0].row.salt(), coded[1].row.salt());
    assert_ne!(coded[0].blocks[0], coded[1].blocks[0]);
}

#[test]
fn debug_shows_neither_keys_nor_plaintext() {
    let cut = geometry(1, 1, 8, 8);
    let (encoder, decoder) = (encoder(cut), SegmentDecoder::new(&read_cap(), cut));
    let mut buffer = encoder.buffer(0);
    buffer.plaintext_mut().fill(222);
    let shown = format!("{encoder:?} {decoder:?} {buffer:?}");
    assert!(!shown.contains("222, 222"), "{shown}");
    let salt_key = format!("{:?}", &read_cap().salt_key()[..2]);
    assert!(!shown.contains(salt_key.trim_matches(['[', ']'])), "{shown}");
}

#[test]
fn a_used_buffer_leaks_nothing_into_the_next_segment() {
    let cut = geometry(3, 5, 8, 24 + 1);
    let used = encoder(cut);
    drop(used.encode(0, &[0xFF; 24]));
    let reused = used.encode(1, b"x");
    let fresh = encoder(cut).encode(1, b"x");
    assert_eq!(reused, fresh);
    assert_eq!(reused.blocks[1].as_ref(), [0]);
}

#[test]
fn every_changed_bit_of_a_block_is_noticed() {
    let coded = &encode_all(&encoder(geometry(2, 4, 16, 20)), &plaintext(20))[0];
    for share in ShareNumber::all(4) {
        let block = &coded.blocks[share.index()];
        for bit in 0..block.len() * 8 {
            let mut bent = block.to_vec();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                VerifiedBlock::check(&coded.row, 0, share, bent.into()),
                Err(BlockMismatch { segment: 0, share })
            );
        }
        for length in 0..block.len() {
            assert!(VerifiedBlock::check(&coded.row, 0, share, block.slice(..length)).is_err());
        }
        assert!(VerifiedBlock::check(&coded.row, 1, share, block.clone()).is_err());
    }
    assert!(VerifiedBlock::check(&coded.row, 0, share(4), Bytes::new()).is_err());
}

#[test]
fn too_few_and_repeated_blocks_are_not_enough() {
    let cut = geometry(3, 5, 8, 24);
    let coded = &encode_all(&encoder(cut), &plaintext(24))[0];
    let decoder = SegmentDecoder::new(&read_cap(), cut);
    let blocks = verified(coded, [share(4), share(1), share(1)]);
    assert_eq!(
        decoder.decode(0, &coded.row, &blocks),
        Err(DecodeError::TooFewBlocks(TooFewBlocks { needed: 3, got: 2 }))
    );
}

#[test]
fn blocks_of_another_version_or_segment_never_mix_in() {
    let cut = geometry(2, 3, 8, 32);
    let ours = encode_all(&encoder(cut), &plaintext(32));
    let theirs = encode_all(&encoder(cut), &[9; 32]);
    let decoder = SegmentDecoder::new(&read_cap(), cut);
    for foreign in [&theirs[0], &ours[1]] {
        let mut blocks = verified(&ours[0], [share(0)]);
        blocks.extend(verified(foreign, [share(2)]));
        assert_eq!(
            decoder.decode(0, &ours[0].row, &blocks),
            Err(DecodeError::ForeignBlock { share: share(2) })
        );
    }
}

#[test]
fn a_writer_cannot_make_shares_that_decode_differently_by_subset() {
    let cut = geometry(2, 4, 8, 16);
    let mut coded = encode_all(&encoder(cut), &plaintext(16)).remove(0);
    coded.blocks[3] = Bytes::from_static(b"not code");
    coded.row = row_over(0, coded.row.salt(), &coded.blocks);
    let decoder = SegmentDecoder::new(&read_cap(), cut);
    let decode =
        |shares: [u8; 2]| decoder.decode(0, &coded.row, &verified(&coded, shares.map(share)));
    assert_eq!(decode([0, 2]).as_deref(), Ok(&plaintext(16)[..]));
    assert_eq!(decode([0, 3]), Err(DecodeError::Inconsistent { segment: 0 }));
    assert_eq!(decode([2, 3]), Err(DecodeError::Inconsistent { segment: 0 }));
    let repairer = BlockRepairer::new(cut);
    let good = verified(&coded, [share(0), share(1)]);
    assert!(repairer.regenerate(0, &coded.row, &good, &[share(2)]).is_ok());
    assert_eq!(
        repairer.regenerate(0, &coded.row, &good, &[share(3)]),
        Err(DecodeError::Inconsistent { segment: 0 })
    );
}

#[test]
fn signed_blocks_of_the_wrong_length_are_the_writers_fault_and_no_panic() {
    let cut = geometry(2, 3, 8, 16);
    let blocks = [b"12345678".as_slice(), b"1234567", b""].map(Bytes::copy_from_slice);
    let coded =
        CodedSegment { segment: 0, row: row_over(0, &[0; 32], &blocks), blocks: blocks.to_vec() };
    let given = verified(&coded, [share(0), share(1)]);
    let decoder = SegmentDecoder::new(&read_cap(), cut);
    assert_eq!(
        decoder.decode(0, &coded.row, &given),
        Err(DecodeError::BlockLength { share: share(1), expected: 8, got: 7 })
    );
}

#[test]
fn a_share_that_does_not_exist_cannot_be_regenerated() {
    let cut = geometry(2, 3, 8, 16);
    let coded = &encode_all(&encoder(cut), &plaintext(16))[0];
    let given = verified(coded, [share(0), share(2)]);
    assert_eq!(
        BlockRepairer::new(cut).regenerate(0, &coded.row, &given, &[share(3)]),
        Err(DecodeError::NoSuchShare { share: share(3) })
    );
}

/// A shape, a length in whole and odd blocks, and an order in which shares are found.
fn case() -> impl Strategy<Value = (Geometry, Vec<ShareNumber>)> {
    (prop::sample::select(SHAPES.to_vec()), 0_u64..1500).prop_flat_map(|((k, n), length)| {
        let shares: Vec<ShareNumber> = ShareNumber::all(n).collect();
        (Just(geometry(k, n, 8, length)), Just(shares).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_k_shares_bring_back_the_data_and_every_other_share((cut, order) in case()) {
        let data = plaintext(cut.length());
        let (found, lost) = order.split_at(usize::from(cut.k()));
        let decoder = SegmentDecoder::new(&read_cap(), cut);
        let repairer = BlockRepairer::new(cut);
        let mut decoded = Vec::new();
        for coded in encode_all(&encoder(cut), &data) {
            let blocks = verified(&coded, found.iter().copied());
            decoded.extend(decoder.decode(coded.segment, &coded.row, &blocks).unwrap());
            let regenerated = repairer.regenerate(coded.segment, &coded.row, &blocks, lost);
            prop_assert_eq!(regenerated, Ok(verified(&coded, lost.iter().copied())));
        }
        prop_assert_eq!(decoded, data);
    }
}
