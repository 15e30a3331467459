//! `tarn cluster stop`: ends the servers of a cluster, and nothing else.

use std::path::Path;

use futures::future::join_all;

use super::folder::Cluster;
use super::process::{self, Ended};
use crate::error::CommandError;
use crate::output;

/// Runs the command.
pub(super) async fn run(folder: &Path) -> Result<(), CommandError> {
    Cluster::load_existing(folder)?;
    let _lock = Cluster::lock(folder).await?;
    let cluster = Cluster::load_existing(folder)?;
    match end_all(&cluster).await? {
        (0, 0) => output::say("no server of the cluster was running"),
        (stopped, 0) => output::say(format_args!("stopped {stopped} servers")),
        (stopped, killed) => output::say(format_args!(
            "stopped {stopped} servers and killed {killed} that did not stop"
        )),
    }
    Ok(())
}

/// Ends every server of the cluster that runs. Says how many stopped, and how many had to be killed.
pub(super) async fn end_all(cluster: &Cluster) -> Result<(usize, usize), CommandError> {
    let stops = cluster.members.iter().map(|member| async {
        let ended = process::stop(cluster, member).await;
        ended.map_err(|error| format!("{}: {error}", member.name))
    });
    let mut problems = Vec::new();
    let (mut stopped, mut killed) = (0, 0);
    for result in join_all(stops).await {
        match result {
            Ok(Some(Ended::Stopped)) => stopped += 1,
            Ok(Some(Ended::Killed)) => killed += 1,
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        return Ok((stopped, killed));
    }
    Err(CommandError::failed(format_args!(
        "{} servers could not be stopped\n  {}",
        problems.len(),
        problems.join("\n  ")
    )))
}
