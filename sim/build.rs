//! Notes the commit that the harness is built from: a seed means nothing without it.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Every commit, checkout and reset adds a line here.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    let commit = commit.unwrap_or_else(|| "a copy without its history".to_owned());
    println!("cargo::rustc-env=TARN_SIM_COMMIT={commit}");
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
