//! Reading from servers that send too much, too little, something else, or nothing more.

use tarn_proto::state::ReadRefusal;
use tarn_proto::table::{TableError, block_hash};
use tarn_proto::wire::read_blocks_answer::Answer;
use tarn_proto::{Row, merkle};

use super::*;
use crate::transport::{ReadError, RunError, UnverifiedBlock};

/// The blocks of share 1, segments 0 to 2.
const COLUMN: [&[u8]; 3] = [b"aaaa", b"bbbb", b"cc"];

fn table() -> Table {
    Table::from_rows(
        3,
        COLUMN.iter().zip(0_u8..).map(|(block, salt)| {
            let hash = block_hash(salt.into(), share(1), block);
            Row::new(&[salt; 32], &[[0; 32], hash, [0; 32]])
        }),
    )
}

fn run(first_segment: u32, data: &'static [u8]) -> Answer {
    Answer::Blocks(wire::BlockRun { share: 1, first_segment, data: Bytes::from_static(data) })
}

/// What comes of reading all blocks of share 1 from a server that says this.
async fn read_blocks(
    blocks: Vec<Answer>,
    stalls: bool,
    deadline: Duration,
) -> Vec<Result<UnverifiedBlock, ReadError>> {
    let script = Script { blocks, stalls, ..Script::default() };
    let server = script.start().await;
    let blocks = server.client().read_blocks(&version(&table()), share(1), 0, 3, deadline);
    blocks.collect().await
}

fn block(segment: u32) -> Result<UnverifiedBlock, ReadError> {
    Ok(UnverifiedBlock {
        share: share(1),
        segment,
        bytes: Bytes::from_static(COLUMN[segment as usize]),
    })
}

#[tokio::test]
async fn runs_are_cut_into_blocks_that_match_their_rows() {
    let blocks = read_blocks(vec![run(0, b"aaaabbbb"), run(2, b"cc")], false, LONG).await;
    assert_eq!(blocks, [block(0), block(1), block(2)]);
    for block in blocks.into_iter().map(Result::unwrap) {
        let row = table().row(block.segment).unwrap();
        assert!(row.matches(block.segment, block.share, &block.bytes));
    }
}

#[tokio::test]
async fn runs_that_were_not_asked_for_end_the_read() {
    let other_share = Answer::Blocks(wire::BlockRun {
        share: 2,
        first_segment: 1,
        data: Bytes::from_static(b"bbbb"),
    });
    let whole = || run(0, b"aaaabbbbcc");
    let cases = [
        (vec![run(0, b"aaaabbbbccdddd")], 0, RunError::TooMuch { last: 2 }),
        (vec![whole(), run(3, b"dddd")], 3, RunError::TooMuch { last: 2 }),
        (vec![run(0, b"aaaa")], 1, RunError::TooLittle { missing: 1 }),
        (vec![], 0, RunError::TooLittle { missing: 0 }),
        (vec![run(0, b"aaaa"), run(2, b"cc")], 1, RunError::OutOfOrder { expected: 1, got: 2 }),
        (vec![run(0, b"aaaa"), run(0, b"aaaa")], 1, RunError::OutOfOrder { expected: 1, got: 0 }),
        (vec![run(0, b"aaaabb")], 0, RunError::Short { segment: 1, expected: 4, got: 2 }),
        (vec![run(0, b"")], 0, RunError::Empty),
        (
            vec![run(0, b"aaaa"), other_share],
            1,
            RunError::OtherShare { expected: share(1), got: 2 },
        ),
    ];
    for (said, good, why) in cases {
        let blocks = read_blocks(said, false, LONG).await;
        let mut expected: Vec<_> = (0..good).map(block).collect();
        expected.push(Err(ReadError::Malformed(why)));
        assert_eq!(blocks, expected);
    }
}

#[tokio::test]
async fn a_stream_that_stalls_half_way_hits_the_deadline() {
    let blocks = read_blocks(vec![run(0, b"aaaa")], true, SHORT).await;
    let late = ReadError::Call(CallError::TimedOut { after: SHORT });
    assert_eq!(late.kind(), FailureKind::Late);
    // On a slow machine even the first block may be late.
    assert!(blocks == [block(0), Err(late.clone())] || blocks == [Err(late)]);
}

