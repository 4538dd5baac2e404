//! The human-readable report: what is compared, the differences with the worst first, what masks let pass, and totals.

use std::io::{self, Write};

use bittrace_protocol::InfoHash;
use bittrace_replay::{ComparedConversation, Judged, PairVerdict, ReportKind, Tally, Transcript};
use bittrace_trace::Side;
use bittrace_trace::units::{count, counted, percent};

use super::phrases::place;
use super::{DiffDetail, DiffView, choices, details, findings, intervals, lists};
use crate::print::output::{Look, styles};
use crate::print::page::Page;
use crate::print::printable::printable;
use crate::print::table::Column;

/// Writes the whole page.
pub(super) fn write(
    view: &DiffView<'_>,
    detail: DiffDetail,
    look: Look,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut sheet = DiffPage { view, page: Page::new(look, out) };
    sheet.captures()?;
    if view.reference.records + view.candidate.records == 0 {
        return sheet.page.paragraph(NOTHING, 0);
    }
    sheet.torrents()?;
    // The worst first.
    findings::write(view, &mut sheet.page)?;
    lists::refusals(view, detail, &mut sheet.page)?;
    details::write(view, detail, ReportKind::Phrasing, look, &mut sheet.page)?;
    choices::write(view, detail, look, &mut sheet.page)?;
    match detail.all {
        true => details::write(view, detail, ReportKind::Identity, look, &mut sheet.page)?,
        false => lists::identity(view, &mut sheet.page)?,
    }
    lists::remarks(view, detail, &mut sheet.page)?;
    sheet.conversations()?;
    sheet.context()?;
    sheet.masks()?;
    intervals::write(view, &mut sheet.page)?;
    sheet.totals()?;
    writeln!(sheet.page)?;
    sheet.page.painted(&conclusion(view), 0, conclusion_style(view))
}

/// Writes the answer alone, on one line.
pub(super) fn write_conclusion(view: &DiffView<'_>, look: Look, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", look.paint(conclusion_style(view), &conclusion(view)))
}

fn conclusion_style(view: &DiffView<'_>) -> anstyle::Style {
    if view.disagreements == 0 { styles::RECEIVED } else { styles::ERROR }
}

struct DiffPage<'a> {
    view: &'a DiffView<'a>,
    page: Page<'a>,
}

