//! The trackers of a simulated session.

use std::net::SocketAddr;
use std::sync::Arc;

use bittrace_protocol::Metainfo;
use bittrace_protocol::dial::{AddressFamily, Remote};
use bittrace_protocol::session::{CloseReason, Input, SessionStreamId};
use bittrace_protocol::tracker::http::Request;
use bittrace_trace::{Direction, Flow, Transport};
use bytes::Bytes;

use super::{RemoteRole, SimulatedConnection, Simulation};
use crate::play::refusal::{MOST_REFUSALS, Refusal, RefusalAct, ReplayedEnd};
use crate::play::replay_udp_tracker::UdpAnswer;
use crate::play::replayed_trackers::{ReplayedTracker, TrackerScheme};
use crate::play::run_connection::RunConnection;

impl Simulation<'_> {
    /// The session turns to the tracker that a URL of this host and port led to.
    pub(super) fn open_tracker(
        &mut self,
        stream: SessionStreamId,
        scheme: TrackerScheme,
        remote: &Remote,
        role: impl Fn(usize) -> RemoteRole,
    ) {
        let Remote { host, port, family, .. } = remote;
        let place = ReplayedTracker::find(&self.trackers, scheme, host, *port);
        let found = place.and_then(|place| Some((place, self.trackers.get(place)?)));
        let found =
            found.filter(|(_, tracker)| family.is_none_or(|family| family == AddressFamily::of(tracker.far)));
        let Some((place, tracker)) = found else {
            let why = format!("{host}:{port} is not in the reference");
            self.tell(Input::Closed(stream, CloseReason::Unresolved(why)));
            return;
        };
        let far = tracker.far;
        let local = tracker.local[scheme as usize].unwrap_or(far);
        self.lines.insert(
            stream,
            SimulatedConnection {
                far,
                local,
                ours: Direction::FromInitiator,
                role: role(place),
                recorded: None,
                opened: None,
                transport: if scheme == TrackerScheme::Udp { Transport::Udp } else { Transport::Tcp },
                leaves: false,
            },
        );
        self.tell(Input::Opened(stream, far));
    }

    pub(super) fn announced(
        &mut self,
        stream: SessionStreamId,
        place: usize,
        bytes: &[u8],
    ) -> std::io::Result<()> {
        let request = Request::decode(bytes).ok();
        let tracker = self.trackers.get_mut(place);
        let answer = request.zip(tracker).and_then(|(request, tracker)| {
            let far = tracker.far;
            tracker.http.answer(&request).map(|exchange| (exchange, far))
        });
        self.asked += 1;
        let Some((exchange, far)) = answer else {
            let why = "the reference has no response to such a request".to_owned();
            self.refuse(None, RefusalAct::Closed, why);
            self.tell(Input::Closed(stream, CloseReason::ByRemote));
            return Ok(());
        };
        let recorded = self.record_open(exchange.local, far, Direction::FromInitiator)?;
        self.recorder.burst(self.clock.now(), recorded, Direction::FromInitiator, bytes)?;
        if let Some(line) = self.lines.get_mut(&stream) {
            line.recorded = Some(recorded);
        }
        let at = self.clock.due(exchange.at);
        self.pass(at)?;
        self.said(stream, &exchange.answer)?;
        self.tell(Input::Received(stream, exchange.answer));
        Ok(())
    }

    /// A tracker is sent a datagram, and may answer it.
    pub(super) fn asked_over_udp(
        &mut self,
        stream: SessionStreamId,
        place: usize,
        (local, far): (SocketAddr, SocketAddr),
        datagram: &Bytes,
    ) -> std::io::Result<()> {
        self.recorder.datagram(self.clock.now(), local, far, datagram)?;
        let Some(tracker) = self.trackers.get_mut(place) else { return Ok(()) };
        self.asked += 1;
        let (answer, at) = match tracker.udp.answer(datagram) {
            UdpAnswer::Packet(packet, at) => (packet, at),
            UdpAnswer::Refused(packet, why) => {
                let flow = Flow { initiator: local, responder: far };
                self.refuse(Some(RunConnection::of_datagrams(flow)), RefusalAct::Refused, why);
                (packet, None)
            }
            UdpAnswer::Silent | UdpAnswer::NotARequest(_) => return Ok(()),
        };
        if let Some(at) = at {
            let at = self.clock.due(at);
            self.pass(at)?;
        }
        let bytes = Bytes::from(answer.encode());
        self.recorder.datagram(self.clock.now(), far, local, &bytes)?;
        self.tell(Input::Received(stream, bytes));
        Ok(())
    }

    /// Notes what a tracker did not answer.
    pub(super) fn refuse(&mut self, connection: Option<RunConnection>, did: RefusalAct, why: String) {
        if self.refusals.len() < MOST_REFUSALS {
            let (by, nth) = (ReplayedEnd::Tracker, self.asked);
            self.refusals.push(Refusal { by, connection, message: "request", nth, did, why });
        }
    }
}

/// The torrent, with the trackers of the reference where it names none of them, as that of a recording of a replay does; and a
/// sentence on that.
pub(super) fn with_trackers_of_reference(
    torrent: &Arc<Metainfo>,
    trackers: &[ReplayedTracker],
) -> (Arc<Metainfo>, Option<String>) {
    let named = torrent.trackers();
    if trackers.is_empty() || named.is_empty() || ReplayedTracker::is_any_named(trackers, &named) {
        return (torrent.clone(), None);
    }
    let addresses: Vec<SocketAddr> = trackers.iter().map(|tracker| tracker.far).collect();
    let mut recast = (**torrent).clone();
    recast.announce_list = ReplayedTracker::tiers(trackers, &addresses, &[]);
    let remark =
        "the reference has no request to a tracker of the torrent: the session asked those of the reference";
    (Arc::new(recast), Some(remark.to_owned()))
}
