//! What a page says without its script: the verdict, the rules that the candidate breaks, counts by message, what may differ,
//! and the conversations.

use std::fmt::Write;

use bittrace_replay::{Judged, PairVerdict, Tallies, Tally};
use bittrace_trace::units::{count, percent};
use bittrace_trace::{Severity, Side};

use super::pair_detail::cut;
use super::{BrokenRule, DiffPage};
use crate::page::{shown, write_table};

/// Writes the body of the page. `incomplete` says what is not in the file.
pub(super) fn write(page: &DiffPage<'_>, incomplete: Option<&str>, out: &mut String) {
    // Writing to a string fails at nothing.
    let _ = Head { page, out }.write(incomplete);
}

/// The sign of a verdict.
pub(super) const fn glyph(verdict: PairVerdict) -> char {
    match verdict {
        PairVerdict::Same => '=',
        PairVerdict::Masked => '≈',
        PairVerdict::Differs => '≠',
        PairVerdict::Moved => '↕',
        PairVerdict::Missing => '−',
        PairVerdict::Extra => '+',
    }
}

/// What a verdict means.
const fn meaning(verdict: PairVerdict) -> &'static str {
    match verdict {
        PairVerdict::Same => "the same bytes at the same place",
        PairVerdict::Masked => "the same but for what masks allow",
        PairVerdict::Differs => "the content differs",
        PairVerdict::Moved => "the same message at another place in the order",
        PairVerdict::Missing => "only in the reference",
        PairVerdict::Extra => "only in the candidate",
    }
}

struct Head<'a> {
    page: &'a DiffPage<'a>,
    out: &'a mut String,
}

type Written = std::fmt::Result;

