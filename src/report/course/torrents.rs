//! The torrents of a capture of which blocks came: the pictures show the one that most came of, with its pieces and files.

use std::collections::BTreeMap;

use bittrace_protocol::metainfo::{File, Metainfo};
use bittrace_protocol::{InfoHash, PieceIndex};
use bittrace_trace::Record;
use bittrace_trace::statistics::{PieceSeen, PiecesSeen, Verdict};

use super::blocks::{BlockSeen, BlocksSeen};
use super::checks::ChecksSeen;
use super::clipped;
use super::data::{Blocks, CourseFile, EachBlock, Micros, PieceCells, Pieces};
use super::ends::{EndPlace, FarEnds, ListedEnds};

/// The torrents of which something is recorded.
#[derive(Debug, Default)]
pub(super) struct Torrents {
    rows: Vec<TorrentCourse>,
    /// Blocks of torrents that are not kept.
    more: u64,
}

/// What was seen of a torrent.
#[derive(Debug)]
struct TorrentCourse {
    /// `None` for connections that show no info hash.
    info_hash: Option<InfoHash>,
    blocks: BlocksSeen,
    checks: ChecksSeen,
    count: u64,
    bytes: u64,
}

/// How many torrents are recorded: one is shown, and which is not known before the end.
const TORRENTS: usize = 8;

/// How many pieces are shown apart.
const CELLS: u32 = 4_096;

/// How many files are listed.
pub const MOST_FILES: usize = 1_000;

impl Torrents {
    pub(super) fn block(&mut self, torrent: Option<InfoHash>, pieces: &PiecesSeen, block: BlockSeen) {
        let Some(row) = self.row(torrent, pieces) else {
            self.more += 1;
            return;
        };
        row.count += 1;
        row.bytes += u64::from(block.length);
        row.blocks.add(block);
    }

    /// Takes in that the record made a piece whole.
    pub(super) fn checked(
        &mut self,
        record: &Record,
        pieces: &PiecesSeen,
        (t, n): (Micros, u64),
        (piece, is_right): (PieceIndex, bool),
    ) {
        let Some(row) = self.row(record.torrent, pieces) else { return };
        row.checks.add(t, piece.0, n, is_right);
        row.blocks.checked(record.destination.ip(), piece, is_right);
    }

    fn row(&mut self, torrent: Option<InfoHash>, pieces: &PiecesSeen) -> Option<&mut TorrentCourse> {
        // A hybrid torrent has two hashes.
        let known = torrent.and_then(|hash| pieces.torrent(hash));
        let info_hash = known.map(|torrent| torrent.info_hash).or(torrent);
        let at = match self.rows.iter().position(|row| row.info_hash == info_hash) {
            Some(at) => at,
            None if self.rows.len() >= TORRENTS => return None,
            None => {
                self.rows.push(TorrentCourse {
                    info_hash,
                    blocks: BlocksSeen::new(),
                    checks: ChecksSeen::default(),
                    count: 0,
                    bytes: 0,
                });
                self.rows.len() - 1
            }
        };
        let row = &mut self.rows[at];
        if let Some(geometry) = known.and_then(|torrent| torrent.placement()) {
            row.blocks.know(geometry.piece_count());
        }
        Some(row)
    }

    /// The blocks and pieces of the torrent that most bytes came of; where no block came, of the torrent that is given.
    pub(super) fn finish(
        mut self,
        given: Option<InfoHash>,
        pieces: &PiecesSeen,
        seen: &FarEnds,
        ends: &ListedEnds,
    ) -> (Blocks, Option<Pieces>) {
        let all = self.rows.iter().map(|row| row.count).sum::<u64>() + self.more;
        let most = (0..self.rows.len()).max_by_key(|&at| (self.rows[at].bytes, std::cmp::Reverse(at)));
        let row = most.map(|at| self.rows.swap_remove(at));
        let Some(row) = row else {
            let none = Blocks::Each(EachBlock { exact: true, ..EachBlock::default() });
            let torrent = given.and_then(|hash| pieces.torrent(hash));
            let shown = torrent.and_then(|torrent| {
                let mut shown = described(torrent)?;
                shown.cells = cells(pieces, torrent.info_hash, &shown, |_| None, seen, ends);
                Some(shown)
            });
            return (none, shown);
        };
        let torrent = row.info_hash.and_then(|hash| pieces.torrent(hash));
        let mut shown = torrent.and_then(|torrent| described(torrent)).unwrap_or_else(|| unknown(&row));
        let by_row = row.blocks.most_by_row(shown.per_row);
        let of_row = |at: u32| by_row.get(&at).copied();
        shown.cells = match row.info_hash {
            Some(info_hash) => cells(pieces, info_hash, &shown, of_row, seen, ends),
            None => cells_of_blocks(&shown, of_row, ends),
        };
        shown.checked = row.checks.finish();
        shown.verified = row.info_hash.map_or(0, |info_hash| verified(pieces, info_hash));
        shown.other_blocks = all - row.count;
        (row.blocks.finish(ends), Some(shown))
    }
}

/// How many pieces of a torrent came whole and right.
fn verified(pieces: &PiecesSeen, info_hash: InfoHash) -> u64 {
    let of = pieces.rows().filter(|(of, ..)| *of == info_hash);
    of.filter(|(.., seen)| seen.verdict() == Verdict::Right).count() as u64
}

