//! What the client of a reference did when a far end of the reference misbehaved, to be compared with what another client does
//! when a replay disturbs it.

use std::collections::HashMap;

use bittrace_protocol::wire::Message;
use bittrace_protocol::{Block, PieceIndex, Timestamp};
use bittrace_trace::statistics::Finding;
use bittrace_trace::units::{counted, span};
use bittrace_trace::{Body, Side};

use crate::model::transcript::{Conversation, Transcript};
use crate::play::fault::InjectedFault;
use crate::play::replay_udp_tracker::UdpTopic;

/// What the reference's client did when a far end did the like of `what`, in words that follow "the client". `None` where the
/// reference shows no such case. How far ends cut and delay their bytes is not looked for: the network does the same.
pub fn reference_conduct(reference: &Transcript, what: InjectedFault) -> Option<String> {
    match what {
        InjectedFault::Corrupt(_) => after_corrupt_piece(reference),
        InjectedFault::Duplicate(_) => {
            let finding = finding(reference, "bep3.block-again")?;
            Some(after_message(reference, finding, "received a block twice"))
        }
        InjectedFault::Unknown(_) => {
            let finding = finding(reference, "bep4.unknown-message")?;
            Some(after_message(reference, finding, "received an unknown message id"))
        }
        InjectedFault::Reorder => after_reordered_blocks(reference),
        InjectedFault::Drop(_) => after_lost_connection(reference),
        InjectedFault::Lose(_) => after_lost_response(reference),
        InjectedFault::SplitBytes
        | InjectedFault::SplitBoundaries
        | InjectedFault::Delay(_)
        | InjectedFault::Overlong(_) => None,
    }
}

fn finding<'a>(reference: &'a Transcript, rule: &str) -> Option<&'a Finding> {
    reference.far_findings.iter().find(|finding| finding.rule.id == rule)
}

/// What followed on the connection of a message of a far end.
fn after_message(reference: &Transcript, finding: &Finding, what: &str) -> String {
    let conversation = reference.conversation(finding.stream);
    let later = conversation.map_or(0, |conversation| {
        let sent = &conversation.direction(Side::Local).messages;
        sent.iter().filter(|message| message.number > finding.first).count()
    });
    let then = match later {
        0 => "sent nothing more on that connection".to_owned(),
        later => format!("sent {} on that connection", counted(later as u64, "more message")),
    };
    format!("{what} (message {}), then {then}", finding.first)
}

fn after_corrupt_piece(reference: &Transcript) -> Option<String> {
    let finding = finding(reference, "bep3.piece-corrupt")?;
    let far = &reference.conversation(finding.stream)?.direction(Side::Remote).messages;
    let at = far.binary_search_by_key(&finding.first, |message| message.number).ok()?;
    let piece = far[at].block()?.index;
    let is_again = |request: &Request| request.number > finding.first && request.block.index == piece;
    let again: Vec<Request> = reference.conversations.iter().flat_map(requests).filter(is_again).collect();
    let start = format!("received a corrupt piece {piece} (message {})", finding.first);
    Some(match again.iter().min_by_key(|request| request.number) {
        None => format!("{start}, and did not request it again"),
        Some(first) => {
            let after = span(first.at.seconds_since(far[at].at).max(0.0));
            let requests = counted(again.len() as u64, "request");
            format!("{start}, and requested it again after {after} ({requests})")
        }
    })
}

/// A request of the reference's client.
struct Request {
    number: u64,
    at: Timestamp,
    block: Block,
}

/// The requests of the client on a connection.
fn requests(conversation: &Conversation) -> impl Iterator<Item = Request> {
    let sent = conversation.direction(Side::Local).messages.iter();
    sent.filter_map(|message| match message.peer_message()? {
        Message::Request(block) => Some(Request { number: message.number, at: message.at, block }),
        _ => None,
    })
}

/// The blocks that came on a connection, in their order, with the numbers of their messages.
fn blocks(conversation: &Conversation) -> impl Iterator<Item = (u64, Block)> {
    let received = conversation.direction(Side::Remote).messages.iter();
    received
        .filter(|message| message.message() == "piece")
        .filter_map(|message| Some((message.number, message.block()?)))
}

