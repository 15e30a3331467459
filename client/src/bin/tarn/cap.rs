//! `tarn cap`: the caps of a file. The one command that prints secrets because it was asked to.

use tarn_client::caps::{Cap, CapKind};

use crate::error::CommandError;
use crate::home::Home;
use crate::names::Names;
use crate::output;
use crate::target::{Target, TargetText};

/// Prints a cap of a file: what to give to somebody else.
///
/// A read cap lets its holder read the file, for ever; a write cap lets them change it as you can; a verify cap
/// lets them check and repair it, and read nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tarn cap report.pdf             the read cap
  tarn cap report.pdf --verify    for a machine that repairs
  tarn cap tarnr1… --verify       the verify cap that follows from a read cap")]
pub(crate) struct Args {
    /// A name, as `tarn ls` lists them, or a cap from which another follows.
    #[arg(value_name = "NAME|CAP")]
    file: TargetText,
    #[command(flatten)]
    right: Right,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Right {
    /// The cap to write, read and verify.
    #[arg(long)]
    write: bool,
    /// The cap to read and verify; the default.
    #[arg(long)]
    read: bool,
    /// The cap to verify and repair.
    #[arg(long)]
    verify: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, home: &Home) -> Result<(), CommandError> {
    let cap = match args.file.parse()? {
        Target::Cap(cap) => *cap,
        Target::Name(name) => Cap::Write(Names::open(home.data())?.find(&name)?.cap),
    };
    let wanted = args.right.kind();
    let text = match wanted {
        CapKind::Write => cap.write_cap().map(|cap| cap.to_text()),
        CapKind::Read => cap.read_cap().map(|cap| cap.to_text()),
        CapKind::Verify => Some(cap.verify_cap().to_text()),
    };
    match text {
        Some(text) => output::print(text.as_str()),
        None => Err(CommandError::usage(format_args!("no {wanted} follows from a {}", cap.kind()))),
    }
}

impl Right {
    const fn kind(&self) -> CapKind {
        match self {
            Self { write: true, .. } => CapKind::Write,
            Self { verify: true, .. } => CapKind::Verify,
            Self { write: false, verify: false, read: _ } => CapKind::Read,
        }
    }
}
