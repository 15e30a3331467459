//! A user of tarn: folders that nobody else uses, and the command run with them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::binary;
use crate::content::{Content, Fingerprint};
use crate::disk::copy_folder;
use crate::remains::nothing_remains;
use crate::running::Running;
use crate::told::Told;

/// A user's folders, all below one that goes when this is dropped.
#[derive(Debug)]
pub struct Home {
    folder: tempfile::TempDir,
    grid: Option<PathBuf>,
    /// In milliseconds.
    patience: u64,
    setting: Setting,
}

/// What stands around a command, as its user or its server does not see it.
#[derive(Debug, Clone, Default)]
pub struct Setting {
    /// The words of a command that runs it, such as `ip netns exec`.
    pub under: Vec<String>,
    /// Variables that it is given.
    pub variables: Vec<(String, String)>,
}

/// What a run of the command left. Killed by a signal, it has no exit code.
#[derive(Clone)]
pub struct Ran {
    /// The exit code.
    pub exit: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

impl Home {
    /// A user whose files are on this grid; on the embedded servers if there is none.
    pub fn new(grid: Option<&Path>) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            grid: grid.map(Path::to_owned),
            patience: 2_000,
            setting: Setting::default(),
        }
    }

    /// Another user with a copy of this one's files, on the same grid.
    pub fn copy(&self) -> Self {
        let mut copy = Self::new(self.grid.as_deref());
        copy.patience = self.patience;
        copy_folder(self.folder.path(), copy.folder.path());
        copy
    }

    /// From now on this user waits no longer for a server than tarn does by itself.
    pub const fn be_impatient(&mut self) {
        self.patience = 50;
    }

    /// From now on this user's files are on this grid.
    pub fn use_grid(&mut self, grid: &Path) {
        self.grid = Some(grid.to_owned());
    }

    /// From now on this user's commands are run like this.
    pub fn be_in(&mut self, setting: Setting) {
        self.setting = setting;
    }

    /// A file or folder below this home.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// Writes a file below this home.
    pub fn write(&self, inside: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// `tarn` with these words, not yet run.
    pub fn command(&self, words: &[&str]) -> Command {
        self.command_in(&self.setting, words)
    }

    /// The same with something else around it.
    pub(crate) fn command_in(&self, setting: &Setting, words: &[&str]) -> Command {
        let mut command = setting.around(binary::tarn());
        command.args(words).env("TARN_HOME", self.folder.path());
        command.env_remove("TARN_GRID").env_remove("RUST_LOG");
        // Stories do not depend on how busy this machine is, unless they are about that.
        command.env("TARN_PATIENCE", self.patience.to_string());
        if let Some(grid) = &self.grid {
            command.env("TARN_GRID", grid);
        }
        command
    }

    /// Runs `tarn` with these words.
    pub fn run(&self, words: &[&str]) -> Ran {
        Running::start(self.command(words)).ended()
    }

    /// Starts `tarn publish --name NAME --json` of this content, with more words.
    pub fn publishing(&self, name: &str, content: &Content, more: &[&str]) -> Running {
        let file = self.write(&format!("sources/{name}"), content.bytes());
        let words = ["publish", &file.to_string_lossy(), "--name", name, "--json"];
        Running::start(self.command(&[&words[..], more].concat()))
    }

    /// Publishes this content under this name, with more words; answers what `--json` said of it, whatever it was.
    pub fn publish_with(&self, name: &str, content: &Content, more: &[&str]) -> Told {
        Told::of(&self.publishing(name, content, more).ended())
    }

    /// Publishes this content under this name; fails unless it is published.
    pub fn publish(&self, name: &str, content: &Content) -> Told {
        self.publish_with(name, content, &[]).published()
    }

    /// Reads a file by its name or cap; fails unless all of it came.
    pub fn get(&self, file: &str) -> Fingerprint {
        self.run(&["get", file]).ok().digest()
    }

    /// Reads a file by its name or cap and expects it confirmed; answers the version's id too.
    pub fn get_version(&self, file: &str) -> (Fingerprint, String) {
        let output = self.path("got");
        let ran = self.run(&["get", file, "--json", "-o", &output.to_string_lossy()]).ok();
        let json: Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(json["confirmed"], true, "{ran:?}");
        let version = json["version"]["id"].as_str().unwrap().to_owned();
        (Fingerprint::of(&std::fs::read(output).unwrap()), version)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        nothing_remains(self.folder.path());
    }
}

impl Setting {
    fn around(&self, program: &Path) -> Command {
        let mut command = match self.under.split_first() {
            None => Command::new(program),
            Some((first, more)) => {
                let mut command = Command::new(first);
                command.args(more).arg(program);
                command
            }
        };
        command.envs(self.variables.iter().cloned());
        command
    }
}

impl Ran {
    /// Expects success.
    pub fn ok(self) -> Self {
        assert_eq!(self.exit, Some(0), "{self:?}");
        self.never_panicked()
    }

    /// Expects this exit code, nothing on standard output, and a sentence, which is answered.
    pub fn fails(self, exit: i32) -> String {
        assert_eq!(self.exit, Some(exit), "{self:?}");
        assert!(self.stdout.is_empty(), "{self:?}");
        let ran = self.never_panicked();
        let starts = ["tarn: ", "error: "];
        let is_sentence = |line: &str| starts.iter().any(|start| line.starts_with(start));
        assert!(ran.stderr.lines().any(is_sentence), "no sentence says why: {ran:?}");
        ran.stderr
    }

    /// Expects that nothing panicked.
    pub fn never_panicked(self) -> Self {
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        self
    }

    /// The SHA-256 of what was printed.
    pub fn digest(&self) -> Fingerprint {
        Fingerprint::of(&self.stdout)
    }

    /// What was printed, as text.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.stdout).unwrap()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Self { exit: output.status.code(), stdout: output.stdout, stderr }
    }
}

impl std::fmt::Debug for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "exit {:?}, {} bytes printed", self.exit, self.stdout.len())?;
        if self.stdout.len() < 8_000 {
            writeln!(f, "{}", String::from_utf8_lossy(&self.stdout))?;
        }
        f.write_str(&self.stderr)
    }
}
