//! Messages that only one capture has, and messages in another order: one line for each kind of message and conversation.

use std::io::{self, Write};

use bittrace_protocol::wire::Message;
use bittrace_replay::{ComparedConversation, MessagePair, PairVerdict};
use bittrace_trace::units::count;
use bittrace_trace::{Body, PeerWireBody};

use super::phrases::{heading, messages, ranges};
use super::{DiffDetail, DiffView, NamedMessage};
use crate::print::output::{Look, styles};
use crate::print::page::Page;
use crate::print::table::wrap;

/// Writes the choices of all conversations that count.
pub(super) fn write(
    view: &DiffView<'_>,
    detail: DiffDetail,
    look: Look,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = Page::new(look, out);
    let mut begun = false;
    for (at, compared) in view.report.conversations.iter().enumerate() {
        let lines = lines(view, detail, compared);
        if lines.is_empty() {
            continue;
        }
        if !std::mem::replace(&mut begun, true) {
            page.heading("Different order or presence")?;
        }
        let (one, other) = view.conversations(compared);
        page.painted(&heading(at + 1, one, other), 2, styles::HEADING)?;
        for (indent, line) in lines {
            for (number, line) in wrap(&line, look.width - indent - 2).into_iter().enumerate() {
                writeln!(page, "{}{line}", " ".repeat(indent + if number > 0 { 2 } else { 0 }))?;
            }
        }
    }
    Ok(())
}

/// A line and how far it is indented.
type IndentedLine = (usize, String);

fn lines(view: &DiffView<'_>, detail: DiffDetail, compared: &ComparedConversation) -> Vec<IndentedLine> {
    let counted = |pair: &&MessagePair| view.counts(pair);
    let mut names: Vec<&'static str> = Vec::new();
    for pair in compared.pairs.iter().filter(counted) {
        let chosen = pair.lost
            || matches!(pair.verdict, PairVerdict::Moved | PairVerdict::Missing | PairVerdict::Extra);
        if let (true, Some(said)) = (chosen, view.named(compared, pair))
            && !names.contains(&said.stored.message())
        {
            names.push(said.stored.message());
        }
    }
    let mut lines = Vec::new();
    for name in names {
        let group: Vec<&MessagePair> = compared
            .pairs
            .iter()
            .filter(counted)
            .filter(|pair| view.named(compared, pair).is_some_and(|said| said.stored.message() == name))
            .collect();
        for (verdict, words) in
            [(PairVerdict::Missing, "only in the reference"), (PairVerdict::Extra, "only in the candidate")]
        {
            for lost in [false, true] {
                let said: Vec<NamedMessage<'_>> = group
                    .iter()
                    .filter(|pair| pair.verdict == verdict && pair.lost == lost)
                    .filter_map(|pair| view.named(compared, pair))
                    .collect();
                let remnants = said.iter().all(|said| said.stored.is_remnant());
                let words = match (lost, verdict) {
                    (false, _) => words,
                    (true, PairVerdict::Extra) if remnants => {
                        "in the candidate's capture, which lost packets"
                    }
                    (true, _) if remnants => "in the reference's capture, which lost packets",
                    (true, PairVerdict::Extra) => "lost by the reference's capture",
                    (true, _) => "lost by the candidate's capture",
                };
                if !said.is_empty() {
                    lines.push((4, run(name, words, &said)));
                    if detail.all {
                        lines.extend(said.iter().map(|said| (6, one(said, &group))));
                    }
                }
            }
        }
        lines.extend(moved(view, compared, name, &group));
    }
    lines
}

