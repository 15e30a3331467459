//! How a version is cut: [`Shape`] says into how many shares, [`Geometry`] into which segments and blocks. Pure
//! arithmetic over checked numbers; nothing here allocates.

/// Most shares a version may have.
pub const SHARES_MAX: u8 = 255;
/// Largest block, in bytes.
pub const BLOCK_SIZE_MAX: u32 = 4 << 20;
/// The block size that a writer chooses when nothing speaks against it, in bytes.
pub const BLOCK_SIZE_DEFAULT: u32 = 64 << 10;
/// Most rows a table may have.
pub const ROWS_MAX: u32 = 16_384;

/// k, happy and n: how many shares bring a version back, how well they must be spread, how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    k: u8,
    happy: u8,
    n: u8,
}

/// Why numbers are not a [`Shape`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// k is zero or above n.
    #[error("k must be between 1 and n, got k = {k} of n = {n}")]
    K {
        /// What was asked.
        k: u32,
        /// What was asked.
        n: u32,
    },
    /// n is zero or above 255.
    #[error("n must be between 1 and 255, got {n}")]
    N {
        /// What was asked.
        n: u32,
    },
    /// happy is zero or above n.
    #[error("happy must be between 1 and n, got happy = {happy} of n = {n}")]
    Happy {
        /// What was asked.
        happy: u32,
        /// What was asked.
        n: u32,
    },
}

impl Shape {
    /// The shape of these numbers, with 1 ≤ k ≤ n ≤ 255 and 1 ≤ happy ≤ n.
    pub fn new(k: u32, happy: u32, n: u32) -> Result<Self, ShapeError> {
        let narrow_n = u8::try_from(n).ok().filter(|&n| n >= 1).ok_or(ShapeError::N { n })?;
        let within = |number: u32| u8::try_from(number).ok().filter(|&x| 1 <= x && x <= narrow_n);
        Ok(Self {
            k: within(k).ok_or(ShapeError::K { k, n })?,
            happy: within(happy).ok_or(ShapeError::Happy { happy, n })?,
            n: narrow_n,
        })
    }

    /// k of n with the default happiness, k + ⌈(n − k) / 2⌉.
    pub fn with_default_happy(k: u32, n: u32) -> Result<Self, ShapeError> {
        let happy = k.saturating_add(n.saturating_sub(k).div_ceil(2));
        Self::new(k, happy.clamp(1, n.max(1)), n)
    }

    /// How many distinct shares bring a version back.
    pub const fn k(self) -> u8 {
        self.k
    }

    /// How large a matching of distinct shares to distinct servers a publish must reach.
    pub const fn happy(self) -> u8 {
        self.happy
    }

    /// How many shares there are.
    pub const fn n(self) -> u8 {
        self.n
    }
}

impl Default for Shape {
    /// 3 of 10, happy 7.
    fn default() -> Self {
        Self { k: 3, happy: 7, n: 10 }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-of-{}, happy {}", self.k, self.n, self.happy)
    }
}

/// How a version's data is cut into segments, and these into blocks.
///
/// A segment is k blocks of `block_size` bytes; the last one is shorter, with blocks of ⌈rest / k⌉ bytes, zero-padded
/// when coded. An empty version has no segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    k: u8,
    n: u8,
    block_size: u32,
    length: u64,
    segments: u32,
}

/// Why numbers are not a [`Geometry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// The block size is no power of two from 1 B to 4 MiB.
    #[error("the block size must be a power of two from 1 B to 4 MiB, got {block_size}")]
    BlockSize {
        /// What was asked, in bytes.
        block_size: u32,
    },
    /// The data needs more rows than a table may have.
    #[error("{length} bytes are more than {k} x {block_size} byte blocks x 16384 rows can hold")]
    TooLarge {
        /// The data's length in bytes.
        length: u64,
        /// Blocks a segment.
        k: u8,
        /// Bytes a block.
        block_size: u32,
    },
}

impl Geometry {
    /// The geometry of `length` bytes in blocks of `block_size`.
    pub fn new(shape: Shape, block_size: u32, length: u64) -> Result<Self, GeometryError> {
        let (k, n) = (shape.k(), shape.n());
        if !block_size.is_power_of_two() || block_size > BLOCK_SIZE_MAX {
            return Err(GeometryError::BlockSize { block_size });
        }
        let segments = length.div_ceil(u64::from(block_size) * u64::from(k));
        match u32::try_from(segments) {
            Ok(segments) if segments <= ROWS_MAX => Ok(Self { k, n, block_size, length, segments }),
            _ => Err(GeometryError::TooLarge { length, k, block_size }),
        }
    }

    /// The geometry a writer chooses: blocks of 64 KiB; smaller when the data is smaller than one segment, larger
    /// when the table would grow beyond 16,384 rows.
    pub fn choose(shape: Shape, length: u64) -> Result<Self, GeometryError> {
        let k = u64::from(shape.k());
        let wanted = if length <= u64::from(BLOCK_SIZE_DEFAULT) * k {
            length.div_ceil(k).max(1)
        } else {
            length.div_ceil(k * u64::from(ROWS_MAX)).max(u64::from(BLOCK_SIZE_DEFAULT))
        };
        let block_size = wanted
            .checked_next_power_of_two()
            .and_then(|size| u32::try_from(size).ok())
            .filter(|&size| size <= BLOCK_SIZE_MAX)
            .ok_or(GeometryError::TooLarge { length, k: shape.k(), block_size: BLOCK_SIZE_MAX })?;
        Self::new(shape, block_size, length)
    }

