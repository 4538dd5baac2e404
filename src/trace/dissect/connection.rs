//! One TCP connection: what it carries is decided by its first bytes, then those bytes go one way.

mod http_receiver;

use std::collections::VecDeque;

use bittrace_protocol::mse::KEY_LENGTH;
use bittrace_protocol::tracker::http;
use bittrace_protocol::wire::{HandshakeVerdict, PROTOCOL, Prefix, handshake_prefix, judge_handshake};
use http_receiver::HttpReceiver;

use super::conversation::PeerConversation;
use super::http_tracker::{HttpTracker, RequestVerdict};
use super::keys::FoundKey;
use super::mse::Mse;
use super::peer_wire::{CLEAR_WITHIN, PeerWire, clear_handshake};
use super::proxy::ProxyStage;
use super::web_seed::WebSeed;
use super::{ConnectionEnd, DissectContext, Dissected, Emitter, Loss, RecordSink, StreamGap};
use crate::Direction::FromInitiator;
use crate::dissect::resync::{Search, search, search_all};
use crate::dissect::stream_buffer::StreamBuffer;
use crate::expert::rules::{CAPTURE_MEMORY, MSE_OTHER_TORRENT};
use crate::measurement::ConnectionMeasurement;
use crate::record::{Note, Record, Transport};
use crate::{Direction, Flow, Moment, StreamClosing, StreamId, StreamInterest, StreamOpening};

/// A connection and what is known of it.
#[derive(Debug)]
pub(super) struct StreamDissector {
    flow: Flow,
    transport: Transport,
    opening: StreamOpening,
    opened: Moment,
    lanes: [StreamBuffer; 2],
    missing: [bool; 2],
    /// Whether it began like an encrypted connection of peers before bytes of it were lost.
    began_sealed: bool,
    /// Given when the connection is recognised.
    stream: Option<StreamId>,
    carries: Carries,
    proxy: ProxyStage,
    /// The state of a connection between peers.
    conversation: Option<Box<PeerConversation>>,
    measured: Option<Box<ConnectionMeasurement>>,
}

#[derive(Debug)]
enum Carries {
    /// Not known yet.
    Undecided([Looked; 2]),
    PeerWire(PeerWire),
    HttpTracker(HttpTracker),
    WebSeed(Box<WebSeed>),
    Mse(Box<Mse>),
    /// No BitTorrent.
    Other,
}

/// How far a lane was looked through before it is known what it carries.
#[derive(Debug, Default)]
struct Looked {
    /// No message begins before this.
    searched: usize,
    framer: http::Framer,
    /// It begins with an answer that is no tracker's, or with none.
    no_answer: bool,
}

/// What the bytes so far say of a connection.
enum Classification {
    Wait,
    Is(Carries),
}

impl Classification {
    /// An HTTP request to a peer.
    fn to_peer() -> Self {
        Self::Is(Carries::PeerWire(PeerWire::from_start()))
    }
}

/// How many bytes one direction may send before a connection whose beginning was captured must be known.
const DECIDED_WITHIN: usize = 8 * 1024;

/// The same for a connection that was open when the capture began: room for three blocks of 32 KiB.
const FOUND_WITHIN: usize = 96 * 1024;

const BOTH: [Direction; 2] = [FromInitiator, Direction::FromResponder];

impl Carries {
    /// Turns the bytes that wait into records, as far as they go.
    fn advance(&mut self, direction: Direction, lanes: &mut [StreamBuffer; 2], emitter: &mut Emitter<'_>) {
        let other = direction.reverse();
        match self {
            Self::PeerWire(wire) => {
                wire.advance(direction, &mut lanes[direction as usize], emitter);
                if wire.awaits_other(other) {
                    wire.advance(other, &mut lanes[other as usize], emitter);
                }
            }
            Self::HttpTracker(tracker) => {
                tracker.advance(direction, &mut lanes[direction as usize], emitter);
                // What is said one way may be what the other waits for.
                tracker.advance(other, &mut lanes[other as usize], emitter);
            }
            Self::WebSeed(seed) => {
                seed.advance(direction, &mut lanes[direction as usize], emitter);
                seed.advance(other, &mut lanes[other as usize], emitter);
            }
            Self::Mse(mse) => mse.advance(direction, lanes, emitter),
            Self::Undecided(_) | Self::Other => {}
        }
    }
}

