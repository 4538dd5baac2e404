//! How each cause is said: what is so, by what evidence, and what can be done about it.

use std::collections::BTreeSet;

use super::budget::DirectionBudget;
use super::cause::DelayCause;
use super::ending::EndedHow;
use super::observed::{Mark, SaidMessage};
use super::pace::Pace;
use super::run::{RunDiagnosis, SlowEnd};
use super::sentences::{Sentence, plain, since_start};
use super::{CaptureEvidence, ConnectionDiagnosis};
use crate::measurement::{DirectionMeasurement, TransportState};
use crate::record::units::{count, counted, rough_size, size, span};
use crate::statistics::SHORTEST_RATED;
use crate::{Direction, StreamClosing};

/// How many characters of what a client calls itself are repeated.
const CLIENT: usize = 40;

/// An end of a connection: its address, and its client where it is known.
pub(super) fn name(connection: &ConnectionDiagnosis, end: Direction) -> String {
    let address = connection.address(end);
    match connection.client(end) {
        Some(client) => format!("{address} ({})", client.chars().take(CLIENT).collect::<String>()),
        None => address.to_string(),
    }
}

/// `13.6 of 26.1 s (52 %)`.
fn part_of_run(run: &RunDiagnosis, seconds: f64) -> String {
    let share = counted_share(seconds, run.duration());
    format!("{} of {} ({share})", span(seconds), span(run.duration()))
}

/// A share in percent, `52 %`.
pub(super) fn counted_share(part: f64, all: f64) -> String {
    let percent = if all > 0.0 { part / all * 100.0 } else { 0.0 };
    if percent >= 1.0 || percent == 0.0 { format!("{percent:.0} %") } else { format!("{percent:.1} %") }
}

/// Bytes a second, `195 KiB/s`.
fn rate(bytes_a_second: f64) -> String {
    format!("{}/s", rough_size(bytes_a_second.max(0.0) as u64))
}

/// Bits a second as links are sold, `3.9 Mbit/s`.
fn link_rate(bytes_a_second: f64) -> String {
    let bits = bytes_a_second * 8.0;
    if bits >= 1e6 { format!("{:.1} Mbit/s", bits / 1e6) } else { format!("{:.0} kbit/s", bits / 1e3) }
}

/// The sentences about one cause of a run.
pub(super) fn cause_text(run: &RunDiagnosis, cause: DelayCause) -> Sentence {
    let seconds = run.totals.seconds(cause);
    let part = part_of_run(run, seconds);
    // Dials in vain are no connections.
    let most = run.most_of(cause).filter(|(connection, from)| {
        cause != DelayCause::Connecting || connection.from(*from).totals.seconds(cause) >= seconds / 2.0
    });
    let Some((connection, from)) = most else {
        let text = match cause {
            DelayCause::Tracker => tracker_text(run, &part),
            DelayCause::NoPeer => no_peer_text(run, &part),
            DelayCause::Connecting => dials_text(run, &part),
            cause => format!("For {part} {}.", cause.meaning()),
        };
        return Sentence { cause: Some(cause), marks: run_marks(run, cause), ..plain(text) };
    };
    let budget = connection.from(from);
    let sender = name(connection, from);
    let text = match cause {
        DelayCause::Choked => choked_text(connection, from, &part),
        DelayCause::NothingWanted => nothing_wanted_text(&sender, budget, &part),
        DelayCause::NotAsked => not_asked_text(connection, from, &part),
        DelayCause::AskedTooLittle => asked_too_little_text(&sender, budget, &part),
        DelayCause::FarPace => far_pace_text(run, &sender, budget, &part),
        DelayCause::Network => network_text(connection, from, &sender, &part),
        DelayCause::Receiver => receiver_text(connection, from, &part),
        DelayCause::Handshake => format!(
            "For {part} the handshake with {sender} was not complete. Its client or a proxy answers late; \
             other peers may be quicker."
        ),
        DelayCause::Metadata => format!(
            "For {part} the metadata of the torrent was still to be fetched from peers (BEP 9): a .torrent file has \
             it from the start."
        ),
        DelayCause::Connecting => format!("For {part} the connection to {sender} was being opened."),
        DelayCause::Unknown => unknown_text(connection, from, &part),
        DelayCause::Tracker | DelayCause::NoPeer | DelayCause::Complete => {
            format!("For {part} {}.", cause.meaning())
        }
    };
    let streams = run
        .transfers()
        .filter(|(connection, from)| {
            let totals = &connection.from(*from).totals;
            totals.seconds(cause) >= seconds / 10.0 && totals.seconds(cause) > 0.0
        })
        .map(|(connection, _)| connection.stream)
        .take(4);
    Sentence { cause: Some(cause), text, marks: cause_marks(budget, cause), streams: streams.collect() }
}

