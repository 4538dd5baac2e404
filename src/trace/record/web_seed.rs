//! Which parts of which pieces a web seed's data are.

use bittrace_protocol::PieceIndex;
use bittrace_protocol::geometry::FileRange;
use bittrace_protocol::metainfo::Metainfo;
use bytes::Bytes;

use super::{Body, Record};

impl Record {
    /// The parts of pieces that a web seed sent with this: of which piece, where in it they begin, and their bytes. Those
    /// of BEP 17 stand end to end, and are known without the torrent; with it, what lies behind a piece's end is left out.
    pub fn web_seed_parts(&self, torrent: Option<&Metainfo>) -> Vec<(PieceIndex, u32, Bytes)> {
        let geometry = torrent.and_then(Metainfo::placement);
        match &self.body {
            Body::WebSeedData(part) => {
                let Some(geometry) = geometry else { return Vec::new() };
                let part = FileRange { file: part.file, bytes: part.bytes.clone() };
                let blocks = geometry.blocks_in(&part).map(|(index, begin, bytes)| {
                    (index, begin, self.part(bytes.start as usize, (bytes.end - bytes.start) as usize))
                });
                blocks.filter(|(.., bytes)| !bytes.is_empty()).collect()
            }
            Body::HttpSeedData(data) => {
                let size = match geometry {
                    Some(geometry) => geometry.piece_size(data.piece).unwrap_or(0),
                    None => u32::MAX,
                };
                let mut at = 0;
                let mut parts = Vec::new();
                for range in &data.ranges {
                    let end = range.end.min(size);
                    let bytes = self.part(at, end.saturating_sub(range.start) as usize);
                    at += range.len();
                    if !bytes.is_empty() {
                        parts.push((data.piece, range.start, bytes));
                    }
                }
                parts
            }
            _ => Vec::new(),
        }
    }

    /// So many of the record's bytes from there on, as far as it has them.
    fn part(&self, start: usize, length: usize) -> Bytes {
        let start = start.min(self.bytes.len());
        self.bytes.slice(start..start.saturating_add(length).min(self.bytes.len()))
    }
}
