//! Generates the storage protocol's messages and service from its specification, without `protoc`.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    const SPECIFICATION: &str = "tarn/storage/v1/storage.proto";
    println!("cargo::rerun-if-changed={SPECIFICATION}");

    let descriptors = protox::compile([SPECIFICATION], ["."])?;
    let descriptor_set = PathBuf::from(std::env::var("OUT_DIR")?).join("storage_descriptor.bin");
    std::fs::write(&descriptor_set, prost::Message::encode_to_vec(&descriptors))?;

    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