/// The messages between which a cause is to be seen.
fn cause_marks(budget: &DirectionBudget, cause: DelayCause) -> Vec<Mark> {
    let facts = &budget.facts;
    let ends = match cause {
        DelayCause::Choked => [facts.interested, facts.unchoked],
        DelayCause::NothingWanted => [facts.told_pieces, facts.interested],
        _ => [facts.requested, facts.last_block],
    };
    let mut marks: Vec<Mark> = ends.into_iter().flatten().collect();
    marks.sort_by_key(|mark| mark.number);
    marks
}

fn run_marks(run: &RunDiagnosis, cause: DelayCause) -> Vec<Mark> {
    match cause {
        DelayCause::Tracker => {
            let first = run.trackers.first.map(|(mark, _)| mark);
            [first, run.trackers.first_answer].into_iter().flatten().collect()
        }
        _ => Vec::new(),
    }
}

fn choked_text(connection: &ConnectionDiagnosis, from: Direction, part: &str) -> String {
    let sender = name(connection, from);
    let facts = &connection.from(from).facts;
    let has_holes = facts.unreadable > 0;
    let lost = match facts.requests_lost {
        0 => String::new(),
        lost => format!(" {} ended without a block by a choke.", counted(lost, "request")),
    };
    let until = match (facts.unchoked, facts.chokes) {
        (None, _) if has_holes => "and no unchoke can be read behind what the capture lacks",
        (None, _) => "and never unchoked it",
        (Some(_), 0) => "until it unchoked it",
        (Some(_), _) => "again and again",
    };
    format!(
        "For {part} the downloader was interested and choked: {sender} gave it no upload slot, {until}.{lost} A downloader \
         cannot end a choke; more peers help, uploading to a leecher helps, and so do more upload slots at the peer."
    )
}

fn nothing_wanted_text(sender: &str, budget: &DirectionBudget, part: &str) -> String {
    let facts = &budget.facts;
    if facts.reveals_piece_by_piece() {
        return format!(
            "For {part} no peer offered a piece that the downloader lacked: {sender} super-seeds (BEP 16): it said it has \
             nothing, then named {} one by one with HAVE. Only the seed's own setting ends that.",
            counted(facts.haves, "piece")
        );
    }
    let has = match facts.first_pieces {
        None => "said nothing of its pieces".to_owned(),
        Some(u64::MAX) => "has every piece".to_owned(),
        Some(first) => format!("told of {}", counted(first + facts.haves, "piece")),
    };
    let never = if facts.interested.is_none() { "was never interested" } else { "was not interested" };
    format!(
        "For {part} no connected peer had a piece that the downloader lacked: {sender} {has}, and the downloader {never}. \
         Only peers with other pieces help."
    )
}

