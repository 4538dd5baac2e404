//! Messages whose content differs, one by one: their fields, the value in each capture, and the bytes if wanted.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};

use bittrace_protocol::Hex;
use bittrace_replay::{
    ComparedConversation, ComparedSide, Difference, FieldSide, FieldTexts, MaskRule, MessagePair,
    PairVerdict, ReportKind,
};
use bittrace_trace::Side;
use bittrace_trace::units::count;

use super::phrases::{heading, messages};
use super::{DiffDetail, DiffView, NamedMessage};
use crate::print::output::{Look, styles};
use crate::print::printable::printable;
use crate::print::table::{Column, columns, pad, render, wrap};

/// Writes the differences of one kind in all messages that differ and are judged, conversation by conversation.
pub(super) fn write(
    view: &DiffView<'_>,
    detail: DiffDetail,
    kind: ReportKind,
    look: Look,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (shown, hasher) = (HashMap::new(), RandomState::new());
    let mut details = Details { view, detail, kind, look, shown, hasher, out };
    let mut begun = false;
    for (at, compared) in view.report.conversations.iter().enumerate() {
        if !compared.pairs.iter().any(|pair| details.is_shown(pair)) {
            continue;
        }
        writeln!(details.out)?;
        if !std::mem::replace(&mut begun, true) {
            let heading = if kind == ReportKind::Identity { "Identity" } else { "Different content" };
            details.line(0, styles::HEADING, heading)?;
        }
        details.conversation(at, compared)?;
    }
    Ok(())
}

struct Details<'a> {
    view: &'a DiffView<'a>,
    detail: DiffDetail,
    /// Which differences are shown.
    kind: ReportKind,
    look: Look,
    /// What was shown of messages of a name, and of which first. Only the hash of a row is stored: there may be
    /// millions.
    shown: HashMap<u64, u64>,
    hasher: RandomState,
    out: &'a mut dyn Write,
}

impl<'a> Details<'a> {
    /// Whether a pair of messages is judged and has a difference of the kind.
    fn is_shown(&self, pair: &MessagePair) -> bool {
        let of_kind = |difference: &Difference| difference.fails && difference.kind == self.kind;
        pair.verdict == PairVerdict::Differs && self.view.counts(pair) && pair.differences.iter().any(of_kind)
    }

