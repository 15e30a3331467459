//! The state machines are pure: their sources name no runtime, no transport and no clock, so that one seed replays a
//! run (DESIGN §3). Comments may; what is compiled may not.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]

use std::path::{Path, PathBuf};

/// What no machine may name.
const BANNED: [&str; 4] = ["tokio", "tonic", "Instant", "SystemTime"];

/// The machines: each a file, the folder of its name beside it if there is one, and what in that folder is the shell
/// around the machine, by the beginning of its name.
const MACHINES: [Machine; 12] = [
    Machine { module: "client/src/base", has_folder: true, shell: &[] },
    Machine { module: "client/src/bring", has_folder: false, shell: &[] },
    Machine { module: "client/src/fetch", has_folder: true, shell: &["driver"] },
    Machine { module: "client/src/placement", has_folder: false, shell: &[] },
    Machine { module: "client/src/publish", has_folder: true, shell: &["driver", "publishing"] },
    Machine { module: "client/src/queue", has_folder: true, shell: &[] },
    Machine { module: "client/src/quorum", has_folder: false, shell: &[] },
    Machine { module: "client/src/retrieve", has_folder: true, shell: &["driver", "reading"] },
    Machine { module: "client/src/servermap", has_folder: false, shell: &[] },
    Machine { module: "client/src/suspects", has_folder: false, shell: &[] },
    Machine { module: "client/src/time", has_folder: false, shell: &[] },
    Machine { module: "server/src/slot", has_folder: true, shell: &[] },
];

struct Machine {
    module: &'static str,
    has_folder: bool,
    shell: &'static [&'static str],
}

#[test]
fn machines_name_no_runtime_no_transport_and_no_clock() {
    let mut found = Vec::new();
    for machine in &MACHINES {
        for file in machine.files() {
            let text = std::fs::read_to_string(&file).unwrap();
            println!("read {} lines of {}", text.lines().count(), file.display());
            for (number, word) in banned_words(&text) {
                found.push(format!("{}:{number} names {word}", file.display()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_banned_word_is_found_in_code_and_nowhere_else() {
    let words = |text| banned_words(text).map(|(_, word)| word).collect::<Vec<_>>();
    assert_eq!(words("use tokio::time;"), ["tokio"]);
    assert_eq!(words("use std::time::{Duration, Instant};"), ["Instant"]);
    assert_eq!(words("let code = tonic::Code::Ok; // tokio"), ["tonic"]);
    assert_eq!(
        words("//! No tokio.\n    /// Instantly\nlet instant = tokio_free(InstantLike);"),
        [""; 0]
    );
}

impl Machine {
    /// Every source file of the machine. Fails if one has vanished, or if there is more than is said here.
    fn files(&self) -> Vec<PathBuf> {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let folder = root.join(self.module);
        let mut files = vec![folder.with_extension("rs")];
        assert!(files[0].is_file(), "{} has vanished: correct this list", files[0].display());
        assert_eq!(folder.is_dir(), self.has_folder, "{}", folder.display());
        if self.has_folder {
            files.extend(self.below(&folder));
            assert!(files.len() > 1, "{} holds no machine", folder.display());
        }
        for shell in self.shell {
            let file = folder.join(shell).with_extension("rs");
            assert!(file.is_file(), "{} has vanished: correct this list", file.display());
        }
        files.sort();
        files
    }

    fn below(&self, folder: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            if self.shell.iter().any(|shell| name.starts_with(shell)) {
                continue;
            }
            if path.is_dir() {
                files.extend(self.below(&path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
        files
    }
}

/// The banned words that code names, each with its line.
fn banned_words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines.flat_map(|(index, line)| {
        let code = line.split_once("//").map_or(line, |(code, _)| code);
        let words = code.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        words.filter(|word| BANNED.contains(word)).map(move |word| (index + 1, word))
    })
}