/// Messages of one name that stand on one side only.
fn run(name: &str, words: &str, said: &[NamedMessage<'_>]) -> String {
    let numbers: Vec<u64> = said.iter().map(|said| said.stored.number).collect();
    let pieces: Vec<u32> = said.iter().filter_map(|said| piece(said)).collect();
    let pieces = match pieces.len() == said.len() {
        true => format!(", {}", row("piece", &pieces)),
        false => String::new(),
    };
    format!("{} × {name}, {words}: {}{pieces}", count(said.len() as u64), messages(&numbers))
}

fn one(said: &NamedMessage<'_>, group: &[&MessagePair]) -> String {
    let side = group.first().map_or(bittrace_trace::Side::Local, |pair| pair.side);
    format!("{}: {}", said.stored.number, said.conversation.describe(side, said.stored))
}

/// Messages of one name that stand elsewhere.
fn moved(
    view: &DiffView<'_>,
    compared: &ComparedConversation,
    name: &str,
    group: &[&MessagePair],
) -> Vec<IndentedLine> {
    let moved = group.iter().filter(|pair| pair.verdict == PairVerdict::Moved).count() as u64;
    if moved == 0 {
        return Vec::new();
    }
    // All of the name, in the order of either side.
    let mut both: Vec<(NamedMessage<'_>, NamedMessage<'_>)> = group
        .iter()
        .filter_map(|pair| match view.said(compared, pair) {
            (Some(one), Some(other)) => Some((one, other)),
            _ => None,
        })
        .collect();
    let numbers = |both: &[(NamedMessage<'_>, NamedMessage<'_>)]| -> (Vec<u64>, Vec<u64>) {
        both.iter().map(|(one, other)| (one.stored.number, other.stored.number)).unzip()
    };
    let (our_numbers, their_numbers) = numbers(&both);
    let ours: Vec<Option<u32>> = both.iter().map(|(one, _)| piece(one)).collect();
    let in_order = their_numbers.is_sorted();
    both.sort_by_key(|(_, other)| other.stored.number);
    let theirs: Vec<Option<u32>> = both.iter().map(|(_, other)| piece(other)).collect();
    let all = count(both.len() as u64);
    let pieces = |pieces: &[Option<u32>]| -> Vec<u32> { pieces.iter().copied().flatten().collect() };
    if !in_order && ours.iter().all(Option::is_some) {
        return vec![
            (4, format!("{} of {all} {name} messages in another order", count(moved))),
            (6, format!("reference  {}", row("piece", &pieces(&ours)))),
            (6, format!("candidate  {}", row("piece", &pieces(&theirs)))),
        ];
    }
    let (ours, theirs): (Vec<u64>, Vec<u64>) = our_numbers
        .iter()
        .zip(&their_numbers)
        .zip(group.iter().filter(|pair| pair.reference.is_some() && pair.candidate.is_some()))
        .filter(|(_, pair)| pair.verdict == PairVerdict::Moved)
        .map(|((one, other), _)| (*one, *other))
        .unzip();
    let text = format!(
        "{} of {all} {name} messages at another place in the order: {} of the reference, {} of the candidate",
        count(moved),
        messages(&ours),
        messages(&theirs)
    );
    vec![(4, text)]
}

fn piece(said: &NamedMessage<'_>) -> Option<u32> {
    match said.stored.body() {
        Body::PeerWire(PeerWireBody::Message(
            Message::Request(block) | Message::Cancel(block) | Message::RejectRequest(block),
        )) => Some(block.index.0),
        Body::PeerWire(PeerWireBody::Message(
            Message::Piece { index, .. }
            | Message::Have(index)
            | Message::AllowedFast(index)
            | Message::SuggestPiece(index),
        )) => Some(index.0),
        _ => None,
    }
}

/// `piece 3`, `pieces 7 0 3 to 5`: neighbours of one piece once, rows of pieces by their ends.
fn row(noun: &str, pieces: &[u32]) -> String {
    let mut pieces = pieces.to_vec();
    pieces.dedup();
    let numbers: Vec<u64> = pieces.iter().map(|piece| u64::from(*piece)).collect();
    let noun = if numbers.len() == 1 { noun.to_owned() } else { format!("{noun}s") };
    format!("{noun} {}", ranges(&numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_in_a_row_are_told_by_their_ends() {
        assert_eq!(row("piece", &[7, 7, 0, 0, 3]), "pieces 7, 0, 3");
    }
}
