//! The first sentence of a page: who, how much, of what, from whom, how long, and whether it is verified.

use std::fmt::Write;

use bittrace_trace::units::{count, counted, rough_size, span};

use super::markup::shown;
use crate::course::Course;

/// The sentences as HTML, with the important parts bold. `read` is how many messages were read, those included that were
/// not chosen.
pub(super) fn sentences(course: &Course, read: u64) -> String {
    let totals = &course.totals;
    if totals.messages == 0 && read > 0 {
        return format!("<b>No message matches</b> ({read} read).");
    }
    if totals.messages == 0 {
        let packets = counted(course.capture.packets, "packet");
        return format!("<b>No BitTorrent traffic</b> in {}.", shown(&packets));
    }
    let lasted = span((course.span[1] - course.span[0]) as f64 / 1e6);
    let mut text = match &course.local {
        Some(local) => {
            let who = match &local.client {
                Some(client) => format!("{client} at {}", local.address),
                None => local.address.clone(),
            };
            format!("<b>{}</b> {} in {lasted}.", shown(&who), course_of_host(course))
        }
        None => between_hosts(course, &lasted),
    };
    for sentence in verdicts(course).into_iter().chain(encrypted(course)) {
        let _ = write!(text, " {sentence}");
    }
    text
}

/// What the local host did.
fn course_of_host(course: &Course) -> String {
    let totals = &course.totals;
    let (received, sent) = (bold_size(totals.received), bold_size(totals.sent));
    let of = of_torrent(course);
    match (totals.received, totals.sent) {
        (0, 0) => {
            let blocks = if totals.peers > 0 { ", and no blocks," } else { "" };
            let messages = counted(totals.messages, "message");
            format!("exchanged <b>{messages}</b>{blocks} {}", with_whom(course))
        }
        (_, 0) => format!("received {received}{of} {}", peers(course, "from", |end| end.received > 0)),
        (0, _) => format!("sent {sent}{of} {}", peers(course, "to", |end| end.sent > 0)),
        (..) => {
            let from = peers(course, "from", |end| end.received > 0);
            format!(
                "received {received}{of} {from} and sent {sent} {}",
                peers(course, "to", |end| end.sent > 0)
            )
        }
    }
}

/// What hosts did, where none is known to be the one that the capture is about.
fn between_hosts(course: &Course, lasted: &str) -> String {
    let totals = &course.totals;
    let hosts = course.hosts.len() as u64 + course.other_hosts.map_or(0, |others| others.hosts);
    let what = match totals.received + totals.sent {
        0 => format!("<b>{}</b>", counted(totals.messages, "message")),
        bytes => format!("{}{}", bold_size(bytes), of_torrent(course)),
    };
    format!("<b>{}</b> exchanged {what} in {lasted}.", counted(hosts, "host"))
}

fn bold_size(bytes: u64) -> String {
    format!("<b>{}</b>", rough_size(bytes))
}

fn of_torrent(course: &Course) -> String {
    let Some(pieces) = &course.pieces else { return String::new() };
    let others = if pieces.other_blocks > 0 { " and other torrents" } else { "" };
    match pieces.known {
        true => format!(" of {}{others}", shown(&pieces.name)),
        false if is_info_hash(&pieces.name) => format!(" of the torrent {}{others}", shown(&pieces.name)),
        false => format!(" of an unknown torrent{others}"),
    }
}

/// Whether the name of a torrent that is not known is its info hash.
fn is_info_hash(name: &str) -> bool {
    name.len() >= 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// How many far ends of a kind there are, where all are listed.
fn peers(course: &Course, word: &str, is_one: impl Fn(&crate::course::FarEnd) -> bool) -> String {
    let listed = course.ends.iter().filter(|end| is_one(end)).count() as u64;
    let or_more = if course.other_ends > 0 { " or more" } else { "" };
    match (listed, or_more) {
        (0, _) => String::new(),
        (1, "") => format!("{word} 1 peer"),
        _ => format!("{word} {}{or_more} peers", count(listed)),
    }
}

fn with_whom(course: &Course) -> String {
    let trackers = course.askers.iter().filter(|asker| asker.kind == "tracker").count() as u64;
    let mut parts = Vec::new();
    if course.totals.peers > 0 {
        parts.push(counted(course.totals.peers, "peer"));
    }
    if trackers > 0 {
        parts.push(counted(trackers, "tracker"));
    }
    if course.askers.iter().any(|asker| asker.kind == "dht") {
        parts.push("the DHT".to_owned());
    }
    if course.askers.iter().any(|asker| asker.kind == "lsd") {
        parts.push("the local network".to_owned());
    }
    match parts.pop() {
        None => String::new(),
        Some(last) if parts.is_empty() => format!("with {last}"),
        Some(last) => format!("with {} and {last}", parts.join(", ")),
    }
}

/// Whether the pieces were right.
fn verdicts(course: &Course) -> Vec<String> {
    let mut sentences = Vec::new();
    let (totals, Some(pieces)) = (&course.totals, &course.pieces) else { return sentences };
    let (verified, all) = (totals.verified, totals.pieces);
    let has_blocks = totals.received + totals.sent > 0;
    sentences.extend(match (pieces.known, verified) {
        (false, _) if has_blocks => Some(
            "The torrent is not known, so no piece was checked (<code>--torrent FILE</code>).".to_owned(),
        ),
        (false, _) => None,
        (true, 0) if totals.cut_blocks > 0 && pieces.checked.wrong == 0 => {
            Some("No piece could be checked: the capture has blocks only in part.".to_owned())
        }
        (true, 0) if has_blocks => Some(format!("<b>None of {} is verified.</b>", counted(all, "piece"))),
        (true, 0) => None,
        (true, _) if verified == all && all == 1 => Some("<b>Its only piece is verified.</b>".to_owned()),
        (true, _) if verified == all && all == 2 => Some("<b>Both pieces are verified.</b>".to_owned()),
        (true, _) if verified == all => Some(format!("<b>All {} are verified.</b>", counted(all, "piece"))),
        (true, _) => Some(format!("<b>{} of {} are verified.</b>", count(verified), counted(all, "piece"))),
    });
    match pieces.checked.wrong {
        0 => {}
        1 => sentences.push("Once a whole piece had the wrong hash.".to_owned()),
        times => sentences.push(format!("{} times a whole piece had the wrong hash.", count(times))),
    }
    sentences
}

/// How many of the connections that have a lane cannot be read.
fn encrypted(course: &Course) -> Option<String> {
    match course.lanes.iter().filter(|lane| lane.encrypted).count() as u64 {
        0 => None,
        1 => Some("1 connection is encrypted and cannot be read.".to_owned()),
        several => Some(format!("{} connections are encrypted and cannot be read.", count(several))),
    }
}