fn not_asked_text(connection: &ConnectionDiagnosis, from: Direction, part: &str) -> String {
    let sender = name(connection, from);
    let downloader = name(connection, from.reverse());
    let facts = &connection.from(from).facts;
    let late = match (facts.told_pieces, facts.interested) {
        (Some(told), Some(interested)) if interested.at.seconds_since(told.at) >= 1.5 => {
            format!(
                " It said interested {} after {sender} had told of its pieces.",
                span(interested.at.seconds_since(told.at))
            )
        }
        _ => String::new(),
    };
    let window = transport(connection, from).map_or(0.0, |transport| transport.zero_window_seconds);
    let closed = match window {
        closed if closed >= 0.1 => {
            format!(" Its receive window was closed for {}: it did not read what had come.", span(closed))
        }
        _ => String::new(),
    };
    format!(
        "For {part} the downloader {downloader} could have requested blocks of {sender} and had no request outstanding.{late}\
         {closed} Look at the downloader: paused, its own download limit, a slow disk, or every block that it wants is \
         requested of another peer."
    )
}

fn asked_too_little_text(sender: &str, budget: &DirectionBudget, part: &str) -> String {
    let facts = &budget.facts;
    let depth = facts.deepest;
    let trip = match budget.round_trip {
        Some(trip) if trip.is_measured && trip.seconds >= 0.002 => {
            format!("on a round trip of {}", span(trip.seconds))
        }
        _ => "and each time the peer answered all of them at once".to_owned(),
    };
    let bound = match facts.reqq {
        Some(reqq) if depth <= reqq && u64::from(depth) + 1 >= u64::from(reqq) => {
            format!(
                " The peer keeps {} at most (reqq of its extended handshake, BEP 10): more is to be set there.",
                counted(u64::from(reqq), "request")
            )
        }
        _ => match budget.depth_needed() {
            Some(needed) if needed > u64::from(depth) => {
                format!(" Let the downloader keep {} or more outstanding.", counted(needed, "request"))
            }
            _ => {
                " Let the downloader keep more requests outstanding, twice as many to begin with.".to_owned()
            }
        },
    };
    format!(
        "For {part} too little was asked: never more than {} outstanding with {sender}, {trip}, so the peer had nothing to \
         send in between.{bound}",
        counted(u64::from(depth), "request")
    )
}

fn far_pace_text(run: &RunDiagnosis, sender: &str, budget: &DirectionBudget, part: &str) -> String {
    let seconds = run.totals.seconds(DelayCause::FarPace);
    let stalls = run.stalls.iter().filter(|stall| stall.cause == DelayCause::FarPace);
    let longest = stalls.max_by(|one, other| one.seconds().total_cmp(&other.seconds()));
    let depth = counted(u64::from(budget.facts.median_depth().unwrap_or(budget.facts.deepest)), "request");
    if let Some(stall) = longest.filter(|stall| stall.seconds() >= seconds / 2.0) {
        let from = since_start(run, stall.from);
        return format!(
            "For {part} requests waited at {sender}; for {} of that, from {from:.1} s on, it sent no block at all, and the \
             network did not hold it back. Its client was paused, or its disk or its upload slot failed; only its side can \
             tell.",
            span(stall.seconds())
        );
    }
    let others = run.transfers().filter(|(connection, from)| {
        connection.from(*from).totals.seconds(DelayCause::FarPace) >= seconds / 4.0
    });
    let others: BTreeSet<_> = others.map(|(connection, from)| connection.address(from).ip()).collect();
    let others = match others.len() {
        0 | 1 => String::new(),
        several => format!(" ({} sent so)", counted(several as u64, "peer")),
    };
    let few = budget.facts.median_depth().is_some_and(|depth| depth <= FEW_REQUESTS);
    let advice = match few {
        true => {
            "Only the peer can raise that; more peers add to it, and with so few requests more of them may."
        }
        false => "Only the peer can raise that; more peers add to it.",
    };
    let average = |after: &str| {
        let known = budget.rate_during(DelayCause::FarPace);
        known.map_or(String::new(), |known| format!("{}{after} ", rate(known)))
    };
    match (budget.pace, budget.steady) {
        (Pace::NotMeasured, _) => format!(
            "For {part} blocks came as fast as {sender} or the network let them{others}, {}with {depth} outstanding. The \
             capture does not tell which of the two it was.",
            average("")
        ),
        (_, Some(steady)) => format!(
            "For {part} {sender} sent at a steady {}{others}, with {depth} outstanding and the network idle between: its \
             upload limit. {advice}",
            rate(steady.rate)
        ),
        (_, None) => format!(
            "For {part} {sender} set the pace{others}: {}with {depth} outstanding and the network idle between. Its upload \
             limit, its disk or its load. {advice}",
            average(" on average,")
        ),
    }
}

