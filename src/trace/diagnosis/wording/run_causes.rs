//! What held a whole run back, beyond one connection: trackers, dials, a slow end, and what it could gain.

use super::{counted_share, name, rate};
use crate::diagnosis::ConnectionDiagnosis;
use crate::diagnosis::cause::DelayCause;
use crate::diagnosis::run::{RunDiagnosis, SlowEnd};
use crate::diagnosis::run_facts::DialFacts;
use crate::diagnosis::sentences::{Sentence, plain, since_start};
use crate::record::units::{count, counted, span};
use crate::{Direction, StreamClosing};

pub(super) fn tracker_text(run: &RunDiagnosis, part: &str) -> String {
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

pub(super) fn no_peer_text(run: &RunDiagnosis, part: &str) -> String {
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
                    " {peer} closed the last open connection at {at:.1} s, {} after the downloader offered encryption (MSE): a \
                     handshake in plain text may be what it accepts.",
                    span(connection.ending.at.seconds_since(heard.mark.at).max(0.0))
                );
            }
            let when = if connection.handshaken.is_none() { ", before any handshake" } else { "" };
            return format!(" {peer} closed the last open connection at {at:.1} s{when}.");
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
        format!(" The downloader itself closed the last open connection, to {peer}, at {at:.1} s{told}.")
    });
    let failed = match failed {
        0 => String::new(),
        failed => format!(" {} failed.", counted(failed, "dial")),
    };
    format!("For {part} no connection to a peer was open.{closed}{known}{failed}")
}

pub(super) fn dials_text(run: &RunDiagnosis, part: &str) -> String {
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
        "For {part} no dialled peer could be reached: {} ({}).{} {}",
        failed_dials(dials),
        peers.join(", "),
        named_by_trackers(dials),
        dials_advice(run)
    )
}

fn dials_advice(run: &RunDiagnosis) -> String {
    let first = run.first_byte.and_then(|first| run.transfer(first.stream));
    match first.filter(|(connection, _)| connection.local == Some(Direction::FromResponder)) {
        Some((connection, from)) => format!(
            "The blocks came only when {} connected to the downloader itself. Other sources of peers help (DHT, PEX, local \
             service discovery).",
            name(connection, from)
        ),
        None => {
            "A shorter time-out for connecting, or more dials at the same time, gets past dead peers sooner."
                .to_owned()
        }
    }
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
pub(in crate::diagnosis) fn slow_end_text(run: &RunDiagnosis, end: &SlowEnd) -> Sentence {
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
    let told = facts.first_pieces.map(|first| first.saturating_add(facts.haves));
    let all = run.torrent.as_ref().map(|torrent| torrent.piece_count() as u64);
    let has = match (told, all) {
        (Some(told), Some(all)) if told < all => {
            let pieces = counted(all, "piece");
            return format!(" {peer}, which sent most, had only told of {} of {pieces}.", count(told));
        }
        (Some(u64::MAX), _) | (Some(_), Some(_)) => "has every piece".to_owned(),
        (Some(told), None) => format!("had told of {}", counted(told, "piece")),
        (None, _) => "told nothing of its pieces".to_owned(),
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
pub(in crate::diagnosis) fn trackers_text(run: &RunDiagnosis) -> Option<String> {
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
pub(in crate::diagnosis) fn faster_text(run: &RunDiagnosis, cause: DelayCause) -> Option<String> {
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
