//! What to simulate, and whether it can be.

use tarn_proto::Shape;

use super::queue::Span;

/// Most shares a version may have here: a share set is one machine word.
const SHARES_MAX: u8 = 64;
/// Most memory that the files' state may take.
const MEMORY_MAX: u64 = 3 << 29;

/// A grid, its files, and how its servers fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Servers in the grid. A lost one is replaced by an empty one.
    pub servers: u32,
    /// Files, all placed at the start.
    pub files: u32,
    /// How long.
    pub years: f64,
    /// k, happy and n of every file.
    pub shape: Shape,
    /// How often a server loses its disks for good, per year of its life.
    pub loss_per_year: f64,
    /// The shape of the Weibull distribution of lifetimes: 1 is exponential, above it servers age.
    pub weibull_shape: f64,
    /// How often a server goes away and comes back with its disks, per year.
    pub absences_per_year: f64,
    /// How long it stays away, on average (exponential).
    pub absence_mean_hours: f64,
    /// Zones that the servers are spread over evenly; none if no server shares its fate with another.
    pub zones: u32,
    /// How often a whole zone goes away at once, per year.
    pub zone_absences_per_year: f64,
    /// How long it stays away, on average (exponential).
    pub zone_absence_mean_hours: f64,
    /// How often a whole zone is lost for good at once, per year.
    pub zone_loss_per_year: f64,
    /// How often each file is checked; never if none.
    pub repair_interval_hours: Option<f64>,
    /// How long a check waits for a server that is away before it counts it as gone. A server that lost its disks
    /// counts as gone at once: its replacement has another store id.
    pub absence_grace_hours: f64,
    /// A file is repaired when the happiness of the servers that answer is below this. By default half way between
    /// happy and n, rounded up.
    pub repair_threshold: Option<u8>,
    /// What a server reads and writes for repairs, in MiB a second.
    pub bandwidth_mib: f64,
    /// The size of a share.
    pub share_kib: u32,
    /// Whether a check replaces the lost servers of a window by the next of the grid. tarn's format has room for
    /// this (a joint window), the operation does not exist yet.
    pub move_windows: bool,
    /// Decides everything drawn.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            servers: 1_000,
            files: 1_000_000,
            years: 10.0,
            shape: Shape::default(),
            loss_per_year: 0.04,
            weibull_shape: 1.0,
            absences_per_year: 12.0,
            absence_mean_hours: 8.0,
            zones: 0,
            zone_absences_per_year: 1.0,
            zone_absence_mean_hours: 4.0,
            zone_loss_per_year: 0.0,
            repair_interval_hours: Some(24.0),
            absence_grace_hours: 24.0,
            repair_threshold: None,
            bandwidth_mib: 4.0,
            share_kib: 1_024,
            move_windows: false,
            seed: 1,
        }
    }
}

/// Why options cannot be simulated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OptionsError {
    /// Too few or too many servers.
    #[error("servers must be between 1 and 100000, got {0}")]
    Servers(u32),
    /// No files.
    #[error("there must be at least one file")]
    NoFiles,
    /// A number is not what it must be.
    #[error("{name} must be {wanted}, got {got}")]
    Number {
        /// The option.
        name: &'static str,
        /// What it must be.
        wanted: &'static str,
        /// What it is.
        got: f64,
    },
    /// More shares than a share set has room for.
    #[error("at most {SHARES_MAX} shares can be simulated, got n = {0}")]
    Shares(u8),
    /// A repair threshold that no repair can reach.
    #[error("the repair threshold must be between 1 and n = {n}, got {got}")]
    Threshold {
        /// Shares.
        n: u8,
        /// The threshold.
        got: u8,
    },
    /// More zones than servers.
    #[error("there cannot be more zones than servers, got {zones} zones of {servers} servers")]
    Zones {
        /// Zones.
        zones: u32,
        /// Servers.
        servers: u32,
    },
    /// The files' state would not fit.
    #[error(
        "{files} files of windows of {window} servers need {bytes} bytes, more than {MEMORY_MAX}"
    )]
    Memory {
        /// Files.
        files: u32,
        /// Servers of a window.
        window: usize,
        /// Bytes.
        bytes: u64,
    },
    /// No shapes to compare.
    #[error("there must be at least one shape to compare")]
    NoShapes,
}

