//! Whether this processor can run the coding library. Its C code is built for AVX2 machines and does not look at run
//! time; without this check an older processor would end the program with an illegal instruction.

/// Why the coding library cannot run here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CpuError {
    /// The processor lacks an instruction set that the library was compiled for.
    #[error(
        "this build of tarn needs a processor with {missing}; build it with \
         `--no-default-features --features portable` to run it here"
    )]
    Unsupported {
        /// The instruction sets that are missing.
        missing: String,
    },
}

/// Checks the processor. Call it once at start, before anything is encoded or decoded.
pub fn check() -> Result<(), CpuError> {
    let missing: Vec<&str> =
        needed().into_iter().filter_map(|(name, present)| (!present).then_some(name)).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(CpuError::Unsupported { missing: missing.join(", ") })
    }
}

/// The instruction sets that a compiler told `-march=haswell` may use, and whether they are here.
#[cfg(all(feature = "simd", target_arch = "x86_64", not(target_env = "msvc")))]
fn needed() -> Vec<(&'static str, bool)> {
    use std::arch::is_x86_feature_detected as here;
    vec![
        ("AVX2", here!("avx2")),
        ("BMI1", here!("bmi1")),
        ("BMI2", here!("bmi2")),
        ("FMA", here!("fma")),
        ("LZCNT", here!("lzcnt")),
        ("MOVBE", here!("movbe")),
        ("POPCNT", here!("popcnt")),
    ]
}

/// Plain Rust, or an architecture whose every processor has what the C code needs.
#[cfg(not(all(feature = "simd", target_arch = "x86_64", not(target_env = "msvc"))))]
const fn needed() -> [(&'static str, bool); 0] {
    []
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_instruction_set_is_named_with_the_way_out() {
        let error = CpuError::Unsupported { missing: "AVX2".to_owned() };
        let sentence = error.to_string();
        assert!(sentence.contains("AVX2") && sentence.contains("--features portable"));
    }
}
