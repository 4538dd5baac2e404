//! What the capture of a run comes to: who gave what to whom, and when each host had everything.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::net::IpAddr;

use bittrace_lab::scenario::Role;
use bittrace_lab::{Content, MessageTotals, Sample, Samples};
use bittrace_protocol::wire::Message;
use bittrace_protocol::{PieceIndex, Timestamp};
use bittrace_trace::{Body, MseBody, PeerWireBody, Protocol, Record};

/// What was seen of a host.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Bytes of all messages to peers.
    pub(super) sent: u64,
    /// Bytes of blocks that it gave.
    pub(super) uploaded: u64,
    /// Bytes of blocks that it took, each counted once.
    pub(super) downloaded: u64,
    /// Bytes of blocks that came in vain.
    pub(super) wasted: u64,
    /// Bytes that it sent and that cannot be read: of encrypted connections.
    pub(super) opaque: u64,
    /// When its first block came, in seconds since the start.
    pub(super) first_block_at: Option<f64>,
    /// When its last block came, in seconds since the start.
    pub(super) done_at: Option<f64>,
    /// When it had each tenth of the pieces.
    pub(super) tenths: Vec<f64>,
    /// Its blocks: those that came.
    blocks: Vec<bool>,
    /// How many blocks of each piece are missing.
    missing: Vec<u32>,
    pieces: usize,
}

/// A host as the ledger knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) address: IpAddr,
    pub(super) role: Role,
    /// Whether its link up has a limit.
    pub(super) limited: bool,
}

/// The presence of hosts at a moment, as the run saw it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) at: f64,
    pub(super) leechers: u32,
    pub(super) seeds: u32,
    /// Bytes that could have left on links so far.
    pub(super) capacity: f64,
}

/// Takes in the records of a capture in their order.
pub(super) struct Ledger<'a> {
    content: &'a Content,
    start: Timestamp,
    by_address: BTreeMap<IpAddr, usize>,
    places: Vec<Place>,
    pub(super) hosts: Vec<Seen>,
    pub(super) messages: MessageTotals,
    /// Bytes of blocks that the seeds had given when others had each piece once.
    pub(super) first_copy: Option<u64>,
    pub(super) samples: Samples,
    /// The moments that are still to be joined with what was sent.
    moments: Peekable<std::vec::IntoIter<Moment>>,
    sent: u64,
    given_by_seeds: u64,
    pieces_done: u64,
    /// How many hosts that came without the file have each piece.
    copies: Vec<u32>,
}

impl<'a> Ledger<'a> {
    /// A ledger in which nothing was seen, of hosts at these addresses.
    pub(super) fn new(content: &'a Content, start: Timestamp, hosts: &[Place], moments: Vec<Moment>) -> Self {
        let pieces = content.metainfo.piece_count();
        let per_piece: Vec<u32> = (0..pieces).map(|piece| blocks_of(content, piece)).collect();
        let blocks = content.metainfo.total().div_ceil(BLOCK) as usize;
        let seen = |role: Role| match role {
            Role::Seed => Seen::default(),
            Role::Leecher => {
                Seen { blocks: vec![false; blocks], missing: per_piece.clone(), ..Seen::default() }
            }
        };
        Self {
            content,
            start,
            by_address: (0..).zip(hosts).map(|(number, place)| (place.address, number)).collect(),
            places: hosts.to_vec(),
            hosts: hosts.iter().map(|place| seen(place.role)).collect(),
            messages: MessageTotals::default(),
            first_copy: None,
            samples: Samples::new(),
            moments: moments.into_iter().peekable(),
            sent: 0,
            given_by_seeds: 0,
            pieces_done: 0,
            copies: vec![0; pieces],
        }
    }

