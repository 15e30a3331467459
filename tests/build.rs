//! Compiles the libraries that stories preload into servers, a disk that fails on cue and a clock that can be set, and
//! tells them where they are.

use std::env;
use std::path::PathBuf;

fn main() {
    for (source, variable) in
        [("disk/disk.c", "TARN_DISK"), ("clock/clock.c", "TARN_CLOCK_LIBRARY")]
    {
        println!("cargo::rerun-if-changed={source}");
        let library = if is_supported() { compile(source) } else { PathBuf::new() };
        println!("cargo::rustc-env={variable}={}", library.display());
    }
}

/// They stand between a program and the C library of Linux.
fn is_supported() -> bool {
    let is = |variable: &str, value: &str| env::var(variable).is_ok_and(|found| found == value);
    is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("CARGO_CFG_TARGET_POINTER_WIDTH", "64")
}

fn compile(source: &str) -> PathBuf {
    let folder = env::var_os("OUT_DIR").expect("cargo names a folder");
    let library = PathBuf::from(source).with_extension("so");
    let library = PathBuf::from(folder).join(library.file_name().expect("a source has a name"));
    // Hardened headers give the functions that stand here bodies of their own.
    let mut compiler = cc::Build::new().opt_level(1).get_compiler().to_command();
    compiler.args(["-shared", "-fPIC", "-pthread", "-Wall", "-Wextra", "-U_FORTIFY_SOURCE", "-o"]);
    compiler.arg(&library).arg(source);
    let status = compiler.status().expect("the C compiler starts");
    assert!(status.success(), "{source} does not compile: {compiler:?}");
    library
}