impl DiffPage<'_> {
    fn captures(&mut self) -> io::Result<()> {
        for (side, transcript) in [("reference", self.view.reference), ("candidate", self.view.candidate)] {
            let name = self.page.look.paint(styles::HEADING, &transcript.name);
            writeln!(self.page, "{side}  {name}")?;
            self.page.paragraph(&about(transcript), 11)?;
        }
        Ok(())
    }

    fn torrents(&mut self) -> io::Result<()> {
        for torrent in torrents(self.view) {
            writeln!(self.page, "torrent    {}", printable(&torrent))?;
        }
        match other_torrents(self.view) {
            Some(text) => self.page.painted(text, 0, styles::WARN),
            None => Ok(()),
        }
    }

    fn conversations(&mut self) -> io::Result<()> {
        let mut rows = Vec::new();
        let compared = self.view.report.conversations.iter().enumerate();
        for (at, compared) in compared.filter(|(_, compared)| !compared.pairs.is_empty()) {
            let (one, other) = self.view.conversations(compared);
            let role = one.or(other).map_or("", |conversation| conversation.role.name());
            rows.push(vec![
                (at + 1).to_string(),
                role.to_owned(),
                one.map_or("-".to_owned(), place),
                other.map_or("-".to_owned(), place),
                outcome(self.view, compared),
            ]);
        }
        self.page.heading("Conversations")?;
        let more = rows.len().saturating_sub(CONVERSATIONS);
        rows.truncate(CONVERSATIONS);
        let columns = [
            Column::numbers("#"),
            Column::text("with", 8),
            Column::text("reference", 20),
            Column::text("candidate", 20),
            Column::text("outcome", 10),
        ];
        self.page.table(&columns, &rows)?;
        if more > 0 {
            self.page.paragraph(&format!("… {} more", count(more as u64)), 2)?;
        }
        Ok(())
    }

    /// The side that does not count, in a sentence.
    fn context(&mut self) -> io::Result<()> {
        let (side, who) = match self.view.report.judged {
            Judged::Local => (Side::Remote, "the far ends"),
            Judged::Remote => (Side::Local, "the local hosts"),
            Judged::Both => return Ok(()),
        };
        let total = self.view.report.tallies(side).total();
        let parts: Vec<String> = PairVerdict::ALL
            .iter()
            .filter(|verdict| total.of(**verdict) > 0)
            .map(|verdict| format!("{} {}", count(total.of(*verdict)), verdict.name_of_many()))
            .collect();
        if parts.is_empty() {
            return Ok(());
        }
        self.page.heading("Context")?;
        self.page.paragraph(&format!("Messages of {who} are not judged: {}.", parts.join(", ")), 2)
    }

    fn masks(&mut self) -> io::Result<()> {
        if !self.view.masked {
            return Ok(());
        }
        let masks = &self.view.report.masks;
        let rows: Vec<Vec<String>> = masks
            .iter()
            .map(|used| {
                vec![
                    used.mask.place(),
                    used.mask.rule.name().to_owned(),
                    count(used.uses),
                    used.mask.reason.to_string(),
                ]
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        self.page.heading("Masks used")?;
        let columns = [
            Column::text("field", 16),
            Column::text("rule", 6),
            Column::numbers("uses"),
            Column::text("reason", 20),
        ];
        self.page.table(&columns, &rows)
    }

    fn totals(&mut self) -> io::Result<()> {
        for (side, heading) in [(Side::Local, "Local messages"), (Side::Remote, "Far messages")] {
            if !self.view.report.judged.counts(side) {
                continue;
            }
            let tallies = self.view.report.tallies(side);
            let mut rows: Vec<Vec<String>> =
                tallies.by_message().iter().map(|(name, tally)| row(name, tally)).collect();
            if rows.is_empty() {
                continue;
            }
            rows.push(row("all", &tallies.total()));
            self.page.heading(heading)?;
            let columns = [
                Column::text("message", 16),
                Column::numbers("all"),
                Column::numbers("same"),
                Column::numbers("masked"),
                Column::numbers("differ"),
                Column::text("choices", 12),
                Column::numbers("coverage"),
                Column::numbers("fidelity"),
            ];
            self.page.table(&columns, &rows)?;
        }
        Ok(())
    }
}

/// The torrents of the captures, a line each; in which capture they are, where the captures are not about the same.
pub(super) fn torrents(view: &DiffView<'_>) -> Vec<String> {
    let name = |hash: InfoHash| {
        let torrent = view.torrents.iter().find(|torrent| torrent.info_hash == hash);
        torrent.map_or(String::new(), |torrent| format!("  {}", torrent.name))
    };
    let (ours, theirs) = (view.reference.torrents(), view.candidate.torrents());
    let lines = |torrents: &[InfoHash], place: &str| -> Vec<String> {
        torrents.iter().take(TORRENTS).map(|hash| format!("{hash}{}{place}", name(*hash))).collect()
    };
    if ours == theirs {
        return lines(&ours, "");
    }
    [lines(&ours, ", in the reference"), lines(&theirs, ", in the candidate")].concat()
}

/// What to say where the captures have no torrent in common.
pub(super) fn other_torrents(view: &DiffView<'_>) -> Option<&'static str> {
    let (ours, theirs) = (view.reference.torrents(), view.candidate.torrents());
    let differ = !ours.is_empty() && !theirs.is_empty() && !ours.iter().any(|hash| theirs.contains(hash));
    differ.then_some("The captures are about different torrents: their messages about pieces cannot match.")
}

const NOTHING: &str = "No BitTorrent traffic in either capture: there is nothing to compare.";

/// How many rows such tables have at most.
const CONVERSATIONS: usize = 40;
const TORRENTS: usize = 5;

pub(super) fn about(transcript: &Transcript) -> String {
    let client = transcript.client().unwrap_or("unknown client");
    let local = transcript.local.map_or(String::new(), |local| format!(" at {local}"));
    let conversations = counted(transcript.conversations.len() as u64, "conversation");
    match transcript.records {
        0 => format!("no BitTorrent traffic in {}", counted(transcript.packets, "packet")),
        records => format!("{client}{local}; {} in {conversations}", counted(records, "message")),
    }
}

/// How a conversation came out, as far as it counts.
pub(super) fn outcome(view: &DiffView<'_>, compared: &ComparedConversation) -> String {
    match (compared.reference, compared.candidate) {
        (Some(_), None) => return "missing".to_owned(),
        (None, Some(_)) => return "extra".to_owned(),
        _ => {}
    }
    let mut numbers = [0_u64; 6];
    let mut lost = 0;
    for pair in compared.pairs.iter().filter(|pair| view.counts(pair)) {
        match pair.lost {
            true if view.named(compared, pair).is_some_and(|said| said.stored.is_remnant()) => {}
            true => lost += 1,
            false => numbers[pair.verdict as usize] += 1,
        }
    }
    let mut parts: Vec<String> = PairVerdict::ALL
        .iter()
        .filter(|verdict| numbers[**verdict as usize] > 0)
        .map(|verdict| format!("{} {}", count(numbers[*verdict as usize]), verdict.name_of_many()))
        .collect();
    if lost > 0 {
        parts.push(format!("{} lost by a capture", count(lost)));
    }
    parts.join(", ")
}

fn row(name: &str, tally: &Tally) -> Vec<String> {
    let number = |number: u64| if number == 0 { String::new() } else { count(number) };
    let mut chosen: Vec<String> = [PairVerdict::Moved, PairVerdict::Missing, PairVerdict::Extra]
        .into_iter()
        .filter(|verdict| tally.of(*verdict) > 0)
        .map(|verdict| format!("{} {}", count(tally.of(verdict)), verdict.name()))
        .collect();
    if tally.lost > 0 {
        chosen.push(format!("{} lost by the candidate's capture", count(tally.lost)));
    }
    if tally.lost_of_reference > 0 {
        chosen.push(format!("{} lost by the reference's capture", count(tally.lost_of_reference)));
    }
    let share = |share: f64, of: u64| if of == 0 { String::new() } else { percent(share) };
    vec![
        name.to_owned(),
        count(tally.reference()),
        number(tally.of(PairVerdict::Same)),
        number(tally.of(PairVerdict::Masked)),
        number(tally.of(PairVerdict::Differs)),
        chosen.join(", "),
        share(tally.coverage(), tally.reference()),
        share(tally.fidelity(), tally.paired()),
    ]
}

pub(super) fn conclusion(view: &DiffView<'_>) -> String {
    let total = view.report.total();
    let whose = match view.report.judged {
        Judged::Local => "local message",
        Judged::Remote => "far message",
        Judged::Both => "message",
    };
    if view.reference.records + view.candidate.records == 0 {
        return NOTHING.to_owned();
    }
    if total.paired() == 0 && view.disagreements > 0 {
        return format!("Nothing to compare: no {whose} of one capture has a counterpart in the other.");
    }
    let masked = match (view.masked, total.of(PairVerdict::Masked)) {
        (false, _) => "with masks off".to_owned(),
        (true, 0) if view.report.masks.iter().all(|used| used.uses == 0) => "no mask needed".to_owned(),
        (true, 0) => "none masked".to_owned(),
        (true, masked) => format!("of which {} masked", count(masked)),
    };
    let figures =
        format!("coverage {}, fidelity {}, {masked}", percent(total.coverage()), percent(total.fidelity()));
    let lost = match total.lost + total.lost_of_reference {
        0 => String::new(),
        lost => format!("; {} lost by a capture are not judged", counted(lost, "message")),
    };
    let disagreements: Vec<String> = PairVerdict::ALL
        .into_iter()
        .filter(|verdict| verdict.kind().is_some() && total.of(*verdict) > 0)
        .map(|verdict| {
            let more = match verdict {
                _ if view.allowed.contains(&verdict) => " (allowed)".to_owned(),
                PairVerdict::Differs if total.in_identity > 0 => {
                    format!(" ({} in identity alone)", count(total.in_identity))
                }
                _ => String::new(),
            };
            format!("{} {}{more}", count(total.of(verdict)), verdict.name_of_many())
        })
        .collect();
    let first = match (view.disagreements, disagreements.is_empty()) {
        (0, true) => format!("The same: {}", counted(total.paired(), whose)),
        (0, false) => format!(
            "No difference that is judged: of {}, {}",
            counted(total.reference(), whose),
            disagreements.join(", ")
        ),
        _ => format!("They differ: of {}, {}", counted(total.reference(), whose), disagreements.join(", ")),
    };
    format!("{first}; {figures}{lost}.")
}
