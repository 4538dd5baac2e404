//! A network of equal hosts: which of them had which pieces when, and who gave whom.
//!
//! A host has a piece from when it says so (have, bitfield, have-all, an announce with nothing left), or when the last block of it
//! came and its hash was right, whichever the capture shows first.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use bittrace_protocol::InfoHash;
use bittrace_protocol::tracker::{http, udp};
use bittrace_protocol::wire::Message;
use bittrace_trace::record::{Body, HttpTrackerBody, Protocol};
use bittrace_trace::statistics::PiecesSeen;
use bittrace_trace::{HostGroups, HostName, Record, Side, rules};
use foldhash::fast::RandomState;

use super::bins::{Bins, add_to_bin, fold_bins};
use super::clipped;
use super::data::{Copies, Micros, Swarm, SwarmRow};
use super::hosts::Hosts;

/// What was seen of a network.
#[derive(Debug)]
pub(super) struct SwarmSeen {
    rows: Vec<HostSeen>,
    by_address: HashMap<IpAddr, usize, RandomState>,
    /// Bytes of blocks from a host to a host, by their places.
    given: HashMap<(u32, u32), u64, RandomState>,
    /// The same beyond those that are kept.
    other: u64,
    /// The torrent that the hosts share: the first one that is named.
    torrent: Option<InfoHash>,
    /// One more than the highest piece that anybody has named.
    named: u32,
    bins: Bins,
    copies: CopiesSeen,
    /// Bytes of all sets of pieces.
    set_bytes: usize,
}

#[derive(Debug)]
struct HostSeen {
    address: IpAddr,
    from: Micros,
    to: Micros,
    /// The pieces it has, a bit each.
    has: Vec<u64>,
    count: u32,
    /// When it said that it has all of a torrent of which nobody knows the number of pieces.
    said_all: Option<Micros>,
    whole_at: Option<Micros>,
    /// How many pieces it got, by bin, ascending.
    got: Vec<(u32, u32)>,
}

/// Copies of pieces by row and bin. As bins do, rows double when a piece lies beyond the last.
#[derive(Debug)]
struct CopiesSeen {
    per_row: Bins,
    rows: Vec<BTreeMap<u32, u32>>,
}

/// How many hosts are told apart.
const HOSTS: usize = 10_000;

/// How many pairs of hosts of which one gave to the other: 24 bytes each.
const PAIRS: usize = 500_000;

/// Bins of time, of hosts and of pieces.
const BINS: u32 = 240;

/// Rows of pieces.
const PIECE_ROWS: u32 = 64;

/// Pieces that a host may be known to have. Torrents have fewer.
const PIECES: u32 = 1 << 20;

/// Memory for all sets of pieces: 1,000 hosts with 260,000 pieces each.
const SET_BYTES: usize = 32 << 20;

/// From so many hosts on rows are groups, and so many groups have a row of their own.
pub const MOST_SWARM_ROWS: usize = 30;

impl SwarmSeen {
    pub(super) fn new() -> Self {
        Self {
            rows: Vec::new(),
            by_address: HashMap::default(),
            given: HashMap::default(),
            other: 0,
            torrent: None,
            named: 0,
            bins: Bins::new(BINS),
            copies: CopiesSeen { per_row: Bins::new(PIECE_ROWS), rows: Vec::new() },
            set_bytes: 0,
        }
    }

    /// Takes in a message between peers of a network without a local host.
    pub(super) fn add(&mut self, record: &Record, pieces: &PiecesSeen, t: Micros) {
        if !matches!(record.side, Side::Initiator | Side::Responder) {
            return;
        }
        let announced = announced_whole(record);
        if announced.is_none() && record.body.protocol() != Protocol::PeerWire {
            return;
        }
        let doublings = self.bins.fit(t);
        if doublings > 0 {
            self.fold(doublings);
        }
        if let Some(torrent) = announced {
            if *self.torrent.get_or_insert(torrent) == torrent {
                let host = self.place(record.source.ip(), t);
                self.said_all(host, pieces.piece_count(torrent), t);
            }
            return;
        }
        let (speaker, hearer) = (self.place(record.source.ip(), t), self.place(record.destination.ip(), t));
        let Some(torrent) = record.torrent else { return };
        if *self.torrent.get_or_insert(torrent) != torrent {
            return;
        }
        let count = pieces.piece_count(torrent);
        match record.peer_message() {
            Some(Message::Have(piece)) => drop(self.has(speaker, piece.0, count, t)),
            Some(Message::Bitfield(bits)) => {
                let set = bits.iter().enumerate().filter(|(_, byte)| **byte != 0);
                for (at, byte) in set {
                    for bit in (0..8).filter(|bit| byte & (0x80 >> bit) != 0) {
                        self.has(speaker, at as u32 * 8 + bit, count, t);
                    }
                }
            }
            Some(Message::HaveAll) => self.said_all(speaker, count, t),
            _ => {}
        }
        for (piece, is_right) in record.notes.iter().filter_map(rules::verdict_on_piece) {
            if is_right {
                self.has(hearer, piece.0, count, t);
            }
        }
    }

