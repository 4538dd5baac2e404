//! How each cause is said: what is so, by what evidence, and what can be done about it.

use std::collections::BTreeSet;

use super::budget::DirectionBudget;
use super::cause::DelayCause;
use super::ending::EndedHow;
use super::observed::{DirectionFacts, Mark, SaidMessage};
use super::pace::Pace;
use super::run::{RunDiagnosis, SlowEnd};
use super::run_facts::DialFacts;
use super::sentences::{Sentence, plain, since_start};
use super::{CaptureEvidence, ConnectionDiagnosis};
use crate::measurement::{DirectionMeasurement, TransportState};
use crate::record::units::{count, counted, rough_size, size, span};
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

/// `13.58 s of 26.09 s (52 %, from 0.0 s to 13.6 s)`.
fn part_of_run(run: &RunDiagnosis, cause: DelayCause) -> String {
    let seconds = run.totals.seconds(cause);
    let share = counted_share(seconds, run.duration());
    format!("{} of {} ({share}{})", span(seconds), span(run.duration()), when(run, cause))
}

/// When a cause had its time, where that is not all over the run.
fn when(run: &RunDiagnosis, cause: DelayCause) -> String {
    let Some(place) = run.place(cause) else { return String::new() };
    let seconds = place.to.seconds_since(place.from);
    if seconds > run.duration() * ALL_OVER {
        return String::new();
    }
    let (from, to) = (since_start(run, place.from), since_start(run, place.to));
    let all = run.totals.seconds(cause);
    let is_one = (all - seconds).abs() <= all * 0.01;
    let how = if is_one { "from" } else { "most of it from" };
    format!(", {how} {from:.1} s to {to:.1} s")
}

/// What has nine tenths of its time in a larger part of the run than this is all over the run.
const ALL_OVER: f64 = 0.8;

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
    let part = part_of_run(run, cause);
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
        DelayCause::NotAsked => not_asked_text(run, connection, from, &part),
        DelayCause::AskedTooLittle => asked_too_little_text(&sender, budget, &part),
        DelayCause::FarPace => far_pace_text(run, &sender, budget, &part),
        DelayCause::Network => network_text(connection, from, &sender, &part),
        DelayCause::Receiver => receiver_text(connection, from, &part),
        DelayCause::Handshake => format!(
            "For {part} handshakes were exchanged with {sender}, or it had not told of its pieces yet. Its client or a \
             proxy answers late; other peers may be quicker."
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
    Sentence { cause: Some(cause), text, marks: cause_marks(run, budget, cause), streams: streams.collect() }
}

