//! Random choices that depend on a seed alone (SplitMix64).

/// A source of choices.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `least` to `most`, both included.
    #[expect(clippy::expect_used, reason = "A remainder of an i64 span fits.")]
    pub(crate) fn between(&mut self, least: i64, most: i64) -> i64 {
        let span = most.abs_diff(least) + 1;
        least + i64::try_from(self.next() % span).expect("the span is small")
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn chance(&mut self, percent: i64) -> bool {
        self.between(1, 100) <= percent
    }

    /// An index below `count`, which is not 0.
    #[expect(clippy::expect_used, reason = "An index of a list in memory fits.")]
    pub(crate) fn index(&mut self, count: usize) -> usize {
        let last = i64::try_from(count).expect("a list is short") - 1;
        usize::try_from(self.between(0, last)).expect("an index is not negative")
    }

    /// One of the options.
    pub(crate) fn pick<T: Clone>(&mut self, options: &[T]) -> T {
        options[self.index(options.len())].clone()
    }

    /// Puts a list into random order.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            let other = self.index(end + 1);
            list.swap(end, other);
        }
    }
}
