//! A reference replayed to a session without a socket: the recorded far ends send their messages when the session has sent what
//! preceded them, under a clock that follows the reference. The same reference gives the same bytes every time.

mod connections;
mod nodes;
mod over_utp;
#[cfg(test)]
mod tests;
mod trackers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bittrace_protocol::node::{self, Node};
use bittrace_protocol::session::{
    Config, EncryptionPolicy, Event, Input, MemoryDisk, MessageCounts, Output, PeerSource, SearchState,
    SeedGoal, Session, SessionStreamId, Violation,
};
use bittrace_protocol::{Metainfo, Timestamp};
use bittrace_trace as trace;
use bittrace_trace::units::counted;
use bittrace_trace::{Direction, Flow, Recorder, Transport};
use bytes::Bytes;

use crate::model::torrent_hashes::TorrentHashes;
use crate::model::transcript::{Conversation, Transcript};
use crate::play::client_role::ClientRole;
use crate::play::magnet_link::link_of;
use crate::play::missed::Missed;
use crate::play::pieces::RecordedPieces;
use crate::play::play_clock::PlayClock;
use crate::play::played_connection::{Heard, PlayedConnection, encryption_remarks};
use crate::play::refusal::Refusal;
use crate::play::replay_nodes::{ClientNode, ReplayNodes};
use crate::play::replayed_trackers::ReplayedTracker;
use crate::play::run_connection::RunConnection;
use crate::play::untracked::untracked_peers;
use crate::play::utp_link::UtpLink;
use crate::profile::InferredProfile;
use nodes::with_dht;
use trackers::with_trackers_of_reference;

/// The result of a replay without sockets.
#[derive(Debug)]
pub struct OfflineRun {
    /// All messages of the run, as a capture.
    pub capture: Vec<u8>,
    /// Whether the session has every piece.
    pub complete: bool,
    /// Where it did not go as in the reference: the far end, and what was missed.
    pub missed: Vec<(SocketAddr, Missed)>,
    /// The far ends that the session closed the connection to, and why.
    pub left: Vec<(SocketAddr, Violation)>,
    /// How many messages the session sent to peers, and how many of them the schedule of the reference chose.
    pub messages: MessageCounts,
    /// What the far ends did not answer.
    pub refusals: Vec<Refusal>,
    /// What else is worth knowing, in words.
    pub remarks: Vec<String>,
}