/// With as few requests outstanding as these it is not certain that the peer would not send more.
const FEW_REQUESTS: u32 = 3;

fn network_text(connection: &ConnectionDiagnosis, from: Direction, sender: &str, part: &str) -> String {
    let budget = connection.from(from);
    let transport = transport(connection, from);
    let carried = budget.rate_during(DelayCause::Network);
    // What is said of the rate, where it is known.
    let rated = |say: &dyn Fn(f64) -> String| carried.map_or(String::new(), say);
    let lost = transport.map_or(String::new(), |transport| {
        let (again, all) = (transport.retransmitted_segments, transport.segments);
        if again == 0 {
            return String::new();
        }
        let share = counted_share(again as f64, all as f64);
        format!(" {} of {} ({share}) were sent again.", count(again), counted(all, "segment"))
    });
    let delayed = transport.map_or(0.0, |transport| transport.seconds_in(TransportState::DelayTarget));
    let all: f64 = transport.map_or(0.0, |transport| transport.seconds.iter().sum());
    if delayed > all / 4.0 {
        let queue = transport.and_then(|transport| transport.queueing).map_or(0.1, |queue| queue.median);
        return format!(
            "For {part} the network was the limit: packets from {sender} waited {} in a queue of the path (median), and uTP \
             holds back at 100 ms (BEP 29).{}",
            span(queue),
            rated(&|known| {
                format!(" A full link of about {}; blocks came at {}.", link_rate(known), rate(known))
            })
        );
    }
    match budget.pace {
        Pace::Losses { .. } => format!(
            "For {part} the network was the limit: it lost segments between {sender} and the downloader, and TCP slows down \
             for each.{lost}{} A path without losses is what helps: cable for wireless, or another peer.",
            rated(&|known| format!(" Blocks came at {}.", rate(known)))
        ),
        Pace::Queue { seconds } => format!(
            "For {part} the network was the limit: a full link{} between {sender} and the downloader, with packets waiting \
             {} in its queue.{lost} No setting of a client makes a link faster.",
            rated(&|known| format!(" of about {} ({} of blocks)", link_rate(known), rate(known))),
            span(seconds)
        ),
        _ => format!(
            "For {part} the network was the limit between {sender} and the downloader: bytes were under way all the time{}.{lost} \
             No setting of a client makes a link faster.",
            rated(&|known| format!(", {} of blocks, about {}", rate(known), link_rate(known)))
        ),
    }
}

fn receiver_text(connection: &ConnectionDiagnosis, from: Direction, part: &str) -> String {
    let downloader = name(connection, from.reverse());
    let budget = connection.from(from);
    let Some(transport) = transport(connection, from) else {
        return format!("For {part} the receive window of {downloader} held the sender back.");
    };
    let came = budget.rate_during(DelayCause::Receiver);
    let came = came.map_or(String::new(), |came| format!("; blocks came at {}", rate(came)));
    if transport.zero_window_seconds >= budget.totals.seconds(DelayCause::Receiver) / 2.0 {
        return format!(
            "For {part} {downloader} did not read what had come: its receive window was closed for {}. Its own download \
             limit, a slow disk, or a client that stands still{came}.",
            span(transport.zero_window_seconds)
        );
    }
    let window = transport.window.map_or(0, |window| window.largest);
    let trip = budget.round_trip.filter(|trip| trip.is_measured && trip.seconds > 0.0);
    let lets = trip.map_or(String::new(), |trip| {
        let most = rate(window as f64 / trip.seconds);
        format!(" on a round trip of {}, which lets through {most} at most", span(trip.seconds))
    });
    format!(
        "For {part} the receiver was the limit: {downloader} offered a window of {} at most{lets}{came}. Give its \
         sockets a larger receive buffer (Linux: net.ipv4.tcp_rmem; or the client's own setting).",
        size(window)
    )
}