impl StreamDissector {
    pub(super) fn new(flow: Flow, transport: Transport, opening: StreamOpening, opened: Moment) -> Self {
        Self {
            flow,
            transport,
            opening,
            opened,
            lanes: Default::default(),
            missing: [false; 2],
            began_sealed: false,
            stream: None,
            carries: Carries::Undecided(Default::default()),
            proxy: match opening {
                StreamOpening::Syn => ProxyStage::Possible,
                StreamOpening::MidStream => ProxyStage::Absent,
            },
            conversation: None,
            measured: None,
        }
    }

    /// Takes in how the transport behaved, before [`close`](Self::close).
    pub(super) fn measured(&mut self, measurement: Box<ConnectionMeasurement>) {
        self.measured = Some(measurement);
    }

    /// Takes in whether bytes of a direction are missing that were said by now.
    pub(super) const fn awaits(&mut self, direction: Direction, missing: bool) {
        self.missing[direction as usize] = missing;
    }

    pub(super) const fn interest(&self) -> StreamInterest {
        match self.carries {
            Carries::Other => StreamInterest::Unwanted,
            _ => StreamInterest::Wanted,
        }
    }

    /// The memory of what waits for a verdict.
    pub(super) fn undecided_cost(&self) -> usize {
        self.costs().0
    }

    /// The memory of all that waits, for a verdict or for the rest of a message.
    pub(super) fn cost(&self) -> usize {
        self.costs().1
    }

    /// The memory of what waits for a verdict, and of all that waits.
    #[inline]
    pub(super) fn costs(&self) -> (usize, usize) {
        let [one, other] = &self.lanes;
        let lanes = one.cost() + other.cost();
        match &self.carries {
            Carries::Undecided(_) => (lanes, lanes),
            Carries::Mse(mse) => (0, lanes + mse.cost()),
            _ => (0, lanes),
        }
    }

    /// Shows what waits, though it is no whole message, and says why. What comes of that message later is shown as the
    /// rest of it, as far as that can be known.
    pub(super) fn give_way(
        &mut self,
        moment: Moment,
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        let before = self.cost();
        self.give_up(recognised, out);
        let mut note = Some(CAPTURE_MEMORY.note(CAPTURE_MEMORY.text));
        for direction in BOTH {
            let gap = StreamGap { moment, direction, loss: Loss::Bytes(0) };
            note = self.end_messages(gap, note, recognised, out);
        }
        recognised.waiting = recognised.waiting + self.cost() - before;
    }

    pub(super) fn burst(
        &mut self,
        moment: Moment,
        direction: Direction,
        bytes: &[u8],
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        if matches!(self.carries, Carries::Other) {
            return;
        }
        self.lanes[direction as usize].push(moment, bytes);
        if matches!(self.carries, Carries::Undecided(_)) {
            self.decide(false, recognised, out);
        } else {
            self.advance(direction, recognised, out);
        }
    }

    pub(super) fn gap(
        &mut self,
        gap: StreamGap,
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        let StreamGap { direction, loss, .. } = gap;
        self.began_sealed |= self.begins_sealed(recognised);
        if matches!(self.carries, Carries::Undecided(_))
            && let waiting = self.proxy.behind(&self.lanes)[direction as usize]
            && let Some(tracker) = HttpTracker::recognise_cut(direction, waiting)
        {
            self.begin(Carries::HttpTracker(tracker), recognised, out);
        }
        if let Carries::Undecided(looked) = &mut self.carries {
            // What was said before the loss was not enough to know; what comes after must be.
            looked[direction as usize] = Looked::default();
            self.opening = StreamOpening::MidStream;
            self.proxy = ProxyStage::Absent;
            let lane = &mut self.lanes[direction as usize];
            drop(lane.take_all());
            lane.skip(loss.bytes());
            return;
        }
        self.end_messages(gap, None, recognised, out);
    }