/// Replays `reference` to a session that behaves as its client did.
///
/// # Errors
/// When the torrent is not that of the reference, in words.
pub fn replay_offline(
    reference: &Transcript,
    learnt: &InferredProfile,
    torrent: &Arc<Metainfo>,
    contents: &RecordedPieces,
    role: ClientRole,
    comment: &str,
) -> Result<OfflineRun, String> {
    if !torrent.goes_by(learnt.torrent) {
        return Err(format!("the capture is about torrent {}, not {}", learnt.torrent, torrent.info_hash));
    }
    if torrent.placement().is_none() {
        return Err(format!("the torrent is of version {}, which cannot be replayed", torrent.version));
    }
    let trackers = ReplayedTracker::all(reference);
    let (torrent, recast) = with_trackers_of_reference(torrent, &trackers);
    let torrent = &torrent;
    let (began, ended) = reference.span().unwrap_or((Timestamp::EPOCH, Timestamp::EPOCH));
    let mut config = Config::new(learnt.profile.clone());
    if learnt.schedule.paddings.is_empty() {
        // No far end of this play negotiates.
        config.profile.encryption.policy = EncryptionPolicy::Off;
    }
    config.schedule = learnt.schedule.clone();
    config.port = learnt.port;
    config.rounds = Some(1);
    config.max_unstored = u64::MAX;
    let mut disk = MemoryDisk::new(torrent.clone());
    let mut have = Vec::new();
    if role == ClientRole::Seeder {
        config.seeding = Some(SeedGoal::default());
        for (piece, bytes) in contents.pieces() {
            disk.handle(&Output::Store(piece, 0, bytes.clone()));
            have.push(piece);
        }
    }
    let (nodes, client) = (ReplayNodes::of(reference), ClientNode::of(reference));
    let named_by_nodes = nodes.peers();
    if let Some(node) = nodes.nodes.first() {
        config.dht_port = Some(node.local.port());
    }
    let clock = PlayClock::starting_at(began);
    let link = UtpLink::new(SECRET, clock.now());
    let identity = learnt.identity.clone();
    let had_a_link = role == ClientRole::Downloader && reference.asks_for_metadata();
    let mut session = if had_a_link {
        Session::of_magnet(config, &link_of(torrent, reference), identity, clock.now())
    } else {
        Session::new(config, torrent.clone(), identity, have, clock.now())
    };
    // Peers give the info dictionary; piece layers are asked for one by one (BEP 52).
    let described = match had_a_link {
        true => Arc::new(Metainfo::decode_info(torrent.info_bytes()).map_err(|error| error.to_string())?),
        false => torrent.clone(),
    };
    let mut untracked = untracked_peers(reference);
    untracked.retain(|peer| !named_by_nodes.contains(peer));
    let search = if untracked.is_empty() { SearchState::Idle } else { SearchState::UnderWay };
    session.handle(clock.now(), Input::Searching(search));
    let node = with_dht(Node::new(session), &nodes, &client, learnt.port, clock.now());
    let recorder = Recorder::new(Vec::new(), comment).map_err(|error| error.to_string())?;
    let mut stage = Simulation {
        torrent: TorrentHashes::of(torrent),
        described,
        ended,
        contents,
        node,
        clock,
        wakes: None,
        over: false,
        trackers,
        nodes,
        waiting: reference.peers().collect(),
        untracked,
        last: Timestamp::EPOCH,
        lines: BTreeMap::new(),
        link,
        calling: BTreeMap::new(),
        leaving: BTreeMap::new(),
        disk,
        role,
        recorder,
        recorded: 0,
        called: 0,
        missed: Vec::new(),
        left: Vec::new(),
        refusals: Vec::new(),
        asked: 0,
        remarks: encryption_remarks(reference.peers()).into_iter().chain(recast).collect(),
    };
    stage.run().map_err(|error| error.to_string())?;
    stage.finish().map_err(|error| error.to_string())
}

struct Simulation<'a> {
    torrent: TorrentHashes,
    /// The torrent, for a session that has its metadata from the far ends.
    described: Arc<Metainfo>,
    /// When the last message of the reference was captured.
    ended: Timestamp,
    contents: &'a RecordedPieces,
    /// The session, with a node of the DHT where the reference has nodes.
    node: Node,
    clock: PlayClock,
    wakes: Option<Timestamp>,
    over: bool,
    trackers: Vec<ReplayedTracker>,
    /// The recorded nodes of the DHT.
    nodes: ReplayNodes,
    /// The connections to peers that have not begun.
    waiting: VecDeque<&'a Conversation>,
    /// The peers that no tracker named and that the session has not been told of: it is when its client dialled them.
    untracked: BTreeSet<SocketAddr>,
    /// When something of the reference happened last, in the play.
    last: Timestamp,
    lines: BTreeMap<SessionStreamId, SimulatedConnection>,
    /// The connections over uTP.
    link: UtpLink,
    /// The connections that recorded peers have begun over uTP, and that the session has not accepted.
    calling: BTreeMap<SocketAddr, VecDeque<SimulatedConnection>>,
    /// The connections over uTP that the session has left, but on which its last bytes have not arrived.
    leaving: BTreeMap<SessionStreamId, SimulatedConnection>,
    disk: MemoryDisk,
    role: ClientRole,
    recorder: Recorder<Vec<u8>>,
    recorded: u32,
    called: u32,
    missed: Vec<(SocketAddr, Missed)>,
    left: Vec<(SocketAddr, Violation)>,
    refusals: Vec<Refusal>,
    /// How many requests trackers have had.
    asked: u32,
    remarks: Vec<String>,
}

