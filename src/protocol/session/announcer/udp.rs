//! An announce over UDP: a connection id first, then the announce, each sent again until it is answered (BEP 15).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::Timestamp;
use crate::tracker;
use crate::tracker::http::{AnnounceReply, Host, PeerEntry};
use crate::tracker::udp::{AnnounceOption, AnnounceRequest, Packet, decode_response};

use super::http::reason;
use super::{
    AnnouncerContext, AttemptOutcome, Event, Output, ServerInput, ServerUrl, SessionStreamId, TrackerState,
};

/// A flow of datagrams to a tracker, kept as long as its connection id is good.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: SessionStreamId,
    /// The tracker's address, once its name is resolved.
    pub(super) address: Option<SocketAddr>,
    connection: Option<(u64, Timestamp)>,
}

impl Link {
    pub(super) const fn new(stream: SessionStreamId) -> Self {
        Self { stream, address: None, connection: None }
    }

    /// When it is of no use any longer.
    pub(super) fn ends(&self) -> Option<Timestamp> {
        self.connection.map(|(_, since)| since + CONNECTION_LIFE)
    }

    fn connection_id(&self, now: Timestamp) -> Option<u64> {
        self.connection.filter(|(_, since)| now < *since + CONNECTION_LIFE).map(|(id, _)| id)
    }
}

/// An announce under way.
#[derive(Debug)]
pub(super) struct UdpStage {
    transaction_id: u32,
    /// Whether the announce is out, not the connect request.
    announces: bool,
    /// How often it was sent again.
    again: u32,
    /// Whether the connection id is of this attempt, not of an earlier one.
    has_own_id: bool,
    /// Whether a new connection id was asked for since the tracker refused the announce.
    renewed: bool,
}

impl UdpStage {
    pub(super) const fn new() -> Self {
        Self { transaction_id: 0, announces: false, again: 0, has_own_id: false, renewed: false }
    }

    /// Takes what happened; with the time to wait until, where that changed.
    pub(super) fn handle(
        &mut self,
        input: ServerInput,
        event: Option<tracker::Event>,
        tracker: &mut TrackerState,
        step: &mut AnnouncerContext<'_>,
    ) -> (AttemptOutcome, Option<Timestamp>) {
        let Some(link) = &mut tracker.link else { return (AttemptOutcome::failed("the link is gone"), None) };
        match input {
            ServerInput::Opened(address) => {
                // Another address of the tracker has answered: what was asked is under way.
                if link.address.replace(address).is_some() {
                    return (AttemptOutcome::Pending, None);
                }
                self.again = 0;
                (AttemptOutcome::Pending, Some(self.send(event, tracker, step)))
            }
            ServerInput::Received(datagram) => {
                let ipv6 = link.address.is_some_and(|address| address.is_ipv6());
                // Not for us, or not to be understood: the answer may still come.
                let Ok(packet) = decode_response(&datagram, ipv6) else {
                    return (AttemptOutcome::Pending, None);
                };
                if packet.transaction_id() != self.transaction_id {
                    return (AttemptOutcome::Pending, None);
                }
                match packet {
                    Packet::ConnectResponse { connection_id, .. } if !self.announces => {
                        link.connection = Some((connection_id, step.now));
                        self.has_own_id = true;
                        self.again = 0;
                        (AttemptOutcome::Pending, Some(self.send(event, tracker, step)))
                    }
                    Packet::AnnounceResponse(response) if self.announces => {
                        let peers = response.peers.iter().map(|peer| PeerEntry {
                            host: Host::Ip(peer.ip()),
                            port: peer.port(),
                            peer_id: None,
                        });
                        let reply = AnnounceReply {
                            interval: Some(response.interval.into()),
                            complete: Some(response.seeders.into()),
                            incomplete: Some(response.leechers.into()),
                            peers: peers.collect(),
                            ..AnnounceReply::default()
                        };
                        (AttemptOutcome::Answered(Box::new(reply)), None)
                    }
                    Packet::Error { message, .. } => {
                        link.connection = None;
                        // A connection id that the tracker has forgotten is refused too: opentracker says "Connection ID
                        // missmatch.", others have other words.
                        let about_id = message.to_ascii_lowercase().starts_with(b"connection id");
                        let may_be_old = self.announces && (about_id || !self.has_own_id);
                        if may_be_old && !std::mem::replace(&mut self.renewed, true) {
                            self.again = 0;
                            return (AttemptOutcome::Pending, Some(self.send(event, tracker, step)));
                        }
                        (AttemptOutcome::refused(String::from_utf8_lossy(&message), None), None)
                    }
                    _ => (AttemptOutcome::Pending, None),
                }
            }
            ServerInput::Closed(closing) => (AttemptOutcome::failed(reason(&closing)), None),
        }
    }