    /// Ends what waits in a direction of a stream that is recognised, before a gap. `note` is said of the first record of
    /// that; it is given back where there is none.
    fn end_messages(
        &mut self,
        gap: StreamGap,
        note: Option<Note>,
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) -> Option<Note> {
        let Some(stream) = self.stream else { return note };
        let lane = &mut self.lanes[gap.direction as usize];
        let sink = RecordSink::Out(self.conversation.as_deref_mut(), out);
        let mut emitter = Emitter::new(stream, self.flow, self.transport, self.missing, recognised, sink);
        emitter.note = note;
        match &mut self.carries {
            Carries::PeerWire(wire) => wire.gap(gap, lane, &mut emitter),
            Carries::HttpTracker(tracker) => tracker.gap(gap, lane, &mut emitter),
            Carries::WebSeed(seed) => seed.gap(gap, lane, &mut emitter),
            Carries::Mse(mse) => mse.gap(gap, lane, &mut emitter),
            Carries::Undecided(_) | Carries::Other => {}
        }
        emitter.note
    }

    /// It is over. `noted_as` is [`ConnectionEnd::noted_as`].
    pub(super) fn close(
        &mut self,
        moment: Moment,
        closing: StreamClosing,
        noted_as: Option<StreamId>,
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        self.give_up(recognised, out);
        if let Some(stream) = self.stream {
            let sink = RecordSink::Out(self.conversation.as_deref_mut(), out);
            let mut emitter = Emitter::new(stream, self.flow, self.transport, self.missing, recognised, sink);
            for direction in BOTH {
                let lane = &mut self.lanes[direction as usize];
                match &mut self.carries {
                    Carries::PeerWire(wire) => wire.finish(direction, lane, &mut emitter),
                    Carries::HttpTracker(tracker) => tracker.finish(direction, lane, &mut emitter),
                    Carries::WebSeed(seed) => seed.finish(direction, lane, &mut emitter),
                    Carries::Mse(mse) => mse.finish(direction, lane, &mut emitter),
                    Carries::Undecided(_) | Carries::Other => {}
                }
            }
        }
        let tried = matches!(closing, StreamClosing::Refused | StreamClosing::Unanswered)
            || self.lanes.iter().all(|lane| lane.end() == 0);
        if self.stream.is_some() || tried && recognised.is_peer(self.flow.responder) {
            let is_unseen = |direction: &Direction| {
                self.missing[*direction as usize] && self.lanes[*direction as usize].end() == 0
            };
            out.push_back(Dissected::Connection(ConnectionEnd {
                stream: self.stream,
                transport: self.transport,
                flow: self.flow,
                opening: self.opening,
                closing,
                unseen: BOTH.into_iter().find(is_unseen),
                opened: self.opened,
                closed: moment,
                measured: self.measured.take(),
                noted_as,
            }));
        }
    }

    /// Whether its stream cannot be read.
    pub(super) const fn is_other(&self) -> bool {
        matches!(self.carries, Carries::Other)
    }

    /// Whether its stream is being read.
    pub(super) const fn is_read(&self) -> bool {
        !matches!(self.carries, Carries::Other | Carries::Undecided(_))
    }

    /// The stream under which the packets of a connection that is not read are shown.
    pub(super) fn unread_stream(&mut self, recognised: &mut DissectContext) -> StreamId {
        *self.stream.get_or_insert_with(|| recognised.next_stream())
    }

    /// Decides with what is there.
    pub(super) fn give_up(&mut self, recognised: &mut DissectContext, out: &mut VecDeque<Dissected>) {
        if matches!(self.carries, Carries::Undecided(_)) {
            self.decide(true, recognised, out);
        }
    }

    fn decide(&mut self, last: bool, recognised: &mut DissectContext, out: &mut VecDeque<Dissected>) {
        if self.proxy.awaits(&self.lanes, last) {
            return;
        }
        if let Classification::Is(carries) = self.verdict(last, recognised) {
            self.begin(carries, recognised, out);
        }
    }

