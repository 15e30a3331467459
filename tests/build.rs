//! Compiles the disk that fails on cue, for stories to preload into servers, and tells them where it is.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=disk/disk.c");
    let library = if is_supported() { compile() } else { PathBuf::new() };
    println!("cargo::rustc-env=TARN_DISK={}", library.display());
}

/// The disk stands between a program and the C library of Linux.
fn is_supported() -> bool {
    let is = |variable: &str, value: &str| env::var(variable).is_ok_and(|found| found == value);
    is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("CARGO_CFG_TARGET_POINTER_WIDTH", "64")
}

fn compile() -> PathBuf {
    let folder = env::var_os("OUT_DIR").expect("cargo names a folder");
    let library = PathBuf::from(folder).join("disk.so");
    // Hardened headers give the functions that the disk defines bodies of their own.
    let mut compiler = cc::Build::new().opt_level(1).get_compiler().to_command();
    compiler.args(["-shared", "-fPIC", "-pthread", "-Wall", "-Wextra", "-U_FORTIFY_SOURCE", "-o"]);
    compiler.arg(&library).arg("disk/disk.c");
    let status = compiler.status().expect("the C compiler starts");
    assert!(status.success(), "disk/disk.c does not compile: {compiler:?}");
    library
}
