//! Reading a table by its pages: what is not asked for is not looked at, and page roots that are missing or bent are found
//! again.

use bytes::BytesMut;
use tarn_proto::Row;
use tarn_proto::state::{ReadRefusal, ShareHealth};

use super::read::{flip, health, read_blocks, read_rows};
use super::*;
use crate::manifest::Manifest;
use crate::store::Store;
use crate::testing::inline;

/// A version of so many rows, with shares 0 and 1 of it here.
async fn holding(rows: u64) -> (Harness, Version) {
    let harness = Harness::start().await;
    let version = writer().sized(1, 1, None, 4, 8 * rows - 3);
    harness.publish(1, &version, &[0, 1]).await;
    (harness, version)
}

async fn manifest(harness: &Harness) -> Manifest {
    harness.store.load(writer().storage_index()).await.unwrap().unwrap().0
}

/// Bends the last byte of one row.
fn bend_row(harness: &Harness, version: &Version, row: usize) {
    harness.store.tamper(writer().storage_index(), |manifest| {
        let mut bent = BytesMut::from(&version.table.bytes()[..]);
        bent[(row + 1) * version.header().geometry.row_length() - 1] ^= 1;
        manifest.generations[0].table = inline(bent.freeze());
    });
}

#[tokio::test]
async fn rows_anywhere_come_with_their_proofs() {
    for rows in [1, 64, 65, 129] {
        let (harness, version) = holding(rows).await;
        let header = version.header();
        let last = header.geometry.segments() - 1;
        for (first, count) in
            [(0, 1), (last, 1), (last / 2, 2.min(last + 1 - last / 2)), (0, last + 1)]
        {
            let runs = read_rows(&harness, version.id(), first, count, true).await.unwrap();
            let mut segment = first;
            for run in runs {
                assert_eq!(run.first_segment, segment);
                let rows = run.data.chunks(header.geometry.row_length());
                for (row, proof) in rows.zip(&run.proofs) {
                    let (row, proof) = (bytes(row), proof.as_chunks::<32>().0);
                    let root = &header.table_root;
                    Row::verify(&header.geometry, root, segment, row, proof).unwrap();
                    segment += 1;
                }
            }
            assert_eq!(segment, first + count, "of {rows} rows");
        }
        let all = read_blocks(&harness, version.id(), 1, 0, last + 1).await.unwrap();
        let all: Vec<_> = all.iter().flat_map(|run| run.data.to_vec()).collect();
        assert_eq!(all, version.column(share(1)));
        harness.stop().await;
    }
}

#[tokio::test]
async fn damage_in_one_page_is_met_by_those_who_read_it_only() {
    let (harness, version) = holding(200).await;
    bend_row(&harness, &version, 70);
    assert!(read_rows(&harness, version.id(), 0, 64, true).await.is_ok());
    assert!(read_blocks(&harness, version.id(), 0, 130, 70).await.is_ok());
    assert_eq!(health(&harness).await, [ShareHealth::Whole; 2]);
    let refused = read_rows(&harness, version.id(), 64, 1, false).await;
    assert_eq!(refused, Err(ReadRefusal::ShareDamaged));
    assert_eq!(health(&harness).await, [ShareHealth::Damaged; 2]);
    harness.stop().await;
}

#[tokio::test]
async fn page_roots_that_are_not_there_or_bent_are_found_again_and_kept() {
    let (harness, version) = holding(200).await;
    let kept = manifest(&harness).await.generations[0].page_roots.clone();
    assert_eq!(kept.len(), 4 * 32);
    let mut bent = BytesMut::from(&kept[..]);
    flip(&mut bent);
    for wrong in [Bytes::new(), bent.freeze(), kept.slice(..96)] {
        harness.store.tamper(writer().storage_index(), |manifest| {
            manifest.generations[0].page_roots = wrong;
        });
        assert!(read_rows(&harness, version.id(), 100, 1, true).await.is_ok());
        assert_eq!(manifest(&harness).await.generations[0].page_roots, kept);
    }
    assert_eq!(health(&harness).await, [ShareHealth::Whole; 2]);
    harness.stop().await;
}

#[tokio::test]
async fn without_page_roots_a_bent_row_damages_the_table_wherever_it_is() {
    let (harness, version) = holding(200).await;
    bend_row(&harness, &version, 199);
    harness.store.tamper(writer().storage_index(), |manifest| {
        manifest.generations[0].page_roots = Bytes::new();
    });
    let refused = read_rows(&harness, version.id(), 0, 1, false).await;
    assert_eq!(refused, Err(ReadRefusal::ShareDamaged));
    assert_eq!(health(&harness).await, [ShareHealth::Damaged; 2]);
    harness.stop().await;
}
