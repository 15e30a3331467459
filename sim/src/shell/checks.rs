//! The promises that this lane holds the shell to, one file each. A checker is a pure function over what was seen; each
//! is shown a violation by its own tests.

pub(super) mod p10;
pub(super) mod p11;
pub(super) mod p2;
pub(super) mod p4;
pub(super) mod p5;
pub(super) mod p8;
pub(super) mod p9;

#[cfg(test)]
pub(super) mod testing;
