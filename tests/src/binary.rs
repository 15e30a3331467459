//! The `tarn` under test. Cargo builds it once in every test process, so that no story ever runs a stale one; where
//! nothing changed that takes a moment. `TARN_BINARY` names another one: what measures times wants a release build.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where the binary of this source is.
pub fn tarn() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| match std::env::var_os("TARN_BINARY") {
        Some(named) => named.into(),
        None => build(),
    })
}

fn build() -> PathBuf {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let build =
        escargot::CargoBuild::new().manifest_path(workspace).package("tarn-client").bin("tarn");
    let build = if cfg!(debug_assertions) { build } else { build.release() };
    let run =
        build.run().unwrap_or_else(|error| panic!("the tarn command does not build: {error}"));
    run.path().to_owned()
}
