//! The packets of connections over uTP, which are counted and not compared: how many there are follows from times.

use bittrace_trace::Transport;
use bittrace_trace::units::counted;

use crate::model::transcript::{PacketCounts, Transcript};

/// A sentence on the packets of both captures; `None` where neither has a connection over uTP about its torrent.
pub fn packets_over_utp(reference: &Transcript, candidate: &Transcript) -> Option<String> {
    let (reference, candidate) = (UtpCounts::of(reference), UtpCounts::of(candidate));
    (reference.connections + candidate.connections > 0).then(|| {
        format!(
            "the streams of connections over uTP are compared, and the packets that carry them are counted (mask: timing): {} in the \
             reference, {} in the candidate",
            reference.in_words(),
            candidate.in_words()
        )
    })
}

/// What a capture has over uTP.
struct UtpCounts {
    connections: u64,
    packets: PacketCounts,
}

impl UtpCounts {
    fn of(transcript: &Transcript) -> Self {
        let mut counts = Self { connections: 0, packets: PacketCounts { all: 0, sent_again: 0 } };
        for conversation in transcript.peers().filter(|one| one.transport == Transport::Utp) {
            counts.connections += 1;
            if let Some(packets) = conversation.packets {
                counts.packets.all += packets.all;
                counts.packets.sent_again += packets.sent_again;
            }
        }
        counts
    }

    fn in_words(&self) -> String {
        let PacketCounts { all, sent_again } = self.packets;
        match self.connections {
            0 => "no connection".to_owned(),
            connections => format!(
                "{} of {} with bytes of the stream ({sent_again} of them sent again)",
                counted(connections, "connection"),
                counted(all, "packet")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use bittrace_trace::TraceOptions;

    use super::*;

    fn transcript(capture: &str) -> Transcript {
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../captures"].iter().collect();
        let options = TraceOptions { measure: true, ..TraceOptions::default() };
        Transcript::open(&folder.join(capture), options).expect("a capture can be read")
    }

    #[test]
    fn packets_are_counted_where_one_of_the_captures_has_them() {
        let (utp, tcp) = (transcript("utp-download.pcap"), transcript("download-aria2.pcap"));
        assert_eq!(packets_over_utp(&tcp, &tcp), None);
        assert_eq!(
            packets_over_utp(&utp, &tcp).as_deref(),
            Some(
                "the streams of connections over uTP are compared, and the packets that carry them are counted (mask: timing): 1 \
                 connection of 134 packets with bytes of the stream (0 of them sent again) in the reference, no connection in the \
                 candidate"
            )
        );
    }
}
