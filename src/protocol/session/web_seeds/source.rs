//! One web seed: what it is asked for, over which connection, and when it is left.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::session::announcer::reason as close_text;
use crate::session::picker::Seeker;
use crate::web_seed::AnswerReader;
use crate::wire::PieceSet;
use crate::{Geometry, Metainfo, PieceIndex, Timestamp};

use super::part::{Part, parts, request, spans, target};
use super::{
    CloseReason, Core, Endpoint, Event, HttpProxy, Output, SeedKind, ServerInput, ServerUrl, SessionStreamId,
};

mod answers;

/// A web seed.
#[derive(Debug)]
pub(super) struct Source {
    torrent: Arc<Metainfo>,
    url: Arc<str>,
    place: ServerUrl,
    kind: SeedKind,
    /// Under which the picker knows it, whatever connection it has.
    giver: SessionStreamId,
    /// What it may be asked for.
    pieces: PieceSet,
    state: SourceState,
    /// Failures since its last whole answer.
    failures: u32,
    corrupt: u32,
    /// How many bytes it is asked for at once.
    appetite: u64,
    /// Whether it gives parts of files.
    gives_parts: bool,
    /// What is picked, and not asked for yet.
    planned: VecDeque<Part>,
    /// Where files are instead, and whether a local network is no offence there: forgotten when a connection fails.
    elsewhere: BTreeMap<usize, (ServerUrl, bool)>,
    /// How often all of a file was asked for.
    offers: BTreeMap<usize, u8>,
    /// The version of the picker in which it had nothing for it.
    nothing_at: Option<u64>,
    is_announced: bool,
}

#[derive(Debug)]
enum SourceState {
    Idle,
    /// Left alone until then, after a failure.
    Waiting(Timestamp),
    Connected(Box<Connection>),
    Ended,
}

#[derive(Debug)]
struct Connection {
    stream: SessionStreamId,
    origin: String,
    proxy: Option<HttpProxy>,
    address: Option<SocketAddr>,
    reader: AnswerReader,
    /// What is asked for, the first of them being answered.
    asked: VecDeque<Part>,
    answering: Option<Answering>,
    /// How many answers were whole.
    answers: u32,
    /// Since when it has been so, and how many bytes came since: for connecting, for an answer, for nothing to do.
    since: Timestamp,
    received: u64,
}

/// What becomes of the body that comes.
#[derive(Debug)]
enum Answering {
    /// It is what was asked for; whether the connection can be used after it.
    Take { stays_open: bool },
    /// It is a page about an error.
    Skip,
    /// It is the number of seconds to wait (BEP 17, "Protocol").
    Seconds(Vec<u8>),
}

impl Source {
    pub(super) fn new(
        torrent: Arc<Metainfo>,
        url: &str,
        place: ServerUrl,
        kind: SeedKind,
        giver: SessionStreamId,
    ) -> Self {
        let piece_count = torrent.placement().map_or(0, Geometry::piece_count);
        Self {
            torrent,
            url: url.into(),
            place,
            kind,
            giver,
            pieces: PieceSet::all(piece_count),
            state: SourceState::Idle,
            failures: 0,
            corrupt: 0,
            appetite: FIRST_APPETITE,
            gives_parts: true,
            planned: VecDeque::new(),
            elsewhere: BTreeMap::new(),
            offers: BTreeMap::new(),
            nothing_at: None,
            is_announced: false,
        }
    }

    pub(super) fn has_url(&self, url: &str) -> bool {
        &*self.url == url
    }

    pub(super) const fn giver(&self) -> SessionStreamId {
        self.giver
    }

