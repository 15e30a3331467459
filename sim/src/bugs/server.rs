//! Bugs of servers, and of what is around them.

use super::Bug;

/// Every one.
pub(super) static BUGS: &[Bug] = &[];
