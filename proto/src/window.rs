//! The window of a file: the stores its header names, and the quorums counted in them. Does not choose a window:
//! that is the client's placement.

use crate::geometry::Shape;
use crate::ids::StoreId;

/// Most stores a window may name.
pub const WINDOW_MAX: usize = 511;

/// The stores that a file's header names, in the order in which they were placed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Window(Vec<StoreId>);

/// Why stores are not a [`Window`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// No stores, or more than 511.
    #[error("a window names 1 to 511 stores, got {0}")]
    Size(usize),
    /// A store is named twice.
    #[error("a window names every store once, {0} stands twice")]
    Repeated(StoreId),
}

impl Window {
    /// A window of 1 to 511 distinct stores.
    pub fn new(stores: Vec<StoreId>) -> Result<Self, WindowError> {
        if stores.is_empty() || stores.len() > WINDOW_MAX {
            return Err(WindowError::Size(stores.len()));
        }
        let mut sorted = stores.clone();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(WindowError::Repeated(pair[0])),
            None => Ok(Self(stores)),
        }
    }

    /// The stores, in order.
    pub fn stores(&self) -> &[StoreId] {
        &self.0
    }

    /// Whether the window names this store.
    pub fn contains(&self, store: StoreId) -> bool {
        self.0.contains(&store)
    }

    /// The smallest number of stores of which any two sets meet.
    pub fn majority(&self) -> usize {
        self.0.len() / 2 + 1
    }

    /// The write quorum of a version of this shape, in servers: max(happy, majority). It also needs k distinct
    /// shares among them.
    pub fn quorum(&self, shape: Shape) -> usize {
        usize::from(shape.happy()).max(self.majority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(number: u8) -> StoreId {
        StoreId::new([number; 16])
    }

    #[test]
    fn stores_are_named_once() {
        assert_eq!(Window::new(vec![]), Err(WindowError::Size(0)));
        assert_eq!(
            Window::new(vec![store(1), store(2), store(1)]),
            Err(WindowError::Repeated(store(1)))
        );
    }

    #[test]
    fn any_two_quorums_meet() {
        for size in 1..=20 {
            let window = Window::new((0..size).map(store).collect()).unwrap();
            let shape = Shape::new(1, 1, 1).unwrap();
            assert!(2 * window.quorum(shape) > usize::from(size));
        }
    }
}