    /// Takes in what the stream carries, and reads what waits.
    fn begin(&mut self, carries: Carries, recognised: &mut DissectContext, out: &mut VecDeque<Dissected>) {
        self.carries = carries;
        if matches!(self.carries, Carries::Other) {
            self.lanes = Default::default();
            return;
        }
        let stream = recognised.next_stream();
        self.stream = Some(stream);
        let mut held = [VecDeque::new(), VecDeque::new()];
        if self.proxy.is_granted() {
            recognised.learn_proxy(self.flow.responder);
            for direction in BOTH {
                let sink = RecordSink::Held(&mut held);
                let mut emitter =
                    Emitter::new(stream, self.flow, self.transport, self.missing, recognised, sink);
                self.proxy.show(direction, &mut self.lanes[direction as usize], &mut emitter);
            }
            if let Carries::Mse(mse) = &mut self.carries {
                mse.begins_at(BOTH.map(|direction| self.lanes[direction as usize].offset()));
            }
            self.proxy = ProxyStage::Absent;
        }
        if !matches!(self.carries, Carries::PeerWire(_) | Carries::Mse(_)) {
            in_time(held, &mut |record| recognised.give_out(record, None, out));
            // Of questions and answers, the question comes first, whatever the capture says.
            for direction in BOTH {
                self.advance(direction, recognised, out);
            }
            return;
        }
        for direction in BOTH {
            let sink = RecordSink::Held(&mut held);
            let mut emitter = Emitter::new(stream, self.flow, self.transport, self.missing, recognised, sink);
            self.carries.advance(direction, &mut self.lanes, &mut emitter);
        }
        let conversation = self.conversation.insert(Box::default());
        in_time(held, &mut |record| recognised.give_out(record, Some(conversation), out));
    }

    fn advance(
        &mut self,
        direction: Direction,
        recognised: &mut DissectContext,
        out: &mut VecDeque<Dissected>,
    ) {
        let Some(stream) = self.stream else { return };
        if let Carries::HttpTracker(tracker) = &self.carries {
            let asker = tracker.asker();
            let answer = &self.lanes[asker.reverse() as usize];
            if answer.offset() == 0 && handshake_prefix(answer.waiting()) == Prefix::Yes {
                self.carries = Carries::PeerWire(PeerWire::behind_http_request(asker));
                self.conversation.get_or_insert_default();
            }
        }
        let sink = RecordSink::Out(self.conversation.as_deref_mut(), out);
        let mut emitter = Emitter::new(stream, self.flow, self.transport, self.missing, recognised, sink);
        self.carries.advance(direction, &mut self.lanes, &mut emitter);
    }

