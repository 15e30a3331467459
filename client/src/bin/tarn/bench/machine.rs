//! What a bench says of the machine, and how much memory processes had. Read from `/proc`; where there is none, nothing
//! is said.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// What times depend on.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Machine {
    /// How many threads run at once.
    pub(super) cores: usize,
    /// What the processor calls itself.
    pub(super) cpu: Option<String>,
    /// The operating system and its version.
    pub(super) kernel: Option<String>,
    /// The type of the file system that the data is on.
    pub(super) file_system: Option<String>,
}

impl Machine {
    /// This machine, with data in this folder.
    pub(super) fn look_at(folder: &Path) -> Self {
        let text = |path| fs::read_to_string(path).ok();
        let mounts = text("/proc/self/mounts");
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: text("/proc/cpuinfo").and_then(|text| model(&text)),
            kernel: text("/proc/sys/kernel/osrelease")
                .map(|release| format!("{} {}", std::env::consts::OS, release.trim())),
            file_system: mounts.and_then(|text| file_system_of(&text, folder)),
        }
    }
}

fn model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}

/// The type of what is mounted nearest above the folder; the last of those mounted at one place.
fn file_system_of(mounts: &str, folder: &Path) -> Option<String> {
    let mount = |line: &str| {
        let mut words = line.split(' ').skip(1).map(str::to_owned);
        Some((words.next()?, words.next()?))
    };
    let above = mounts.lines().filter_map(mount).filter(|(place, _)| folder.starts_with(place));
    above.max_by_key(|(place, _)| place.len()).map(|(_, kind)| kind)
}

/// The most memory that processes had at once, in bytes; none where it is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Peaks {
    /// This process.
    pub(super) client: Option<u64>,
    /// Each server.
    pub(super) servers: Vec<Option<u64>>,
}

impl Peaks {
    /// This process and these, since [`forget_peaks`].
    pub(super) fn look_at(servers: &[u32]) -> Self {
        let servers = servers.iter().map(|&server| peak_of(server));
        Self { client: peak_of(std::process::id()), servers: servers.collect() }
    }

    /// The most that any server had.
    pub(super) fn most_of_a_server(&self) -> Option<u64> {
        self.servers.iter().copied().flatten().max()
    }
}

/// From now on the peak of this process and these is counted anew, from what they have now. Where the system does not
/// do that, peaks are those since they began.
pub(super) fn forget_peaks(servers: &[u32]) {
    for process in servers.iter().copied().chain([std::process::id()]) {
        // "5" is the word for it, see proc(5).
        drop(fs::write(format!("/proc/{process}/clear_refs"), "5"));
    }
}

fn peak_of(process: u32) -> Option<u64> {
    fs::read_to_string(format!("/proc/{process}/status")).ok().and_then(|text| peak(&text))
}

fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib = line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?;
    kib.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_lies_on_the_nearest_mount_above_it() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/x xfs rw 0 0\n";
        for (folder, kind) in
            [("/tmp/x/y", "xfs"), ("/tmp/xy", "tmpfs"), ("/srv", "ext4"), ("/", "ext4")]
        {
            assert_eq!(
                file_system_of(mounts, Path::new(folder)).as_deref(),
                Some(kind),
                "{folder}"
            );
        }
        assert_eq!(file_system_of("", Path::new("/")), None);
    }

    #[test]
    fn a_peak_is_read_in_bytes() {
        assert_eq!(peak("Name:\ttarn\nVmHWM:\t   12345 kB\nVmRSS:\t1 kB\n"), Some(12345 << 10));
        assert_eq!(peak("Name:\ttarn\n"), None);
    }

    #[test]
    fn a_processor_is_named_by_its_model() {
        let text = "processor\t: 0\nmodel name\t: A CPU @ 2GHz\n\nmodel name\t: A CPU @ 2GHz\n";
        assert_eq!(model(text).as_deref(), Some("A CPU @ 2GHz"));
        assert_eq!(model(""), None);
    }
}