/// What follows from checked options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Terms {
    pub(super) shape: Shape,
    /// Servers of a window: max(n, 2·happy − 1), all in a smaller grid.
    pub(super) window: usize,
    /// The write quorum: max(happy, majority of the window).
    pub(super) quorum: usize,
    /// The happiness below which a file is repaired.
    pub(super) threshold: usize,
    pub(super) duration: Span,
    /// Between two checks of a file.
    pub(super) interval: Option<Span>,
    /// How long an absent server still counts.
    pub(super) grace: Span,
}

impl Options {
    /// The number of servers of a window, before the shipped rule draws one.
    fn window(&self) -> usize {
        let (happy, n) = (usize::from(self.shape.happy()), usize::from(self.shape.n()));
        n.max(2 * happy - 1).min(self.servers as usize)
    }

    pub(super) fn check(&self) -> Result<Terms, OptionsError> {
        let (happy, n) = (self.shape.happy(), self.shape.n());
        if self.servers == 0 || self.servers > 100_000 {
            return Err(OptionsError::Servers(self.servers));
        }
        if self.files == 0 {
            return Err(OptionsError::NoFiles);
        }
        if n > SHARES_MAX {
            return Err(OptionsError::Shares(n));
        }
        let got = self.repair_threshold.unwrap_or(happy + (n - happy).div_ceil(2));
        if got == 0 || got > n {
            return Err(OptionsError::Threshold { n, got });
        }
        if self.zones > self.servers {
            return Err(OptionsError::Zones { zones: self.zones, servers: self.servers });
        }
        self.check_numbers()?;
        let window = self.window();
        // A member, its shares and its place in a server's list: 4 + 8 + 4 bytes.
        let bytes = u64::from(self.files) * (window as u64 * 16 + 8);
        if bytes > MEMORY_MAX {
            return Err(OptionsError::Memory { files: self.files, window, bytes });
        }
        Ok(Terms {
            shape: self.shape,
            window,
            quorum: usize::from(happy).max(window / 2 + 1),
            threshold: usize::from(got),
            duration: Span::years(self.years),
            interval: self.repair_interval_hours.map(Span::hours),
            grace: Span::hours(self.absence_grace_hours),
        })
    }

    fn check_numbers(&self) -> Result<(), OptionsError> {
        let positive = [
            ("years", self.years),
            ("the Weibull shape", self.weibull_shape),
            ("the absence's mean hours", self.absence_mean_hours),
            ("the zone absence's mean hours", self.zone_absence_mean_hours),
            ("the repair interval's hours", self.repair_interval_hours.unwrap_or(1.0)),
            ("the bandwidth", self.bandwidth_mib),
        ];
        for (name, got) in positive {
            if !(1e-3..=1e6).contains(&got) {
                return Err(OptionsError::Number { name, wanted: "between 0.001 and 1e6", got });
            }
        }
        let rates = [
            ("losses per year", self.loss_per_year),
            ("absences per year", self.absences_per_year),
            ("zone absences per year", self.zone_absences_per_year),
            ("zone losses per year", self.zone_loss_per_year),
            ("the hours of grace for an absence", self.absence_grace_hours),
        ];
        for (name, got) in rates {
            if !(0.0..=1e4).contains(&got) {
                return Err(OptionsError::Number { name, wanted: "between 0 and 10000", got });
            }
        }
        match self.years {
            years if years > 1_000.0 => {
                Err(OptionsError::Number { name: "years", wanted: "at most 1000", got: years })
            }
            _ => Ok(()),
        }
    }
}
