//! Calls that ask, or change little: dropped by whoever made them, their streams included.

use super::*;

#[test]
fn a_dropped_call_leaves_nothing_behind_in_memory() {
    runtime().block_on(calls::<MemoryStore>());
}

#[test]
fn a_dropped_call_leaves_nothing_behind_on_a_disk() {
    runtime().block_on(calls::<LocalStore>());
}

async fn calls<E: Engine>() {
    let mut table = Table::new(format!("calls of the service, {} store", E::NAME));
    let base = &base();
    asked::<E>(&mut table, base).await;
    read::<E>(&mut table, base).await;
    finalized::<E>(&mut table, base).await;
    watched::<E>(&mut table, base).await;
}

async fn asked<E: Engine>(table: &mut Table, base: &Version) {
    let describe = |stage: Arc<Stage<E>>| async move {
        let request = stage.request(wire::DescribeRequest::default());
        stage.service().describe(request).await.unwrap().into_inner().store_id
    };
    drop_each(table, ("describe", Drops::AtEveryPoll), base, describe, |answer| {
        assert!(answer.is_none_or(|store| store.as_ref() == STORE.as_bytes()));
        vec![base]
    })
    .await;
    let read_slot = |stage: Arc<Stage<E>>| async move { stage.state().await };
    drop_each(table, ("read_slot", Drops::AtEveryPoll), base, read_slot, |answer| {
        assert!(answer.is_none_or(|state| state.current().unwrap().header == base.signed));
        vec![base]
    })
    .await;
}

async fn read<E: Engine>(table: &mut Table, base: &Version) {
    for &drops in Drops::on::<E>() {
        let blocks = |stage: Arc<Stage<E>>| async move { stage.blocks(base, SHARES[0]).await };
        drop_each(table, ("read_blocks", drops), base, blocks, |read| {
            assert!(read.is_none_or(|read| read == base.column(share(SHARES[0]))));
            vec![base]
        })
        .await;
        let rows = |stage: Arc<Stage<E>>| async move { rows(&stage, base).await };
        drop_each(table, ("read_rows", drops), base, rows, |read| {
            assert!(read.is_none_or(|read| read == *base.table.bytes()));
            vec![base]
        })
        .await;
    }
}

async fn rows<E: Engine>(stage: &Stage<E>, version: &Version) -> BytesMut {
    use wire::read_rows_answer::Answer;
    let request = wire::ReadRowsRequest {
        storage_index: slot(),
        version_id: bytes(version.id().as_bytes()),
        segments: version.header().geometry.segments(),
        with_proofs: true,
        ..Default::default()
    };
    let answers = stage.service().read_rows(stage.request(request)).await.unwrap();
    let mut answers = answers.into_inner();
    let mut read = BytesMut::new();
    while let Some(answer) = answers.next().await {
        match answer.unwrap().answer.unwrap() {
            Answer::Rows(run) => read.extend_from_slice(&run.data),
            Answer::Refused(refused) => panic!("{refused:?}"),
        }
    }
    read
}

async fn finalized<E: Engine>(table: &mut Table, base: &Version) {
    for &drops in Drops::on::<E>() {
        let finalize = |stage: Arc<Stage<E>>| async move { finalize(&stage, base).await };
        drop_each(table, ("finalize", drops), base, finalize, |answer| {
            assert!(answer.is_none_or(|state| state.certificates == [base.certificate()]));
            vec![base]
        })
        .await;
    }
}

async fn finalize<E: Engine>(stage: &Stage<E>, version: &Version) -> SlotState {
    use wire::finalize_answer::Answer;
    let request = wire::FinalizeRequest {
        token: String::new(),
        storage_index: slot(),
        certificate: Some((&version.certificate()).into()),
    };
    let answer = stage.service().finalize(stage.request(request)).await.unwrap();
    match answer.into_inner().answer.unwrap() {
        Answer::Recorded(state) => verified(Some(state)),
        Answer::Refused(refused) => panic!("{refused:?}"),
    }
}

async fn watched<E: Engine>(table: &mut Table, base: &Version) {
    for &drops in Drops::on::<E>() {
        let watch = |stage: Arc<Stage<E>>| async move {
            let request = wire::WatchSlotRequest { storage_index: slot(), ..Default::default() };
            let states = stage.service().watch_slot(stage.request(request)).await.unwrap();
            let mut states = states.into_inner();
            let before = verified(states.next().await.unwrap().unwrap().state);
            finalize(&stage, base).await;
            let after = verified(states.next().await.unwrap().unwrap().state);
            [before.certificates.len(), after.certificates.len()]
        };
        drop_each(table, ("watch_slot, and a change", drops), base, watch, |seen| {
            assert!(seen.is_none_or(|seen| seen == [0, 1]));
            vec![base]
        })
        .await;
    }
}
