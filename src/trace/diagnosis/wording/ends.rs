//! How connections ended, and what a capture cannot show of them, in sentences.

use super::name;
use crate::Direction;
use crate::diagnosis::ending::EndedHow;
use crate::diagnosis::observed::{Mark, SaidMessage};
use crate::diagnosis::{CaptureEvidence, ConnectionDiagnosis};
use crate::record::units::{counted, rough_size, size, span};

/// A connection that the sender of the blocks closed, and `more` like it.
pub(in crate::diagnosis) fn hang_up_text(
    connection: &ConnectionDiagnosis,
    from: Direction,
    more: u64,
) -> String {
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