fn unknown_text(connection: &ConnectionDiagnosis, from: Direction, part: &str) -> String {
    let budget = connection.from(from);
    let came = match (budget.facts.bytes, budget.facts.first_block, budget.facts.last_block) {
        (0, ..) => String::new(),
        (bytes, Some(first), Some(last)) if last.at.seconds_since(first.at) >= SHORTEST_RATED => {
            let came = bytes as f64 / last.at.seconds_since(first.at);
            format!(" {} of blocks came in it, {} on average.", rough_size(bytes), rate(came))
        }
        (bytes, ..) => format!(" {} of blocks came in it.", rough_size(bytes)),
    };
    let why =
        evidence_text(connection).unwrap_or_else(|| "The capture does not show what was so.".to_owned());
    format!("For {part} no cause can be named.{came} {why}")
}

fn tracker_text(run: &RunDiagnosis, part: &str) -> String {
    let tracker = match run.trackers.first {
        Some((_, tracker)) => format!("the tracker {tracker}"),
        None => "the tracker".to_owned(),
    };
    let answer = match run.trackers.first_answer {
        None => "no tracker ever answered, and so no peer was known".to_owned(),
        Some(answer) => format!(
            "it did not answer in that time; the first answer of any tracker came after {}",
            span(since_start(run, answer.at))
        ),
    };
    format!(
        "For {part} the download waited for {tracker}: {answer}. Put a tracker that answers first, or find peers without one \
         (DHT, PEX, local discovery)."
    )
}

fn no_peer_text(run: &RunDiagnosis, part: &str) -> String {
    let dials = &run.dials;
    let failed = dials.refused + dials.unanswered;
    let known = match (run.trackers.first_answer, run.trackers.named) {
        (Some(_), 0) => " The tracker named no peer.".to_owned(),
        (Some(_), named) => format!(" Trackers named {}.", counted(named, "peer")),
        (None, _) => String::new(),
    };
    let last = run.connections.iter().filter(|connection| connection.closed < run.end);
    let last = last.max_by_key(|connection| connection.closed);
    let by = last.and_then(|connection| Some((connection, connection.ending.by?)));
    let closed = by.map_or(String::new(), |(connection, by)| {
        let at = since_start(run, connection.closed);
        let local = connection.local.unwrap_or(Direction::FromInitiator);
        let peer = name(connection, local.reverse());
        if by != local {
            let when = if connection.handshaken.is_none() { " before any handshake" } else { "" };
            return format!(" {peer} had closed the last one{when}, at {at:.1} s.");
        }
        let told =
            match run.stopped.filter(|stopped| (stopped.at.seconds_since(connection.closed)).abs() < 2.0) {
                Some(stopped) => {
                    format!(
                        ", and told a tracker stopped at {:.1} s (message {})",
                        since_start(run, stopped.at),
                        stopped.number
                    )
                }
                None => String::new(),
            };
        format!(" The downloader itself had closed the last one, to {peer}, at {at:.1} s{told}.")
    });
    let failed = match failed {
        0 => String::new(),
        failed => format!(" {} failed.", counted(failed, "dial")),
    };
    format!("For {part} no connection to a peer was open.{closed}{known}{failed}")
}

fn dials_text(run: &RunDiagnosis, part: &str) -> String {
    let dials = &run.dials;
    let mut peers: Vec<String> = Vec::new();
    for dial in &dials.failed {
        let what = match dial.closing {
            StreamClosing::Refused => "refused",
            _ => "never answered",
        };
        let peer = format!("{} {what}", dial.responder);
        if !peers.contains(&peer) && peers.len() < NAMED {
            peers.push(peer);
        }
    }
    format!(
        "For {part} no peer that was dialled could be reached: {} never answered, {} refused ({}); trackers had named {} of them. \
         A shorter time-out for connecting, or more dials at once, gets past dead peers sooner.",
        counted(dials.unanswered, "dial"),
        count(dials.refused),
        peers.join(", "),
        count(dials.named)
    )
}

