//! Generates messages and services from the protocols' specifications, without `protoc`.

use std::error::Error;
use std::path::PathBuf;

/// Each with the file its descriptors go to, for reflection.
const SPECIFICATIONS: [(&str, &str); 2] = [
    ("tarn/storage/v1/storage.proto", "storage_descriptor.bin"),
    ("tarn/gateway/v1/gateway.proto", "gateway_descriptor.bin"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    for (specification, descriptor_set) in SPECIFICATIONS {
        println!("cargo::rerun-if-changed={specification}");
        let descriptors = protox::compile([specification], ["."])?;
        let encoded = prost::Message::encode_to_vec(&descriptors);
        std::fs::write(out.join(descriptor_set), encoded)?;
        tonic_prost_build::configure().bytes(".").btree_map(".").compile_fds(descriptors)?;
    }
    Ok(())
}
