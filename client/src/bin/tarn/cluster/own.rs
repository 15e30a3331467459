//! A cluster that one command starts for itself, in a folder that nobody else uses, and stops again. Whoever starts it
//! calls [`OwnCluster::stop`], however its work ended: the processes would outlive the command.

use std::net::SocketAddr;
use std::path::Path;

use tarn_proto::StoreId;

use super::folder::Cluster;
use super::{process, start, stop};
use crate::error::CommandError;
use crate::home;

/// Running servers.
#[derive(Debug)]
pub(crate) struct OwnCluster(Cluster);

impl OwnCluster {
    /// Starts so many servers, with data below this folder, and waits until all of them answer. If that fails, none runs.
    pub(crate) async fn start(folder: &Path, servers: usize) -> Result<Self, CommandError> {
        home::create_folder(folder)
            .map_err(|error| CommandError::file("create the folder", folder, &error))?;
        let mut cluster = Cluster::load(folder)?;
        start::make_members(&mut cluster, servers).await?;
        if let Err(error) = start::bring_up(&cluster).await {
            stop::end_all(&cluster).await?;
            return Err(CommandError::failed(error.sentence()));
        }
        Ok(Self(cluster))
    }

    /// The stores, and where their servers listen.
    pub(crate) fn servers(&self) -> impl Iterator<Item = (StoreId, SocketAddr)> {
        self.0.members.iter().map(|member| (member.store, member.address))
    }

    /// The ids of the processes that run, in the order of the servers.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let members = self.0.members.iter();
        members.filter_map(|member| process::running(&self.0, member).ok().flatten()).collect()
    }

    /// Stops the servers. Their data stays.
    pub(crate) async fn stop(self) -> Result<(), CommandError> {
        stop::end_all(&self.0).await.map(drop)
    }
}
