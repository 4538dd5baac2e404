//! The blocks of a torrent that nothing describes, in their order, in one file.

use std::ops::Range;
use std::path::PathBuf;

use bittrace_protocol::{InfoHash, PieceIndex};

use super::piece::PiecePlace;
use super::ranges::Ranges;
use super::spool::{Heard, Spool};
use crate::Error;
use crate::folder::{Folder, PathEntry, Replace};
use crate::os;

/// Blocks of a torrent of which only its info hash is known, if that.
#[derive(Debug)]
pub struct Undescribed {
    /// Its info hash; `None` where the beginning of the connection was not captured.
    pub info_hash: Option<InfoHash>,
    /// How many blocks were seen.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The file that they were written to, where that was asked for.
    pub file: Option<UndescribedFile>,
    /// Why they could not be.
    pub fault: Option<Error>,
}

/// The file that blocks without a description were written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndescribedFile {
    /// Where it stands.
    pub path: PathBuf,
    /// Its length, bytes: up to the end of the last block. The torrent may be longer.
    pub length: u64,
    /// The piece length by which the blocks were placed, bytes.
    pub piece_length: u64,
    /// Whether the blocks prove that length.
    pub is_proved: bool,
    /// The bytes that nobody sent.
    pub missing: Vec<Range<u64>>,
    /// How many blocks came again with other bytes. The first that came is in the file.
    pub contradicted: u64,
    /// How many blocks would stand beyond 8 TiB, and were passed over.
    pub beyond: u64,
}

/// The piece length that blocks prove, or make likely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PieceLength {
    bytes: u64,
    is_proved: bool,
}

/// No torrent's pieces are shorter in practice, and none of version 2 may be (BEP 52).
const LEAST_PIECE: u64 = 16 << 10;

/// No torrent is longer. A block may name any piece up to 4,294,967,295.
const LONGEST: u64 = 8 << 40;

impl PieceLength {
    /// Of pieces by their number, each with the end of its last block. Piece lengths are powers of two, but for those of
    /// some old torrents: of these two pieces must end alike.
    fn of(ends: &[(PieceIndex, u64)]) -> Self {
        let largest = ends.iter().map(|(_, end)| *end).max().unwrap_or(0);
        let last = ends.iter().map(|(piece, _)| *piece).max();
        let reach = ends.iter().filter(|(_, end)| *end == largest).count();
        let inner = ends.iter().any(|(piece, end)| *end == largest && Some(*piece) != last);
        let usual = largest.next_power_of_two().max(LEAST_PIECE);
        // All pieces but the last are of one length.
        if usual == largest {
            return Self { bytes: usual, is_proved: inner };
        }
        match reach >= 2 {
            true => Self { bytes: largest, is_proved: inner },
            false => Self { bytes: usual, is_proved: false },
        }
    }
}

/// Writes the blocks of the torrent into a file called by its info hash.
pub(super) fn write(
    folder: &Folder,
    spool: &Spool,
    info_hash: Option<InfoHash>,
    replace: Replace,
) -> Result<UndescribedFile, Error> {
    let name = info_hash.map_or_else(|| "unknown-torrent".to_owned(), |info_hash| info_hash.to_string());
    let name = [format!("{name}.unverified")];
    match folder.look(&name, "")? {
        PathEntry::Nothing => {}
        PathEntry::File(_) if replace == Replace::Always => folder.remove(&name, "")?,
        PathEntry::File(_) | PathEntry::Other => {
            return Err(Error::Exists { path: folder.shown(&name, "") });
        }
    }
    let wanted = |bucket: Option<InfoHash>| bucket == info_hash;
    let pieces = spool.pieces(&wanted);
    let end = |heard: &Heard| u64::from(heard.begin) + u64::from(heard.length);
    let ends: Vec<_> = pieces
        .iter()
        .map(|&piece| (piece, spool.heard(&wanted, piece).iter().map(end).max().unwrap_or(0)))
        .collect();
    let PieceLength { bytes: piece_length, is_proved } = PieceLength::of(&ends);
    let path = folder.shown(&name, "");
    let file = folder.write_new(&name, "")?;
    let mut written = Ranges::default();
    let (mut length, mut contradicted, mut beyond) = (0, 0, 0);
    for piece in pieces {
        let start = u64::from(piece.0) * piece_length;
        let mut before = None;
        for heard in spool.heard(&wanted, piece) {
            let place = (heard.begin, heard.length);
            if before.replace(place) == Some(place) {
                contradicted += 1;
                continue;
            }
            let (from, to) = (start + u64::from(heard.begin), start + end(&heard));
            if to > LONGEST {
                beyond += 1;
                continue;
            }
            // What stands there already came in a block that begins earlier.
            let known = length.max(from).min(to) - from;
            let mut at = from + known;
            spool.each_chunk(
                PiecePlace::Spooled(heard.version.place + known),
                (to - at) as u32,
                &mut |bytes| {
                    let written = os::write_all_at(&file, bytes, at);
                    at += bytes.len() as u64;
                    written.map_err(|source| Error::File { action: "write", path: path.clone(), source })
                },
            )?;
            written.push(from..to);
            length = length.max(to);
        }
    }
    let missing = Ranges::lacking(&[&written], length).into_vec();
    Ok(UndescribedFile { path, length, piece_length, is_proved, missing, contradicted, beyond })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_prove_their_length() {
        const KIB: u64 = 1 << 10;
        for (ends, bytes, is_proved) in [
            (&[(0, 32 * KIB), (1, 32 * KIB), (2, 9)][..], 32 * KIB, true),
            (&[(0, 16 * KIB), (3, 32 * KIB), (7, 100)], 32 * KIB, true),
            // The last piece that came may be the torrent's last.
            (&[(0, 16 * KIB), (3, 32 * KIB)], 32 * KIB, false),
            (&[(0, 16 * KIB), (3, 17 * KIB)], 32 * KIB, false),
            (&[(4, 100)], 16 * KIB, false),
            // A length that is no power of two, as old torrents have.
            (&[(0, 100_000), (1, 100_000), (2, 5)], 100_000, true),
            (&[], 16 * KIB, false),
        ] {
            let ends: Vec<_> = ends.iter().map(|&(piece, end)| (PieceIndex(piece), end)).collect();
            assert_eq!(PieceLength::of(&ends), PieceLength { bytes, is_proved }, "{ends:?}");
        }
    }
}
