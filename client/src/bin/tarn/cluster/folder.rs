//! A cluster's folder: which servers it has, where they listen, and the grid file for its clients.
//!
//! ```text
//! cluster.toml     the members: folder, store, address
//! cluster.lock     held while servers are started or stopped
//! grid.toml        the same for clients
//! server-00/       a server's data
//! server-00.log    what it said
//! ```

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tarn_client::grid::{Grid, GridServer};
use tarn_client::transport::ServerClient;
use tarn_proto::StoreId;

use crate::error::CommandError;
use crate::home;
use crate::lock::{FileLock, Locked};
use crate::output;

/// How long one `tarn cluster` waits for another that starts or stops servers here.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster as its folder describes it.
#[derive(Debug)]
pub(super) struct Cluster {
    folder: PathBuf,
    /// In the order of their folders' names.
    pub(super) members: Vec<Member>,
}

/// One server of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// The name of its data folder.
    pub(super) name: String,
    /// The store in that folder.
    pub(super) store: StoreId,
    /// Where it listens whenever it runs.
    pub(super) address: SocketAddr,
}

impl Cluster {
    /// The cluster in this folder, without members if there is none yet.
    pub(super) fn load(folder: &Path) -> Result<Self, CommandError> {
        let file = folder.join("cluster.toml");
        let text = match std::fs::read_to_string(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.map_err(|error| CommandError::file("read", &file, &error))?,
        };
        let members = parse(&text).map_err(|problem| {
            CommandError::failed(format_args!("{} is damaged: {problem}", file.display()))
                .hint("put its servers back, or start a cluster in another folder with --dir")
        })?;
        Ok(Self { folder: folder.to_owned(), members })
    }

    /// The cluster in this folder; it is an error if there is none.
    pub(super) fn load_existing(folder: &Path) -> Result<Self, CommandError> {
        let cluster = Self::load(folder)?;
        if cluster.members.is_empty() {
            return Err(CommandError::usage(format_args!(
                "there is no cluster in {}",
                folder.display()
            ))
            .hint("`tarn cluster start` makes one; --dir says where"));
        }
        Ok(cluster)
    }

    /// Keeps other commands from starting and stopping servers here, waiting for one that does.
    pub(super) async fn lock(folder: &Path) -> Result<FileLock, CommandError> {
        let path = folder.join("cluster.lock");
        let waiting = |_| {
            output::say("waiting for another `tarn cluster` that works in this folder");
        };
        match FileLock::acquire(&path, PATIENCE, waiting).await {
            Ok(Locked::Ours(lock)) => Ok(lock),
            Ok(Locked::Held(_)) => Err(CommandError::failed(format_args!(
                "another `tarn cluster` still works in {}",
                folder.display()
            ))),
            Err(error) => Err(CommandError::file("lock", &path, &error)),
        }
    }

    /// Writes the members down, for the next command and for clients.
    pub(super) fn save(&self) -> Result<(), CommandError> {
        let write = |file: PathBuf, text: String| {
            home::write_private(&file, &text)
                .map_err(|error| CommandError::file("write", &file, &error))
        };
        write(self.folder.join("cluster.toml"), print(&self.members)?)?;
        let server = |member: &Member| GridServer::new(member.store, member.address.into());
        let grid = Grid::new(self.members.iter().map(server).collect());
        let grid = grid.map_err(CommandError::failed)?;
        write(self.grid_file(), grid.to_string())
    }

    /// What clients of this cluster name as their grid.
    pub(super) fn grid_file(&self) -> PathBuf {
        self.folder.join("grid.toml")
    }

    /// The data folder of the member of this name.
    pub(super) fn data(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where a member writes what it has to say.
    pub(super) fn log(&self, member: &Member) -> PathBuf {
        self.folder.join(format!("{}.log", member.name))
    }
}

impl Member {
    /// A client of this server, which need not run.
    pub(super) fn dial(&self) -> Result<ServerClient, CommandError> {
        ServerClient::dial(self.store, self.address.to_string(), None).map_err(CommandError::failed)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    server: Vec<WrittenMember>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMember {
    folder: String,
    store: String,
    address: SocketAddr,
}

fn parse(text: &str) -> Result<Vec<Member>, String> {
    let written: Written = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let member = |written: WrittenMember| {
        let name = Path::new(&written.folder);
        if name.file_name() != Some(name.as_os_str()) {
            return Err(format!("{} is not a folder's name", written.folder));
        }
        Ok(Member {
            store: written.store.parse().map_err(|error| format!("{error}"))?,
            name: written.folder,
            address: written.address,
        })
    };
    written.server.into_iter().map(member).collect()
}

fn print(members: &[Member]) -> Result<String, CommandError> {
    let member = |member: &Member| WrittenMember {
        folder: member.name.clone(),
        store: member.store.to_string(),
        address: member.address,
    };
    let server = members.iter().map(member).collect();
    toml::to_string(&Written { server }).map_err(CommandError::failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_reads_back_what_it_saved_and_clients_find_its_servers() {
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Cluster::load(folder.path()).unwrap();
        assert!(Cluster::load_existing(folder.path()).is_err());
        cluster.members.push(Member {
            name: "server-00".to_owned(),
            store: StoreId::new([7; 16]),
            address: "127.0.0.1:20000".parse().unwrap(),
        });
        cluster.save().unwrap();
        let again = Cluster::load_existing(folder.path()).unwrap();
        assert_eq!(again.members, cluster.members);
        let grid = Grid::read(&again.grid_file()).unwrap();
        let found = grid.find(StoreId::new([7; 16])).unwrap();
        assert_eq!(found.address.as_str(), "127.0.0.1:20000");
    }

    #[test]
    fn a_folder_outside_the_cluster_is_refused() {
        for name in ["../x", "/x", "a/b", "..", ""] {
            let text = format!(
                "[[server]]\nfolder = \"{name}\"\nstore = \"{}\"\naddress = \"127.0.0.1:1\"\n",
                StoreId::new([7; 16])
            );
            assert!(parse(&text).is_err(), "{name}");
        }
    }
}
