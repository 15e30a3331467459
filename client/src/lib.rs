//! The tarn client: publishes mutable files to storage servers that nobody has to trust, and reads them back.

pub mod caps;
pub mod encode;
