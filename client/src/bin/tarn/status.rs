//! `tarn status`: what can be typed. What every server says it holds of a file.

use crate::target::TargetText;

/// Shows what each server holds of a file: servers, shares, versions.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tarn status report.pdf\n  tarn status report.pdf --json")]
pub(crate) struct Args {
    /// A name, as `tarn ls` lists them, or any cap.
    #[arg(value_name = "NAME|CAP")]
    file: TargetText,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}
