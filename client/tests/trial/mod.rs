//! Runs the real `tarn` with a home of its own, which goes when the trial does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A home that nobody else uses.
pub(crate) struct Trial {
    home: tempfile::TempDir,
}

/// What a run of `tarn` left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Trial {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        Self { home }
    }

    /// A file or folder of this home.
    #[allow(dead_code, reason = "not every test looks into its home")]
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.home.path().join(inside)
    }

    /// Runs `tarn` with these words.
    pub(crate) fn tarn(&self, words: &[&str]) -> Ran {
        run(self.command(words))
    }

    /// `tarn` with these words, not yet run.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tarn"));
        command
            .args(words)
            .stdin(Stdio::null())
            .env("TARN_HOME", self.home.path())
            .env_remove("TARN_GRID")
            .env_remove("RUST_LOG");
        command
    }

    /// Writes a file of this home, with the folders above it.
    #[allow(dead_code, reason = "not every test prepares its home")]
    pub(crate) fn write(&self, inside: &str, content: &str) -> PathBuf {
        let path = self.path(inside);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// Runs a prepared command.
pub(crate) fn run(mut command: Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    Ran {
        exit: status.code().unwrap_or(-1),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

impl Ran {
    /// Expects success and answers what was printed.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.exit, 0, "{}", self.stderr);
        self.stdout
    }

    /// Expects this exit code, silence on standard output and no panic; answers what was said.
    pub(crate) fn fails(self, exit: i32) -> String {
        assert_eq!(self.exit, exit, "{}", self.stderr);
        assert_eq!(self.stdout, "");
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self.stderr
    }
}
