//! Whatever is wrong with an update or the base it is held against is noticed.

use std::ops::Range;
use std::sync::Arc;

use tarn_proto::{Page, PageRoots};

use super::*;
use crate::manifest::{Extent, Manifest};
use crate::slot::{Base, Millis, Slot};
use crate::testing::STORE;

/// A base of 130 rows, of which share 2 is held, and what an update of it sends.
struct Case {
    first: Version,
    base: Arc<Base>,
    second: Version,
    sent: TableDigest,
    columns: Columns,
}

const TOUCHED: [Range<u32>; 2] = [70..71, 129..130];

fn case() -> Case {
    let first = Writer::new(7).sized(1, 1, None, 4, 8 * 130);
    let second = first.updated(2, &TOUCHED, 8 * 130);
    let (mut sent, mut columns) = (TableDigest::of_update(), Columns::of_update(&[share(2)]));
    for run in &TOUCHED {
        let rows = HashedRows::hash(4, &[share(2)], run.start, &second.rows_of(run)).unwrap();
        sent.append(rows).unwrap();
        let blocks = second.blocks_of(share(2), run);
        columns.append(HashedBlocks::hash(share(2), run.start, 4, &blocks)).unwrap();
    }
    Case { base: base(&first), first, second, sent, columns }
}

fn base(version: &Version) -> Arc<Base> {
    let mut slot =
        Slot::new(STORE, version.header().storage_index, Millis::new(1), Manifest::default());
    let now = crate::slot::Now { elapsed: Millis::new(0), unix_seconds: 0 };
    let brought = slot.bring(now, version.signed.clone(), version.verified(&[2]), None, &[]);
    let crate::slot::Change::Becomes(manifest) = brought.unwrap() else { unreachable!() };
    slot.became(manifest);
    Arc::new(slot.base(version.id(), &version.header().geometry, &[share(2)]).unwrap())
}

fn roots(version: &Version) -> PageRoots {
    PageRoots::of(&version.table.leaves())
}

fn page(version: &Version, number: u32) -> Page {
    let geometry = &version.header().geometry;
    let rows = tarn_proto::pages::rows(number, geometry.segments());
    Page::verify(geometry, &roots(version), number, version.rows_of(&rows)).unwrap()
}

/// The verdict when these pages are given.
fn verdict(case: &Case, header: &Version, pages: &[Page]) -> Result<Verdict, Mismatch> {
    let roots = roots(&case.first);
    let mut check = UpdateCheck::begin(
        header.header(),
        header.id(),
        &case.sent,
        &case.columns,
        &case.base,
        &roots,
    )?;
    assert_eq!(check.missing(), Some(1));
    for page in pages {
        check.page(page);
    }
    check.verdict()
}

#[test]
fn only_pages_touched_in_part_are_needed_and_they_must_be_the_bases() {
    let case = case();
    let pages = [1, 2].map(|number| page(&case.first, number));
    assert!(verdict(&case, &case.second, &pages).is_ok());
    let table = |pages: &[Page]| verdict(&case, &case.second, pages).err();
    assert_eq!(table(&[]), Some(Mismatch::Table));
    assert_eq!(table(&pages[..1]), Some(Mismatch::Table));
    assert_eq!(table(&pages[1..]), Some(Mismatch::Table));
    let of_the_second = page(&case.second, 1);
    assert_eq!(table(&[of_the_second, pages[1].clone()]), Some(Mismatch::Table));
}

#[test]
fn a_header_of_another_table_is_noticed() {
    let case = case();
    let other = case.first.updated(3, &TOUCHED, 8 * 130);
    let pages = [1, 2].map(|number| page(&case.first, number));
    assert_eq!(verdict(&case, &other, &pages).err(), Some(Mismatch::Table));
}

#[test]
fn page_roots_that_are_not_the_bases_are_noticed() {
    let case = case();
    let (header, others) = (case.second.header(), roots(&case.second));
    let id = case.second.id();
    let check = UpdateCheck::begin(header, id, &case.sent, &case.columns, &case.base, &others);
    assert_eq!(check.err(), Some(Mismatch::Table));
}

#[test]
fn a_share_that_the_base_does_not_have_is_noticed() {
    let case = case();
    let columns = Columns::of_update(&[share(1)]);
    let (header, roots) = (case.second.header(), roots(&case.first));
    let check =
        UpdateCheck::begin(header, case.second.id(), &case.sent, &columns, &case.base, &roots);
    assert_eq!(check.err(), Some(Mismatch::Share { share: share(1) }));
}

#[test]
fn what_leaves_gaps_is_no_whole_write() {
    let case = case();
    let whole = Verdict::check(case.second.header(), case.second.id(), &case.sent, &case.columns);
    assert_eq!(whole.err(), Some(Mismatch::Table));
}

#[test]
fn what_was_sent_joins_its_base_and_nothing_shorter_does() {
    let case = case();
    let pages = [1, 2].map(|number| page(&case.first, number));
    let verdict = verdict(&case, &case.second, &pages).unwrap();
    let sent = |of: &dyn Fn(&Range<u32>) -> bytes::Bytes| -> bytes::Bytes {
        TOUCHED.iter().map(of).collect::<Vec<_>>().concat().into()
    };
    let rows = sent(&|run| case.second.rows_of(run));
    let blocks = sent(&|run| case.second.blocks_of(share(2), run));
    let join = |blocks: bytes::Bytes| {
        let shares = BTreeMap::from([(share(2), inline(blocks))]);
        VerifiedWrite::new(&verdict, inline(rows.clone()), shares)
    };
    assert!(join(blocks.slice(1..)).is_none());
    let joined = join(blocks).unwrap();
    assert_eq!(joined.page_roots(), &roots(&case.second));
    let (table, shares) = joined.into_contents();
    let one = |content: &Content| match content.0.as_slice() {
        [Extent::Inline(bytes)] => bytes.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(one(&table), case.second.table.bytes());
    assert_eq!(one(&shares[&share(2)]), case.second.column(share(2)));
}