    /// Takes in a block that the sender of a message gave to its receiver.
    pub(super) fn gave(&mut self, record: &Record, bytes: u64) {
        let place = |address| self.by_address.get(&address).map(|at| *at as u32);
        let ends = (place(record.source.ip()), place(record.destination.ip()));
        let (Some(from), Some(to)) = ends else {
            self.other += if self.rows.len() >= HOSTS { bytes } else { 0 };
            return;
        };
        let is_new = !self.given.contains_key(&(from, to));
        match is_new && self.given.len() >= PAIRS {
            true => self.other += bytes,
            false => *self.given.entry((from, to)).or_default() += bytes,
        }
    }

    fn fold(&mut self, doublings: u32) {
        let bin = |bin: u32| bin.checked_shr(doublings).unwrap_or(0);
        self.rows.iter_mut().for_each(|host| fold_bins(&mut host.got, doublings));
        for row in &mut self.copies.rows {
            for (at, got) in std::mem::take(row) {
                *row.entry(bin(at)).or_default() += got;
            }
        }
    }

    /// The place of a host, which speaks or hears at `t`.
    fn place(&mut self, address: IpAddr, t: Micros) -> Option<usize> {
        let at = match self.by_address.get(&address) {
            Some(at) => *at,
            None if self.rows.len() >= HOSTS => return None,
            None => {
                let (has, got) = (Vec::new(), Vec::new());
                let (said_all, whole_at) = (None, None);
                self.rows.push(HostSeen { address, from: t, to: t, has, count: 0, said_all, whole_at, got });
                self.by_address.insert(address, self.rows.len() - 1);
                self.rows.len() - 1
            }
        };
        let host = &mut self.rows[at];
        (host.from, host.to) = (host.from.min(t), host.to.max(t));
        Some(at)
    }

    /// A host says that it has all pieces, `count` of them where that is known.
    fn said_all(&mut self, host: Option<usize>, count: Option<u32>, t: Micros) {
        match (count, host) {
            (Some(count), _) => self.has_all(host, count, t),
            (None, Some(host)) => {
                self.rows[host].said_all.get_or_insert(t);
            }
            (None, None) => {}
        }
    }

    /// A host has all pieces, `count` of them.
    fn has_all(&mut self, host: Option<usize>, count: u32, t: Micros) {
        let kept = count.min(PIECES);
        if host.is_some_and(|host| self.rows[host].count < kept) {
            // Where there is no room for one, there is none for the next.
            let _ = (0..kept).all(|piece| self.has(host, piece, Some(count), t));
        }
    }

    /// A host has a piece of a torrent with `count` pieces, where that is known; whether there is room for that.
    fn has(&mut self, host: Option<usize>, piece: u32, count: Option<u32>, t: Micros) -> bool {
        let Some(host) = host.filter(|_| piece < count.unwrap_or(PIECES).min(PIECES)) else { return false };
        let host = &mut self.rows[host];
        let (word, bit) = (piece as usize / 64, 1 << (piece % 64));
        if word >= host.has.len() {
            let more = (word + 1 - host.has.len()) * size_of::<u64>();
            if self.set_bytes + more > SET_BYTES {
                return false;
            }
            self.set_bytes += more;
            host.has.resize(word + 1, 0);
        }
        if host.has[word] & bit != 0 {
            return true;
        }
        host.has[word] |= bit;
        host.count += 1;
        if count == Some(host.count) {
            host.whole_at = Some(t);
        }
        let bin = self.bins.of(t);
        add_to_bin(&mut host.got, bin, 1);
        self.named = self.named.max(piece + 1);
        self.copies.add(piece, bin);
        true
    }

    /// What was seen. `names` are those of the capture.
    pub(super) fn finish(mut self, names: &[HostName], hosts: &Hosts, count: Option<u32>) -> Option<Swarm> {
        if self.rows.len() < LEAST_HOSTS {
            return None;
        }
        let pieces = count.unwrap_or(self.named);
        self.settle(pieces);
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|at| self.rows[*at].address);
        let folded = order.len() > MOST_SWARM_ROWS;
        let label = if folded { Label::group(names, hosts) } else { Label::host(names) };
        // The row of each host: hosts of one label share it, in the order in which they are met.
        let mut labels: Vec<String> = Vec::new();
        let mut row_of = vec![0; self.rows.len()];
        let mut by_label: HashMap<String, usize> = HashMap::new();
        for at in order {
            let label = label(self.rows[at].address);
            let full = labels.len() + 1 >= MOST_SWARM_ROWS && folded && !by_label.contains_key(&label);
            let label = if full { OTHERS.to_owned() } else { label };
            row_of[at] = *by_label.entry(label.clone()).or_insert_with(|| {
                labels.push(label);
                labels.len() - 1
            });
        }
        let mut rows: Vec<SwarmRow> = labels.into_iter().map(SwarmRow::nobody).collect();
        let mut got: Vec<BTreeMap<u32, u32>> = vec![BTreeMap::new(); rows.len()];
        for (host, &row) in self.rows.iter().zip(&row_of) {
            rows[row].join(host);
            host.got.iter().for_each(|(bin, count)| *got[row].entry(*bin).or_default() += count);
        }
        for (row, got) in rows.iter_mut().zip(got) {
            (row.t, row.got) = got.into_iter().unzip();
        }
        let mut given = vec![vec![0; rows.len()]; rows.len()];
        for (&(from, to), bytes) in &self.given {
            let (from, to) = (row_of[from as usize], row_of[to as usize]);
            given[from][to] += bytes;
            rows[from].given += bytes;
            rows[to].taken += bytes;
        }
        Some(Swarm {
            hosts: self.rows.len() as u64,
            folded,
            rows,
            pieces,
            bin: self.bins.width(),
            copies: self.copies.finish(pieces),
            given,
            other: self.other,
        })
    }

    /// Gives what they said to hosts that said they have all before it was known how many pieces that is.
    fn settle(&mut self, pieces: u32) {
        for host in 0..self.rows.len() {
            if let Some(t) = self.rows[host].said_all {
                self.has_all(Some(host), pieces, t);
            }
            let width = self.bins.width();
            let host = &mut self.rows[host];
            if pieces > 0 && host.count >= pieces && host.whole_at.is_none() {
                let last = host.got.last().map_or(host.from, |(bin, _)| Micros::from(*bin) * width);
                host.whole_at = Some(last.max(host.from));
            }
        }
    }

    /// The torrent that the hosts share.
    pub(super) const fn torrent(&self) -> Option<InfoHash> {
        self.torrent
    }
}

