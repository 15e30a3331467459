//! Versions for tests: real keys, signatures, tables and block hashes over made-up blocks. The server never decodes,
//! so the blocks need not be an erasure code of anything.

mod engine;
mod update;

use std::collections::BTreeMap;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use tarn_proto::signing::Statement;
use tarn_proto::state::{Expected, Tests};
use tarn_proto::table::block_hash;
use tarn_proto::{
    AttemptId, Certificate, ConversationId, Geometry, Header, Row, SequenceNumber, Shape,
    ShareNumber, Signature, SignedHeader, StorageIndex, StoreId, Table, VerifyKey, VersionId,
    Window,
};

use crate::manifest::{Content, Extent};
use crate::slot::{
    Claim, Columns, Discard, HashedBlocks, HashedRows, PreparedHeader, TableDigest, Verdict,
    VerifiedWrite,
};

pub(crate) use engine::Engine;

pub(crate) const STORE: StoreId = StoreId::new([0xa5; 16]);

pub(crate) fn share(number: u8) -> ShareNumber {
    ShareNumber::new(number).unwrap()
}

pub(crate) fn conversation(number: u8) -> ConversationId {
    ConversationId::new([number; 16])
}

/// Whoever holds a file's key.
pub(crate) struct Writer {
    pub(crate) key: SigningKey,
}

impl Writer {
    pub(crate) fn new(seed: u8) -> Self {
        Self { key: SigningKey::from_bytes(&[seed; 32]) }
    }

    pub(crate) fn verify_key(&self) -> VerifyKey {
        VerifyKey::of(&self.key)
    }

    pub(crate) fn storage_index(&self) -> StorageIndex {
        self.verify_key().storage_index()
    }

    /// A version of three segments of four-byte blocks, 2-of-4. `label` tells versions and attempts apart.
    pub(crate) fn version(
        &self,
        label: u8,
        sequence_number: u64,
        predecessor: Option<VersionId>,
    ) -> Version {
        self.sized(label, sequence_number, predecessor, 4, 20)
    }

    pub(crate) fn sized(
        &self,
        label: u8,
        sequence_number: u64,
        predecessor: Option<VersionId>,
        block_size: u32,
        length: u64,
    ) -> Version {
        let shape = Shape::new(2, 2, 4).unwrap();
        let geometry = Geometry::new(shape, block_size, length).unwrap();
        let block = |segment: u32, share: ShareNumber| {
            block(label, segment, share, geometry.block_length(segment))
        };
        let columns: BTreeMap<ShareNumber, Vec<Bytes>> = ShareNumber::all(shape.n())
            .map(|share| {
                let blocks = (0..geometry.segments()).map(|segment| block(segment, share));
                (share, blocks.collect())
            })
            .collect();
        let rows = (0..geometry.segments()).map(|segment| row(label, segment, &columns));
        let table = Table::from_rows(shape.n(), rows);
        let header = Header {
            tombstone: false,
            storage_index: self.storage_index(),
            sequence_number: SequenceNumber::new(sequence_number).unwrap(),
            predecessor,
            shape,
            geometry,
            table_root: table.root(),
            attempt: AttemptId::new([label; 16]),
            key_check: [0; 16],
            window: Window::new(vec![STORE]).unwrap(),
            joint: None,
        };
        Version {
            signed: SignedHeader::sign(&self.key, header),
            key: self.key.clone(),
            table,
            columns,
        }
    }
}

fn block(label: u8, segment: u32, share: ShareNumber, length: usize) -> Bytes {
    let of_place = label ^ share.get().wrapping_mul(31) ^ segment.to_be_bytes()[3];
    (0..length).map(|at| of_place ^ at.to_le_bytes()[0]).collect()
}

fn row(label: u8, segment: u32, columns: &BTreeMap<ShareNumber, Vec<Bytes>>) -> Row {
    let hash = |(share, blocks): (&ShareNumber, &Vec<Bytes>)| {
        block_hash(segment, *share, &blocks[segment as usize])
    };
    Row::new(&[label; 32], &columns.iter().map(hash).collect::<Vec<_>>())
}

/// A version with all its shares.
#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) signed: SignedHeader,
    pub(crate) table: Table,
    pub(crate) columns: BTreeMap<ShareNumber, Vec<Bytes>>,
    key: SigningKey,
}

impl Version {
    pub(crate) fn id(&self) -> VersionId {
        self.signed.version()
    }

    pub(crate) fn header(&self) -> &Header {
        self.signed.header()
    }

    pub(crate) fn signature(&self) -> Signature {
        self.signed.signature()
    }

    pub(crate) fn certificate(&self) -> Certificate {
        Certificate::sign(&self.key, self.header().sequence_number, self.id())
    }

    /// All blocks of a share, concatenated.
    pub(crate) fn column(&self, share: ShareNumber) -> Bytes {
        self.columns[&share].concat().into()
    }

    pub(crate) fn prepare_signature(&self, store: StoreId) -> Signature {
        let header = self.signed.bytes();
        Statement::Prepare { store, header }.sign(&self.key)
    }

    pub(crate) fn discard_signature(&self, store: StoreId, dropped: &[VersionId]) -> Signature {
        let statement = Statement::Discard {
            storage_index: self.header().storage_index,
            store,
            sealed: self.id(),
            dropped,
        };
        statement.sign(&self.key)
    }

    pub(crate) fn prepared(&self) -> PreparedHeader {
        PreparedHeader::verify(
            STORE,
            self.signed.verify_key(),
            self.signed.bytes().clone(),
            &self.prepare_signature(STORE),
        )
        .unwrap()
    }

    pub(crate) fn claim(&self, tests: Tests) -> Claim {
        Claim { header: self.prepared(), tests, discard: None, ancestors: Vec::new() }
    }

    pub(crate) fn claim_discarding(&self, tests: Tests, dropped: &[VersionId]) -> Claim {
        let header = self.prepared();
        let signature = self.discard_signature(STORE, dropped);
        let discard = Discard::verify(&header, dropped.to_vec(), &signature).unwrap();
        Claim { header, tests, discard: Some(discard), ancestors: Vec::new() }
    }

    /// These shares, checked, with all bytes inline.
    pub(crate) fn verified(&self, shares: &[u8]) -> VerifiedWrite {
        let shares: Vec<_> = shares.iter().map(|&number| share(number)).collect();
        let n = self.header().shape.n();
        let mut digest = TableDigest::default();
        let rows = HashedRows::hash(n, &shares, 0, self.table.bytes()).unwrap();
        digest.append(rows).unwrap();
        let mut columns = Columns::new(&shares);
        for &share in &shares {
            let block_size = self.header().geometry.block_size();
            let run = HashedBlocks::hash(share, 0, block_size, &self.column(share));
            columns.append(run).unwrap();
        }
        let verdict = Verdict::check(self.header(), self.id(), &digest, &columns).unwrap();
        let contents = shares.iter().map(|&share| (share, inline(self.column(share))));
        VerifiedWrite::new(&verdict, inline(self.table.bytes().clone()), contents.collect())
            .unwrap()
    }
}

pub(crate) fn inline(bytes: Bytes) -> Content {
    Content(vec![Extent::Inline(bytes)])
}

/// Tests of these shares.
pub(crate) fn tests(shares: &[(u8, Expected)]) -> Tests {
    Tests {
        shares: shares.iter().map(|&(number, expected)| (share(number), expected)).collect(),
        no_others: false,
    }
}

/// The same, and no share beyond them.
pub(crate) fn tests_only(shares: &[(u8, Expected)]) -> Tests {
    Tests { no_others: true, ..tests(shares) }
}
