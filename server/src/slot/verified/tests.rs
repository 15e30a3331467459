//! Whatever is wrong with blocks or rows is noticed.

mod update;

use super::*;
use crate::testing::{Version, Writer, inline, share};

fn version() -> Version {
    Writer::new(7).version(1, 1, None)
}

fn digest(version: &Version) -> TableDigest {
    let mut digest = TableDigest::default();
    let rows = HashedRows::hash(4, &[share(2)], 0, version.table.bytes()).unwrap();
    digest.append(rows).unwrap();
    digest
}

fn column(data: &[u8]) -> Columns {
    let mut columns = Columns::new(&[share(2)]);
    let run = HashedBlocks::hash(share(2), 0, 4, data);
    columns.append(run).unwrap();
    columns
}

fn check(table: &TableDigest, columns: &Columns) -> Result<Verdict, Mismatch> {
    let version = version();
    Verdict::check(version.header(), version.id(), table, columns)
}

#[test]
fn a_bent_block_is_noticed_wherever_it_is() {
    let version = version();
    let data = version.column(share(2));
    assert!(check(&digest(&version), &column(&data)).is_ok());
    for at in 0..data.len() {
        let mut bent = data.to_vec();
        bent[at] ^= 1;
        let noticed = check(&digest(&version), &column(&bent));
        assert_eq!(noticed.err(), Some(Mismatch::Share { share: share(2) }));
    }
}

#[test]
fn a_bent_row_is_noticed_wherever_it_is() {
    let version = version();
    for at in 0..version.table.bytes().len() {
        let mut bent = version.table.bytes().to_vec();
        bent[at] ^= 1;
        let mut digest = TableDigest::default();
        let rows = HashedRows::hash(4, &[share(2)], 0, &bent).unwrap();
        digest.append(rows).unwrap();
        let noticed = check(&digest, &column(&version.column(share(2))));
        assert_eq!(noticed.err(), Some(Mismatch::Table));
    }
}

#[test]
fn missing_and_surplus_blocks_are_noticed() {
    let version = version();
    let data = version.column(share(2));
    for wrong in [&data[..8], &data[..9], &[]] {
        let noticed = check(&digest(&version), &column(wrong));
        assert_eq!(noticed.err(), Some(Mismatch::Share { share: share(2) }));
    }
    let longer = [&data[..8], b"12345678"].concat();
    let noticed = check(&digest(&version), &column(&longer));
    assert_eq!(noticed.err(), Some(Mismatch::Share { share: share(2) }));
}

#[test]
fn gaps_and_overlaps_are_noticed() {
    let mut column = column(b"12345678");
    let mut append = |segment| column.append(HashedBlocks::hash(share(2), segment, 4, b"abcd"));
    for wrong in [0, 1, 3, u32::MAX] {
        let order = Mismatch::Order { what: "blocks", expected: 2, got: wrong };
        assert_eq!(append(wrong), Err(order));
    }
    assert_eq!(append(2), Ok(()));
}

#[test]
fn a_run_of_a_share_that_is_not_being_written_is_noticed() {
    let run = HashedBlocks::hash(share(1), 0, 4, b"abcd");
    let refused = column(b"").append(run);
    assert_eq!(refused, Err(Mismatch::Share { share: share(1) }));
}

#[test]
fn nothing_follows_a_short_block() {
    let mut column = column(b"12345");
    let run = HashedBlocks::hash(share(2), 2, 4, b"abcd");
    assert_eq!(column.append(run), Err(Mismatch::PastEnd { what: "blocks" }));
}

#[test]
fn no_version_has_more_than_16384_segments() {
    let mut column = column(&vec![0; 4 * 16_384]);
    let run = HashedBlocks::hash(share(2), 16_384, 4, b"abcd");
    assert_eq!(column.append(run), Err(Mismatch::PastEnd { what: "blocks" }));
}

#[test]
fn what_may_follow_is_known_before_it_is_hashed() {
    let (column, digest) = (column(b"1234"), digest(&version()));
    let past_end = |what| Err(Mismatch::PastEnd { what });
    assert_eq!(column.expect(share(2), 1, 16_383), Ok(()));
    assert_eq!(column.expect(share(2), 1, 16_384), past_end("blocks"));
    assert_eq!(column.expect(share(2), 1, usize::MAX), past_end("blocks"));
    let order = |what, expected, got| Err(Mismatch::Order { what, expected, got });
    assert_eq!(column.expect(share(2), 2, 1), order("blocks", 1, 2));
    assert_eq!(column.expect(share(1), 0, 1), Err(Mismatch::Share { share: share(1) }));
    assert_eq!(digest.expect(3, 16_381), Ok(()));
    assert_eq!(digest.expect(3, 16_382), past_end("rows"));
    assert_eq!(digest.expect(0, 1), order("rows", 3, 0));
}

#[test]
fn a_run_of_rows_holds_whole_rows() {
    let refused = HashedRows::hash(4, &[], 0, &[0; 161]);
    let length = Mismatch::RowLength { row_length: 160, got: 161 };
    assert_eq!(refused.err(), Some(length));
}

#[test]
fn contents_of_another_length_do_not_join_a_verdict() {
    let version = version();
    let verdict = check(&digest(&version), &column(&version.column(share(2)))).unwrap();
    let table = inline(version.table.bytes().clone());
    let join = |data: &'static [u8], number| {
        let shares = BTreeMap::from([(share(number), inline(data.into()))]);
        VerifiedWrite::new(&verdict, table.clone(), shares)
    };
    assert!(join(b"0123456789", 2).is_some());
    assert!(join(b"012345678", 2).is_none());
    assert!(join(b"0123456789", 1).is_none());
}
