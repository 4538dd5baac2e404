//! Requests to web seeds and their responses: names, fields, a line for each, and which parts of which pieces the data are.

use std::ops::Range;
use std::sync::Arc;

use bittrace_protocol::field::{Field, Value};
use bittrace_protocol::geometry::FileRange;
use bittrace_protocol::metainfo::Metainfo;
use bittrace_protocol::tracker::http;
use bittrace_protocol::web_seed::{Wanted, WantedPiece};
use bittrace_protocol::{InfoHash, PieceIndex};
use bytes::Bytes;

use super::content::{NAMED, derived, listed, lossy, payload, set};
use super::units::size;

/// What is said between a client and a web seed: files of BEP 19, pieces of BEP 17.
#[derive(Debug, Clone)]
pub enum WebSeedBody {
    /// A request for a part of a file.
    FileRequest(Arc<http::Request>, Arc<FilePart>),
    /// The head of the response, and which part was requested.
    FileResponse(Arc<http::Response>, Arc<FilePart>),
    /// Bytes of a file.
    FileData(Arc<FilePart>),
    /// A request for a piece, or for ranges of a piece.
    PieceRequest(Arc<http::Request>, Arc<WantedPiece>),
    /// The head of the response, and what was requested.
    PieceResponse(Arc<http::Response>, Arc<WantedPiece>),
    /// Bytes of a piece, and which of them.
    PieceData(Arc<WantedPiece>),
}

/// A part of a torrent's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePart {
    /// The torrent.
    pub torrent: InfoHash,
    /// The file, by its number in the torrent.
    pub file: usize,
    /// Its path in the torrent, readable.
    pub path: Arc<str>,
    /// The bytes within the file.
    pub bytes: Range<u64>,
    /// The pieces in which they lie.
    pub pieces: Range<u32>,
}

impl FilePart {
    /// What a web seed is asked for.
    pub(crate) fn new(torrent: &Metainfo, wanted: Wanted) -> Self {
        let Wanted { part, pieces } = wanted;
        let path = torrent.files.get(part.file).map(bittrace_protocol::metainfo::File::path_text);
        let path = path.filter(|path| !path.is_empty()).unwrap_or_else(|| torrent.name.to_string());
        Self { torrent: torrent.info_hash, file: part.file, path: path.into(), bytes: part.bytes, pieces }
    }

    /// Other bytes of the same file.
    pub(crate) fn within(&self, bytes: Range<u64>, torrent: &Metainfo) -> Self {
        let part = FileRange { file: self.file, bytes: bytes.clone() };
        let pieces = torrent.placement().map_or(0..0, |geometry| geometry.pieces_in(&part));
        Self { bytes, pieces, ..self.clone() }
    }
}