#[tokio::test]
async fn a_refused_read_says_why() {
    let refused = Answer::Refused(ReadRefusal::ShareDamaged.into());
    let blocks = read_blocks(vec![run(0, b"aaaa"), refused], false, LONG).await;
    let why = ReadError::Refused(ReadRefusal::ShareDamaged);
    assert_eq!(blocks, [block(0), Err(why)]);
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_not_taken() {
    static HUGE: [u8; 9 << 20] = [0; 9 << 20];
    let blocks = read_blocks(vec![run(0, &HUGE)], false, LONG).await;
    let [Err(error)] = blocks.as_slice() else {
        panic!("{} blocks were taken", blocks.len());
    };
    assert_eq!(error.kind(), FailureKind::Broken);
}

#[tokio::test]
async fn segments_that_the_version_does_not_have_are_not_asked_for() {
    let client = Script::default().start().await.client();
    let header = version(&table());
    let refused = ReadError::Refused(ReadRefusal::OutOfRange);
    for (first, count) in [(0, 4), (3, 1), (u32::MAX, 2)] {
        let blocks: Vec<_> =
            client.read_blocks(&header, share(1), first, count, LONG).collect().await;
        assert_eq!(blocks, [Err(refused.clone())]);
        let rows = client.read_rows(&header, first, count, LONG).await;
        assert_eq!(rows, Err(refused.clone()));
    }
}

/// The client of a server that says these runs of rows, and the server.
async fn rows(rows: Vec<wire::RowRun>) -> (script::Running, ServerClient) {
    let script = Script { rows, ..Script::default() };
    let server = script.start().await;
    let client = server.client();
    (server, client)
}

fn row_run(first: u32, end: u32) -> wire::RowRun {
    let leaves = table().leaves();
    let proof = |j| merkle::proof(&leaves, j as usize).unwrap().concat().into();
    let row = |j| table().row(j).unwrap().bytes().to_vec();
    wire::RowRun {
        first_segment: first,
        data: (first..end).flat_map(row).collect(),
        proofs: (first..end).map(proof).collect(),
    }
}

#[tokio::test]
async fn a_table_comes_whole_or_not_at_all() {
    let header = version(&table());
    let (_server, client) = rows(vec![row_run(0, 2), row_run(2, 3)]).await;
    assert_eq!(client.read_table(&header, LONG).await, Ok(table()));

    let (_server, client) = rows(vec![row_run(0, 2)]).await;
    let too_little = RunError::TooLittle { missing: 2 };
    assert_eq!(client.read_table(&header, LONG).await, Err(ReadError::Malformed(too_little)));

    let mut bent = row_run(0, 3);
    bent.data = vec![0; bent.data.len()].into();
    let (_server, client) = rows(vec![bent]).await;
    assert_eq!(client.read_table(&header, LONG).await, Err(ReadError::Forged(TableError::Root)));
}

#[tokio::test]
async fn rows_are_taken_only_with_their_proofs() {
    let header = version(&table());
    let (_server, client) = rows(vec![row_run(1, 2), row_run(2, 3)]).await;
    let expected: Vec<_> = (1..3).map(|j| table().row(j).unwrap()).collect();
    assert_eq!(client.read_rows(&header, 1, 2, LONG).await, Ok(expected));

    let misfit = ReadError::Malformed(RunError::Proofs { first_segment: 1 });
    let mut missing = row_run(1, 3);
    missing.proofs.pop();
    let mut ragged = row_run(1, 3);
    ragged.proofs[0] = Bytes::from_static(&[0; 33]);
    for run in [missing, ragged] {
        let (_server, client) = rows(vec![run]).await;
        assert_eq!(client.read_rows(&header, 1, 2, LONG).await, Err(misfit.clone()));
    }

    let mut swapped = row_run(1, 3);
    swapped.proofs.swap(0, 1);
    let (_server, client) = rows(vec![swapped]).await;
    assert_eq!(
        client.read_rows(&header, 1, 2, LONG).await,
        Err(ReadError::Forged(TableError::Root))
    );
}
