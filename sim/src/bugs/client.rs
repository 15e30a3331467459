//! Bugs of writers and readers.

use super::Bug;

/// Every one.
pub(super) static BUGS: &[Bug] = &[];