    pub(super) fn stream(&self) -> Option<SessionStreamId> {
        match &self.state {
            SourceState::Connected(connection) => Some(connection.stream),
            _ => None,
        }
    }

    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.state, SourceState::Ended)
    }

    pub(super) const fn is_at_work(&self) -> bool {
        matches!(self.state, SourceState::Waiting(_) | SourceState::Connected(_))
    }

    pub(super) fn deadline(&self, connect_timeout: Duration) -> Option<Timestamp> {
        match &self.state {
            SourceState::Waiting(until) => Some(*until),
            SourceState::Connected(connection) => {
                Some(connection.since + connection.patience(connect_timeout))
            }
            SourceState::Idle | SourceState::Ended => None,
        }
    }

    /// Does what is due, and asks for more.
    pub(super) fn advance(&mut self, now: Timestamp, core: &mut Core) {
        match &self.state {
            SourceState::Waiting(until) if *until <= now => self.state = SourceState::Idle,
            SourceState::Connected(connection)
                if connection.since + connection.patience(core.config.connect_timeout) <= now =>
            {
                self.lose_patience(now, core);
            }
            _ => {}
        }
        self.ask(now, core);
    }

    fn lose_patience(&mut self, now: Timestamp, core: &mut Core) {
        let SourceState::Connected(connection) = &mut self.state else { return };
        if connection.address.is_none() {
            return self.fail(now, "the connection timed out", core);
        }
        if connection.asked.is_empty() {
            core.outputs.push_back(Output::Close(connection.stream, None));
            self.state = SourceState::Idle;
            return;
        }
        // A disk that is slow here is no fault of the server.
        let waits_for_us = core.unstored >= core.config.max_unstored / 2;
        if connection.received < SLOWEST * SLOWNESS.as_secs() && !waits_for_us {
            return self.fail(now, "slower than 20 KiB a second", core);
        }
        connection.begin_wait(now);
    }

    /// Connects where something is to be asked for, and asks for it.
    fn ask(&mut self, now: Timestamp, core: &mut Core) {
        loop {
            match &self.state {
                SourceState::Waiting(_) | SourceState::Ended => return,
                SourceState::Connected(connection) if !connection.may_be_asked() => return,
                SourceState::Idle | SourceState::Connected(_) => {}
            }
            self.plan(core);
            let Some(next) = self.planned.front() else { return };
            let SourceState::Connected(connection) = &mut self.state else {
                self.connect(now, core);
                return;
            };
            if is_padding(&self.torrent, self.kind, next) {
                // What comes before it in its block comes first.
                if !connection.asked.is_empty() {
                    return;
                }
                let Some(padding) = self.planned.pop_front() else { return };
                self.take_zeros(now, padding.span(), padding.is_offered, core);
                continue;
            }
            let found_elsewhere = self.elsewhere.get(&next.of).map(|(place, _)| place);
            let place = found_elsewhere.unwrap_or(&self.place);
            if place.origin() != connection.origin {
                if !connection.asked.is_empty() {
                    return;
                }
                core.outputs.push_back(Output::Close(connection.stream, None));
                self.state = SourceState::Idle;
                continue;
            }
            let target = match found_elsewhere {
                Some(place) => Some(place.target().to_owned()),
                None => target(&self.torrent, self.kind, place, next),
            };
            let Some(target) = target else {
                self.planned.pop_front();
                continue;
            };
            let has_range = self.kind == SeedKind::Files && !next.is_offered;
            let range = has_range.then_some(&next.bytes);
            let client = &core.config.profile.client;
            let proxy = connection.proxy.as_ref().filter(|_| place.is_in_clear());
            let bytes = request(client, place, &target, range, proxy);
            core.outputs.push_back(Output::Send(connection.stream, bytes));
            if connection.asked.is_empty() {
                connection.begin_wait(now);
            }
            connection.asked.extend(self.planned.pop_front());
        }
    }

    /// Picks what is asked for next, unless something is picked already.
    fn plan(&mut self, core: &mut Core) {
        let version = core.picker.version();
        let has_room = core.unstored < core.config.max_unstored;
        if !self.planned.is_empty() || !has_room || !core.is_running() || self.nothing_at == Some(version) {
            return;
        }
        if self.gives_parts || self.kind == SeedKind::Pieces {
            let length = u64::from(self.torrent.piece_length.max(1));
            let most = u32::try_from(self.appetite / length).unwrap_or(u32::MAX);
            let seeker = Seeker::of_any(self.giver, &self.pieces);
            let blocks = core.picker.pick_run(&seeker, most);
            self.planned = parts(&self.torrent, self.kind, &spans(&self.torrent, &blocks));
        } else {
            let offer = self.next_offer(core);
            self.planned.extend(offer);
        }
        self.nothing_at = self.planned.is_empty().then_some(core.picker.version());
    }

    /// The next file that is asked for as a whole.
    fn next_offer(&mut self, core: &Core) -> Option<Part> {
        let geometry = self.torrent.placement()?;
        let asked = match &self.state {
            SourceState::Connected(connection) => connection.asked.front().map(|part| part.of),
            _ => None,
        };
        let is_of_use = |file: &usize| {
            let Some(start) = geometry.file_start(*file) else { return false };
            let span = start..start + self.torrent.files[*file].length;
            !self.torrent.files[*file].is_padding()
                && asked != Some(*file)
                && self.offers.get(file).is_none_or(|&times| times < MAX_OFFERS)
                && geometry
                    .pieces_of(*file)
                    .map(PieceIndex)
                    .any(|piece| self.pieces.contains(piece) && core.picker.is_unasked_within(piece, &span))
        };
        let file = (0..self.torrent.files.len()).find(is_of_use)?;
        *self.offers.entry(file).or_default() += 1;
        let (at, length) = (geometry.file_start(file)?, self.torrent.files[file].length);
        Some(Part { is_offered: true, ..Part::new(file, 0..length, at) })
    }

    fn connect(&mut self, now: Timestamp, core: &mut Core) {
        let Some(next) = self.planned.front() else { return };
        let (place, may_be_local) = self
            .elsewhere
            .get(&next.of)
            .map_or((&self.place, core.config.allow_local), |(place, local)| (place, *local));
        let proxy = match place.proxy(&core.config.proxies) {
            Ok(proxy) => proxy,
            Err(reason) => return self.fail(now, &reason, core),
        };
        let remote = place.remote(proxy.as_ref(), None, may_be_local);
        let stream = core.streams.next();
        core.outputs.push_back(Output::Open(stream, Endpoint::WebSeed(remote)));
        self.state = SourceState::Connected(Box::new(Connection {
            stream,
            origin: place.origin(),
            proxy,
            address: None,
            reader: AnswerReader::default(),
            asked: VecDeque::new(),
            answering: None,
            answers: 0,
            since: now,
            received: 0,
        }));
    }

    pub(super) fn handle(&mut self, now: Timestamp, input: ServerInput, core: &mut Core) {
        let SourceState::Connected(connection) = &mut self.state else { return };
        match input {
            ServerInput::Opened(address) => {
                connection.address = Some(address);
                connection.begin_wait(now);
                if !std::mem::replace(&mut self.is_announced, true) {
                    let url = self.url.clone();
                    core.outputs.push_back(Output::Event(Event::WebSeedConnected { url, address }));
                }
            }
            ServerInput::Received(bytes) => {
                connection.received += bytes.len() as u64;
                connection.reader.push(bytes);
                self.read(now, core);
            }
            ServerInput::Closed(reason) => return self.closed(now, &reason, core),
        }
        self.ask(now, core);
    }

    /// The server closed the connection, or it could not be opened.
    fn closed(&mut self, now: Timestamp, reason: &CloseReason, core: &mut Core) {
        let SourceState::Connected(connection) = &mut self.state else { return };
        let is_amid_answer = connection.answers == 0
            || connection.answering.is_some()
            || !connection.reader.is_between_answers();
        let is_over_early = connection.address.is_none() || (!connection.asked.is_empty() && is_amid_answer);
        let asked = std::mem::take(&mut connection.asked);
        self.state = SourceState::Idle;
        self.elsewhere.clear();
        self.ask_again(asked);
        match reason {
            CloseReason::Local(address) => {
                self.end(&format!("{address} is in a local network, where no torrent may lead"), core);
            }
            _ if is_over_early => self.fail(now, &close_text(reason), core),
            // Some servers close after each answer, others after a pause.
            _ => self.ask(now, core),
        }
    }

    /// What was asked for and did not come is asked for next, in its order.
    fn ask_again(&mut self, asked: VecDeque<Part>) {
        asked.into_iter().rev().for_each(|part| self.planned.push_front(part));
    }

    /// The server is busy.
    fn wait(&mut self, now: Timestamp, seconds: u64, core: &mut Core) {
        self.leave(core);
        self.failures += 1;
        if self.failures >= MAX_FAILURES {
            return self.end("busy for too long", core);
        }
        let wait = Duration::from_secs(seconds.clamp(1, MOST_WAIT));
        self.state = SourceState::Waiting(now + wait);
        self.tell_failure("busy", Some(wait), core);
    }

    /// Something went wrong: it is left alone for a while, and the last time for good.
    fn fail(&mut self, now: Timestamp, reason: &str, core: &mut Core) {
        self.leave(core);
        self.failures += 1;
        if self.failures >= MAX_FAILURES {
            return self.end(reason, core);
        }
        let wait = FIRST_PAUSE * (1 << (self.failures - 1));
        self.state = SourceState::Waiting(now + wait);
        self.tell_failure(reason, Some(wait), core);
    }

    fn end(&mut self, reason: &str, core: &mut Core) {
        self.leave(core);
        self.state = SourceState::Ended;
        self.tell_failure(reason, None, core);
    }

    fn tell_failure(&self, reason: &str, again: Option<Duration>, core: &mut Core) {
        let (url, reason) = (self.url.clone(), reason.to_owned());
        core.outputs.push_back(Output::Event(Event::WebSeedFailed { url, reason, again }));
    }

    /// Closes the connection, and lets others have what it was asked for.
    pub(super) fn leave(&mut self, core: &mut Core) {
        let mut left = std::mem::take(&mut self.planned);
        if let SourceState::Connected(connection) = &mut self.state {
            core.outputs.push_back(Output::Close(connection.stream, None));
            left.extend(std::mem::take(&mut connection.asked));
        }
        if !self.has_ended() {
            self.state = SourceState::Idle;
        }
        left.iter().for_each(|part| self.release(part, core));
        self.elsewhere.clear();
    }

    /// Lets others have what is left of a part.
    fn release(&self, part: &Part, core: &mut Core) {
        let span = part.span();
        let mut at = span.start;
        while at < span.end {
            let (block, position) = core.picker.block_at(at);
            if block.length <= position {
                break;
            }
            core.picker.release(block, self.giver);
            at += u64::from(block.length - position);
        }
        core.picker.unreserve(self.giver);
        core.deferred.blocks_freed = true;
    }

    /// All of a piece that failed its hash came from here.
    pub(super) fn note_corrupt(&mut self, piece: PieceIndex, core: &mut Core) {
        self.pieces.remove(piece);
        self.corrupt += 1;
        if self.corrupt >= MAX_CORRUPT && !self.has_ended() {
            self.end("sent corrupt data twice", core);
        }
    }
}

