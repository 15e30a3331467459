//! Which file is published: one of the user's names, made now if it is new, or one whose write cap was given. A new
//! file's keys and window are durable before the first message is sent.

use tarn_client::base::Origin;
use tarn_client::caps::WriteCap;
use tarn_proto::{Shape, StorageIndex};

use super::Args;
use crate::clock::UnixSeconds;
use crate::error::CommandError;
use crate::names::{FileName, FileRecord, Found, HighWater, Names, NewFile, Wanted};
use crate::servers::os_rng;
use crate::session::Session;

/// The file that was meant.
pub(super) enum Meant {
    /// By name or path.
    Named(Wanted),
    /// By its write cap.
    Cap(WriteCap),
}

/// The file to publish.
pub(super) struct File {
    pub(super) name: Option<FileName>,
    pub(super) cap: WriteCap,
    pub(super) origin: Origin,
    /// What was said of its shape; `None` keeps what the newest version has.
    pub(super) shape: Option<Shape>,
    pub(super) first_shape: Shape,
    pub(super) high_water: Option<HighWater>,
}

impl File {
    pub(super) fn storage_index(&self) -> StorageIndex {
        self.cap.verify_cap().storage_index()
    }

    pub(super) fn find(
        args: &Args,
        meant: Meant,
        session: &Session,
        names: &mut Names,
    ) -> Result<Self, CommandError> {
        match meant {
            Meant::Cap(cap) => {
                let high_water = names.high_water(cap.verify_cap().storage_index())?;
                let said = args.shape.is_said();
                let shape = args.shape.applied_to(Shape::default())?;
                Ok(Self {
                    name: None,
                    cap,
                    origin: Origin::CapHolder,
                    shape: said.then_some(shape),
                    first_shape: shape,
                    high_water,
                })
            }
            Meant::Named(wanted) => {
                if args.part.needs_file() && names.find_wanted(&wanted, session.in_use())?.is_none()
                {
                    return Err(no_such_file(&wanted));
                }
                let fresh = new_file(args, session)?;
                let found =
                    names
                        .create_or_find(&wanted, session.in_use(), UnixSeconds::now(), || fresh)?;
                match found {
                    Found::Created(record) | Found::Existing(record) => Self::of(args, record),
                }
            }
        }
    }

    fn of(args: &Args, record: FileRecord) -> Result<Self, CommandError> {
        let shape = args.shape.applied_to(record.shape)?;
        Ok(Self {
            name: Some(record.name),
            cap: record.cap,
            origin: record.window.map_or(Origin::CapHolder, Origin::Creator),
            shape: args.shape.is_said().then_some(shape),
            first_shape: shape,
            high_water: record.high_water,
        })
    }
}

fn no_such_file(wanted: &Wanted) -> CommandError {
    let error = match wanted {
        Wanted::Name(name, _) => CommandError::usage(format_args!("no file is called \"{name}\"")),
        Wanted::Path(path) => {
            CommandError::usage(format_args!("no file is published from {}", path.display()))
        }
    };
    error.hint(
        "--offset changes a file that is there; --append makes one; `tarn ls` lists the names",
    )
}

/// Keys and window of a file, in case it is new.
fn new_file(args: &Args, session: &Session) -> Result<NewFile, CommandError> {
    let shape = args.shape.applied_to(Shape::default())?;
    let cap = WriteCap::generate(&mut os_rng());
    let window = session
        .client
        .choose_window(cap.verify_cap().storage_index(), shape)
        .map_err(CommandError::usage)?;
    Ok(NewFile { cap, window: Some(window), shape })
}
