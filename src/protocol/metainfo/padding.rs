//! Which bytes of a torrent are padding (BEP 47, "padding files"): zeros, which nobody has to send.

use std::ops::Range;

use super::{File, Metainfo};
use crate::Block;
use crate::geometry::Geometry;

/// The stretches of a torrent's row of bytes that are padding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Padding {
    /// In order; two that touch are one.
    spans: Vec<Range<u64>>,
}

impl Padding {
    /// Whether nothing is padding.
    pub const fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Whether a part of the row is padding, all of it.
    pub fn covers(&self, span: &Range<u64>) -> bool {
        let place = self.spans.partition_point(|padding| padding.end <= span.start);
        let padding = self.spans.get(place);
        padding.is_some_and(|padding| padding.start <= span.start && span.end <= padding.end)
    }

    /// Whether a block is padding alone.
    pub fn covers_block(&self, geometry: &Geometry, block: Block) -> bool {
        !self.is_empty() && geometry.block_span(block).is_ok_and(|span| self.covers(&span))
    }
}

impl Metainfo {
    /// Which of its bytes are padding.
    pub fn padding(&self) -> Padding {
        let mut padding = Padding::default();
        let Some(geometry) = self.placement().filter(|_| self.has_padding) else { return padding };
        let files =
            self.files.iter().enumerate().filter(|(_, file)| File::is_padding(file) && file.length > 0);
        for (number, file) in files {
            let Some(start) = geometry.file_start(number) else { continue };
            let end = start + file.length;
            match padding.spans.last_mut() {
                Some(before) if before.end == start => before.end = end,
                _ => padding.spans.push(start..end),
            }
        }
        padding
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PieceIndex;

    fn torrent(files: &[(&str, u64)]) -> Metainfo {
        let total: u64 = files.iter().map(|(_, length)| length).sum();
        let files: String = files
            .iter()
            .map(|(attributes, length)| format!("d4:attr{attributes}6:lengthi{length}e4:pathl1:xee"))
            .collect();
        let hashes = 20 * total.div_ceil(32_768);
        let info = format!("d5:filesl{files}e4:name1:t12:piece lengthi32768e6:pieces{hashes}:");
        let zeros = vec![0; hashes as usize];
        Metainfo::decode_info(&[info.as_bytes(), &zeros, b"e"].concat()).unwrap()
    }

    #[test]
    fn stretches_are_joined_and_tell_what_they_cover() {
        let torrent =
            torrent(&[("1:x", 10), ("1:p", 20), ("1:p", 0), ("2:xp", 30), ("1:x", 5), ("1:p", 32_703)]);
        let padding = torrent.padding();
        assert_eq!(padding.spans, [10..60, 65..32_768]);
        let covers = [
            (10..60, true),
            (9..60, false),
            (10..61, false),
            (40..50, true),
            (60..65, false),
            (65..66, true),
        ];
        for (span, expected) in covers {
            assert_eq!(padding.covers(&span), expected, "{span:?}");
        }
        let geometry = torrent.geometry.as_ref().unwrap();
        let block = |begin, length| Block { index: PieceIndex(0), begin, length };
        assert!(padding.covers_block(geometry, block(16_384, 16_384)));
        assert!(!padding.covers_block(geometry, block(0, 16_384)));
        assert!(!padding.covers_block(geometry, block(16_384, 16_385)), "it ends after its piece");
    }

    #[test]
    fn a_torrent_without_padding_has_none() {
        assert!(torrent(&[("1:x", 40_000)]).padding().is_empty());
    }
}