/// A connection of the session.
struct SimulatedConnection {
    far: SocketAddr,
    /// The session's end.
    local: SocketAddr,
    /// The direction in which the session sends.
    ours: Direction,
    role: RemoteRole,
    /// Its number in the recorder, once it has one. A connection over uTP is recorded as datagrams.
    recorded: Option<trace::StreamId>,
    /// When it was opened, once it is recorded.
    opened: Option<Timestamp>,
    transport: Transport,
    /// Whether the far end says nothing and closes it.
    leaves: bool,
}

impl SimulatedConnection {
    /// The end that opened it, and the other one.
    const fn ends(&self) -> (SocketAddr, SocketAddr) {
        match self.ours {
            Direction::FromInitiator => (self.local, self.far),
            Direction::FromResponder => (self.far, self.local),
        }
    }

    /// What finds it in the recording.
    fn in_recording(&self) -> Option<RunConnection> {
        let (initiator, responder) = self.ends();
        let flow = Flow { initiator, responder };
        Some(RunConnection { flow, transport: self.transport, opened: self.opened? })
    }

    /// The far end receives bytes.
    fn hear(&mut self, bytes: &[u8]) -> Heard {
        match &mut self.role {
            RemoteRole::Peer(peer) => peer.hear(bytes),
            RemoteRole::Tracker(..) | RemoteRole::UdpTracker(_) => Heard::default(),
        }
    }
}

enum RemoteRole {
    Peer(Box<PlayedConnection>),
    /// The tracker at this place, over HTTP, and what it was asked so far.
    Tracker(usize, Vec<u8>),
    /// The tracker at this place, over UDP.
    UdpTracker(usize),
}

impl<'a> Simulation<'a> {
    fn run(&mut self) -> std::io::Result<()> {
        let mut stopped = false;
        let mut idle = 0;
        for _ in 0..MOST_STEPS {
            if !self.drain()? {
                break;
            }
            if self.over {
                return self.let_arrive();
            }
            if self.play()? {
                continue;
            }
            // Neither end has anything to send: time passes until the next message of the reference is due.
            let due = self.next_due().map(|(due, at)| (due, self.clock.due(at)));
            let until = match due {
                Some((_, at)) => at,
                None => self.clock.due(self.ended).max(self.last) + PATIENCE,
            };
            // What is under way arrives before anything is missed.
            let link_at = self.link.next_at();
            let until = match link_at {
                Some(at) if self.link.is_carrying() => until.max(at),
                _ => match due {
                    Some((Due::Speech(stream), _)) => until.max(self.link.last_said(stream).unwrap_or(until)),
                    _ => until,
                },
            };
            let wakes = self.wakes.filter(|&at| at <= until && idle < MOST_IDLE_STEPS);
            if let Some(at) = link_at.filter(|&at| at <= until && wakes.is_none_or(|wakes| at <= wakes)) {
                self.clock.pass(at);
                self.link.pass(self.clock.now());
                continue;
            }
            if let Some(at) = wakes {
                idle += 1;
                self.clock.pass(at);
                self.tell(Input::Tick);
                continue;
            }
            match due {
                Some((Due::Speech(stream), at)) => {
                    self.pass(at)?;
                    if let Some(SimulatedConnection { role: RemoteRole::Peer(peer), .. }) =
                        self.lines.get_mut(&stream)
                        && !peer.peer.waive()
                    {
                        peer.peer.pass_over();
                    }
                }
                Some((Due::Call, at)) => {
                    self.pass(at)?;
                    self.call()?;
                }
                Some((Due::Found(far), at)) => {
                    self.pass(at)?;
                    self.find(far);
                }
                Some((Due::Question(node), at)) => {
                    self.pass(at)?;
                    self.ask(node)?;
                }
                None if !stopped => {
                    stopped = true;
                    // A seeder has no end of its own.
                    if self.role == ClientRole::Downloader {
                        let remark = "the reference ended before the session did: the session was stopped";
                        self.remarks.push(remark.to_owned());
                    }
                    self.tell(Input::Stop);
                }
                None => return Ok(()),
            }
        }
        self.remarks.push(format!("the replay was ended after {MOST_STEPS} steps"));
        Ok(())
    }