impl WebSeedBody {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::FileRequest(..) | Self::PieceRequest(..) => "request",
            Self::FileResponse(..) | Self::PieceResponse(..) => "response",
            Self::FileData(_) | Self::PieceData(_) => "data",
        }
    }

    pub(super) fn fields(&self, bytes: &Bytes) -> Vec<Field> {
        match self {
            Self::FileRequest(request, _) | Self::PieceRequest(request, _) => request.fields(),
            Self::FileResponse(response, _) | Self::PieceResponse(response, _) => response.fields(),
            Self::FileData(_) | Self::PieceData(_) => payload(bytes),
        }
    }

    pub(super) fn add_meaning(&self, fields: &mut Vec<Field>) {
        let text = |name, text| derived(name, Value::Text(text));
        match self {
            Self::FileRequest(_, part) | Self::FileResponse(_, part) | Self::FileData(part) => {
                let last = part.bytes.end.saturating_sub(1);
                set(fields, text("file", part.path.to_string()));
                set(fields, text("range", format!("{}-{last}", part.bytes.start)));
                if !part.pieces.is_empty() {
                    set(fields, text("pieces", format!("{}-{}", part.pieces.start, part.pieces.end - 1)));
                }
            }
            Self::PieceRequest(_, wanted) | Self::PieceResponse(_, wanted) | Self::PieceData(wanted) => {
                set(fields, text("pieces", format!("{0}-{0}", wanted.piece)));
                if !wanted.ranges.is_empty() {
                    let ranges =
                        wanted.ranges.iter().map(|range| format!("{}-{}", range.start, range.end - 1));
                    set(fields, text("ranges", ranges.collect::<Vec<_>>().join(",")));
                }
            }
        }
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Self::FileRequest(_, part) => format!("request {}", part_of(part)),
            Self::FileResponse(response, part) => {
                format!("response: HTTP status {} to {}", response.status, part_of(part))
            }
            Self::FileData(part) => format!("data {}", part_of(part)),
            Self::PieceRequest(_, piece) => format!("request {}", ranges_of(piece)),
            Self::PieceResponse(response, piece) => {
                format!("response: HTTP status {} to {}", response.status, ranges_of(piece))
            }
            Self::PieceData(piece) => format!("data {}", ranges_of(piece)),
        }
    }

    /// The parts of pieces that the record of this body and of `bytes` holds: which piece, where in the piece the part
    /// begins, and its bytes. The ranges of BEP 17 follow each other, and are known without the torrent; with the torrent,
    /// what lies beyond the end of a piece is left out.
    pub(super) fn parts(&self, bytes: &Bytes, torrent: Option<&Metainfo>) -> Vec<(PieceIndex, u32, Bytes)> {
        let geometry = torrent.and_then(Metainfo::placement);
        match self {
            Self::FileData(part) => {
                let Some(geometry) = geometry else { return Vec::new() };
                let part = FileRange { file: part.file, bytes: part.bytes.clone() };
                let blocks = geometry.blocks_in(&part).map(|(index, begin, span)| {
                    (index, begin, slice(bytes, span.start as usize, (span.end - span.start) as usize))
                });
                blocks.filter(|(.., bytes)| !bytes.is_empty()).collect()
            }
            Self::PieceData(data) => {
                let size = match geometry {
                    Some(geometry) => geometry.piece_size(data.piece).unwrap_or(0),
                    None => u32::MAX,
                };
                let mut at = 0;
                let mut parts = Vec::new();
                for range in &data.ranges {
                    let end = range.end.min(size);
                    let part = slice(bytes, at, end.saturating_sub(range.start) as usize);
                    at += range.len();
                    if !part.is_empty() {
                        parts.push((data.piece, range.start, part));
                    }
                }
                parts
            }
            Self::FileRequest(..)
            | Self::FileResponse(..)
            | Self::PieceRequest(..)
            | Self::PieceResponse(..) => Vec::new(),
        }
    }
}

/// `length` bytes from `start` on, or as many of them as there are.
fn slice(bytes: &Bytes, start: usize, length: usize) -> Bytes {
    let start = start.min(bytes.len());
    bytes.slice(start..start.saturating_add(length).min(bytes.len()))
}

/// A part of a file: its path, which bytes, and the pieces they lie in.
fn part_of(part: &FilePart) -> String {
    let bytes = size(part.bytes.end - part.bytes.start);
    let pieces = match part.pieces.end.saturating_sub(part.pieces.start) {
        0 => String::new(),
        1 => format!(", in piece {}", part.pieces.start),
        _ => format!(", in pieces {} to {}", part.pieces.start, part.pieces.end - 1),
    };
    format!("{}, {bytes} at {}{pieces}", lossy(part.path.as_bytes()), part.bytes.start)
}

/// A piece, and which of its bytes.
fn ranges_of(wanted: &WantedPiece) -> String {
    let ranges = wanted.ranges.iter().take(NAMED);
    let some = ranges.map(|range| format!("{} at {}", size(u64::from(range.end - range.start)), range.start));
    format!("piece {}, {}", wanted.piece, listed(some.collect(), wanted.ranges.len(), "whole"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_query_has_too_is_told_once() {
        let ranges = std::iter::once(0..16384).collect();
        let wanted = WantedPiece { info_hash: InfoHash([0; 20]), piece: PieceIndex(3), ranges };
        let mut fields = vec![derived("ranges", Value::Text("0-16383".to_owned()))];
        WebSeedBody::PieceData(Arc::new(wanted)).add_meaning(&mut fields);
        let told: Vec<_> = fields.iter().map(|field| (field.name.as_ref(), field.value.clone())).collect();
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(told, [("ranges", text("0-16383")), ("pieces", text("3-3"))]);
    }
}
