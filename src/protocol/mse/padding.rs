//! Where the other end's padding ends: it has no length, and goes on until bytes that the reader can compute.

use super::{MAX_PADDING, MseError};

/// Looks for bytes that end a padding, however the bytes that come are cut.
#[derive(Debug)]
pub(super) struct PaddingEnd<const N: usize> {
    /// What ends the padding, as it looks on the wire: a cipher that is used to look is not where the bytes begin.
    looks: [u8; N],
    /// How many of the bytes received cannot be the beginning of it.
    searched: usize,
}

impl<const N: usize> PaddingEnd<N> {
    pub(super) const fn new(looks: [u8; N]) -> Self {
        Self { looks, searched: 0 }
    }

    /// Where the padding ends in what was received since it began; `None` where that has not come yet.
    ///
    /// # Errors
    /// Where more padding came than there may be; `wanted` says what did not come.
    pub(super) fn find(&mut self, received: &[u8], wanted: &'static str) -> Result<Option<usize>, MseError> {
        let within = received.len().min(MAX_PADDING + N);
        let from = self.searched.min(within);
        let found = received[from..within].windows(N).position(|window| window == self.looks);
        if found.is_none() && within == MAX_PADDING + N {
            return Err(MseError::new(wanted));
        }
        self.searched = (within + 1).saturating_sub(N).max(from);
        Ok(found.map(|at| from + at))
    }
}
