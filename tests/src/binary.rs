//! The `tarn` under test. Cargo builds it once in every test process, so that no story ever runs a stale one; where
//! nothing changed that takes a moment.

use std::path::Path;
use std::sync::OnceLock;

/// Where the binary of this source is.
pub fn tarn() -> &'static Path {
    static BUILT: OnceLock<escargot::CargoRun> = OnceLock::new();
    BUILT.get_or_init(build).path()
}

fn build() -> escargot::CargoRun {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let build =
        escargot::CargoBuild::new().manifest_path(workspace).package("tarn-client").bin("tarn");
    let build = if cfg!(debug_assertions) { build } else { build.release() };
    build.run().unwrap_or_else(|error| panic!("the tarn command does not build: {error}"))
}