    /// Sends it once more; until when to wait then, `None` when it has been sent often enough.
    pub(super) fn again(
        &mut self,
        event: Option<tracker::Event>,
        tracker: &mut TrackerState,
        step: &mut AnnouncerContext<'_>,
    ) -> Option<Timestamp> {
        let opened = tracker.link.as_ref().is_some_and(|link| link.address.is_some());
        let goes = event == Some(tracker::Event::Stopped);
        if !opened || goes || self.again >= step.config.udp_retransmissions {
            return None;
        }
        self.again += 1;
        Some(self.send(event, tracker, step))
    }

    fn send(
        &mut self,
        event: Option<tracker::Event>,
        tracker: &TrackerState,
        step: &mut AnnouncerContext<'_>,
    ) -> Timestamp {
        let goes = event == Some(tracker::Event::Stopped);
        let wait = if goes { step.config.goodbye_timeout } else { FIRST_WAIT * (1 << self.again.min(8)) };
        let Some(link) = &tracker.link else { return step.now + wait };
        self.transaction_id = step.transaction_ids.pop_front().unwrap_or_else(|| step.rng.number());
        let connection = link.connection_id(step.now);
        self.announces = connection.is_some();
        let packet = match connection {
            None => Packet::ConnectRequest { transaction_id: self.transaction_id, extra: Vec::new() },
            Some(connection_id) => self.announce(connection_id, event, tracker, step),
        };
        let bytes = bytes::Bytes::from(packet.encode());
        if self.announces {
            let (url, request) = (tracker.url.clone(), bytes.clone());
            step.outputs.push_back(Output::Event(Event::Announcing { url, request }));
        }
        step.outputs.push_back(Output::Send(link.stream, bytes));
        step.now + wait
    }

    fn announce(
        &self,
        connection_id: u64,
        event: Option<tracker::Event>,
        tracker: &TrackerState,
        step: &AnnouncerContext<'_>,
    ) -> Packet {
        let facts = &step.facts;
        let profile = &step.config.profile.announce.udp;
        let target = tracker.location.as_ref().map_or("", ServerUrl::target).as_bytes();
        let told = if profile.url_data { target } else { b"" };
        let options = told.chunks(255).map(|part| AnnounceOption::UrlData(part.to_vec())).collect();
        let goes = event == Some(tracker::Event::Stopped);
        Packet::AnnounceRequest(Box::new(AnnounceRequest {
            connection_id,
            transaction_id: self.transaction_id,
            info_hash: tracker.info_hash(facts),
            peer_id: facts.identity.peer_id,
            downloaded: facts.downloaded,
            left: facts.left,
            uploaded: facts.uploaded,
            event: match event {
                None => 0,
                Some(tracker::Event::Completed) => 1,
                Some(tracker::Event::Started) => 2,
                Some(tracker::Event::Stopped) => 3,
                Some(tracker::Event::Paused) => 4,
            },
            ip: Ipv4Addr::UNSPECIFIED,
            key: facts.identity.key,
            num_want: if goes { profile.numwant_stopped } else { profile.numwant },
            port: step.config.port,
            options,
            extra: Vec::new(),
        }))
    }
}

/// How long a connection id can be used (BEP 15, "UDP connections / spoofing").
const CONNECTION_LIFE: Duration = Duration::from_secs(60);

/// How long the first answer is waited for: 15 * 2 ^ n seconds (BEP 15, "time outs").
pub(super) const FIRST_WAIT: Duration = Duration::from_secs(15);