    fn conversation(&mut self, at: usize, compared: &'a ComparedConversation) -> io::Result<()> {
        let (Some(one), Some(other)) = self.view.conversations(compared) else { return Ok(()) };
        let heading = heading(at + 1, Some(one), Some(other));
        self.line(2, styles::HEADING, &heading)?;
        let mut more: Vec<(&'static str, Vec<u64>)> = Vec::new();
        for (at, pair) in compared.pairs.iter().enumerate() {
            if !self.is_shown(pair) {
                continue;
            }
            let (Some(one), Some(other)) = self.view.said(compared, pair) else { continue };
            let name = one.stored.message();
            let texts = [one, other].map(|said| FieldTexts::of(said.stored));
            let (known, news): (Vec<ShownDifference<'_>>, Vec<ShownDifference<'_>>) = pair
                .differences
                .iter()
                .filter(|difference| difference.kind == self.kind && difference.rule != MaskRule::Follows)
                .map(|difference| ShownDifference::of(difference, &texts, name, &self.hasher))
                .partition(|shown| !self.detail.all && self.shown.contains_key(&shown.hash));
            if news.is_empty() {
                match more.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, numbers)) => numbers.push(one.stored.number),
                    None => more.push((name, vec![one.stored.number])),
                }
                continue;
            }
            let context = self.detail.context;
            self.neighbours(compared, &compared.pairs[at.saturating_sub(context)..at])?;
            self.pair(pair, one, other, &news)?;
            self.known(&known)?;
            for shown in news {
                self.shown.entry(shown.hash).or_insert(one.stored.number);
            }
            let end = (at + 1 + context).min(compared.pairs.len());
            self.neighbours(compared, &compared.pairs[at + 1..end])?;
        }
        for (name, numbers) in more {
            let text = format!(
                "{name}: {} {} in the same fields and values as above; -v shows them",
                messages(&numbers),
                if numbers.len() == 1 { "differs" } else { "differ" }
            );
            self.line(4, styles::DIM, &text)?;
        }
        Ok(())
    }

    fn pair(
        &mut self,
        pair: &MessagePair,
        one: NamedMessage<'_>,
        other: NamedMessage<'_>,
        news: &[ShownDifference<'_>],
    ) -> io::Result<()> {
        writeln!(self.out)?;
        let (message, their) = (one.stored.message(), other.stored.message());
        let name = if message == their { message.to_owned() } else { format!("{message} became {their}") };
        let text = format!("{name}: reference {}, candidate {}", whereabouts(one), whereabouts(other));
        self.line(4, styles::SENT, &text)?;
        if pair.moved && self.kind == ReportKind::Phrasing {
            self.line(4, styles::PLAIN, "the message is also at another place in the order")?;
        }
        let rows: Vec<Vec<String>> = news.iter().map(|shown| shown.row.clone()).collect();
        let longest = rows.iter().map(|row| columns(&row[0])).max().unwrap_or(0);
        let table = [
            Column::text("field", longest.min(FIELD)),
            Column::text("reference", 16),
            Column::text("candidate", 16),
            Column::text("remark", 12),
        ];
        let look = Look { width: self.look.width - 2, ..self.look };
        for line in render(&table, &rows, look).lines() {
            writeln!(self.out, "  {line}")?;
        }
        if self.detail.hex {
            for shown in news {
                self.bytes(shown.difference, one, other)?;
            }
        }
        Ok(())
    }

    /// What was shown before of another message, and not again.
    fn known(&mut self, known: &[ShownDifference<'_>]) -> io::Result<()> {
        let first = known.iter().filter_map(|shown| self.shown.get(&shown.hash)).min();
        let Some(first) = first else { return Ok(()) };
        let text = format!("and, as in message {first}: {}", names(known).join(", "));
        self.line(4, styles::DIM, &text)
    }

    /// Messages around one that differs.
    fn neighbours(&mut self, compared: &ComparedConversation, pairs: &[MessagePair]) -> io::Result<()> {
        for pair in pairs {
            let (one, other) = self.view.said(compared, pair);
            let Some(said) = one.or(other) else { continue };
            let number = |said: Option<NamedMessage<'_>>| {
                said.map_or("-".to_owned(), |said| said.stored.number.to_string())
            };
            let arrow = if pair.side == Side::Local { "→" } else { "←" };
            let text = format!(
                "{:>5} {:>5}  {:8} {arrow} {}",
                number(one),
                number(other),
                pair.verdict.name(),
                said.conversation.describe(pair.side, said.stored)
            );
            let cut = as_far_as_it_fits(&text, self.look.width - 4);
            writeln!(self.out, "    {}", self.look.paint(styles::DIM, &cut))?;
        }
        Ok(())
    }

    /// The bytes of a field in both messages, those that differ under carets.
    fn bytes(
        &mut self,
        difference: &Difference,
        one: NamedMessage<'_>,
        other: NamedMessage<'_>,
    ) -> io::Result<()> {
        let (start, ours) = slice(difference.reference.as_ref(), one);
        let (their_start, theirs) = slice(difference.candidate.as_ref(), other);
        if ours.is_empty() && theirs.is_empty() {
            return Ok(());
        }
        self.line(6, styles::DIM, &format!("{}:", difference.name))?;
        let rows = ours.len().max(theirs.len()).div_ceil(ROW);
        let mut left_out = 0;
        let mut shown = 0;
        for at in (0..rows).map(|row| row * ROW) {
            let row = |bytes: &'_ [u8]| -> Vec<u8> { bytes.iter().skip(at).take(ROW).copied().collect() };
            let (our, their) = (row(ours), row(theirs));
            if our == their || shown == ROWS {
                left_out += usize::from(our != their);
                continue;
            }
            shown += 1;
            let marks: String = (0..our.len().max(their.len()))
                .map(|at| if our.get(at) == their.get(at) { "   " } else { "^^ " })
                .collect();
            for (side, start, bytes) in [("reference", start, &our), ("candidate", their_start, &their)] {
                if !bytes.is_empty() {
                    let line = format!(
                        "{side}  {:04x}  {}  {}",
                        start + at,
                        pad(&spaced(bytes), 3 * ROW - 1),
                        ascii(bytes)
                    );
                    self.line(8, styles::PLAIN, &line)?;
                }
            }
            writeln!(self.out, "{}{}", " ".repeat(8 + 17), self.look.paint(styles::ERROR, marks.trim_end()))?;
        }
        if left_out > 0 {
            self.line(8, styles::DIM, &format!("… {} more rows differ", count(left_out as u64)))?;
        }
        Ok(())
    }

    fn line(&mut self, indent: usize, style: anstyle::Style, text: &str) -> io::Result<()> {
        let room = self.look.width - indent;
        let text = printable(text);
        let lines = if columns(&text) <= room { vec![text.into_owned()] } else { wrap(&text, room) };
        for line in lines {
            writeln!(self.out, "{}{}", " ".repeat(indent), self.look.paint(style, &line))?;
        }
        Ok(())
    }
}