    /// Takes in a record.
    pub(super) fn take(&mut self, record: &Record) {
        let at = record.at.seconds_since(self.start);
        self.take_samples(at);
        let (from, to) = (record.source.ip(), record.destination.ip());
        let (Some(&from), Some(&to)) = (self.by_address.get(&from), self.by_address.get(&to)) else { return };
        let bytes = record.bytes.len() as u64;
        match &record.body {
            Body::PeerWire(PeerWireBody::Handshake(_)) => self.messages.add_handshake(bytes),
            Body::PeerWire(_) => {
                let message = record.body.peer_message();
                let content = match message {
                    Some(Message::Piece { block, .. }) => block.len() as u64,
                    _ => 0,
                };
                self.messages.add_message(message.and_then(Message::id), bytes, content);
                if let Some(Message::Piece { index, begin, block }) = message {
                    self.block((from, to), (index.0, *begin), block, at);
                }
            }
            Body::Mse(MseBody::Encrypted) => self.hosts[from].opaque += bytes,
            // Parts of messages that were never sent whole.
            Body::Mse(_) | Body::Unreadable(Protocol::PeerWire | Protocol::Mse, _) => {}
            _ => return,
        }
        self.hosts[from].sent += bytes;
        if self.places[from].limited {
            self.sent += bytes;
        }
    }

    /// Joins the moments that are left with all that was seen.
    pub(super) fn finish(&mut self) {
        self.take_samples(f64::INFINITY);
    }

    fn block(&mut self, (from, to): (usize, usize), (piece, begin): (u32, u32), block: &[u8], at: f64) {
        let length = block.len() as u64;
        self.hosts[from].uploaded += length;
        if self.places[from].role == Role::Seed {
            self.given_by_seeds += length;
        }
        let seen = &mut self.hosts[to];
        seen.first_block_at.get_or_insert(at);
        let place = u64::from(piece) * u64::from(self.content.metainfo.piece_length) + u64::from(begin);
        let number = (place / BLOCK) as usize;
        let is_new = seen.blocks.get(number) == Some(&false)
            && place.is_multiple_of(BLOCK)
            && length == BLOCK.min(self.content.metainfo.total() - place)
            && self.content.matches(piece, begin, block);
        if !is_new {
            seen.wasted += length;
            return;
        }
        seen.blocks[number] = true;
        seen.downloaded += length;
        let missing = &mut seen.missing[piece as usize];
        *missing -= 1;
        if *missing > 0 {
            return;
        }
        seen.pieces += 1;
        let pieces = self.copies.len();
        while seen.tenths.len() < 10 && seen.pieces * 10 >= pieces * (seen.tenths.len() + 1) {
            seen.tenths.push(at);
        }
        if seen.pieces == pieces {
            seen.done_at = Some(at);
        }
        self.pieces_done += 1;
        self.copies[piece as usize] += 1;
        if self.first_copy.is_none() && self.copies.iter().all(|&copies| copies > 0) {
            self.first_copy = Some(self.given_by_seeds);
        }
    }

    /// The samples of the moments before a time.
    fn take_samples(&mut self, at: f64) {
        while let Some(moment) = self.moments.next_if(|moment| moment.at <= at) {
            if !self.samples.is_due() {
                continue;
            }
            let least = self.copies.iter().copied().min().unwrap_or(0);
            let sum: u64 = self.copies.iter().map(|&copies| u64::from(copies)).sum();
            self.samples.push(Sample {
                at: moment.at,
                leechers: moment.leechers,
                seeds: moment.seeds,
                sent: self.sent,
                capacity: moment.capacity,
                given_by_seeds: self.given_by_seeds,
                pieces_done: self.pieces_done,
                least_copies: least,
                mean_copies: sum as f64 / self.copies.len().max(1) as f64,
                most_copies: self.copies.iter().copied().max().unwrap_or(0),
                rarest: self.copies.iter().filter(|&&copies| copies == least).count() as u32,
            });
        }
    }
}

fn blocks_of(content: &Content, piece: usize) -> u32 {
    let size = content.metainfo.placement().and_then(|all| all.piece_size(PieceIndex(piece as u32)));
    u64::from(size.unwrap_or(0)).div_ceil(BLOCK) as u32
}

