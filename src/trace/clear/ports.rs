//! Which ports a connection has in the new capture: its own, unless it would be one with another connection. Two uTP
//! connections may have the same ends at once, as their numbers tell them apart; two of TCP may not.

use std::collections::HashMap;
use std::net::SocketAddr;

use foldhash::fast::RandomState;
use rustc_hash::FxHashMap;

use crate::{Flow, StreamId, StreamOpening};

/// The ends that are in use, and those that were.
#[derive(Debug, Default)]
pub(super) struct PortUse {
    ends: HashMap<Ends, EndUse, RandomState>,
    open: FxHashMap<StreamId, Ends>,
}

/// The two ends, in their order.
type Ends = (SocketAddr, SocketAddr);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndUse {
    /// By a connection that is open.
    Open,
    /// By one that is over. A new SYN tells another from it.
    Over,
}

/// So many ends are remembered of connections that are over: 8 MB. Beyond it they are forgotten, and only a connection that
/// is joined in the middle could be taken for one of those.
const REMEMBERED: usize = 100_000;

impl PortUse {
    /// The ends under which a connection is written. The initiator has another port where these ends are in use.
    pub(super) fn open(&mut self, stream: StreamId, flow: Flow, opening: StreamOpening) -> Flow {
        let is_free = |flow: Flow| match self.ends.get(&ends(flow)) {
            None => true,
            Some(EndUse::Over) => opening == StreamOpening::Syn,
            Some(EndUse::Open) => false,
        };
        let with_port = |port| Flow { initiator: SocketAddr::new(flow.initiator.ip(), port), ..flow };
        let own = flow.initiator.port();
        let mut others = (1..=u16::MAX).rev().filter(|port| *port != own).map(with_port);
        let flow = if is_free(flow) { flow } else { others.find(|flow| is_free(*flow)).unwrap_or(flow) };
        if self.ends.len() >= REMEMBERED + self.open.len() {
            self.ends.retain(|_, in_use| *in_use == EndUse::Open);
        }
        self.ends.insert(ends(flow), EndUse::Open);
        self.open.insert(stream, ends(flow));
        flow
    }

    /// A connection is over.
    pub(super) fn close(&mut self, stream: StreamId) {
        if let Some(ends) = self.open.remove(&stream) {
            self.ends.insert(ends, EndUse::Over);
        }
    }
}

fn ends(flow: Flow) -> Ends {
    (flow.initiator.min(flow.responder), flow.initiator.max(flow.responder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_its_own_ports_unless_another_has_them_now() {
        let end = |text: &str| text.parse::<SocketAddr>().unwrap();
        let flow = Flow { initiator: end("10.0.0.1:6881"), responder: end("10.0.0.2:6881") };
        let back = Flow { initiator: flow.responder, responder: flow.initiator };
        let mut ports = PortUse::default();
        assert_eq!(ports.open(StreamId(0), flow, StreamOpening::Syn), flow);
        let other = ports.open(StreamId(1), back, StreamOpening::Syn);
        assert_eq!(other, Flow { initiator: end("10.0.0.2:65535"), ..back });
        let third = ports.open(StreamId(2), back, StreamOpening::Syn);
        assert_eq!(third, Flow { initiator: end("10.0.0.2:65534"), ..back });
        ports.close(StreamId(0));
        assert_eq!(ports.open(StreamId(3), back, StreamOpening::Syn), back, "a SYN begins anew");
        ports.close(StreamId(3));
        let joined = ports.open(StreamId(4), back, StreamOpening::MidStream);
        assert_eq!(joined.initiator, end("10.0.0.2:65533"), "nothing would tell it from the one before");
    }

    #[test]
    fn what_is_over_is_forgotten_in_the_end() {
        let mut ports = PortUse::default();
        let flow = |number: u32| Flow {
            initiator: SocketAddr::new(std::net::Ipv4Addr::from_bits(number).into(), 1),
            responder: "10.0.0.2:6881".parse().unwrap(),
        };
        ports.open(StreamId(u32::MAX), flow(u32::MAX), StreamOpening::Syn);
        for number in 0..2 * REMEMBERED as u32 {
            ports.open(StreamId(number), flow(number), StreamOpening::Syn);
            ports.close(StreamId(number));
            assert!(ports.ends.len() <= REMEMBERED + 2);
        }
        let again = ports.open(StreamId(0), flow(u32::MAX), StreamOpening::Syn);
        assert_ne!(again, flow(u32::MAX), "what is open stays");
    }
}
