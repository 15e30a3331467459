//! Which files are meant by what was typed: each once, folders walked to their ends. A link that was typed is followed; one
//! that is met below a folder leads who knows where, and is skipped. Reads no file.

use std::collections::BTreeSet;
use std::fs::FileType;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::room;
use crate::error::CommandError;
use crate::names::path_identity;
use crate::output;
use crate::publish::{Args, Source};
use crate::table::printable;

/// One file to publish.
#[derive(Debug)]
pub(super) struct Chosen {
    /// As it was typed, or found below what was typed.
    pub(super) path: PathBuf,
    /// What names it whatever way it was reached, or why nothing does.
    pub(super) identity: io::Result<PathBuf>,
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// In the order in which they were typed, folders by name.
    pub(super) chosen: Vec<Chosen>,
    /// What could not be looked at.
    pub(super) failed: Vec<(PathBuf, CommandError)>,
    seen: BTreeSet<PathBuf>,
}

impl Chosen {
    /// How much room its publish takes. A file that cannot be looked at fails later, and says why.
    pub(super) fn room_on(&self, args: &Args) -> u32 {
        let length = std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        args.shape
            .applied_to(tarn_proto::Shape::default())
            .map_or(1, |shape| room::units(shape, length))
    }
}

impl Files {
    /// Finds them. What lies in `own`, where tarn keeps its own things, changes by being published and is skipped.
    pub(super) fn find<'a>(
        typed: impl IntoIterator<Item = &'a Source>,
        own: &Path,
    ) -> Result<Self, CommandError> {
        let own = own.canonicalize().ok();
        let mut files = Self::default();
        for source in typed {
            let Source::File(path) = source else {
                return Err(CommandError::usage("standard input is published alone"));
            };
            if path.is_dir() {
                files.walk(path, own.as_deref());
            } else {
                files.add(path.clone());
            }
        }
        Ok(files)
    }

    fn walk(&mut self, folder: &Path, own: Option<&Path>) {
        let is_own = |path: &Path| {
            own.is_some_and(|own| path.canonicalize().is_ok_and(|path| path.starts_with(own)))
        };
        if is_own(folder) {
            return skip(folder, "tarn keeps its own things there");
        }
        let mut walk = WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter();
        while let Some(entry) = walk.next() {
            match entry {
                Err(error) => self.failed.push(unreadable(folder, &error)),
                Ok(entry) if entry.file_type().is_file() => self.add(entry.into_path()),
                Ok(entry) if !entry.file_type().is_dir() => {
                    skip(entry.path(), kind(entry.file_type()));
                }
                Ok(entry) if is_own(entry.path()) => {
                    skip(entry.path(), "tarn keeps its own things there");
                    walk.skip_current_dir();
                }
                Ok(_folder) => {}
            }
        }
    }

    fn add(&mut self, path: PathBuf) {
        let identity = path_identity(&path);
        let key = identity.as_ref().unwrap_or(&path).clone();
        if self.seen.insert(key) {
            self.chosen.push(Chosen { path, identity });
        }
    }
}

fn skip(path: &Path, why: &str) {
    output::say(format_args!("skipped {}: {why}", printable(&path.to_string_lossy())));
}

fn kind(file_type: FileType) -> &'static str {
    if file_type.is_symlink() {
        "it is a link; name it, or what it leads to, to have that published"
    } else if file_type.is_fifo() {
        "it is a pipe"
    } else if file_type.is_socket() {
        "it is a socket"
    } else {
        "it is a device"
    }
}

fn unreadable(folder: &Path, error: &walkdir::Error) -> (PathBuf, CommandError) {
    let path = error.path().unwrap_or(folder).to_owned();
    let sentence = match error.io_error() {
        Some(cause) => CommandError::file("read", &path, cause),
        None => CommandError::failed(error),
    };
    (path, sentence)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn found(folder: &Path, typed: &[&str]) -> Vec<String> {
        let typed: Vec<_> = typed.iter().map(|typed| Source::File(folder.join(typed))).collect();
        let files = Files::find(&typed, &folder.join("own")).unwrap();
        assert!(files.failed.is_empty(), "{files:?}");
        let relative = |chosen: &Chosen| {
            let path = chosen.path.strip_prefix(folder).unwrap();
            path.to_string_lossy().into_owned()
        };
        files.chosen.iter().map(relative).collect()
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in ["b", "a", "sub/.hidden", "sub/deep/x", "own/names.sqlite"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_is_all_its_regular_files_by_name() {
        let folder = folder();
        assert_eq!(found(folder.path(), &["b", "sub"]), ["b", "sub/.hidden", "sub/deep/x"]);
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        assert!(found(folder.path(), &["empty"]).is_empty());
    }

    #[test]
    fn a_file_is_chosen_once_however_it_is_reached() {
        let folder = folder();
        let typed = ["sub", "sub/deep/../deep/x", "a", "./a", "sub/deep"];
        assert_eq!(found(folder.path(), &typed), ["sub/.hidden", "sub/deep/x", "a"]);
    }

    #[test]
    fn links_are_followed_where_they_were_typed_and_nowhere_else() {
        let folder = folder();
        symlink(folder.path().join("a"), folder.path().join("sub/link")).unwrap();
        symlink(folder.path().join("sub/deep"), folder.path().join("to-deep")).unwrap();
        let typed = ["sub", "sub/link", "to-deep"];
        let all = ["sub/.hidden", "sub/deep/x", "sub/link"];
        assert_eq!(
            found(folder.path(), &typed),
            all,
            "what the last one leads to is there already"
        );
    }

    #[test]
    fn what_is_no_file_and_what_is_tarns_own_are_skipped() {
        let folder = folder();
        let _socket = UnixListener::bind(folder.path().join("sub/socket")).unwrap();
        assert_eq!(found(folder.path(), &["own", ""]), ["a", "b", "sub/.hidden", "sub/deep/x"]);
    }

    #[test]
    fn what_is_not_there_is_left_to_fail_by_itself() {
        let folder = folder();
        assert_eq!(found(folder.path(), &["missing", "a"]), ["missing", "a"]);
        assert_eq!(found(folder.path(), &["nowhere/x", "a"]), ["nowhere/x", "a"]);
    }

    #[test]
    fn standard_input_is_published_alone() {
        let typed = [Source::File("a".into()), Source::from(OsStr::new("-").to_owned())];
        let error = Files::find(&typed, Path::new("/nowhere")).unwrap_err();
        assert_eq!(error.exit() as u8, 2);
    }
}
