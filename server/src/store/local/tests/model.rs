//! The engine beside the simplest store there is: a map. Whatever is asked of both, they answer the same.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use tarn_proto::{ConversationId, Origin, ShareHealth, StorageIndex};

use super::support::{Author, folder, open, record, sequence, share};
use crate::manifest::{Content, Extent, Manifest, StoredGeneration, StoredShare};
use crate::store::local::rows::ManifestRows;
use crate::store::{ChunkWriter, PinnedChunk, Revision, Store, StoreError};

/// A manifest to be made up of pieces that repeat often, so that much of one is in the next.
#[derive(Debug, Clone)]
struct Draft {
    floor: Option<u64>,
    sealed: Option<u64>,
    generations: Vec<GenerationDraft>,
    certificates: Vec<u64>,
    ancestors: Vec<u64>,
    history: std::ops::Range<u64>,
}

#[derive(Debug, Clone)]
struct GenerationDraft {
    version: u64,
    brought: bool,
    table: Vec<u8>,
    shares: BTreeMap<u8, (bool, Vec<u8>)>,
}

#[derive(Debug, Clone)]
enum Operation {
    Replace { author: u8, stale: bool, draft: Draft },
    Reopen,
}

/// Small numbers stand for extents: even ones are inline, odd ones lie in a chunk.
fn extents() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0_u8..8, 0..4)
}

fn draft() -> impl Strategy<Value = Draft> {
    let shares = prop::collection::btree_map(0_u8..5, (any::<bool>(), extents()), 0..4);
    let generation = (1_u64..5, any::<bool>(), extents(), shares).prop_map(
        |(version, brought, table, shares)| GenerationDraft { version, brought, table, shares },
    );
    (
        prop::option::of(1_u64..5),
        prop::option::of(1_u64..5),
        prop::collection::vec(generation, 0..4),
        prop::collection::vec(1_u64..5, 0..3),
        prop::collection::vec(1_u64..5, 0..3),
        (1_u64..8, 0_u64..8).prop_map(|(from, count)| from..from + count),
    )
        .prop_map(|(floor, sealed, generations, certificates, ancestors, history)| Draft {
            floor,
            sealed,
            generations,
            certificates,
            ancestors,
            history,
        })
}

fn operation() -> impl Strategy<Value = Operation> {
    let replace = (1_u8..3, prop::bool::weighted(0.2), draft())
        .prop_map(|(author, stale, draft)| Operation::Replace { author, stale, draft });
    prop_oneof![8 => replace, 1 => Just(Operation::Reopen)]
}

fn manifest(author: &Author, draft: &Draft, chunk: &PinnedChunk) -> Manifest {
    let content = |extents: &[u8]| {
        let extents = extents.iter().map(|&number| match number % 2 {
            0 => Extent::Inline(Bytes::from(vec![number; usize::from(number)])),
            _ => Extent::Chunk { id: chunk.id, offset: number.into(), length: 2 },
        });
        Content(extents.collect())
    };
    let generation = |draft: &GenerationDraft| StoredGeneration {
        header: author.header(draft.version),
        origin: if draft.brought {
            Origin::Brought
        } else {
            Origin::Committed(ConversationId::new([1; 16]))
        },
        table: content(&draft.table),
        page_roots: Bytes::from(draft.table.clone()),
        shares: draft
            .shares
            .iter()
            .map(|(number, (damaged, extents))| {
                let health = if *damaged { ShareHealth::Damaged } else { ShareHealth::Whole };
                let content = content(extents);
                (share(*number), StoredShare { health, content })
            })
            .collect(),
    };
    Manifest {
        floor: draft.floor.map(|number| author.header(number)),
        sealed: draft.sealed.map(sequence),
        generations: draft.generations.iter().map(generation).collect(),
        certificates: draft.certificates.iter().map(|number| author.certificate(*number)).collect(),
        ancestors: draft.ancestors.iter().map(|number| author.header(*number)).collect(),
        history: draft.history.clone().map(record).collect(),
    }
}

async fn run(operations: Vec<Operation>) {
    let folder = folder();
    let mut store = open(&folder);
    let mut model: BTreeMap<StorageIndex, (Manifest, Revision)> = BTreeMap::new();
    for operation in operations {
        match operation {
            Operation::Reopen => {
                drop(store);
                store = open(&folder);
            }
            Operation::Replace { author, stale, draft } => {
                let author = Author::new(author);
                let mut chunk = store.chunk().await.unwrap();
                chunk.append(Bytes::from_static(&[7; 16])).await.unwrap();
                let chunk = chunk.finish().await.unwrap();
                let manifest = manifest(&author, &draft, &chunk);
                let current = model.get(&author.slot()).map(|(_, revision)| *revision);
                let expected = match current {
                    Some(revision) if stale => Some(Revision(revision.0 - 1)),
                    None if stale => Some(Revision(1)),
                    current => current,
                };
                let answer = store.replace(author.slot(), expected, manifest.clone()).await;
                if stale {
                    assert!(matches!(answer, Err(StoreError::Changed)));
                } else {
                    let revision = answer.unwrap();
                    assert!(current.is_none_or(|current| current < revision));
                    model.insert(author.slot(), (manifest, revision));
                }
            }
        }
        for seed in 1..3 {
            let slot = Author::new(seed).slot();
            assert_eq!(store.load(slot).await.unwrap(), model.get(&slot).cloned());
        }
        for (manifest, _) in model.values() {
            for share in manifest.generations.iter().flat_map(|it| it.shares.values()) {
                let length = usize::try_from(share.content.length()).unwrap();
                store.read(&share.content, 0, length).await.unwrap();
            }
        }
    }
    drop(store);
    let named = model.values().flat_map(|(manifest, _)| manifest.chunks());
    let named: std::collections::BTreeSet<String> =
        named.map(|id| format!("{:032x}", id.0)).collect();
    let left = super::support::names(folder.path(), "chunks");
    assert!(left.into_iter().eq(named), "exactly the named chunks are left");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_answers_as_a_map_does(operations in prop::collection::vec(operation(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(operations));
    }

    #[test]
    fn rows_give_back_the_manifest_they_were_made_of(draft in draft()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let folder = folder();
        let store = open(&folder);
        let chunk = runtime.block_on(super::support::write_chunk(&store, b"bytes"));
        let author = Author::new(1);
        let manifest = manifest(&author, &draft, &chunk);
        let rows = ManifestRows::of(author.slot(), &manifest).unwrap();
        prop_assert_eq!(rows.parse(author.slot()), Ok(manifest));
    }
}