    /// Something of the reference happens, at a time of the play; what is on its way over uTP goes on until then.
    fn pass(&mut self, at: Timestamp) -> std::io::Result<()> {
        self.carry(at, |_| false)?;
        self.clock.pass(at);
        self.last = self.clock.now();
        Ok(())
    }

    /// Does what the session wants: whether it comes to rest, which it does within as many steps as there may be in all.
    fn drain(&mut self) -> std::io::Result<bool> {
        for _ in 0..MOST_STEPS {
            let output = match self.node.poll() {
                node::Output::Session(output) => output,
                node::Output::Datagram(to, bytes, _) => {
                    self.asked_of_node(to, &bytes)?;
                    continue;
                }
                node::Output::UtpSecret(..)
                | node::Output::Searched(_)
                | node::Output::Save(_)
                | node::Output::Multicast(..) => continue,
            };
            if let Some(inputs) = self.disk.handle(&output) {
                inputs.into_iter().for_each(|input| self.tell(input));
                continue;
            }
            match output {
                Output::Open(stream, endpoint) => self.open(stream, endpoint)?,
                Output::Send(stream, bytes) => self.sent(stream, &bytes)?,
                Output::Pause(stream) => self.link.pause(stream, self.clock.now()),
                Output::Close(stream, violation) => self.close(stream, violation)?,
                Output::Event(Event::TrackerFailed { url, reason, .. }) => {
                    self.remarks.push(format!("{url}: {reason}"));
                }
                Output::Resolve(name) => {
                    let address = name.host.parse().map(|ip| vec![SocketAddr::new(ip, name.port)]);
                    let why = |_: std::net::AddrParseError| "a reference has addresses, not names".to_owned();
                    self.tell(Input::Resolved(name, address.map_err(why)));
                }
                Output::Metadata(..) => {
                    let described = Input::Described(self.described.clone(), Vec::new());
                    self.tell(described);
                }
                // The far end has the key as well.
                Output::Secret(..)
                | Output::Said(..)
                | Output::DhtContact(_)
                | Output::Store(..)
                | Output::HashBlocks(..)
                | Output::Discard(_)
                | Output::Load(..)
                | Output::Commit(_)
                | Output::Event(_) => {}
                Output::Wait(Some(at)) if at <= self.clock.now() => self.tell(Input::Tick),
                Output::Wait(at) => {
                    if let Some(event) = self.link.poll() {
                        self.linked(event)?;
                        continue;
                    }
                    self.wakes = at;
                    return Ok(true);
                }
                Output::Done => {
                    self.over = true;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Lets the far end send whose next message stands first in the reference; whether any far end had one to send.
    fn play(&mut self) -> std::io::Result<bool> {
        let mut order: Vec<(u64, SessionStreamId)> = Vec::new();
        for (&stream, line) in &self.lines {
            if let RemoteRole::Peer(peer) = &line.role {
                order.push((peer.peer.pending().map_or(u64::MAX, |(number, _)| number), stream));
            }
        }
        order.sort_unstable();
        for (_, stream) in order {
            let Some(SimulatedConnection { role: RemoteRole::Peer(peer), .. }) = self.lines.get_mut(&stream)
            else {
                continue;
            };
            let is_linked = self.link.has(stream);
            // What arrives over uTP before the next message is due may come first.
            let due = peer.peer.pending().map_or(self.last, |(_, at)| self.clock.expected(at));
            if !is_linked && self.link.is_carrying() && self.link.next_at().is_some_and(|at| at <= due) {
                continue;
            }
            if let Some((messages, at)) = peer.speak(self.contents) {
                let at = self.clock.due(at);
                let bytes = Bytes::from(messages.concat());
                if is_linked {
                    self.last = self.last.max(at);
                    self.link.say(stream, bytes, at, self.clock.now());
                    return Ok(true);
                }
                self.pass(at)?;
                self.said(stream, &bytes)?;
                self.tell(Input::Received(stream, bytes));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What comes next in the reference, and when.
    fn next_due(&self) -> Option<(Due, Timestamp)> {
        let speech = self.lines.iter().filter_map(|(&stream, line)| match &line.role {
            RemoteRole::Peer(peer) => {
                peer.peer.pending().map(|(number, at)| (number, Due::Speech(stream), at))
            }
            RemoteRole::Tracker(..) | RemoteRole::UdpTracker(_) => None,
        });
        let incoming = self.waiting.iter().filter(|conversation| !conversation.is_outgoing());
        let call = incoming.filter_map(|conversation| {
            let (_, first) = conversation.messages().next()?;
            Some((first.number, Due::Call, first.at))
        });
        let untracked =
            self.waiting.iter().filter(|one| one.is_outgoing() && self.untracked.contains(&one.far()));
        let found = untracked.filter_map(|conversation| {
            let (_, first) = conversation.messages().next()?;
            Some((first.number, Due::Found(conversation.far()), first.at))
        });
        let questions = self.nodes.nodes.iter().enumerate().filter_map(|(place, node)| {
            let question = node.questions.front()?;
            Some((question.number, Due::Question(place), question.at))
        });
        speech
            .chain(call)
            .chain(found)
            .chain(questions)
            .min_by_key(|(number, ..)| *number)
            .map(|(_, due, at)| (due, at))
    }

    /// The session hears of something.
    fn tell(&mut self, input: Input) {
        self.node.handle(self.clock.now(), input.into());
    }

    /// A peer is found that no tracker named.
    fn find(&mut self, far: SocketAddr) {
        self.untracked.remove(&far);
        self.tell(Input::PeersFound(PeerSource::Link, vec![far]));
        if self.untracked.is_empty() {
            self.tell(Input::Searching(SearchState::Over));
        }
    }

    fn finish(mut self) -> std::io::Result<OfflineRun> {
        for stream in self.lines.keys().copied().collect::<Vec<_>>() {
            self.close(stream, None)?;
        }
        self.let_arrive()?;
        let calling = std::mem::take(&mut self.calling).into_values().flatten();
        for line in calling.chain(std::mem::take(&mut self.leaving).into_values()) {
            self.part(line)?;
        }
        if self.clock.jumps() > 0 {
            self.remarks.push(format!(
                "in {} the times of the reference are more than an hour apart or run backwards: the replay waited an hour at most",
                counted(self.clock.jumps(), "place")
            ));
        }
        for conversation in &self.waiting {
            self.remarks.push(format!("the session had no connection to or from {}", conversation.far()));
        }
        self.remarks.extend(self.trackers.iter().flat_map(ReplayedTracker::unused));
        self.remarks.extend(self.nodes.left_out());
        self.remarks.extend(self.nodes.unused());
        Ok(OfflineRun {
            capture: self.recorder.finish()?,
            complete: self.node.session().is_complete(),
            missed: self.missed,
            messages: self.node.session().message_counts(),
            left: self.left,
            refusals: self.refusals,
            remarks: self.remarks,
        })
    }
}

#[derive(Clone, Copy)]
enum Due {
    Speech(SessionStreamId),
    Call,
    Found(SocketAddr),
    /// The node at this place asks its next question.
    Question(usize),
}

/// Where the keys of far ends come from: a play without sockets is the same every time.
const SECRET: [u8; 32] = *b"the far ends of a play are known";

/// How long a session may go on when the reference is over.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long what a session sent last over uTP may take to arrive.
const LEAVING: Duration = Duration::from_secs(5);

/// More steps than any reference needs.
const MOST_STEPS: u32 = 10_000_000;

/// How often the session may wake while no message of the reference is due: each second of more than two days. Then time
/// passes without the session until the next message is due.
const MOST_IDLE_STEPS: u32 = 200_000;
