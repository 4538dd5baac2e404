//! What held the blocks of one connection back, in sentences.

use std::collections::BTreeSet;

use super::{counted_share, evidence_text, link_rate, name, rate};
use crate::Direction;
use crate::diagnosis::ConnectionDiagnosis;
use crate::diagnosis::budget::DirectionBudget;
use crate::diagnosis::cause::DelayCause;
use crate::diagnosis::observed::{DirectionFacts, Mark};
use crate::diagnosis::pace::Pace;
use crate::diagnosis::run::RunDiagnosis;
use crate::diagnosis::sentences::since_start;
use crate::measurement::{DirectionMeasurement, TransportState};
use crate::record::units::{count, counted, rough_size, size, span};
use crate::statistics::SHORTEST_RATED;

pub(super) fn choked_text(connection: &ConnectionDiagnosis, from: Direction, part: &str) -> String {
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
        Some(u64::MAX) => {
            "The peer is a seed, which takes no uploads: more peers help, and more upload slots at this peer."
        }
        _ => {
            "More peers help, uploading to the peer helps where it is a leecher, and so do more upload slots at the peer."
        }
    };
    format!(
        "For {part} the downloader was interested and choked by {sender}{then}.{lost} A downloader cannot end a choke. {advice}"
    )
}

/// `once`, `5 times`.
fn times(number: u64) -> String {
    match number {
        1 => "once".to_owned(),
        more => format!("{} times", count(more)),
    }
}

pub(super) fn nothing_wanted_text(sender: &str, budget: &DirectionBudget, part: &str) -> String {
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
pub(super) fn asked_late(run: &RunDiagnosis, facts: &DirectionFacts) -> bool {
    let before = |first: Mark| run.place(DelayCause::NotAsked).is_some_and(|place| first.at >= place.to);
    facts.requested.is_none_or(before)
}

pub(super) fn not_asked_text(
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
            "It had requested nothing before, from any peer: it was paused, or a timer of its own held it back."
        }
        true => {
            "It had requested nothing from this peer before: it was paused, a timer of its own held it back, or it \
             requested every block that it wants from other peers."
        }
        false if is_alone => "Look at the downloader: paused, its own download limit, or a slow disk.",
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

pub(super) fn asked_too_little_text(sender: &str, budget: &DirectionBudget, part: &str) -> String {
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

pub(super) fn far_pace_text(
    run: &RunDiagnosis,
    sender: &str,
    budget: &DirectionBudget,
    part: &str,
) -> String {
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
    let average = |after: &str| {
        let known = budget.rate_during(DelayCause::FarPace);
        known.map_or(String::new(), |known| format!("{}{after} ", rate(known)))
    };
    match (budget.pace, budget.steady) {
        (Pace::NotMeasured, _) => format!(
            "For {part} blocks came as fast as {sender} or the network allowed{others}: {}with {depth} outstanding. The \
             capture does not tell which of the two it was.",
            average("")
        ),
        (_, Some(steady)) => format!(
            "For {part} {sender} sent at a steady {}{others}, with {depth} outstanding and the network idle between bursts: \
             this looks like its upload limit. {advice}",
            rate(steady.rate)
        ),
        (_, None) => format!(
            "For {part} {sender} set the pace{others}: {}with {depth} outstanding and the network idle between \
             bursts. The reason is at the peer: its upload limit, its disk or its load. {advice}",
            average(" on average,")
        ),
    }
}

/// With as few requests outstanding as these it is not certain that the peer would not send more.
const FEW_REQUESTS: u32 = 3;

pub(super) fn network_text(
    connection: &ConnectionDiagnosis,
    from: Direction,
    sender: &str,
    part: &str,
) -> String {
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
        format!(" {} of {} ({share}) were retransmitted.", count(again), counted(all, "segment"))
    });
    let delayed = transport.map_or(0.0, |transport| transport.seconds_in(TransportState::DelayTarget));
    let all: f64 = transport.map_or(0.0, |transport| transport.seconds.iter().sum());
    if delayed > all / 4.0 {
        let queue = transport.and_then(|transport| transport.queueing).map_or(0.1, |queue| queue.median);
        return format!(
            "For {part} the network was the limit: packets from {sender} waited {} in a queue of the path (median), and uTP \
             gives way at 100 ms (BEP 29).{} No setting of a client makes a link faster.",
            span(queue),
            rated(&|known| {
                format!(" The link was full at about {}; blocks came at {}.", link_rate(known), rate(known))
            })
        );
    }
    let trip = budget.round_trip.filter(|trip| trip.is_measured && trip.seconds >= 0.001);
    let trip = trip.map_or(String::new(), |trip| format!(" on a round trip of {}", span(trip.seconds)));
    match budget.pace {
        Pace::Losses { .. } => format!(
            "For {part} the network was the limit: it lost segments between {sender} and the downloader, and TCP slows down \
             for each.{lost}{} A path without losses helps (a cable in place of Wi-Fi), and so do more peers.",
            rated(&|known| format!(" Blocks came at {}{trip}.", rate(known)))
        ),
        Pace::Queue { seconds } => format!(
            "For {part} the network was the limit: a full link{} between {sender} and the downloader, with packets waiting \
             {} in the queue of the link.{lost} No setting of a client makes a link faster.",
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

pub(super) fn receiver_text(connection: &ConnectionDiagnosis, from: Direction, part: &str) -> String {
    let downloader = name(connection, from.reverse());
    let budget = connection.from(from);
    let Some(transport) = transport(connection, from) else {
        return format!("For {part} the receive window of {downloader} held the sender back.");
    };
    let came = budget.rate_during(DelayCause::Receiver);
    let came = came.map_or(String::new(), |came| format!("; blocks came at {}", rate(came)));
    if transport.zero_window_seconds >= budget.totals.seconds(DelayCause::Receiver) / 2.0 {
        return format!(
            "For {part} the downloader {downloader} did not read what had come: its receive window was closed for {}. The \
             reason is its own download limit, a slow disk, or a client that is stopped{came}.",
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
        "For {part} the downloader itself was the limit: {downloader} offered a receive window of {} at most{lets}{came}. \
         Give its sockets a larger receive buffer (Linux: net.ipv4.tcp_rmem; or the client's own setting).",
        size(window)
    )
}

pub(super) fn unknown_text(connection: &ConnectionDiagnosis, from: Direction, part: &str) -> String {
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

fn transport(connection: &ConnectionDiagnosis, from: Direction) -> Option<&DirectionMeasurement> {
    connection.measured.as_deref().map(|measured| measured.direction(from))
}