    /// The geometry of as many bytes as a table of blocks of this size may have: whoever does not know yet where its data
    /// ends cuts it like this.
    pub fn longest(shape: Shape, block_size: u32) -> Result<Self, GeometryError> {
        let segment = u64::from(block_size) * u64::from(shape.k());
        Self::new(shape, block_size, segment * u64::from(ROWS_MAX))
    }

    /// Blocks a segment before coding.
    pub const fn k(&self) -> u8 {
        self.k
    }

    /// Blocks a segment after coding.
    pub const fn n(&self) -> u8 {
        self.n
    }

    /// Bytes a block, but those of the last segment.
    pub const fn block_size(&self) -> u32 {
        self.block_size
    }

    /// Bytes of data.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// How many segments, and so rows, there are.
    pub const fn segments(&self) -> u32 {
        self.segments
    }

    /// Whether both cut data alike, of whatever length: into as many blocks of as many bytes.
    pub const fn is_cut_as(&self, other: &Self) -> bool {
        self.k == other.k && self.n == other.n && self.block_size == other.block_size
    }

    /// Bytes of data in a whole segment.
    pub fn segment_size(&self) -> u64 {
        u64::from(self.block_size) * u64::from(self.k)
    }

    /// Where a segment's data begins.
    pub fn segment_offset(&self, segment: u32) -> u64 {
        u64::from(segment) * self.segment_size()
    }

    /// Bytes of data in this segment; zero beyond the last.
    pub fn segment_length(&self, segment: u32) -> usize {
        let rest = self.length.saturating_sub(self.segment_offset(segment));
        // A segment is at most 255 blocks of 4 MiB, so it fits every usize that can hold one.
        usize::try_from(rest.min(self.segment_size())).unwrap_or(usize::MAX)
    }

    /// Bytes of each block of this segment.
    pub fn block_length(&self, segment: u32) -> usize {
        self.segment_length(segment).div_ceil(usize::from(self.k))
    }

    /// Bytes of one share's blocks, all segments together.
    pub fn share_length(&self) -> u64 {
        match self.segments.checked_sub(1) {
            None => 0,
            Some(last) => {
                u64::from(last) * u64::from(self.block_size) + self.block_length(last) as u64
            }
        }
    }

    /// Bytes of one row of the table: salt and n block hashes.
    pub fn row_length(&self) -> usize {
        32 + 32 * usize::from(self.n)
    }

    /// Bytes of the whole table.
    pub fn table_length(&self) -> usize {
        self.segments as usize * self.row_length()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_happiness_is_as_documented() {
        for (k, n, happy) in [(3, 10, 7), (1, 1, 1), (5, 5, 5), (16, 20, 18), (254, 255, 255)] {
            let shape = Shape::with_default_happy(k, n).unwrap();
            assert_eq!(u32::from(shape.happy()), happy, "{k}-of-{n}");
        }
    }

    #[test]
    fn shapes_outside_the_limits_are_refused() {
        for (k, happy, n) in [(0, 1, 1), (2, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 0), (1, 1, 256)] {
            assert!(Shape::new(k, happy, n).is_err(), "{k} {happy} {n}");
        }
    }

    #[test]
    fn lengths_around_every_boundary_add_up() {
        for (k, n) in [(1, 1), (1, 3), (3, 10), (5, 5), (254, 255)] {
            let shape = Shape::with_default_happy(k, n).unwrap();
            let segment = u64::from(k) * 8;
            for length in [
                0,
                1,
                u64::from(k) - 1,
                u64::from(k),
                segment - 1,
                segment,
                segment + 1,
                5 * segment + 3,
            ] {
                let cut = Geometry::new(shape, 8, length).unwrap();
                let data: u64 = (0..cut.segments()).map(|j| cut.segment_length(j) as u64).sum();
                let share: u64 = (0..cut.segments()).map(|j| cut.block_length(j) as u64).sum();
                assert_eq!((data, share), (length, cut.share_length()), "{k}-of-{n}, {length}");
                assert_eq!(cut.segment_length(cut.segments()), 0);
            }
        }
    }

    #[test]
    fn a_writer_chooses_blocks_that_fit() {
        let shape = Shape::default();
        assert_eq!(Geometry::choose(shape, 0).unwrap().block_size(), 1);
        assert_eq!(Geometry::choose(shape, 4).unwrap().block_size(), 2);
        assert_eq!(Geometry::choose(shape, 1 << 20).unwrap().block_size(), 64 << 10);
        let large = Geometry::choose(shape, 10 << 30).unwrap();
        assert!(large.segments() <= ROWS_MAX && large.block_size() == 256 << 10);
        assert!(matches!(Geometry::choose(shape, 1 << 40), Err(GeometryError::TooLarge { .. })));
        assert!(matches!(Geometry::choose(shape, u64::MAX), Err(GeometryError::TooLarge { .. })));
    }
}
