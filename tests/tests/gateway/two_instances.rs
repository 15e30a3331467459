//! The race of two instances (H2), step by step: one gateway is stopped where it is after it took a submission up, the
//! other is given the same one and finishes it, somebody else publishes on top; then the first goes on.

use std::time::Duration;

use tarn_proto::gateway::publish_header::Ticket;
use tarn_proto::gateway::{GetTaskRequest, TaskState};
use tarn_tests::Cluster;
use tarn_tests::gateway::{
    Gateway, create, header, outcome, published, read, submit, submit_stubbornly,
};
use tarn_tests::rounds::rounds;

/// More than passes through in the moment before it is stopped.
const LENGTH: usize = 8 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn the_slower_instance_writes_nothing_stale_over_the_faster_ones_result() {
    let cluster = Cluster::start(5);
    let gateways = [Gateway::start(&cluster), Gateway::start(&cluster)];
    let [slow, fast] = &gateways;
    // Each takes as long as a promise lasts.
    for (millis, _) in [15, 60, 0, 5, 30, 120].into_iter().zip(0..rounds(2)) {
        let file = create(&mut fast.calls()).await;
        let body = vec![1; LENGTH];
        let button = header(&file, "button", Ticket::Overwrite(true));
        let loaded = submit(&mut slow.calls(), button.clone(), &body).await.unwrap().task.unwrap();
        tokio::time::sleep(Duration::from_millis(millis)).await;
        slow.freeze();
        // What it had promised away by then is given back when its promises end: the other may have to wait.
        let again = submit_stubbornly(&mut fast.calls(), &button, &body).await.unwrap();
        let version = published(&outcome(&mut fast.calls(), &again).await);
        let on_top = header(&file, "", Ticket::AfterVersion(version.clone()));
        let on_top = submit(&mut fast.calls(), on_top, b"on top").await.unwrap().task.unwrap();
        let newest = published(&outcome(&mut fast.calls(), &on_top).await);
        slow.thaw();
        let told = outcome(&mut slow.calls(), &loaded).await;
        assert_eq!(published(&told), version, "stopped after {millis} ms: {told:?}");
        assert_eq!(read(&mut slow.calls(), &file).await, b"on top");
        assert_ne!(newest, version);
        for (gateway, task) in [(slow, &loaded), (fast, &again)] {
            let request = GetTaskRequest { task_id: task.task_id.clone() };
            let history = gateway.calls().get_task(request).await.unwrap().into_inner();
            assert_eq!(history.state(), TaskState::Ended);
            assert_eq!(history.outcome.unwrap().version, version, "both tell the same");
        }
    }
}