/// The torrent of which a host tells a tracker that nothing is left.
fn announced_whole(record: &Record) -> Option<InfoHash> {
    let (left, torrent) = match &record.body {
        Body::HttpTracker(HttpTrackerBody::Request(_, kind)) => match &**kind {
            http::RequestKind::Announce(announce) => (announce.left?, announce.info_hash),
            _ => return None,
        },
        Body::UdpTracker(packet) => match &**packet {
            udp::Packet::AnnounceRequest(announce) => (announce.left, announce.info_hash),
            _ => return None,
        },
        _ => return None,
    };
    (left == 0).then_some(torrent)
}

/// A network has more hosts than a conversation.
const LEAST_HOSTS: usize = 3;

/// What a row is called that has the hosts of several groups.
const OTHERS: &str = "others";

/// What a host is called.
struct Label;

impl Label {
    /// Each by its own name, or its address.
    fn host(names: &[HostName]) -> Box<dyn Fn(IpAddr) -> String + '_> {
        let names: HashMap<IpAddr, &str> =
            names.iter().filter_map(|host| Some((host.address, host.names.first()?.as_str()))).collect();
        Box::new(move |address| match names.get(&address) {
            Some(name) => clipped(name),
            None => address.to_string(),
        })
    }

    /// Each by the name that it shares with others; without one, by its client.
    fn group<'a>(names: &'a [HostName], hosts: &'a Hosts) -> Box<dyn Fn(IpAddr) -> String + 'a> {
        let groups = HostGroups::new(names);
        Box::new(move |address| match groups.of(address) {
            Some(name) => clipped(name),
            None => hosts.client(address).unwrap_or_else(|| OTHERS.to_owned()),
        })
    }
}

impl SwarmRow {
    fn nobody(name: String) -> Self {
        Self {
            name,
            hosts: 0,
            whole: 0,
            from: Micros::MAX,
            to: 0,
            whole_at: None,
            given: 0,
            taken: 0,
            t: Vec::new(),
            got: Vec::new(),
        }
    }

    fn join(&mut self, host: &HostSeen) {
        self.hosts += 1;
        (self.from, self.to) = (self.from.min(host.from), self.to.max(host.to));
        if let Some(at) = host.whole_at {
            self.whole += 1;
            let [first, last] = self.whole_at.unwrap_or([at, at]);
            self.whole_at = Some([first.min(at), last.max(at)]);
        }
    }
}

impl CopiesSeen {
    fn add(&mut self, piece: u32, bin: u32) {
        self.fit(piece);
        let row = self.per_row.of(piece.into()) as usize;
        if row >= self.rows.len() {
            self.rows.resize_with(row + 1, BTreeMap::new);
        }
        *self.rows[row].entry(bin).or_default() += 1;
    }

    /// Has each row stand for more pieces, until there is one for this piece.
    fn fit(&mut self, piece: u32) {
        for _ in 0..self.per_row.fit(piece.into()) {
            let mut pairs = std::mem::take(&mut self.rows).into_iter();
            while let Some(mut row) = pairs.next() {
                for (bin, got) in pairs.next().unwrap_or_default() {
                    *row.entry(bin).or_default() += got;
                }
                self.rows.push(row);
            }
        }
    }

    /// The rows of so many pieces.
    fn finish(mut self, pieces: u32) -> Copies {
        self.fit(pieces.saturating_sub(1));
        let per_row = u32::try_from(self.per_row.width()).unwrap_or(u32::MAX);
        self.rows.resize_with(pieces.div_ceil(per_row) as usize, BTreeMap::new);
        let (t, got) = self.rows.into_iter().map(|row| row.into_iter().unzip()).unzip();
        Copies { per_row, t, got }
    }
}

#[cfg(test)]
mod tests;
