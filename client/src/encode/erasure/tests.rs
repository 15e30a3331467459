use proptest::prelude::*;
use tarn_proto::Shape;

use super::*;

fn code(k: u8, n: u8) -> Erasure {
    let shape = Shape::with_default_happy(k.into(), n.into()).unwrap();
    Erasure::of(&Geometry::new(shape, 16, 1).unwrap())
}

/// All n blocks of a segment whose primary blocks count up.
fn blocks(code: &Erasure, block_length: usize) -> Vec<Vec<u8>> {
    let primary: Vec<u8> = (0..usize::from(code.k) * block_length)
        .map(|i| (i * 7 + i / 256).to_le_bytes()[0])
        .collect();
    let mut secondary = vec![0xEE; usize::from(code.n - code.k) * block_length];
    code.encode(block_length, &primary, &mut secondary);
    [primary, secondary].concat().chunks_exact(block_length).map(<[u8]>::to_vec).collect()
}

fn pieces<'a>(blocks: &'a [Vec<u8>], chosen: &[usize]) -> Vec<Piece<'a>> {
    let piece = |&i: &usize| Piece {
        share: ShareNumber::try_from(u32::try_from(i).unwrap()).unwrap(),
        block: &blocks[i],
    };
    chosen.iter().map(piece).collect()
}

#[test]
fn every_k_of_n_decode_for_small_codes() {
    for (k, n) in [(1, 1), (1, 3), (2, 3), (3, 5), (5, 5), (4, 7)] {
        let code = code(k, n);
        let blocks = blocks(&code, 3);
        let primary = blocks[..usize::from(k)].concat();
        for set in 0_u32..1 << n {
            let chosen: Vec<usize> = (0..usize::from(n)).filter(|i| set >> i & 1 == 1).collect();
            let decoded = code.decode(3, &pieces(&blocks, &chosen));
            if chosen.len() < usize::from(k) {
                let got = chosen.len();
                assert_eq!(decoded, Err(TooFewBlocks { needed: k, got }));
            } else {
                assert_eq!(decoded.as_ref(), Ok(&primary), "{k}-of-{n}: {chosen:?}");
            }
        }
    }
}

#[test]
fn repeated_foreign_and_misfit_blocks_do_not_count() {
    let code = code(3, 5);
    let mut blocks = blocks(&code, 4);
    blocks.push(vec![0; 4]);
    blocks[2].pop();
    assert_eq!(
        code.decode(4, &pieces(&blocks, &[4, 4, 0, 5, 2])),
        Err(TooFewBlocks { needed: 3, got: 2 })
    );
}

#[test]
fn empty_blocks_need_no_library() {
    let code = code(3, 5);
    code.encode(0, &[], &mut []);
    assert_eq!(code.decode(0, &pieces(&vec![vec![]; 5], &[1, 3, 4])), Ok(vec![]));
}

#[test]
fn codes_are_shared_and_only_so_many_are_kept() {
    let Code::ReedSolomon(first) = code(2, 201).code else {
        panic!("2 of 201 needs a code");
    };
    let Code::ReedSolomon(again) = code(2, 201).code else {
        panic!("2 of 201 needs a code");
    };
    assert_eq!(*first, *again);
    for n in 202..230 {
        let _ = code(2, n);
    }
    assert!(CODES.lock().unwrap().len() <= CODES_MAX);
}

proptest! {
    #[test]
    fn any_k_of_n_decode_for_wide_codes(
        (k, n) in prop::sample::select(vec![(3, 10), (16, 20), (254, 255), (2, 255)]),
        order in Just(()).prop_perturb(|(), mut rng| {
            let mut order: Vec<usize> = (0..255).collect();
            for i in (1..255).rev() { order.swap(i, rng.random_range(0..=i)); }
            order
        }),
    ) {
        let code = code(k, n);
        let blocks = blocks(&code, 5);
        let chosen: Vec<usize> =
            order.into_iter().filter(|&i| i < usize::from(n)).take(usize::from(k)).collect();
        prop_assert_eq!(
            code.decode(5, &pieces(&blocks, &chosen)),
            Ok(blocks[..usize::from(k)].concat())
        );
    }
}