/// How many peers are named in a sentence.
const NAMED: usize = 3;

/// One slow peer at the end.
pub(super) fn slow_end_text(run: &RunDiagnosis, end: &SlowEnd) -> Sentence {
    let Some((connection, from)) = run.transfer(end.stream) else { return plain(String::new()) };
    let sender = name(connection, from);
    let facts = &connection.from(from).facts;
    Sentence {
        cause: Some(DelayCause::FarPace),
        text: format!(
            "The last {} ({}) waited for one slow peer: {sender} sent {} a second, the only one that blocks still came from; \
             before, all peers together gave {} a second. Other peers with the same pieces are what helps.",
            span(end.seconds),
            counted_share(end.seconds, run.duration()),
            rough_size(end.rate as u64),
            rough_size(end.rate_before as u64)
        ),
        marks: facts.last_block.into_iter().collect(),
        streams: vec![end.stream],
    }
}

/// What trackers and dials did, where that is not what the run waited for.
pub(super) fn trackers_text(run: &RunDiagnosis) -> Option<String> {
    let trackers = &run.trackers;
    let failed = run.dials.refused + run.dials.unanswered;
    if trackers.unanswered > 0 && trackers.unanswered * 2 >= trackers.announces {
        return Some(format!(
            "{} of {} to trackers got no answer.",
            count(trackers.unanswered),
            counted(trackers.announces, "announce")
        ));
    }
    if failed > 0 && failed >= run.dials.connected {
        return Some(format!(
            "{} failed: {} refused, {} never answered; trackers had named {} of these peers.",
            counted(failed, "dial"),
            count(run.dials.refused),
            count(run.dials.unanswered),
            count(run.dials.named)
        ));
    }
    None
}

/// How much faster the run could have been without a cause: an estimate, and what it assumes.
pub(super) fn faster_text(run: &RunDiagnosis, cause: DelayCause) -> Option<String> {
    let seconds = run.totals.seconds(cause);
    let without = run.duration() - seconds;
    if run.bytes == 0 || without <= 0.0 || seconds < run.duration() * 0.1 {
        return None;
    }
    let (took, could) = (span(run.duration()), span(without));
    let needed = run.most_of(cause).and_then(|(connection, from)| connection.from(from).depth_needed());
    Some(match cause {
        DelayCause::AskedTooLittle if needed.is_none() => {
            "An estimate: twice the outstanding requests are twice the rate, until the next limit is met: the peer never had \
             enough of them to show how fast it can be."
                .to_owned()
        }
        DelayCause::AskedTooLittle => format!(
            "An estimate: with enough requests outstanding the run would take about {could} instead of {took}, if peer and \
             network keep the pace that they showed while requests were there."
        ),
        DelayCause::Choked => format!(
            "An estimate: without the choke the run would take about {could} instead of {took}, if the peer gave the rate that \
             it gave later."
        ),
        DelayCause::NotAsked => format!(
            "An estimate: with requests at once the run would take about {could} instead of {took}, if the downloader wanted \
             these blocks and could store them."
        ),
        DelayCause::Tracker => {
            format!(
                "An estimate: with a tracker that answers at once the run would take about {could} instead of {took}."
            )
        }
        DelayCause::Receiver => {
            "An estimate: twice the window is twice the rate, until the next limit is met.".to_owned()
        }
        _ => return None,
    })
}

