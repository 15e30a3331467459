//! The durable writes: one for each server, side by side. A share that a server would keep in its database is one durable
//! transaction; a larger one is written to a file and synced. Files and pages of the database are used again.

use std::io::{self, Seek, Write};
use std::path::Path;
use std::sync::Barrier;
use std::time::Duration;

use rusqlite::Connection;
use tarn_proto::Geometry;
use tarn_server::manifest::INLINE_MAX;
use tempfile::NamedTempFile;
use tokio::time::Instant;

use super::{Part, Stage, repeated};

/// So much is written at once.
const PIECE: usize = 256 << 10;

/// Where each of the servers would write.
pub(super) struct Disk {
    targets: Vec<Target>,
    /// Bytes of one share.
    share: u64,
}

enum Target {
    Database(Connection),
    /// Goes when this is dropped.
    File(NamedTempFile),
}

impl Disk {
    /// Makes what is written to, anew.
    pub(super) fn prepare(geometry: &Geometry, folder: &Path) -> io::Result<Self> {
        let share = geometry.share_length();
        let target = |server: u8| {
            if share <= INLINE_MAX as u64 {
                let path = folder.join(format!("{server}-{share}"));
                database(&path).map(Target::Database).map_err(io::Error::other)
            } else {
                NamedTempFile::new_in(folder).map(Target::File)
            }
        };
        let targets = (0..geometry.n()).map(target).collect::<io::Result<_>>()?;
        Ok(Self { targets, share })
    }

    /// How long it takes until all of them are durable.
    pub(super) fn measure(&mut self) -> io::Result<Part> {
        let bytes = self.share * self.targets.len() as u64;
        let time = repeated(|| self.write())?;
        Ok(Part { stage: Stage::Disk, time, bytes })
    }

    fn write(&mut self) -> io::Result<Duration> {
        let ready = Barrier::new(self.targets.len() + 1);
        let share = self.share;
        std::thread::scope(|threads| {
            let writers = self.targets.iter_mut().map(|target| {
                threads.spawn(|| {
                    ready.wait();
                    target.write(share)
                })
            });
            let writers: Vec<_> = writers.collect();
            ready.wait();
            let begun = Instant::now();
            for writer in writers {
                writer.join().map_err(|_| io::Error::other("a writer panicked"))??;
            }
            Ok(begun.elapsed())
        })
    }
}

impl Target {
    fn write(&mut self, share: u64) -> io::Result<()> {
        match self {
            Self::Database(database) => {
                let length = usize::try_from(share).map_err(io::Error::other)?;
                let replace = "REPLACE INTO slot VALUES (1, ?1)";
                database.execute(replace, [vec![7; length]]).map_err(io::Error::other)?;
                Ok(())
            }
            Self::File(file) => {
                file.rewind()?;
                let piece = vec![7; PIECE];
                let mut rest = share;
                while rest > 0 {
                    let length = usize::try_from(rest).map_or(PIECE, |rest| rest.min(PIECE));
                    file.write_all(&piece[..length])?;
                    rest -= length as u64;
                }
                file.as_file().sync_all()
            }
        }
    }
}

/// Durable when a transaction returns, as the servers' is.
fn database(path: &Path) -> rusqlite::Result<Connection> {
    let database = Connection::open(path)?;
    database.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.execute("CREATE TABLE IF NOT EXISTS slot (id INTEGER PRIMARY KEY, share BLOB)", [])?;
    Ok(database)
}