    fn verdict(&mut self, last: bool, recognised: &DissectContext) -> Classification {
        let called_peer = self.called_peer(recognised);
        let calls_a_peer = called_peer || self.transport == Transport::Utp;
        let Carries::Undecided(looked) = &mut self.carries else { return Classification::Wait };
        let waiting = self.proxy.behind(&self.lanes);
        let mid_stream = self.opening == StreamOpening::MidStream;
        let other_when =
            |done: bool| if done { Classification::Is(Carries::Other) } else { Classification::Wait };

        for bytes in waiting {
            match handshake_prefix(bytes) {
                Prefix::Yes if mid_stream => {
                    return Classification::Is(Carries::PeerWire(PeerWire::mid_stream()));
                }
                Prefix::Yes => return Classification::Is(Carries::PeerWire(PeerWire::from_start())),
                Prefix::SoFar if !bytes.is_empty() => return other_when(last),
                Prefix::SoFar | Prefix::No => {}
            }
        }
        for bytes in waiting {
            if let HandshakeVerdict::NearMiss(_) = judge_handshake(bytes, None, last) {
                return Classification::Is(Carries::PeerWire(match mid_stream {
                    true => PeerWire::mid_stream(),
                    false => PeerWire::from_start(),
                }));
            }
        }
        // Which end of a connection joined in the middle is the client cannot be known beforehand.
        let askers = if mid_stream { &BOTH[..] } else { &BOTH[..1] };
        for &asker in askers {
            let bytes = waiting[asker as usize];
            let to_peer = called_peer && asker == FromInitiator;
            match http::looks_like_request(bytes) {
                Some(true) => match looked[asker as usize].framer.request(bytes) {
                    http::Framing::Incomplete => {
                        let answered = waiting[asker.reverse() as usize];
                        return if last && to_peer && answered.is_empty() {
                            Classification::to_peer()
                        } else {
                            other_when(last)
                        };
                    }
                    http::Framing::Complete(length) => {
                        let first = &bytes[..length];
                        let answered = waiting[asker.reverse() as usize];
                        let receiver = HttpReceiver::of(answered, last || bytes.len() > DECIDED_WITHIN);
                        let done = last || answered.len() > DECIDED_WITHIN;
                        let framer = &mut looked[asker.reverse() as usize].framer;
                        let carries = match HttpTracker::recognise(asker, first, (answered, framer, done)) {
                            RequestVerdict::Tracker(_) if to_peer && receiver != HttpReceiver::Server => {
                                return receiver.verdict(to_peer);
                            }
                            RequestVerdict::Tracker(tracker) => Carries::HttpTracker(tracker),
                            RequestVerdict::Undecided => return Classification::Wait,
                            RequestVerdict::Other => {
                                match WebSeed::recognise(asker, first, &recognised.torrents) {
                                    Some(seed) => Carries::WebSeed(Box::new(seed)),
                                    None => return receiver.verdict(to_peer),
                                }
                            }
                        };
                        return Classification::Is(carries);
                    }
                    http::Framing::UntilClose | http::Framing::NotHttp(_) => {
                        return Classification::Is(Carries::Other);
                    }
                },
                None if !bytes.is_empty() && !mid_stream => return other_when(last),
                None | Some(false) => {}
            }
        }
        for asker in BOTH {
            let (asked, answered) = (waiting[asker as usize], waiting[asker.reverse() as usize]);
            let done = last || answered.len() > DECIDED_WITHIN;
            let looked = &mut looked[asker.reverse() as usize];
            if looked.no_answer
                || !asked.is_empty()
                || !done
                || http::looks_like_response(answered) != Some(true)
            {
                continue;
            }
            match looked.framer.response(answered, last, false) {
                http::Framing::Complete(length) => {
                    match HttpTracker::recognise_answer(asker, &answered[..length]) {
                        Some(tracker) => return Classification::Is(Carries::HttpTracker(tracker)),
                        None => looked.no_answer = true,
                    }
                }
                http::Framing::NotHttp(_) => looked.no_answer = true,
                http::Framing::Incomplete | http::Framing::UntilClose => {}
            }
        }
        if mid_stream {
            for (bytes, Looked { searched, .. }) in waiting.iter().zip(looked) {
                // What comes at once beyond the bound must not be found either.
                let bytes = &bytes[..bytes.len().min(FOUND_WITHIN + 1)];
                match search(bytes, *searched) {
                    Search::Found(_) => return Classification::Is(Carries::PeerWire(PeerWire::mid_stream())),
                    Search::NotBefore(at) => *searched = at,
                }
                let all = last || bytes.len() > FOUND_WITHIN;
                if all && search_all(bytes, *searched).is_some() {
                    return Classification::Is(Carries::PeerWire(PeerWire::mid_stream()));
                }
            }
            return match last || waiting.iter().any(|bytes| bytes.len() > FOUND_WITHIN) {
                true if self.began_sealed => Classification::Is(Carries::Mse(Box::new(Mse::sealed(None)))),
                done => other_when(done),
            };
        }
        let [initiator, responder] = waiting;
        // An answer may be captured before what it answers.
        let answers = http::looks_like_response(responder) != Some(false) && !responder.is_empty();
        if initiator.is_empty() && answers {
            return other_when(last || responder.len() > DECIDED_WITHIN);
        }
        if !initiator.is_empty() && !could_be_key(initiator)
            || !responder.is_empty() && !could_be_key(responder)
        {
            return Classification::Is(Carries::Other);
        }
        match recognised.keys.find(initiator, &mut looked[0].searched) {
            FoundKey::MseKey(key, hashes) => {
                return Classification::Is(Carries::Mse(Box::new(Mse::with_key(key, hashes))));
            }
            FoundKey::OtherTorrent => {
                let note = MSE_OTHER_TORRENT.note(MSE_OTHER_TORRENT.text);
                return Classification::Is(Carries::Mse(Box::new(Mse::sealed(Some(note)))));
            }
            FoundKey::Nothing => {}
        }
        if waiting.iter().any(|bytes| clear_handshake(bytes).is_some()) {
            return Classification::Is(Carries::PeerWire(PeerWire::behind_key_exchange()));
        }
        let enough = waiting.iter().all(|bytes| bytes.len() > CLEAR_WITHIN + PROTOCOL.len())
            || waiting.iter().any(|bytes| bytes.len() > DECIDED_WITHIN);
        if !last && !enough {
            return Classification::Wait;
        }
        if initiator.len() >= KEY_LENGTH && calls_a_peer {
            return Classification::Is(Carries::Mse(Box::new(Mse::sealed(None))));
        }
        Classification::Is(Carries::Other)
    }