/// As much of a line as there is room for.
fn as_far_as_it_fits(text: &str, room: usize) -> String {
    if columns(text) <= room {
        return text.to_owned();
    }
    let mut cut = String::new();
    for letter in text.chars() {
        if columns(&cut) + 2 > room {
            break;
        }
        cut.push(letter);
    }
    format!("{cut}…")
}

/// The longest name of a field that is not broken.
const FIELD: usize = 24;

/// The bytes on a row, and the rows of a field.
const ROW: usize = 8;
const ROWS: usize = 8;

fn slice<'s>(part: Option<&FieldSide>, said: NamedMessage<'s>) -> (usize, &'s [u8]) {
    let Some(part) = part else { return (0, &[]) };
    let span = part.span();
    (span.start, said.stored.bytes.get(span).unwrap_or_default())
}

fn spaced(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| Hex(&[*byte]).to_string()).collect::<Vec<_>>().join(" ")
}

fn ascii(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '.' }).collect()
}

/// A message's number, and the packets that carried it.
fn whereabouts(said: NamedMessage<'_>) -> String {
    let frames = said.stored.frames.as_slice();
    let packets = match frames {
        [] => String::new(),
        [one] => format!(" (packet {one})"),
        [first, .., last] => format!(" (packets {first} to {last})"),
    };
    format!("message {}{packets}", said.stored.number)
}

/// The names of some fields, each once.
fn names<'d>(shown: &[ShownDifference<'d>]) -> Vec<&'d str> {
    let mut names: Vec<&str> = Vec::new();
    for ShownDifference { difference, .. } in shown {
        if !names.contains(&&*difference.name) {
            names.push(&difference.name);
        }
    }
    names
}

/// A difference as a row of a table.
struct ShownDifference<'d> {
    difference: &'d Difference,
    row: Vec<String>,
    /// The hash of the message's name and the row.
    hash: u64,
}

impl<'d> ShownDifference<'d> {
    /// `texts` are those of the reference's message and of the candidate's, `name` is the message's.
    fn of(difference: &'d Difference, texts: &[FieldTexts; 2], name: &str, hasher: &RandomState) -> Self {
        let text = |side, texts: &FieldTexts| match difference.shown(side, texts) {
            None => "(absent)".to_owned(),
            Some(text) if difference.is_place() => text,
            Some(text) => shortened(&text, LETTERS),
        };
        let [reference, candidate] = texts;
        let row = vec![
            difference.name.to_string(),
            text(ComparedSide::Reference, reference),
            text(ComparedSide::Candidate, candidate),
            difference.remark().into_owned(),
        ];
        let hash = hasher.hash_one((name, &row));
        Self { difference, row, hash }
    }
}

/// The beginning and end of a text that has more than so many letters.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= most {
        return text.to_owned();
    }
    let half = most / 2;
    let (start, end) = (&letters[..half], &letters[letters.len() - half..]);
    format!("{}…{}", start.iter().collect::<String>(), end.iter().collect::<String>())
}

/// How many letters of a value are shown.
const LETTERS: usize = 80;