/// The messages between which a cause is to be seen.
fn cause_marks(run: &RunDiagnosis, budget: &DirectionBudget, cause: DelayCause) -> Vec<Mark> {
    let facts = &budget.facts;
    let ends = match cause {
        DelayCause::Choked => [facts.interested, facts.unchoked],
        DelayCause::NothingWanted => [facts.told_pieces, facts.interested],
        DelayCause::NotAsked if asked_late(run, facts) => {
            [facts.unchoked.or(facts.told_pieces), facts.requested]
        }
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
    let then = match (facts.unchoked, facts.chokes) {
        (None, _) if has_holes => "; no unchoke can be read after what the capture lacks".to_owned(),
        (None, _) => ", which never unchoked it".to_owned(),
        (Some(_), 0) => ", which then unchoked it".to_owned(),
        (Some(_), chokes) => format!(", which unchoked it and choked it again {}", times(chokes)),
    };
    let advice = match facts.first_pieces {
        Some(u64::MAX) => "The peer is a seed: more peers help, and more upload slots at this peer.",
        _ => {
            "More peers help, uploading to the peer helps where it is a leecher, and so do more upload slots at the peer."
        }
    };
    format!(
        "For {part} the downloader was interested and choked by {sender}{then}.{lost} A downloader cannot end a choke. {advice}"
    )
}

/// `once`, `twice`, `5 times`.
fn times(number: u64) -> String {
    match number {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{} times", count(more)),
    }
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

/// Whether most of the time without a request was before the first request.
fn asked_late(run: &RunDiagnosis, facts: &DirectionFacts) -> bool {
    let before = |first: Mark| run.place(DelayCause::NotAsked).is_some_and(|place| first.at >= place.to);
    facts.requested.is_none_or(before)
}

fn not_asked_text(
    run: &RunDiagnosis,
    connection: &ConnectionDiagnosis,
    from: Direction,
    part: &str,
) -> String {
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
    let is_before_first = facts
        .requested
        .is_none_or(|first| run.place(DelayCause::NotAsked).is_some_and(|place| first.at >= place.to));
    let is_alone = run.transfers().filter(|(connection, from)| connection.from(*from).is_used()).count() < 2;
    let advice = match is_before_first {
        true if is_alone => {
            "It had requested nothing before, of any peer: the downloader was paused, or waits for a timer of its own."
        }
        true => {
            "It had requested nothing of this peer before: the downloader was paused, waits for a timer of its own, or \
                 requests every block that it wants from other peers."
        }
        false => {
            "Look at the downloader: paused, its own download limit, a slow disk, or every block that it wants is \
                  requested from another peer."
        }
    };
    format!(
        "For {part} the downloader {downloader} could have requested blocks from {sender} and had no request outstanding.{late}\
         {closed} {advice}"
    )
}

fn asked_too_little_text(sender: &str, budget: &DirectionBudget, part: &str) -> String {
    let facts = &budget.facts;
    let depth = facts.deepest;
    let trip = match budget.round_trip {
        Some(trip) if trip.is_measured && trip.seconds >= 0.002 => {
            format!("on a round trip of {}", span(trip.seconds))
        }
        _ => "and each time the peer answered all of them together".to_owned(),
    };
    let bound = match facts.reqq {
        Some(reqq) if depth <= reqq && u64::from(depth) + 1 >= u64::from(reqq) => {
            format!(
                " The peer queues {} at most (reqq of its extended handshake, BEP 10): only its own setting allows more.",
                counted(u64::from(reqq), "request")
            )
        }
        _ => match budget.depth_needed() {
            Some(needed) if needed > u64::from(depth) => {
                format!(" The downloader needs {} or more outstanding.", counted(needed, "request"))
            }
            _ => " The downloader needs a longer pipeline: twice as many outstanding requests to begin with."
                .to_owned(),
        },
    };
    format!(
        "For {part} the downloader had too few requests outstanding: never more than {} with {sender}, {trip}, so the peer \
         stood idle until the next request came.{bound}",
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
            "For {part} requests waited at {sender}. For {} of that, from {from:.1} s on, it sent no block at all, and the \
             network did not hold it back. Its client was paused, or its disk or its upload slot failed: only the log of \
             the peer can tell which.",
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
            "Only the peer can send faster; more peers raise the total, and so may more outstanding requests."
        }
        false => "Only the peer can send faster; more peers raise the total.",
    };
    match (budget.pace, budget.steady) {
        (Pace::NotMeasured, _) => format!(
            "For {part} blocks came as fast as {sender} or the network allowed{others}: {} with {depth} outstanding. The \
             capture does not tell which of the two it was.",
            rate(budget.rate_during(DelayCause::FarPace).unwrap_or(0.0))
        ),
        (_, Some(steady)) => format!(
            "For {part} {sender} sent at a steady {}{others}, with {depth} outstanding and the network idle between bursts: \
             this looks like its upload limit. {advice}",
            rate(steady.rate)
        ),
        (_, None) => format!(
            "For {part} {sender} set the pace{others}: {} on average, with {depth} outstanding and the network idle between \
             bursts. The reason is at the peer: its upload limit, its disk or its load. {advice}",
            rate(budget.rate_during(DelayCause::FarPace).unwrap_or(0.0))
        ),
    }
}

/// With as few requests outstanding as these it is not certain that the peer would not send more.
const FEW_REQUESTS: u32 = 3;

fn network_text(connection: &ConnectionDiagnosis, from: Direction, sender: &str, part: &str) -> String {
    let budget = connection.from(from);
    let transport = transport(connection, from);
    let bytes_a_second = budget.rate_during(DelayCause::Network).unwrap_or(0.0);
    let carried = rate(bytes_a_second);
    let lost = transport.map_or(String::new(), |transport| {
        let (again, all) = (transport.retransmitted_segments, transport.segments);
        if again == 0 {
            return String::new();
        }
        let share = counted_share(again as f64, all as f64);
        format!(" {} of {} ({share}) were retransmitted.", count(again), counted(all, "segment"))
    });
    let delayed = transport.map_or(0.0, |transport| transport.seconds_in(TransportState::DelayTarget));
    let all: f64 = transport.map_or(0.0, |transport| transport.seconds.iter().sum());
    if delayed > all / 4.0 {
        let queue = transport.and_then(|transport| transport.queueing).map_or(0.1, |queue| queue.median);
        return format!(
            "For {part} the network was the limit: packets from {sender} waited {} in a queue of the path (median), and uTP \
             holds back at 100 ms (BEP 29). A full link of about {}; blocks came at {carried}.",
            span(queue),
            link_rate(bytes_a_second)
        );
    }
    let trip = budget.round_trip.filter(|trip| trip.is_measured && trip.seconds >= 0.001);
    let trip = trip.map_or(String::new(), |trip| format!(" on a round trip of {}", span(trip.seconds)));
    match budget.pace {
        Pace::Losses { .. } => format!(
            "For {part} the network was the limit: it lost segments between {sender} and the downloader, and TCP slows down \
             for each.{lost} Blocks came at {carried}{trip}. A path without losses helps (a cable in place of Wi-Fi), and \
             so do more peers."
        ),
        Pace::Queue { seconds } => format!(
            "For {part} the network was the limit: a full link of about {} ({carried} of blocks) between {sender} and the \
             downloader, with packets waiting {} in the queue of the link.{lost} No setting of a client makes a link faster.",
            link_rate(bytes_a_second),
            span(seconds)
        ),
        _ => format!(
            "For {part} the network was the limit between {sender} and the downloader: bytes were under way all the time, \
             {carried} of blocks, about {}.{lost} No setting of a client makes a link faster.",
            link_rate(bytes_a_second)
        ),
    }
}

fn receiver_text(connection: &ConnectionDiagnosis, from: Direction, part: &str) -> String {
    let downloader = name(connection, from.reverse());
    let budget = connection.from(from);
    let Some(transport) = transport(connection, from) else {
        return format!("For {part} the receive window of {downloader} held the sender back.");
    };
    let came = rate(budget.rate_during(DelayCause::Receiver).unwrap_or(0.0));
    if transport.zero_window_seconds >= budget.totals.seconds(DelayCause::Receiver) / 2.0 {
        return format!(
            "For {part} the downloader {downloader} did not read what had come: its receive window was closed for {}. The \
             reason is its own download limit, a slow disk, or a client that is stopped; blocks came at {came}.",
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
        "For {part} the downloader itself was the limit: {downloader} offered a receive window of {} at most{lets}; blocks \
         came at {came}. Give its sockets a larger receive buffer (Linux: net.ipv4.tcp_rmem; or the client's own setting).",
        size(window)
    )
}

fn unknown_text(connection: &ConnectionDiagnosis, from: Direction, part: &str) -> String {
    let budget = connection.from(from);
    let came = match (budget.facts.bytes, budget.facts.first_block, budget.facts.last_block) {
        (0, ..) => String::new(),
        (bytes, Some(first), Some(last)) if last.at > first.at => {
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
            "it did not answer in that time; the first answer of any tracker came at {:.1} s",
            since_start(run, answer.at)
        ),
    };
    format!(
        "For {part} the download waited for {tracker}: {answer}. Move a tracker that answers to the first tier, or find \
         peers without a tracker (DHT, PEX, local service discovery)."
    )
}

fn no_peer_text(run: &RunDiagnosis, part: &str) -> String {
    let dials = &run.dials;
    let failed = dials.refused + dials.unanswered;
    let known = match (run.trackers.first_answer, run.trackers.named) {
        (Some(_), 0) => " The trackers named no peer.".to_owned(),
        (Some(_), named) => format!(" The trackers named {} in all.", counted(named, "peer")),
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
            let keys = connection.ending.heard_last().filter(|heard| heard.message == "key-exchange");
            if let Some(heard) = keys.filter(|_| connection.handshaken.is_none()) {
                return format!(
                    " {peer} closed the last connection at {at:.1} s, {} after the downloader offered encryption (MSE): a \
                     handshake in plain text may be what it accepts.",
                    span(connection.ending.at.seconds_since(heard.mark.at).max(0.0))
                );
            }
            let when = if connection.handshaken.is_none() { ", before any handshake" } else { "" };
            return format!(" {peer} closed the last connection at {at:.1} s{when}.");
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
        format!(" The downloader itself closed the last connection, to {peer}, at {at:.1} s{told}.")
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
        "For {part} no dialled peer could be reached: {} ({}).{} A shorter time-out for connecting, or more dials at the same \
         time, gets past dead peers sooner.",
        failed_dials(dials),
        peers.join(", "),
        named_by_trackers(dials)
    )
}

/// `2 dials were refused, 1 was never answered`.
fn failed_dials(dials: &DialFacts) -> String {
    let were = |number: u64| if number == 1 { "was" } else { "were" };
    let (refused, unanswered) = (dials.refused, dials.unanswered);
    match (refused, unanswered) {
        (refused, 0) => format!("{} {} refused", counted(refused, "dial"), were(refused)),
        (0, unanswered) => format!("{} {} never answered", counted(unanswered, "dial"), were(unanswered)),
        (refused, unanswered) => format!(
            "{} {} never answered, {} {} refused",
            counted(unanswered, "dial"),
            were(unanswered),
            count(refused),
            were(refused)
        ),
    }
}

fn named_by_trackers(dials: &DialFacts) -> String {
    match dials.named {
        0 => String::new(),
        named => format!(" Trackers had named {} of these peers.", count(named)),
    }
}

/// How many peers are named in a sentence.
const NAMED: usize = 3;

/// One slow peer at the end.
pub(super) fn slow_end_text(run: &RunDiagnosis, end: &SlowEnd) -> Sentence {
    let Some((connection, from)) = run.transfer(end.stream) else { return plain(String::new()) };
    let sender = name(connection, from);
    let facts = &connection.from(from).facts;
    let left = fastest_gone(run, end);
    Sentence {
        cause: Some(DelayCause::FarPace),
        text: format!(
            "For the last {} of {} ({}) the download waited for one slow peer: {sender} was the only peer that still sent \
             blocks, at {}. Before, all peers together sent {}.{left} Other peers with the same pieces help.",
            span(end.seconds),
            span(run.duration()),
            counted_share(end.seconds, run.duration()),
            rate(end.rate),
            rate(end.rate_before)
        ),
        marks: facts.last_block.into_iter().collect(),
        streams: vec![end.stream],
    }
}

/// What became of the peer that gave most before the slow end.
fn fastest_gone(run: &RunDiagnosis, end: &SlowEnd) -> String {
    let others = run.transfers().filter(|(connection, _)| connection.stream != end.stream);
    let given = |(connection, from): &(&ConnectionDiagnosis, Direction)| connection.from(*from).facts.bytes;
    let Some((connection, from)) = others.max_by_key(given).filter(|other| given(other) > 0) else {
        return String::new();
    };
    let facts = &connection.from(from).facts;
    let peer = name(connection, from);
    let has = match facts.first_pieces {
        Some(u64::MAX) => "has every piece".to_owned(),
        Some(first) => {
            let told = first.saturating_add(facts.haves);
            match &run.torrent {
                Some(torrent) => {
                    let all = torrent.piece_count() as u64;
                    format!("had told of {} of {}", count(told.min(all)), counted(all, "piece"))
                }
                None => format!("had told of {}", counted(told, "piece")),
            }
        }
        None => "told nothing of its pieces".to_owned(),
    };
    let ending = &connection.ending;
    let at = since_start(run, ending.at);
    let went = match ending.by {
        Some(by) if ending.at < run.end => {
            let who = if by == from {
                "closed its connection"
            } else {
                "lost its connection: the downloader closed it"
            };
            format!(" and {who} at {at:.1} s")
        }
        _ if facts.interested.is_none() => " and the downloader was not interested in it".to_owned(),
        _ => " and stayed connected".to_owned(),
    };
    format!(" {peer}, which sent most, {has}{went}.")
}

/// What trackers and dials did, where that is not what the run waited for.
pub(super) fn trackers_text(run: &RunDiagnosis) -> Option<String> {
    let trackers = &run.trackers;
    let failed = run.dials.refused + run.dials.unanswered;
    if trackers.unanswered > 0 && trackers.unanswered * 2 >= trackers.announces {
        return Some(format!(
            "{} of {} to trackers had no answer.",
            count(trackers.unanswered),
            counted(trackers.announces, "announce")
        ));
    }
    if failed > 0 && failed >= run.dials.connected {
        return Some(format!("{}.{}", failed_dials(&run.dials), named_by_trackers(&run.dials)));
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
            "An estimate: twice as many outstanding requests give about twice the rate, up to a limit that this capture \
             cannot show."
                .to_owned()
        }
        DelayCause::AskedTooLittle => format!(
            "An estimate: with enough requests outstanding the download would take about {could} instead of {took}, if peer \
             and network keep the pace that they showed while requests were outstanding."
        ),
        DelayCause::Choked => format!(
            "An estimate: without the choke the download would take about {could} instead of {took}, if the peer sent at the \
             rate of the rest."
        ),
        DelayCause::NotAsked => format!(
            "An estimate: with requests as soon as they were possible the download would take about {could} instead of \
             {took}, if the downloader wanted these blocks and could store them."
        ),
        DelayCause::Tracker => {
            format!(
                "An estimate: with a tracker that answers immediately the download would take about {could} instead of {took}."
            )
        }
        DelayCause::Receiver => {
            "An estimate: twice the window gives about twice the rate, up to a limit that this capture cannot show."
                .to_owned()
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
        (more, again) => format!(" The same happened on {}.", counted(more.max(again), "other connection")),
    };
    let how = if ending.how == EndedHow::Reset { "RESET" } else { "FIN" };
    match (&ending.offence, ending.heard_last()) {
        (Some(offence), _) => format!(
            "{peer} closed the connection ({how}) {} after a message of {downloader} that breaks a rule: message {}, {}: \
             {}.{again} bittrace explain {} says what is right.",
            after(offence.said.mark),
            offence.said.mark.number,
            said(&offence.said),
            offence.text,
            offence.rule
        ),
        (None, Some(heard)) => format!(
            "{peer} closed the connection ({how}) {} after a message of {downloader} and did not answer it: {} (message \
             {}).{again} Look at that request: with --torrent FILE it is known whether it lies within its piece.",
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
        let after = span(ending.at.seconds_since(offence.said.mark.at).max(0.0));
        return format!(
            "closed by {closer} with {how}, {after} after a {} from the other end that breaks {}",
            offence.said.message, offence.rule
        );
    }
    match ending.heard_last() {
        Some(heard) => {
            let after = span(ending.at.seconds_since(heard.mark.at).max(0.0));
            format!("closed by {closer} with {how}, {after} after the other end sent {}", said(&heard))
        }
        None => format!("closed by {closer} with {how}; the other end had sent nothing"),
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