    /// Random bytes alone are no BitTorrent. That they go to a peer, by the word of a tracker or another peer, or over
    /// BitTorrent's own transport, makes them an encrypted connection.
    fn calls_a_peer(&self, recognised: &DissectContext) -> bool {
        self.called_peer(recognised) || self.transport == Transport::Utp
    }

    /// Whether a tracker, a peer, or another connection has told that the called end is a peer.
    fn called_peer(&self, recognised: &DissectContext) -> bool {
        recognised.is_peer(self.proxy.target().unwrap_or(self.flow.responder))
    }

    /// Whether an end has shown what can only be its public key, and neither anything else.
    fn begins_sealed(&self, recognised: &DissectContext) -> bool {
        let waiting = self.proxy.behind(&self.lanes);
        matches!(self.carries, Carries::Undecided(_))
            && self.opening == StreamOpening::Syn
            && self.calls_a_peer(recognised)
            && waiting.iter().any(|bytes| bytes.len() >= KEY_LENGTH)
            && waiting.iter().all(|bytes| could_be_key(bytes))
    }
}

/// Gives what waited in both directions in the order in which it was said.
fn in_time(mut said: [VecDeque<Record>; 2], out: &mut dyn FnMut(Record)) {
    let when = |record: &Record| (record.at, record.frames.last().copied());
    loop {
        let [initiator, responder] = &mut said;
        let next = match (initiator.front(), responder.front()) {
            (Some(one), Some(other)) if when(other) < when(one) => responder.pop_front(),
            (Some(_), _) => initiator.pop_front(),
            (None, _) => responder.pop_front(),
        };
        let Some(record) = next else { return };
        out(record);
    }
}

/// Whether a stream that begins with these bytes can begin with a public key: random, so neither text nor TLS. When
/// it cannot, more bytes do not change that: the verdict must not depend on how they are cut.
fn could_be_key(bytes: &[u8]) -> bool {
    if matches!(bytes, [0x14..=0x17, 0x03, ..]) {
        return false;
    }
    if let Some(start) = bytes.first_chunk::<32>() {
        let text = start.iter().filter(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t')).count();
        // Of 32 random bytes, 29 are text once in 10^9.
        if text > 28 {
            return false;
        }
    }
    let Some(key) = bytes.first_chunk::<KEY_LENGTH>() else { return true };
    let mut seen = [false; 256];
    for &byte in key {
        seen[usize::from(byte)] = true;
    }
    // 96 random bytes have some 80 different values; fewer than 60 happen once in 10^11.
    seen.iter().filter(|&&seen| seen).count() >= 60
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_key_cannot_become_one() {
        let noise: Vec<u8> = (0..200u8).map(|number| number.wrapping_mul(0x9d) ^ number >> 3).collect();
        assert!(could_be_key(&noise));
        for text in 0..noise.len() {
            let bytes = [&[b'e'; 200][..text], &noise].concat();
            let verdicts: Vec<bool> = (0..bytes.len()).map(|end| could_be_key(&bytes[..end])).collect();
            assert!(verdicts.is_sorted_by(|before, after| before >= after), "{text} bytes of text");
        }
    }
}
