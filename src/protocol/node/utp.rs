//! Streams over uTP: which way a peer is dialled first, and which way wins.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Node, Output};
use crate::Timestamp;
use crate::session::{
    self, CloseReason, Endpoint, Event, PeerView, PeerWay, SessionStreamId, Transport, UtpDial,
};
use crate::utp::{Mux, MuxOutput};

/// When connections to peers are made over uTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UtpPolicy {
    /// Never, and callers over uTP are not heard.
    #[default]
    Off,
    /// Peers are dialled over TCP, those that are said to take uTP over uTP, and the other way as well after a second.
    Allow,
    /// Peers are dialled over uTP, and over TCP as well when uTP has not answered after a second.
    Prefer,
    /// Peers are dialled over uTP alone, and callers over TCP are refused.
    Require,
}

/// The connections over uTP, and the peers that are being dialled.
#[derive(Debug)]
pub(super) struct SessionUtp {
    pub(super) mux: Mux,
    policy: UtpPolicy,
    dials: BTreeMap<SessionStreamId, Dial>,
    /// Once the session is over: until when what was said last may still leave.
    leaves_by: Option<Timestamp>,
}

/// A peer that is being dialled.
#[derive(Debug)]
struct Dial {
    address: SocketAddr,
    tcp: Attempt,
    utp: Attempt,
    /// When the other way is tried as well.
    other_at: Option<Timestamp>,
}

#[derive(Debug, PartialEq, Eq)]
enum Attempt {
    Untried,
    Trying,
    Failed,
}

impl SessionUtp {
    pub(super) const fn new(policy: UtpPolicy, secret: [u8; 32], now: Timestamp) -> Self {
        Self { mux: Mux::new(secret, now), policy, dials: BTreeMap::new(), leaves_by: None }
    }

    /// When a part of it wants to be called.
    fn wakes_at(&self) -> Option<Timestamp> {
        let dials = self.dials.values().filter_map(|dial| dial.other_at);
        dials.chain(self.mux.wakes_at()).chain(self.leaves_by).min()
    }
}

impl Node {
    /// The same with uTP, on the UDP port of the node. What its connections draw at random follows from the secret.
    #[must_use]
    pub fn with_utp(mut self, policy: UtpPolicy, secret: [u8; 32], now: Timestamp) -> Self {
        self.utp = (policy != UtpPolicy::Off).then(|| SessionUtp::new(policy, secret, now));
        if self.utp.is_some() {
            self.session.note_utp();
        }
        self
    }

