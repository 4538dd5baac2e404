//! Bytes in several slices, written to a file one after the other in as few calls as the system allows.

use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;

use bytes::Bytes;

use crate::os;

/// What is left of a row of slices.
pub(crate) struct Slices<'a> {
    slices: &'a [Bytes],
    /// How much of the first one is gone.
    gone: usize,
    pub(crate) left: u64,
}

impl<'a> Slices<'a> {
    pub(crate) fn new(slices: &'a [Bytes]) -> Self {
        Self { slices, gone: 0, left: slices.iter().map(|slice| slice.len() as u64).sum() }
    }

    pub(crate) fn skip(&mut self, count: u64) {
        self.left -= count;
        self.gone += usize::try_from(count).unwrap_or(usize::MAX);
        while let Some((first, rest)) = self.slices.split_first() {
            if self.gone < first.len() {
                break;
            }
            self.gone -= first.len();
            self.slices = rest;
        }
    }

    pub(crate) fn write_to(&mut self, file: &File, mut range: Range<u64>) -> io::Result<()> {
        while range.start < range.end {
            let mut wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
            let mut gone = self.gone;
            let mut vector = Vec::with_capacity(self.slices.len().min(MAX_SLICES));
            for slice in self.slices.iter().take(MAX_SLICES) {
                let slice = &slice[gone..];
                gone = 0;
                let slice = &slice[..slice.len().min(wanted)];
                wanted -= slice.len();
                vector.push(IoSlice::new(slice));
                if wanted == 0 {
                    break;
                }
            }
            let written = match os::write_vectored_at(file, &vector, range.start) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.skip(written);
            range.start += written;
        }
        Ok(())
    }
}

/// What Linux takes at once is 1,024.
const MAX_SLICES: usize = 512;
