//! What a story must not leave behind: processes that work in its folders, and the folders themselves. Whatever tarn a
//! story starts has one of them in its arguments or its environment; with a process end its locks and ports.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Removes a story's folder, and fails unless nobody works in it and it is gone. A story that fails has said why.
pub(crate) fn nothing_remains(folder: &Path) {
    if std::thread::panicking() {
        return;
    }
    let left = processes_of(folder);
    assert!(left.is_empty(), "left behind in {}: {left:#?}", folder.display());
    fs::remove_dir_all(folder)
        .unwrap_or_else(|error| panic!("{} is left behind: {error}", folder.display()));
}

/// The command lines of the processes that were started for this folder. None where the system does not tell.
fn processes_of(folder: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbered = processes.filter(|entry| {
        let id = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        id.is_some_and(|id| id != std::process::id())
    });
    let mut found = Vec::new();
    for process in numbered {
        // What ends meanwhile, or is somebody else's, has none.
        let read = |what| fs::read(process.path().join(what)).unwrap_or_default();
        let line = read("cmdline");
        if names(&line, folder) || names(&read("environ"), folder) {
            found.push(String::from_utf8_lossy(&line).replace('\0', " "));
        }
    }
    found
}

fn names(text: &[u8], folder: &Path) -> bool {
    let folder = folder.as_os_str().as_bytes();
    text.windows(folder.len()).any(|window| window == folder)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_found_by_its_folder_as_long_as_it_lives() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut command = Command::new("cat");
        command.arg("-").env("TARN_HOME", folder.path());
        let mut cat = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // The system tells nothing of a process that is just being started; one that has answered has been.
        let (mut to, mut from) = (cat.stdin.take().unwrap(), cat.stdout.take().unwrap());
        to.write_all(b"x").unwrap();
        from.read_exact(&mut [0]).unwrap();
        assert_eq!(processes_of(folder.path()), ["cat - "]);
        assert_eq!(processes_of(other.path()), [""; 0]);
        drop(to);
        assert!(cat.wait().unwrap().success());
        assert_eq!(processes_of(folder.path()), [""; 0]);
    }
}
