//! The programs under test. Cargo builds each once in every test process, so that no story ever runs a stale one; where
//! nothing changed that takes a moment.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use escargot::CargoBuild;

/// The `tarn` of this source, or the one that `TARN_BINARY` names: what measures times wants a release build.
pub fn tarn() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| match std::env::var_os("TARN_BINARY") {
        Some(named) => named.into(),
        None => build("tarn-client", "tarn"),
    })
}

/// The `counter` of this source, from `examples/`.
pub fn counter() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("tarn-counter", "counter"))
}

fn build(package: &str, program: &str) -> PathBuf {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let build = CargoBuild::new().manifest_path(workspace).package(package).bin(program);
    let build = if cfg!(debug_assertions) { build } else { build.release() };
    let run = build.run().unwrap_or_else(|error| panic!("{program} does not build: {error}"));
    run.path().to_owned()
}