/// What a request asks for in all clients of today (BEP 3).
const BLOCK: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use bittrace_lab::{Scenario, World, WorldOptions};
    use bittrace_trace::{Dissected, LocalChoice, Trace, TraceOptions};

    use super::*;

    #[test]
    fn the_capture_of_a_simulation_comes_to_the_numbers_of_the_simulation() {
        let text = "torrent = { size = '1500 kB', piece = '64 KiB' }
            [[peers]]\nrole = 'seed'\nup = '100 kB/s'
            [[peers]]\ncount = 4\nup = '50 kB/s'\ndown = '200 kB/s'";
        let scenario = Scenario::parse(text).expect("a scenario");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("net.pcapng");
        let file = std::fs::File::create(&path).expect("a file");
        let options = WorldOptions { record: Some(Box::new(file)), ..WorldOptions::default() };
        let run = World::new(&scenario, options).expect("a world").run().expect("a run");
        let content = Content::new(&scenario.torrent, None).expect("a torrent");
        let address = |host: usize| match host {
            0 => IpAddr::from([10, 1, 1, 1]),
            host => IpAddr::from([10, 2, host as u8, 1]),
        };
        let places: Vec<_> = run
            .hosts
            .iter()
            .enumerate()
            .map(|(number, host)| Place { address: address(number), role: host.role, limited: true })
            .collect();
        let options = TraceOptions { local: LocalChoice::Nobody, ..TraceOptions::default() };
        let mut trace = Trace::open(&path, options).expect("a capture");
        let moment = |at| Moment { at, leechers: 4, seeds: 1, capacity: at };
        let mut ledger: Option<Ledger<'_>> = None;
        while let Some(dissected) = trace.next().expect("packets") {
            let Dissected::Record(record) = dissected else { continue };
            // The first announce is made when the run begins.
            let ledger = ledger.get_or_insert_with(|| {
                Ledger::new(&content, record.at, &places, vec![moment(0.0), moment(20.0), moment(500.0)])
            });
            ledger.take(&record);
        }
        let mut ledger = ledger.expect("records");
        ledger.finish();
        for (host, seen) in run.hosts.iter().zip(&ledger.hosts) {
            assert_eq!(seen.downloaded, host.downloaded, "{}", host.name);
            assert_eq!((seen.opaque, seen.tenths.len()), (0, host.tenths.len()), "{}", host.name);
            // What left the link is not all received where a run ends, and what is handed out has not all left.
            assert!(
                seen.uploaded <= host.uploaded && seen.uploaded + 100_000 > host.uploaded,
                "{}",
                host.name
            );
            assert_eq!(seen.done_at.is_some(), host.done_at.is_some());
            assert_eq!(seen.first_block_at.is_some(), host.first_block_at.is_some(), "{}", host.name);
            if let Some((seen, first)) = seen.first_block_at.zip(host.first_block_at) {
                assert!((first - seen).abs() < 0.6, "{}: {seen} {first}", host.name);
            }
            if let Some((seen, done)) = seen.done_at.zip(host.done_at) {
                assert!((0.0..0.6).contains(&(done - seen)), "{}: {seen} {done}", host.name);
            }
        }
        let copies = |bytes: Option<u64>| bytes.expect("a first copy") as f64 / 1_500_000.0;
        let (seen, simulated) = (copies(ledger.first_copy), copies(run.first_copy));
        // A simulation counts what a seed hands out, up to a window for each of four peers and once a second.
        assert!((0.0..0.3).contains(&(simulated - seen)), "{seen} {simulated}");
        let samples = ledger.samples.into_vec();
        assert_eq!(samples.len(), 3);
        assert_eq!((samples[0].sent, samples[0].least_copies), (0, 0));
        assert!(samples[1].sent > 0 && samples[1].sent < samples[2].sent);
        assert_eq!((samples[2].least_copies, samples[2].pieces_done), (4, 4 * 23));
    }
}