/// A connection that the sender of the blocks closed, and `more` like it.
pub(super) fn hang_up_text(connection: &ConnectionDiagnosis, from: Direction, more: u64) -> String {
    let (peer, downloader) = (name(connection, from), name(connection, from.reverse()));
    let ending = &connection.ending;
    let after = |mark: Mark| span(ending.at.seconds_since(mark.at).max(0.0));
    let again = match (more, ending.same_client_again) {
        (0, 0) => String::new(),
        (more, again) => format!(" It happened on {} more.", counted(more.max(again), "connection")),
    };
    let how = if ending.how == EndedHow::Reset { "RESET" } else { "FIN" };
    match (&ending.offence, ending.heard_last()) {
        (Some(offence), _) => format!(
            "{peer} closed the connection ({how}) {} after {} of {downloader} (message {}), which broke {}: {}.{again}",
            after(offence.mark),
            offence.message,
            offence.mark.number,
            offence.rule,
            offence.text
        ),
        (None, Some(heard)) => format!(
            "{peer} closed the connection ({how}) {} after {} of {downloader} (message {}), without an answer.{again} Look at that \
             request: with the torrent (--torrent) it is known whether it lies within its piece.",
            after(heard.mark),
            said(&heard),
            heard.mark.number
        ),
        (None, None) => format!("{peer} closed the connection ({how}).{again}"),
    }
}

/// How a connection ended, in one sentence without a full stop.
pub fn end_text(connection: &ConnectionDiagnosis) -> String {
    let ending = &connection.ending;
    let how = match ending.how {
        EndedHow::CaptureEnded => return "open when the capture ended".to_owned(),
        EndedHow::Silence => return "ended in silence: no FIN and no RESET".to_owned(),
        EndedHow::Fin => "FIN",
        EndedHow::Reset => "RESET",
    };
    let Some(by) = ending.by else { return format!("closed by {how}") };
    let closer = name(connection, by);
    if let Some(offence) = &ending.offence {
        let after = span(ending.at.seconds_since(offence.mark.at).max(0.0));
        return format!(
            "closed by {closer} with {how}, {after} after {} of the other end, which broke {}",
            offence.message, offence.rule
        );
    }
    match ending.heard_last() {
        Some(heard) => {
            let after = span(ending.at.seconds_since(heard.mark.at).max(0.0));
            format!("closed by {closer} with {how}, {after} after {} of the other end", said(&heard))
        }
        None => format!("closed by {closer} with {how}; the other end had said nothing"),
    }
}

fn said(message: &SaidMessage) -> String {
    match message.block {
        Some(block) => format!(
            "{} (piece {}, {} at {})",
            message.message,
            block.index,
            size(u64::from(block.length)),
            block.begin
        ),
        None => message.message.to_owned(),
    }
}

/// What the capture cannot show of a connection; `None` where nothing of it is missing.
pub fn evidence_text(connection: &ConnectionDiagnosis) -> Option<String> {
    let CaptureEvidence { begins_in_middle, encrypted, unseen, lost_to_capture, .. } = connection.evidence;
    let mut missing = Vec::new();
    if encrypted {
        missing.push(
            "it is encrypted, so choking, interest and requests are unknown (a key log makes them known)"
                .to_owned(),
        );
    }
    if begins_in_middle {
        missing.push("the capture begins in its middle, so what was so before is unknown".to_owned());
    }
    if unseen.is_some() {
        missing.push("the capture has packets of one end only".to_owned());
    }
    let unreadable: u64 = connection.directions.iter().map(|budget| budget.facts.unreadable).sum();
    if unreadable > 0 && lost_to_capture == 0 {
        missing.push(format!("{} of it cannot be read", counted(unreadable, "part")));
    }
    if lost_to_capture > 0 {
        missing.push(format!("the capture lost {} of it", rough_size(lost_to_capture)));
    }
    let stream = connection.stream.0;
    (!missing.is_empty()).then(|| format!("The evidence of stream {stream} is thin: {}.", missing.join("; ")))
}

fn transport(connection: &ConnectionDiagnosis, from: Direction) -> Option<&DirectionMeasurement> {
    connection.measured.as_deref().map(|measured| measured.direction(from))
}