impl Connection {
    /// Whether another request may be sent: when nothing is asked for, or while the first of two answers comes.
    fn may_be_asked(&self) -> bool {
        self.address.is_some()
            && match self.asked.len() {
                0 => self.answering.is_none(),
                1 => matches!(self.answering, Some(Answering::Take { stays_open: true })),
                _ => false,
            }
    }

    const fn begin_wait(&mut self, now: Timestamp) {
        self.since = now;
        self.received = 0;
    }

    fn patience(&self, connect_timeout: Duration) -> Duration {
        match (self.address, self.asked.is_empty()) {
            (None, _) => connect_timeout,
            (_, true) => IDLE,
            (_, false) => SLOWNESS,
        }
    }
}

fn is_padding(torrent: &Metainfo, kind: SeedKind, part: &Part) -> bool {
    kind == SeedKind::Files && torrent.files.get(part.of).is_some_and(|file| file.is_padding())
}

/// How many bytes a web seed is asked for at first. Twice as many each time, up to so many pieces and so many bytes.
const FIRST_APPETITE: u64 = 1024 * 1024;
const MOST_PIECES: u64 = 16;
const MOST_APPETITE: u64 = 16 * 1024 * 1024;

/// A server that gives fewer bytes a second, for so long, is left.
const SLOWEST: u64 = 20 * 1024;
const SLOWNESS: Duration = Duration::from_secs(30);

/// How long a connection over which nothing is asked for is kept.
const IDLE: Duration = Duration::from_secs(10);

/// So many failures in a row end a web seed. After the first it is left alone for 5 seconds, then twice as long each time.
const MAX_FAILURES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// So many corrupt pieces end it.
const MAX_CORRUPT: u32 = 2;

/// How many seconds a busy server is left alone where it does not say, and at the most.
const USUAL_WAIT: u64 = 60;
const MOST_WAIT: u64 = 3600;

/// How often a file is fetched whole from a server that gives no parts of it.
const MAX_OFFERS: u8 = 2;
