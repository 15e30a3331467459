//! Any rows are checked against any root and geometry; rows that were computed are accepted with their proofs.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tarn_proto::{Geometry, Row, Shape, Table, merkle};

fuzz_target!(|data: &[u8]| {
    let Some((&[k, n, block_size_log], rest)) = data.split_first_chunk() else {
        return;
    };
    let Some((length, rest)) = rest.split_first_chunk() else {
        return;
    };
    let Some((root, rows)) = rest.split_first_chunk::<32>() else {
        return;
    };
    let Ok(shape) = Shape::new(k.into(), 1, n.into()) else {
        return;
    };
    let block_size = 1_u32.checked_shl(block_size_log.into()).unwrap_or(0);
    let length = u64::from_be_bytes(*length);
    if let Ok(geometry) = Geometry::new(shape, block_size, length) {
        check_against(&geometry, root, rows);
    }
    check_computed(shape, rows);
});

fn check_against(geometry: &Geometry, root: &[u8; 32], rows: &[u8]) {
    let bytes = Bytes::copy_from_slice(rows);
    if let Ok(table) = Table::verify(geometry, root, bytes.clone()) {
        assert_eq!(table.len(), geometry.segments() as usize);
    }
    let (row, proof) = rows.split_at(geometry.row_length().min(rows.len()));
    let row = Bytes::copy_from_slice(row);
    let _ = Row::verify(geometry, root, 0, row, proof.as_chunks().0);
}

fn check_computed(shape: Shape, rows: &[u8]) {
    let row_length = 32 + 32 * usize::from(shape.n());
    let whole = rows.chunks_exact(row_length).map(|row| {
        let (salt, hashes) = row
            .split_first_chunk()
            .expect("a row is longer than its salt");
        Row::new(salt, hashes.as_chunks().0)
    });
    let table = Table::from_rows(shape.n(), whole);
    let Ok(geometry) = Geometry::new(shape, 1, table.len() as u64 * u64::from(shape.k())) else {
        return;
    };
    let root = table.root();
    assert_eq!(
        Table::verify(&geometry, &root, table.bytes().clone()),
        Ok(table.clone())
    );
    let leaves = table.leaves();
    for segment in 0..geometry.segments() {
        let row = table
            .row(segment)
            .expect("the table has a row for each segment");
        let proof = merkle::proof(&leaves, segment as usize).expect("each row has a proof");
        assert_eq!(
            Row::verify(&geometry, &root, segment, row.bytes().clone(), &proof),
            Ok(row)
        );
    }
    assert_eq!(table.row(geometry.segments()), None);
}
