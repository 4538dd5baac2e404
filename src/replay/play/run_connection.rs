//! A connection of a run, as its recording has it: streams are numbered by the reader of a recording alone, which counts flows of
//! datagrams among the connections.

use bittrace_protocol::Timestamp;
use bittrace_trace::{Flow, StreamId, Transport};

use crate::model::transcript::{Conversation, Transcript};

/// A connection of a run, or a flow of datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunConnection {
    /// Its ends.
    pub flow: Flow,
    /// What carried it.
    pub transport: Transport,
    /// When it was opened; of datagrams, a time before the first of them.
    pub opened: Timestamp,
}

impl RunConnection {
    /// Datagrams that are no connection.
    pub(crate) const fn of_datagrams(flow: Flow) -> Self {
        Self { flow, transport: Transport::Udp, opened: Timestamp::EPOCH }
    }

    /// Its stream in the recording of the run, by the number that `analyze` gives to it. `None` where the recording has no message
    /// of it.
    pub fn stream_in(&self, recording: &Transcript) -> Option<StreamId> {
        let later = recording.conversations.iter().filter(|one| self.is(one) && one.began() >= self.opened);
        later.min_by_key(|one| one.began()).map(|one| one.stream)
    }

    /// Whether a conversation has the same ends.
    fn is(&self, conversation: &Conversation) -> bool {
        let Flow { initiator, responder } = self.flow;
        let there = conversation.flow;
        conversation.transport == self.transport
            && ((there.initiator, there.responder) == (initiator, responder)
                || (there.responder, there.initiator) == (initiator, responder))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use bittrace_trace::TraceOptions;

    use super::*;

    /// The reader counts the flow of datagrams to the tracker as a stream.
    #[test]
    fn a_connection_is_found_by_its_ends_and_the_time_at_which_it_was_opened() {
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../captures"].iter().collect();
        let capture = Transcript::open(&folder.join("udp-tracker.pcap"), TraceOptions::default());
        let capture = capture.expect("a capture can be read");
        let peer = capture.peers().next().expect("a peer");
        assert_eq!(peer.stream, StreamId(1));
        let began = peer.began();
        let here = RunConnection { flow: peer.flow, transport: Transport::Tcp, opened: began };
        assert_eq!(here.stream_in(&capture), Some(StreamId(1)));
        let later = began + std::time::Duration::from_nanos(1);
        assert_eq!(RunConnection { opened: later, ..here }.stream_in(&capture), None);
        assert_eq!(RunConnection { transport: Transport::Utp, ..here }.stream_in(&capture), None);
        let tracker = capture.trackers().next().expect("a tracker").flow;
        let reversed = Flow { initiator: tracker.responder, responder: tracker.initiator };
        assert_eq!(RunConnection::of_datagrams(reversed).stream_in(&capture), Some(StreamId(0)));
    }
}
