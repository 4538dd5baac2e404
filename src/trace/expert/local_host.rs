//! Whose capture it is, where only the ends of a connection can tell.

use std::net::{IpAddr, SocketAddr};

use bittrace_protocol::is_local_network;

use crate::record::{Body, HttpTrackerBody, MseBody, PeerWireBody, Record, Unreadable};

/// The end that the capture is likely about, when `record` is the first of it and was said on a connection from
/// `initiator`. Who calls is; of a connection joined in the middle, where nobody knows who called, the end whose
/// address is private when the other's is not, or that speaks to a port on which peers listen.
pub(super) fn likely_local(record: &Record, initiator: SocketAddr) -> IpAddr {
    let responder = if record.source == initiator { record.destination } else { record.source };
    let joined_in_the_middle = !matches!(
        record.body,
        Body::PeerWire(PeerWireBody::Handshake(_))
            | Body::Mse(MseBody::KeyExchange)
            | Body::HttpTracker(HttpTrackerBody::Request(..))
            | Body::UdpTracker(_)
            | Body::Proxy(_)
            | Body::Unreadable(_, Unreadable::Datagram)
    );
    let better = match (is_local_network(initiator.ip()), is_local_network(responder.ip())) {
        (false, true) => true,
        (true, false) => false,
        _ => listens(initiator.port()) && !listens(responder.port()),
    };
    if joined_in_the_middle && better { responder.ip() } else { initiator.ip() }
}

/// Whether peers listen on a port by custom: BEP 3 names 6881 to 6889, clients go on up to 6999, and Transmission has
/// 51413.
const fn listens(port: u16) -> bool {
    matches!(port, 6881..=6999 | 51413)
}

#[cfg(test)]
mod tests {
    use bittrace_protocol::Timestamp;
    use bittrace_protocol::wire::Message;

    use super::*;
    use crate::record::{Frames, Protocol, Reason, Side, Transport};
    use crate::{Direction, StreamId};

    /// Who is taken for the local host when the first end says something to the second.
    fn local(source: &str, destination: &str, body: Body) -> String {
        let record = Record {
            number: 1,
            at: Timestamp::from_nanos(0),
            stream: StreamId(0),
            direction: Direction::FromInitiator,
            side: Side::Remote,
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            transport: Transport::Tcp,
            frames: Frames::from_slice(&[1]),
            offset: 0,
            bytes: bytes::Bytes::new(),
            decrypted: false,
            describes: None,
            wireshark_stream: None,
            in_doubt: false,
            body,
            notes: Vec::new(),
            answers: None,
            effect: crate::record::PeerEffect::default(),
            client: None,
            torrent: None,
        };
        likely_local(&record, record.source).to_string()
    }

    #[test]
    fn of_a_connection_joined_in_the_middle_the_ends_tell() {
        let middle = || Body::Unreadable(Protocol::PeerWire, Unreadable::Opaque(Reason::BeforeBoundary));
        assert_eq!(local("10.0.0.2:51413", "10.0.0.3:54307", middle()), "10.0.0.3", "a port to listen on");
        assert_eq!(local("10.0.0.3:54307", "10.0.0.2:51413", middle()), "10.0.0.3");
        assert_eq!(local("10.0.0.3:6881", "10.0.0.2:51413", middle()), "10.0.0.3", "nothing tells");
        assert_eq!(local("192.0.2.1:40000", "100.64.0.1:6881", middle()), "100.64.0.1", "a private address");
        assert_eq!(local("192.168.0.1:6881", "192.0.2.1:40000", middle()), "192.168.0.1");
        assert_eq!(
            local("[2001:db8::1]:1", "[fd00::1]:1", Body::PeerWire(PeerWireBody::Message(Message::Choke))),
            "fd00::1"
        );
    }

    #[test]
    fn who_calls_is_local_whatever_the_ends() {
        assert_eq!(local("192.0.2.1:6881", "10.0.0.3:40000", Body::Mse(MseBody::KeyExchange)), "192.0.2.1");
    }
}