    /// The peers, those being dialled among them, with the transport of each.
    pub fn peers(&self, now: Timestamp) -> impl Iterator<Item = PeerView> + '_ {
        self.session.peers(now).map(|view| PeerView { transport: self.transport(view.stream), ..view })
    }

    fn transport(&self, stream: SessionStreamId) -> Transport {
        match &self.utp {
            Some(utp) if utp.mux.has(stream) && !utp.dials.contains_key(&stream) => Transport::Utp,
            _ => Transport::Tcp,
        }
    }

    /// Says whether the UDP port takes datagrams. While it does not, uTP makes none.
    pub fn set_writable(&mut self, is_writable: bool) {
        if let Some(utp) = &mut self.utp {
            utp.mux.set_writable(is_writable);
        }
    }

    /// Says how many bytes of peers may wait for the layers above. What others may send over uTP shrinks with it.
    pub fn set_room(&mut self, bytes: usize) {
        if let Some(utp) = &mut self.utp {
            utp.mux.set_room(bytes);
        }
    }

    /// Hears what happens on a stream over TCP; what the session is told of it.
    pub(super) fn on_input(&mut self, input: session::Input) -> Option<session::Input> {
        let Some(utp) = &mut self.utp else { return Some(input) };
        match &input {
            session::Input::Opened(stream, _) if utp.dials.remove(stream).is_some() => {
                // uTP has lost, if it was tried, and says nothing.
                utp.mux.abort(*stream);
            }
            session::Input::Closed(stream, _) => {
                if let Some(dial) = utp.dials.get_mut(stream) {
                    dial.tcp = Attempt::Failed;
                    if dial.utp == Attempt::Trying {
                        return None;
                    }
                    utp.dials.remove(stream);
                }
            }
            session::Input::Accepted(stream, _) if utp.policy == UtpPolicy::Require => {
                self.outputs.push_back(Output::Session(session::Output::Close(*stream, None)));
                return None;
            }
            _ => {}
        }
        Some(input)
    }

    /// Does what the session wants of a stream over uTP; what is left for the driver to do.
    pub(super) fn on_output(&mut self, output: session::Output) -> Option<Output> {
        let now = self.now;
        let Some(utp) = &mut self.utp else { return Some(Output::Session(output)) };
        match output {
            session::Output::Open(
                stream,
                Endpoint::UtpPeer(address, how @ (UtpDial::Alone | UtpDial::Punch)),
            ) => {
                let (tcp, tried) = (Attempt::Failed, Attempt::Trying);
                utp.dials.insert(stream, Dial { address, tcp, utp: tried, other_at: None });
                match how {
                    UtpDial::Punch => utp.mux.punch(stream, address),
                    UtpDial::First | UtpDial::Alone => utp.mux.open(stream, address),
                }
                None
            }
            session::Output::Open(
                stream,
                ref endpoint @ (Endpoint::Peer(address) | Endpoint::UtpPeer(address, _)),
            ) => {
                let (tcp, tried) = (Attempt::Untried, Attempt::Trying);
                let over_tcp = utp.policy == UtpPolicy::Allow && matches!(endpoint, Endpoint::Peer(_));
                let other_at = (utp.policy != UtpPolicy::Require).then(|| now + OTHER_WAY_AFTER);
                let dial = match over_tcp {
                    true => Dial { address, tcp: tried, utp: tcp, other_at },
                    false => Dial { address, tcp, utp: tried, other_at },
                };
                utp.dials.insert(stream, dial);
                if over_tcp {
                    return Some(Output::Session(session::Output::Open(stream, Endpoint::Peer(address))));
                }
                utp.mux.open(stream, address);
                None
            }
            session::Output::Send(stream, bytes) if utp.mux.has(stream) => {
                utp.mux.write(stream, bytes);
                None
            }
            session::Output::Pause(stream) => {
                utp.mux.pause(stream);
                None
            }
            session::Output::Secret(stream, key) if utp.mux.has(stream) => {
                let (remote, is_ours) = utp.mux.ends(stream)?;
                Some(Output::UtpSecret(key, remote, is_ours))
            }
            session::Output::Close(stream, violation) => {
                let is_dialled = match utp.dials.remove(&stream) {
                    Some(dial) => {
                        utp.mux.abort(stream);
                        dial.tcp == Attempt::Trying
                    }
                    None if utp.mux.has(stream) => {
                        utp.mux.close(stream);
                        false
                    }
                    None => true,
                };
                is_dialled.then_some(Output::Session(session::Output::Close(stream, violation)))
            }
            session::Output::Event(Event::Trying { stream, peer, way }) => {
                let transport = match utp.policy {
                    UtpPolicy::Prefer | UtpPolicy::Require => Transport::Utp,
                    UtpPolicy::Off | UtpPolicy::Allow => way.transport,
                };
                let event = Event::Trying { stream, peer, way: PeerWay { transport, ..way } };
                Some(Output::Session(session::Output::Event(event)))
            }
            session::Output::Event(Event::Connected { stream, peer, peer_id, encryption, .. }) => {
                let transport = self.transport(stream);
                let event = Event::Connected { stream, peer, peer_id, encryption, transport };
                Some(Output::Session(session::Output::Event(event)))
            }
            output => Some(Output::Session(output)),
        }
    }

    /// Tries the other way where the first one has not answered.
    pub(super) fn tick_utp(&mut self, now: Timestamp) {
        let Some(utp) = &mut self.utp else { return };
        utp.mux.tick(now);
        for (&stream, dial) in &mut utp.dials {
            if dial.other_at.is_none_or(|at| at > now) {
                continue;
            }
            dial.other_at = None;
            if dial.utp == Attempt::Untried {
                dial.utp = Attempt::Trying;
                utp.mux.open(stream, dial.address);
            } else if dial.tcp == Attempt::Untried {
                dial.tcp = Attempt::Trying;
                let open = session::Output::Open(stream, Endpoint::Peer(dial.address));
                self.outputs.push_back(Output::Session(open));
            }
        }
    }

    /// Hears what uTP has to tell, and gives out what it sends.
    pub(super) fn poll_utp(&mut self) -> Option<Output> {
        loop {
            let utp = self.utp.as_mut()?;
            let input = match utp.mux.poll()? {
                MuxOutput::Datagram(to, bytes, fragment) => {
                    return Some(Output::Datagram(to, bytes, fragment));
                }
                MuxOutput::Opened(stream, address) => {
                    let dial = utp.dials.remove(&stream);
                    if dial.is_some_and(|dial| dial.tcp == Attempt::Trying) {
                        // TCP has lost, and says nothing.
                        self.outputs.push_back(Output::Session(session::Output::Close(stream, None)));
                    }
                    session::Input::Opened(stream, address)
                }
                MuxOutput::Accepted(stream, address) => session::Input::Accepted(stream, address),
                MuxOutput::Received(stream, bytes) => session::Input::Received(stream, bytes),
                MuxOutput::Sent(stream, count) => session::Input::Sent(stream, count),
                MuxOutput::Closed(stream, reason) => match self.on_utp_closed(stream, reason) {
                    Some(input) => input,
                    None => continue,
                },
            };
            let opened = match &input {
                session::Input::Opened(stream, _) | session::Input::Accepted(stream, _) => Some(*stream),
                _ => None,
            };
            self.session.handle(self.now, input);
            if let Some(stream) = opened {
                self.session.handle(self.now, session::Input::OverUtp(stream));
            }
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
        }
    }

    fn on_utp_closed(&mut self, stream: SessionStreamId, reason: CloseReason) -> Option<session::Input> {
        let utp = self.utp.as_mut()?;
        if let Some(dial) = utp.dials.get_mut(&stream) {
            dial.utp = Attempt::Failed;
            match dial.tcp {
                Attempt::Trying => return None,
                Attempt::Untried if utp.policy != UtpPolicy::Require => {
                    // It need not be waited for.
                    dial.tcp = Attempt::Trying;
                    dial.other_at = None;
                    let open = session::Output::Open(stream, Endpoint::Peer(dial.address));
                    self.outputs.push_back(Output::Session(open));
                    return None;
                }
                Attempt::Untried | Attempt::Failed => {}
            }
            utp.dials.remove(&stream);
        }
        Some(session::Input::Closed(stream, reason))
    }

    /// When uTP wants to be called again.
    pub(super) fn utp_wakes_at(&self) -> Option<Timestamp> {
        self.utp.as_ref()?.wakes_at()
    }

    /// Whether the session is over but what was said last on uTP has not left; it may take a while.
    pub(super) fn utp_is_leaving(&mut self) -> bool {
        let now = self.now;
        let Some(utp) = &mut self.utp else { return false };
        let by = *utp.leaves_by.get_or_insert(now + LEAVING);
        now < by && !utp.mux.is_quiet()
    }
}

/// How long one way may be silent before the other one is tried as well (LIVE.md 4.3).
const OTHER_WAY_AFTER: Duration = Duration::from_secs(1);
/// How long goodbyes may take to leave.
const LEAVING: Duration = Duration::from_secs(2);
