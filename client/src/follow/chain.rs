//! Which versions are to be told, in order, when one is newest.

use tarn_proto::VersionId;

use super::Told;

use crate::base::Evidence;

/// The versions after `told` up to `newest`, oldest first. If the links down to `told` are not all known, the first says
/// that there is a gap before it. Without `told`, only the newest.
pub(super) fn since(evidence: &Evidence, newest: VersionId, told: Option<VersionId>) -> Vec<Told> {
    let Some(told) = told else { return vec![version(evidence, newest, None)] };
    let lineage: Vec<VersionId> = evidence.lineage_with_history(newest).collect();
    let reached = lineage.iter().position(|&id| id == told);
    let new = &lineage[..reached.unwrap_or(lineage.len())];
    let mut versions: Vec<Told> = new
        .iter()
        .enumerate()
        .map(|(place, &id)| version(evidence, id, lineage.get(place + 1).copied()))
        .collect();
    versions.reverse();
    if reached.is_none()
        && let Some(first) = versions.first_mut()
    {
        first.gap = true;
    }
    versions
}

fn version(evidence: &Evidence, id: VersionId, below: Option<VersionId>) -> Told {
    let signed = evidence.seen(id).and_then(|seen| seen.header.header().predecessor);
    Told {
        version: id,
        sequence_number: evidence.place(id),
        predecessor: below.or(signed),
        gap: false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ed25519_dalek::SigningKey;
    use tarn_proto::{
        AttemptId, Geometry, Header, HistoryEntry, SequenceNumber, Shape, SignedHeader, SlotState,
        StoreId, VerifyKey, Window,
    };

    use super::*;

    const STORE: StoreId = StoreId::new([1; 16]);

    fn header(number: u64, predecessor: Option<VersionId>) -> SignedHeader {
        let key = SigningKey::from_bytes(&[1; 32]);
        let shape = Shape::new(1, 1, 1).unwrap();
        let header = Header {
            tombstone: false,
            storage_index: VerifyKey::of(&key).storage_index(),
            sequence_number: SequenceNumber::try_from(number).unwrap(),
            predecessor,
            shape,
            geometry: Geometry::choose(shape, 0).unwrap(),
            table_root: tarn_proto::merkle::root(&[]),
            attempt: AttemptId::new([0; 16]),
            key_check: [0; 16],
            window: Window::new(vec![STORE]).unwrap(),
            joint: None,
        };
        SignedHeader::sign(&key, header)
    }

    fn id(number: u8) -> VersionId {
        VersionId::new([number; 32])
    }

    fn remembered(number: u8, predecessor: Option<u8>) -> HistoryEntry {
        HistoryEntry {
            attempt: AttemptId::new([number; 16]),
            version: id(number),
            predecessor: predecessor.map(id),
            sequence_number: SequenceNumber::try_from(u64::from(number)).unwrap(),
        }
    }

    fn told(evidence: &Evidence, newest: &SignedHeader, after: Option<u8>) -> Vec<(u64, bool)> {
        let told = since(evidence, newest.version(), after.map(id));
        let number = |told: &Told| told.sequence_number.map_or(0, SequenceNumber::get);
        told.iter().map(|told| (number(told), told.gap)).collect()
    }

    #[test]
    fn what_came_in_between_is_told_in_order_as_far_as_it_is_remembered() {
        let newest = header(5, Some(id(4)));
        let mut state = SlotState::empty(STORE);
        state.floor = Some(newest.clone());
        state.history = vec![remembered(3, Some(2)), remembered(4, Some(3))];
        let evidence = Evidence::gather(&BTreeMap::from([(STORE, state)]));
        assert_eq!(told(&evidence, &newest, None), [(5, false)], "whoever begins begins here");
        assert_eq!(told(&evidence, &newest, Some(4)), [(5, false)]);
        assert_eq!(told(&evidence, &newest, Some(2)), [(3, false), (4, false), (5, false)]);
        let gap = told(&evidence, &newest, Some(1));
        assert_eq!(
            gap,
            [(0, true), (3, false), (4, false), (5, false)],
            "2 is known by its id only"
        );
    }
}