impl Head<'_> {
    fn write(&mut self, incomplete: Option<&str>) -> Written {
        self.answer()?;
        self.tiles()?;
        self.broken_rules()?;
        self.lists()?;
        self.by_message()?;
        self.masks()?;
        self.intervals()?;
        if let Some(text) = incomplete {
            let command = self.page.command.with("--format json");
            writeln!(
                self.out,
                "<p class=\"incomplete\">{} <code>{}</code> lists every pair.</p>",
                shown(text),
                shown(&command)
            )?;
        }
        self.out.push_str(SIDE_BY_SIDE);
        self.conversations()?;
        let (version, command) = (shown(self.page.version), self.page.command.with("--html"));
        writeln!(
            self.out,
            "<footer><p>Made by bittrace {version} with <code>{}</code>. One file: it loads nothing and sends \
             nothing.</p></footer>\n</main>",
            shown(&command)
        )
    }

    fn answer(&mut self) -> Written {
        let (page, words) = (self.page, &self.page.words);
        let (mark, class) = if words.same { ("✓", "same") } else { ("✕", "differs") };
        writeln!(
            self.out,
            "<main>\n<header id=\"head\">\n<div class=\"title-row\"><h1>{}</h1><div \
             id=\"tools\"></div></div>\n<p class=\"sentence verdict {class}\"><span \
             aria-hidden=\"true\">{mark}</span> {}</p>\n<dl class=\"captures\">",
            shown(&page.title()),
            shown(&words.verdict)
        )?;
        for (side, name, about) in
            [("reference", &words.names[0], &words.about[0]), ("candidate", &words.names[1], &words.about[1])]
        {
            writeln!(
                self.out,
                "<div><dt>{side}</dt><dd><b>{}</b> {}</dd></div>",
                shown(name),
                shown(&brief(about))
            )?;
        }
        for torrent in &words.torrents {
            writeln!(self.out, "<div><dt>torrent</dt><dd>{}</dd></div>", shown(&brief(torrent)))?;
        }
        writeln!(self.out, "</dl>")?;
        for sentence in &words.warnings {
            writeln!(self.out, "<p class=\"incomplete\">{}</p>", shown(&brief(sentence)))?;
        }
        for sentence in &words.introduction {
            writeln!(self.out, "<p>{}</p>", shown(&brief(sentence)))?;
        }
        writeln!(self.out, "</header>")
    }

    fn tiles(&mut self) -> Written {
        let total = self.page.report.total();
        writeln!(self.out, "<div id=\"tiles\">")?;
        for (name, share, of) in [
            ("coverage", total.coverage(), "of the reference has a counterpart"),
            ("fidelity", total.fidelity(), "of the pairs are the same but for masks"),
        ] {
            writeln!(
                self.out,
                "<div class=\"tile\" title=\"{of}\"><b>{}</b><span>{name}</span></div>",
                percent(share)
            )?;
        }
        for verdict in PairVerdict::ALL {
            let allowed = if self.page.words.allowed.contains(&verdict) { ", allowed" } else { "" };
            writeln!(
                self.out,
                "<div class=\"tile\" title=\"{}\"><b>{}</b><span><i aria-hidden=\"true\">{}</i> {}{allowed}</span></div>",
                meaning(verdict),
                count(total.of(verdict)),
                glyph(verdict),
                verdict.name_of_many()
            )?;
        }
        writeln!(self.out, "</div>")?;
        let lost = total.lost + total.lost_of_reference;
        if lost > 0 {
            writeln!(
                self.out,
                "<p>{} lost by a capture, and not judged.</p>",
                shown(&bittrace_trace::units::counted(lost, "message"))
            )?;
        }
        Ok(())
    }

    fn broken_rules(&mut self) -> Written {
        let rules = &self.page.words.broken_rules;
        if rules.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "<section id=\"findings\"><h2>Rules that the candidate breaks</h2>")?;
        for rule in rules {
            self.broken_rule(rule)?;
        }
        writeln!(self.out, "</section>")
    }

    fn broken_rule(&mut self, rule: &BrokenRule) -> Written {
        let severity = rule.severity.name();
        let glyph = match rule.severity {
            Severity::Error => '✕',
            Severity::Warn => '▲',
            Severity::Note | Severity::Chat => '●',
        };
        writeln!(
            self.out,
            "<div class=\"finding {severity}\"><span class=\"glyph\">{glyph} {severity}</span><span class=\"title\">{} <span \
             class=\"first\">– {}</span></span><span class=\"source\"><code>{}</code></span><a href=\"#candidate={n}\" \
             data-candidate=\"{n}\">#{n}</a>",
            shown(&brief(&rule.text)),
            shown(&rule.place),
            shown(rule.rule),
            n = rule.number
        )?;
        if !rule.evidence.is_empty() {
            writeln!(self.out, "<dl>")?;
            for (line, whose) in &rule.evidence {
                writeln!(
                    self.out,
                    "<div><dt>{}</dt><dd><code>{}</code></dd></div>",
                    shown(&brief(whose)),
                    shown(&brief(line))
                )?;
            }
            writeln!(self.out, "</dl>")?;
        }
        let advice = shown(rule.advice);
        writeln!(
            self.out,
            "<p class=\"advice\">{advice} <code>bittrace explain {}</code>",
            shown(rule.rule)
        )?;
        if let Some(sentence) = &rule.reference_too {
            writeln!(self.out, "<br>{}", shown(&brief(sentence)))?;
        }
        writeln!(self.out, "</p></div>")
    }

    fn lists(&mut self) -> Written {
        for (heading, sentences) in
            self.page.words.lists.iter().filter(|(_, sentences)| !sentences.is_empty())
        {
            writeln!(self.out, "<section class=\"noticed\"><h2>{}</h2>\n<ul>", shown(heading))?;
            for sentence in sentences.iter().take(SENTENCES) {
                writeln!(self.out, "<li>{}</li>", shown(&brief(sentence)))?;
            }
            if let more @ 1.. = sentences.len().saturating_sub(SENTENCES) {
                writeln!(
                    self.out,
                    "<li>… {} more; the text report with -v lists them</li>",
                    count(more as u64)
                )?;
            }
            writeln!(self.out, "</ul></section>")?;
        }
        Ok(())
    }

    fn by_message(&mut self) -> Written {
        let report = self.page.report;
        for side in [Side::Local, Side::Remote] {
            let tallies = report.tallies(side);
            if tallies.by_message().is_empty() {
                continue;
            }
            let whose = if side == Side::Local { "the local hosts" } else { "the far ends" };
            match report.judged.counts(side) {
                true => {
                    let heading = match report.judged {
                        Judged::Both => format!("By message, {whose}"),
                        Judged::Local | Judged::Remote => "By message".to_owned(),
                    };
                    writeln!(self.out, "<section class=\"by-message\"><h2>{heading}</h2>")?;
                    self.tallies(tallies)?;
                    writeln!(self.out, "</section>")?;
                }
                false => {
                    writeln!(
                        self.out,
                        "<details class=\"by-message\"><summary>Messages of {whose} are not judged</summary>"
                    )?;
                    self.tallies(tallies)?;
                    writeln!(self.out, "</details>")?;
                }
            }
        }
        Ok(())
    }

    /// A table of counts, with a bar for each message name: all bars on one scale.
    fn tallies(&mut self, tallies: &Tallies) -> Written {
        let all = |tally: &Tally| PairVerdict::ALL.iter().map(|verdict| tally.of(*verdict)).sum::<u64>();
        let most = tallies.by_message().iter().map(|(_, tally)| all(tally)).max().unwrap_or(0).max(1);
        writeln!(
            self.out,
            "<div class=\"scroll\" tabindex=\"0\"><table class=\"data\"><thead><tr><th scope=\"col\">message</th><th scope=\"col\" class=\"tally\">count</th>"
        )?;
        for verdict in PairVerdict::ALL {
            writeln!(
                self.out,
                "<th scope=\"col\" class=\"number\" title=\"{}\">{} {}</th>",
                meaning(verdict),
                glyph(verdict),
                verdict.name_of_many()
            )?;
        }
        writeln!(
            self.out,
            "<th scope=\"col\" class=\"number\">coverage</th><th scope=\"col\" class=\"number\">fidelity</th></tr></thead><tbody>"
        )?;
        for (name, tally) in tallies.by_message() {
            self.tally(name, tally, Some(most))?;
        }
        writeln!(self.out, "</tbody><tfoot>")?;
        self.tally("all", &tallies.total(), None)?;
        writeln!(self.out, "</tfoot></table></div>")
    }

    fn tally(&mut self, name: &str, tally: &Tally, scale: Option<u64>) -> Written {
        write!(self.out, "<tr><th scope=\"row\">{}</th><td class=\"tally\">", shown(name))?;
        if let Some(most) = scale {
            write!(self.out, "<span class=\"tally\" aria-hidden=\"true\">")?;
            for verdict in PairVerdict::ALL {
                let number = tally.of(verdict);
                if number > 0 {
                    write!(
                        self.out,
                        "<i class=\"v-{}\" style=\"width:{:.2}%\" title=\"{} {}\"></i>",
                        verdict.name(),
                        100.0 * number as f64 / most as f64,
                        count(number),
                        verdict.name_of_many()
                    )?;
                }
            }
            write!(self.out, "</span>")?;
        }
        write!(self.out, "</td>")?;
        for verdict in PairVerdict::ALL {
            let number = tally.of(verdict);
            let text = if number == 0 { String::new() } else { count(number) };
            write!(self.out, "<td class=\"number\">{text}</td>")?;
        }
        let share = |share: f64, of: u64| if of == 0 { String::new() } else { percent(share) };
        writeln!(
            self.out,
            "<td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            share(tally.coverage(), tally.reference()),
            share(tally.fidelity(), tally.paired())
        )
    }

    fn masks(&mut self) -> Written {
        let masks = &self.page.report.masks;
        if masks.is_empty() {
            return Ok(());
        }
        writeln!(
            self.out,
            "<section id=\"masks\"><h2>Allowed to differ</h2>\n<div class=\"scroll\" tabindex=\"0\"><table class=\"data\"><thead><tr><th scope=\"col\">field</th>\
             <th scope=\"col\">rule</th><th scope=\"col\" class=\"number\">uses</th><th scope=\"col\">reason</th></tr></thead><tbody>"
        )?;
        for used in masks {
            writeln!(
                self.out,
                "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td><td class=\"number\">{}</td><td>{}</td></tr>",
                shown(&used.mask.place()),
                used.mask.rule.name(),
                count(used.uses),
                shown(&used.mask.reason)
            )?;
        }
        writeln!(self.out, "</tbody></table></div></section>")
    }

    fn intervals(&mut self) -> Written {
        let (heading, about, table) = &self.page.words.intervals;
        if table.rows.is_empty() {
            return Ok(());
        }
        writeln!(
            self.out,
            "<section id=\"intervals\"><h2>{}</h2>\n<p class=\"hint\">{}</p>",
            shown(heading),
            shown(about)
        )?;
        write_table(table, self.out)?;
        writeln!(self.out, "</section>")
    }

    fn conversations(&mut self) -> Written {
        let conversations = self.page.report.conversations.iter().zip(&self.page.words.conversations);
        let rows: Vec<_> = conversations.enumerate().filter(|(_, (one, _))| !one.pairs.is_empty()).collect();
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(
            self.out,
            "<section id=\"conversations\"><h2>Conversations</h2>\n<div class=\"scroll\" tabindex=\"0\"><table class=\"data\"><thead><tr>\
             <th scope=\"col\" class=\"number\">#</th><th scope=\"col\">with</th><th scope=\"col\">reference</th><th scope=\"col\">candidate</th><th scope=\"col\">outcome</th></tr></thead><tbody>"
        )?;
        for (at, (_, words)) in rows.iter().take(CONVERSATIONS) {
            let [reference, candidate] = &words.places;
            writeln!(
                self.out,
                "<tr><td class=\"number\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                at + 1,
                words.role,
                shown(reference),
                shown(candidate),
                shown(&words.outcome)
            )?;
        }
        writeln!(self.out, "</tbody></table></div>")?;
        if let more @ 1.. = rows.len().saturating_sub(CONVERSATIONS) {
            let command = self.page.command.with("--format json");
            writeln!(
                self.out,
                "<p>… {} more: <code>{}</code> has the messages of all.</p>",
                count(more as u64),
                shown(&command)
            )?;
        }
        writeln!(self.out, "</section>")
    }
}

/// A text of others, with no more of it than can be read.
fn brief(text: &str) -> String {
    cut(text, LETTERS)
}

/// How many letters of a text of others the head has.
const LETTERS: usize = 400;

/// Where the script draws the messages.
const SIDE_BY_SIDE: &str = "<section id=\"side-by-side\"><h2>Side by side</h2>\n<p class=\"hint\">The reference is on the \
left, the candidate on the right, each in its own order. Lines join the messages of a pair. Times are seconds since the first message of each capture.</p>\n<noscript><p>This picture \
needs the script of the page. The text report has the same differences.</p></noscript>\n</section>\n";

/// How many sentences of a list a page has, and how many conversations.
const SENTENCES: usize = 100;
const CONVERSATIONS: usize = 60;
