//! What a web seed is asked for: parts of files (BEP 19) or of pieces (BEP 17), made of runs of blocks; and the requests.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use crate::metainfo::Metainfo;
use crate::web_seed::{WantedPiece, file_target};
use crate::{Block, PieceIndex};

use super::{HttpProxy, SeedKind, ServerUrl};

/// What one request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// The file, or the piece, by its number in the torrent.
    pub(super) of: usize,
    /// Its bytes.
    pub(super) bytes: Range<u64>,
    /// Where they begin in the row of all pieces.
    pub(super) at: u64,
    /// How many redirects led to where it is asked for.
    pub(super) redirects: u8,
    /// Whether it is all of a file from a server that gives no parts of one: nothing of it was picked.
    pub(super) is_offered: bool,
}

impl Part {
    pub(super) const fn new(of: usize, bytes: Range<u64>, at: u64) -> Self {
        Self { of, bytes, at, redirects: 0, is_offered: false }
    }

    /// The part as a stretch of the row of all pieces.
    pub(super) const fn span(&self) -> Range<u64> {
        self.at..self.at + (self.bytes.end - self.bytes.start)
    }

    /// Leaves out its first bytes.
    pub(super) const fn pass(&mut self, count: u64) {
        self.bytes.start += count;
        self.at += count;
    }
}

/// Where blocks stand in the row of all pieces, neighbours joined.
pub(super) fn spans(torrent: &Metainfo, blocks: &[Block]) -> Vec<Range<u64>> {
    let mut spans: Vec<Range<u64>> = Vec::new();
    let Some(geometry) = torrent.placement() else { return spans };
    for span in blocks.iter().filter_map(|&block| geometry.block_span(block).ok()) {
        match spans.last_mut() {
            Some(before) if before.end == span.start => before.end = span.end,
            _ => spans.push(span),
        }
    }
    spans
}

/// The parts of which these stretches of the row consist.
pub(super) fn parts(torrent: &Metainfo, kind: SeedKind, spans: &[Range<u64>]) -> VecDeque<Part> {
    let Some(geometry) = torrent.placement() else { return VecDeque::new() };
    let mut parts = VecDeque::new();
    for span in spans {
        match kind {
            SeedKind::Files => parts.extend(geometry.files_in(span.clone()).into_iter().map(|range| {
                let at = geometry.file_start(range.file).unwrap_or(0) + range.bytes.start;
                Part::new(range.file, range.bytes, at)
            })),
            SeedKind::Pieces => {
                let length = u64::from(geometry.piece_length());
                let mut at = span.start;
                while at < span.end {
                    let piece = at / length;
                    let end = span.end.min((piece + 1) * length);
                    parts.push_back(Part::new(piece as usize, at - piece * length..end - piece * length, at));
                    at = end;
                }
            }
        }
    }
    parts
}

/// The target under which a part is asked for at a seed whose URL is `place`; `None` where the torrent has no such part.
pub(super) fn target(torrent: &Metainfo, kind: SeedKind, place: &ServerUrl, part: &Part) -> Option<String> {
    match kind {
        SeedKind::Files => file_target(torrent, place.target(), part.of),
        SeedKind::Pieces => {
            let piece = PieceIndex(u32::try_from(part.of).ok()?);
            let size = u64::from(torrent.placement()?.piece_size(piece)?);
            let narrow = |number: u64| u32::try_from(number).ok();
            let range = narrow(part.bytes.start)?..narrow(part.bytes.end)?;
            let ranges = if part.bytes == (0..size) { vec![] } else { vec![range] };
            Some(WantedPiece { info_hash: torrent.info_hash, piece, ranges }.target(place.target()))
        }
    }
}

/// The request for `target` at a place, for these bytes of it where they are not all.
pub(super) fn request(
    client: &str,
    place: &ServerUrl,
    target: &str,
    bytes: Option<&Range<u64>>,
    proxy: Option<&HttpProxy>,
) -> Bytes {
    // A proxy is asked for the whole URL (RFC 9112, section 3.2.2).
    let origin = if proxy.is_some() { place.origin() } else { String::new() };
    let agent: String = client.chars().filter(|character| matches!(character, ' '..='~')).collect();
    let mut head = format!(
        "GET {origin}{target} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {agent}\r\nAccept-Encoding: identity\r\n",
        place.host()
    );
    if let Some(bytes) = bytes {
        head += &format!("Range: bytes={}-{}\r\n", bytes.start, bytes.end.max(1) - 1);
    }
    if let Some(credentials) = place.credentials() {
        head += &format!("Authorization: {credentials}\r\n");
    }
    if let Some(credentials) = proxy.and_then(|proxy| proxy.authorization.as_deref()) {
        head += &format!("Proxy-Authorization: {credentials}\r\n");
    }
    head += "\r\n";
    head.into()
}
