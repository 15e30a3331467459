//! Which versions are to be told, in order, when one is newest.

use bytes::Bytes;
use tarn_proto::VersionId;
use tarn_proto::gateway::FileVersion;

use crate::base::Evidence;

/// The versions after `told` up to `newest`, oldest first. If the links down to `told` are not all known, the first says
/// that there is a gap before it. Without `told`, only the newest.
pub(super) fn since(
    evidence: &Evidence,
    newest: VersionId,
    told: Option<VersionId>,
) -> Vec<FileVersion> {
    let Some(told) = told else { return vec![version(evidence, newest, None)] };
    let lineage: Vec<VersionId> = evidence.lineage_with_history(newest).collect();
    let reached = lineage.iter().position(|&id| id == told);
    let new = &lineage[..reached.unwrap_or(lineage.len())];
    let mut versions: Vec<FileVersion> = new
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

fn version(evidence: &Evidence, id: VersionId, below: Option<VersionId>) -> FileVersion {
    let bytes = |id: VersionId| Bytes::copy_from_slice(id.as_bytes());
    let signed = evidence.seen(id).and_then(|seen| seen.header.header().predecessor);
    FileVersion {
        version: bytes(id),
        sequence_number: evidence.place(id).map_or(0, |number| number.get()),
        predecessor: below.or(signed).map_or_else(Bytes::new, bytes),
        gap: false,
    }
}