fn after_reordered_blocks(reference: &Transcript) -> Option<String> {
    let (mut reordered, mut later) = (0_u64, 0);
    for conversation in reference.peers() {
        let mut places: HashMap<(PieceIndex, u32), usize> = HashMap::new();
        for (place, request) in requests(conversation).enumerate() {
            places.entry((request.block.index, request.block.begin)).or_insert(place);
        }
        let (mut furthest, mut first) = (None, None);
        for (number, block) in blocks(conversation) {
            let Some(&place) = places.get(&(block.index, block.begin)) else { continue };
            if furthest.is_some_and(|furthest| place < furthest) {
                reordered += 1;
                first = first.or(Some(number));
            }
            furthest = furthest.max(Some(place));
        }
        if let Some(first) = first {
            later += requests(conversation).filter(|request| request.number > first).count() as u64;
        }
    }
    let (blocks, requests) = (counted(reordered, "block"), counted(later, "request"));
    (reordered > 0)
        .then(|| format!("received {blocks} in another order than requested, and sent {requests} after that"))
}

/// A connection that ended before the download did, and how soon the client connected to that peer again.
fn after_lost_connection(reference: &Transcript) -> Option<String> {
    let last_block = reference.peers().flat_map(blocks).map(|(number, _)| number).max()?;
    for (at, lost) in reference.peers().enumerate() {
        let last = lost.messages().last().map(|(_, message)| (message.number, message.at));
        let Some((number, ended)) = last.filter(|(number, _)| *number < last_block) else { continue };
        let again = reference
            .peers()
            .skip(at + 1)
            .find(|next| next.far().ip() == lost.far().ip() && next.began() >= ended && next.is_outgoing());
        if let Some(again) = again {
            let after = span(again.began().seconds_since(ended).max(0.0));
            return Some(format!(
                "lost its connection to {} after message {number}, and connected again after {after}",
                lost.far()
            ));
        }
    }
    None
}

/// A request to a tracker over UDP that the client sent again before there was a response.
fn after_lost_response(reference: &Transcript) -> Option<String> {
    for conversation in reference.trackers() {
        let mut waits: Option<(u64, Timestamp, UdpTopic)> = None;
        for (side, message) in conversation.messages() {
            let Body::UdpTracker(packet) = message.body() else { continue };
            match (side, UdpTopic::of(&packet), waits) {
                (Side::Local, Some(topic), Some((number, at, first))) if topic == first => {
                    let after = span(message.at.seconds_since(at).max(0.0));
                    let request = topic.describe();
                    return Some(format!(
                        "had no response to {request} (message {number}), and sent it again after {after}"
                    ));
                }
                (Side::Local, Some(topic), _) => waits = Some((message.number, message.at, topic)),
                (Side::Local, None, _) => {}
                // A transcript knows the two sides alone, whatever they are called in a capture of many hosts.
                (Side::Remote | Side::Initiator | Side::Responder, ..) => waits = None,
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use bittrace_protocol::Metainfo;
    use bittrace_trace::TraceOptions;

    use super::*;

    fn conduct(scenario: &str, file: &str, what: InjectedFault) -> Option<String> {
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../captures"].iter().collect();
        let torrent = std::fs::read(folder.join(format!("{scenario}.torrent"))).unwrap();
        let torrents = vec![Arc::new(Metainfo::decode(&torrent).unwrap())];
        let options = TraceOptions { torrents, ..TraceOptions::default() };
        let reference = Transcript::open(&folder.join(file), options).unwrap();
        reference_conduct(&reference, what)
    }

    #[test]
    fn a_corrupt_piece_of_the_reference_is_requested_again() {
        let told = conduct("corrupt-peer", "corrupt-peer.pcap.gz", InjectedFault::Corrupt(1)).unwrap();
        assert!(told.starts_with("received a corrupt piece "), "{told}");
        assert!(told.contains("requested it again after "), "{told}");
    }

    #[test]
    fn a_reference_without_such_a_case_tells_nothing() {
        for what in InjectedFault::ALL {
            let told = conduct("download-transmission", "download-transmission.pcap", what);
            assert_eq!(told, None, "{what:?}");
        }
    }
}
