//! Stories that cross tarn's crates: the real command, real server processes, real gRPC on loopback, real kill -9.
//! The stories themselves are in `tests/`; here is what they share.
