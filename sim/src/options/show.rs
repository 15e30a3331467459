//! The options of a run, for people.

use std::fmt;

use super::{Lingering, Options};

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setup, network, disk, faults, oddities, .. } = self;
        writeln!(f, "seed {}", self.seed)?;
        writeln!(
            f,
            "  servers    {} of which {} in the window{}; promise {} ms; disk {}",
            setup.servers,
            setup.window,
            if setup.window_last { ", asked last" } else { "" },
            setup.promise,
            if setup.instant_disk {
                "instant".to_owned()
            } else {
                format!("{}..{} ms, {} ‰ fail", disk.sync.0, disk.sync.1, disk.failed)
            }
        )?;
        writeln!(
            f,
            "  callers    {:?}, pause {} ms; {} ‰ submit twice at once; the first ticket names {}",
            self.callers,
            self.pause,
            self.double_submits,
            if self.expects_nothing { "nothing" } else { "whatever is there" }
        )?;
        let keeps = if self.keeps_shape { ", now and then the shape that is there" } else { "" };
        writeln!(f, "  shapes     {:?}{keeps}, lengths {:?}", self.shapes, self.lengths)?;
        writeln!(
            f,
            "  network    {}..{} ms; instant {} ‰, delayed {} ‰, lost {} ‰, twice {} ‰, late {} ‰{}",
            network.latency.0,
            network.latency.1,
            network.instant,
            network.delayed,
            network.lost,
            network.duplicated,
            network.outlived,
            if network.reorders { ", reordered" } else { "" }
        )?;
        if let Some((server, factor)) = network.slow {
            writeln!(f, "             s{server} {factor} times slower")?;
        }
        if let Some((every, lasts)) = network.partitions {
            writeln!(f, "             a partition of {lasts} ms every {every} ms")?;
        }
        if let Some(Lingering { often, longest, lapses }) = network.lingering {
            writeln!(
                f,
                "             writes linger {often} ‰ for up to {longest} ms, {lapses} ‰ past their promise"
            )?;
        }
        write!(f, "  faults    ")?;
        let kinds = [
            ("crash", faults.crashes),
            ("replace", faults.replacements),
            ("rot", faults.rot),
            ("clock", faults.clocks),
            ("full or read-only", faults.refusals),
            ("kill", faults.kills),
            ("cancel", faults.cancels),
            ("stall", faults.stalls),
        ];
        for (kind, every) in kinds {
            if let Some(every) = every {
                write!(f, " {kind} every {every} ms;")?;
            }
        }
        for (server, lie) in &faults.liars {
            write!(f, " s{server} lies: {lie:?};")?;
        }
        if let Some(message) = faults.kill_at {
            write!(f, " the writer dies at its message {message};")?;
        }
        writeln!(
            f,
            " source changes {} ‰, journal fails {} ‰; all heals at {} ms",
            faults.source_changes, faults.journal_failures, self.horizon
        )?;
        write!(
            f,
            "  oddities   source unreadable or edited between passes {} ‰, too long {} ‰{}{}{}{}",
            oddities.sources,
            oddities.too_long,
            if oddities.worn_out { "; sequence numbers run out" } else { "" },
            if oddities.journals { "; killed writers have their journals" } else { "" },
            if setup.remembers { "; callers remember slow servers" } else { "" },
            if setup.hands_maps_on { "; publishes begin with old maps" } else { "" }
        )?;
        if self.parts > 0 {
            write!(f, "; {} ‰ of publishes change a part", self.parts)?;
        }
        if self.once > 0 {
            write!(f, "; {} ‰ of publishes read their content only once", self.once)?;
        }
        Ok(())
    }
}
