//! A network of equal hosts, as columns: who had how much of the torrent when, and who gave whom.

use serde::Serialize;

use super::Micros;

/// What the hosts of a network did for each other, where no host is local.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Swarm {
    /// How many hosts spoke with each other.
    pub hosts: u64,
    /// Whether a row is a group of hosts: those of one name and several numbers, or of one client.
    pub folded: bool,
    /// The hosts, or the groups.
    pub rows: Vec<SwarmRow>,
    /// The pieces of the torrent; where it is not known, as many as hosts have named.
    pub pieces: u32,
    /// The width of a bin.
    pub bin: Micros,
    /// How many copies of which pieces there are over time.
    pub copies: Copies,
    /// Bytes of blocks that the row gave to each row, in the order of the rows.
    pub given: Vec<Vec<u64>>,
    /// Bytes of blocks between hosts that are not told apart any more.
    pub other: u64,
}

/// A host, or a group of hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SwarmRow {
    /// Its name, client or address.
    pub name: String,
    /// How many hosts it is.
    pub hosts: u64,
    /// How many of them have had all pieces.
    pub whole: u64,
    /// The first message.
    pub from: Micros,
    /// The last one.
    pub to: Micros,
    /// When the first of them had all pieces, and the last that has.
    pub whole_at: Option<[Micros; 2]>,
    /// Bytes of blocks that it gave.
    pub given: u64,
    /// Bytes of blocks that it took.
    pub taken: u64,
    /// The bins in which its hosts got pieces, ascending.
    pub t: Vec<u32>,
    /// How many pieces they got there, in all.
    pub got: Vec<u32>,
}

/// How many hosts have a piece, over time. Pieces may share a row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Copies {
    /// How many pieces share a row.
    pub per_row: u32,
    /// For each row the bins in which hosts got a piece of it, ascending.
    pub t: Vec<Vec<u32>>,
    /// How many they got there, in all.
    pub got: Vec<Vec<u32>>,
}