/// What a torrent's file says of its pieces.
fn described(torrent: &Metainfo) -> Option<Pieces> {
    let geometry = torrent.placement()?;
    let count = geometry.piece_count();
    let files = torrent.files.iter().enumerate().filter(|(_, file)| !file.is_padding());
    let files: Vec<CourseFile> = files
        .clone()
        .take(MOST_FILES)
        .map(|(at, file)| CourseFile {
            name: file_name(torrent, file),
            offset: geometry.file_start(at).unwrap_or(0),
            length: file.length,
        })
        .collect();
    let all = torrent.files.iter().filter(|file| !file.is_padding()).count();
    Some(Pieces {
        known: true,
        count,
        length: geometry.piece_length(),
        last_length: geometry.piece_size(PieceIndex(count.saturating_sub(1))).unwrap_or(0),
        total: geometry.total(),
        per_row: count.div_ceil(CELLS).max(1),
        name: clipped(&torrent.name.to_string()),
        files_left_out: (all - files.len()) as u64,
        files,
        checked: Default::default(),
        cells: PieceCells::default(),
        verified: 0,
        other_blocks: 0,
    })
}

fn file_name(torrent: &Metainfo, file: &File) -> String {
    let path = file.path_text();
    clipped(&if path.is_empty() { torrent.name.to_string() } else { path })
}

/// What blocks alone say of pieces.
fn unknown(row: &TorrentCourse) -> Pieces {
    let count = row.blocks.pieces();
    Pieces {
        known: false,
        count,
        length: 0,
        last_length: 0,
        total: 0,
        per_row: count.div_ceil(CELLS).max(1),
        name: row.info_hash.map_or_else(|| "unknown torrent".to_owned(), |hash| hash.to_string()),
        files: Vec::new(),
        files_left_out: 0,
        checked: Default::default(),
        cells: PieceCells::default(),
        verified: 0,
        other_blocks: 0,
    }
}

/// The states of pieces, the numbers of [`PieceCells::state`].
const MISSING: u8 = 0;
const PARTIAL: u8 = 1;
const WHOLE: u8 = 2;
const VERIFIED: u8 = 3;
const WRONG: u8 = 4;

fn state(seen: &PieceSeen) -> u8 {
    match seen.verdict() {
        Verdict::Wrong => WRONG,
        Verdict::Right => VERIFIED,
        Verdict::NotChecked | Verdict::Unknown if seen.complete.is_some() => WHOLE,
        Verdict::NotChecked | Verdict::Unknown if seen.came.is_empty() => MISSING,
        Verdict::NotChecked | Verdict::Unknown => PARTIAL,
    }
}

/// The cells of a torrent's pieces. `sender` is who sent most blocks of a row, where blocks were recorded.
fn cells(
    pieces: &PiecesSeen,
    info_hash: InfoHash,
    shown: &Pieces,
    sender: impl Fn(u32) -> Option<Option<EndPlace>>,
    seen: &FarEnds,
    ends: &ListedEnds,
) -> PieceCells {
    let mut by_row: BTreeMap<u32, RowSeen> = BTreeMap::new();
    for (of, piece, piece_seen) in pieces.rows() {
        if of != info_hash || piece.0 >= shown.count {
            continue;
        }
        let row = by_row.entry(piece.0 / shown.per_row).or_default();
        row.add(state(piece_seen), piece_seen.wrong > 0);
        for from in &piece_seen.from {
            row.first_sender = row.first_sender.or_else(|| seen.find(from.address));
        }
    }
    let mut cells = PieceCells::default();
    for at in 0..shown.count.div_ceil(shown.per_row) {
        let first = at * shown.per_row;
        let in_row = shown.per_row.min(shown.count - first);
        let row = by_row.get(&at).copied().unwrap_or_default();
        cells.first.push(first);
        // Parts of blocks that a capture lost are not recorded as blocks.
        cells.end.push(ends.place(sender(at).unwrap_or(row.first_sender)));
        cells.state.push(row.state(in_row));
        cells.once_wrong.push(u8::from(row.once_wrong));
    }
    cells
}

/// The cells of pieces of which nothing but blocks is known.
fn cells_of_blocks(
    shown: &Pieces,
    sender: impl Fn(u32) -> Option<Option<EndPlace>>,
    ends: &ListedEnds,
) -> PieceCells {
    let mut cells = PieceCells::default();
    for at in 0..shown.count.div_ceil(shown.per_row) {
        let from = sender(at);
        cells.first.push(at * shown.per_row);
        cells.end.push(ends.place(from.flatten()));
        cells.state.push(if from.is_some() { PARTIAL } else { MISSING });
        cells.once_wrong.push(0);
    }
    cells
}

/// What was seen of the pieces that share a cell.
#[derive(Debug, Clone, Copy, Default)]
struct RowSeen {
    /// How many pieces have each state, missing ones left out.
    states: [u32; 5],
    once_wrong: bool,
    first_sender: Option<EndPlace>,
}

impl RowSeen {
    fn add(&mut self, state: u8, once_wrong: bool) {
        self.states[state as usize] += 1;
        self.once_wrong |= once_wrong;
    }

    /// The worst state of so many pieces.
    fn state(&self, pieces: u32) -> u8 {
        let [_, partial, whole, verified, wrong] = self.states;
        match () {
            () if wrong > 0 => WRONG,
            () if partial + whole + verified == 0 => MISSING,
            () if whole + verified < pieces => PARTIAL,
            () if whole > 0 => WHOLE,
            () => VERIFIED,
        }
    }
}
