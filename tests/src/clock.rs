//! A wall clock that can be set while a process runs: `clock/clock.c`, preloaded into it, adds what a file says.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::home::Setting;

/// The clock of one process, or of all the processes of one user.
#[derive(Debug)]
pub struct Clock {
    path: PathBuf,
    file: File,
}

/// Why no clock can be set here; none if it can.
pub fn unavailable() -> Option<&'static str> {
    let is_there = !env!("TARN_CLOCK_LIBRARY").is_empty();
    (!is_there).then_some("only Linux with glibc lets a test preload a clock")
}

impl Clock {
    /// A clock that goes right, until it is set; it is kept in this file.
    pub fn new(path: &Path) -> Self {
        std::fs::write(path, [0; 16]).unwrap();
        let file = File::options().read(true).write(true).open(path).unwrap();
        Self { path: path.to_owned(), file }
    }

    /// What stands around a process that goes by it.
    pub fn setting(&self) -> Setting {
        let variables = [
            ("LD_PRELOAD", env!("TARN_CLOCK_LIBRARY").to_owned()),
            ("TARN_CLOCK", self.path.to_str().unwrap().to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        Setting { variables: variables.into(), ..Setting::default() }
    }

    /// Sets it, to so many seconds after what is right, or before.
    pub fn set(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// How often anybody has asked it.
    pub fn asked(&self) -> i64 {
        let mut asked = [0; 8];
        self.file.read_exact_at(&mut asked, 8).unwrap();
        i64::from_ne_bytes(asked)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_goes_by_its_clock_as_it_is_set() {
        if let Some(why) = unavailable() {
            return println!("not told: {why}");
        }
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::new(&folder.path().join("clock"));
        let date = |setting: Setting| {
            let said = Command::new("date").arg("+%s").envs(setting.variables).output().unwrap();
            String::from_utf8(said.stdout).unwrap().trim().parse::<i64>().unwrap()
        };
        for shift in [0, -50_000, 50_000] {
            clock.set(shift);
            let (right, shown) = (date(Setting::default()), date(clock.setting()));
            let off = shown - right - shift;
            assert!((0..10_000).contains(&off), "{off} s off after a step of {shift}");
        }
        assert!(clock.asked() >= 3);
    }
}
