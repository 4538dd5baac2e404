//! Text for people: headings, paragraphs and tables, none of them wider than the terminal.

use std::io::{self, Write};

use anstyle::Style;
use bittrace_trace::record::Severity;
use bittrace_trace::units::count;

use crate::print::output::{Look, styles};
use crate::print::printable::printable;
use crate::print::table::{Column, columns, fit, render, wrap};

/// Where a command writes what people read. Texts may come off the wire: they are made printable. What is written
/// with `write!` is left as it is.
pub(crate) struct Page<'a> {
    pub(crate) look: Look,
    out: &'a mut dyn Write,
}

impl<'a> Page<'a> {
    pub(crate) const fn new(look: Look, out: &'a mut dyn Write) -> Self {
        Self { look, out }
    }

    /// A heading at the top of the page.
    pub(crate) fn title(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", self.look.paint(styles::HEADING, text))
    }

    /// A heading after an empty line.
    pub(crate) fn heading(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out)?;
        self.title(text)
    }

    /// Lines that begin in column `indent`, counted from 0.
    pub(crate) fn paragraph(&mut self, text: &str, indent: usize) -> io::Result<()> {
        self.painted(text, indent, styles::PLAIN)
    }

    /// A paragraph in a style.
    pub(crate) fn painted(&mut self, text: &str, indent: usize, style: Style) -> io::Result<()> {
        for line in wrap(text, self.look.width.saturating_sub(indent).max(1)) {
            writeln!(self.out, "{}{}", " ".repeat(indent), self.look.paint(style, &line))?;
        }
        Ok(())
    }

    /// Says how many entries were left out and which option shows them, and how many were not kept.
    pub(crate) fn left_out(&mut self, hidden: u64, option: &str, not_kept: u64) -> io::Result<()> {
        if hidden > 0 {
            let text = format!("… {} more; {option} shows them", count(hidden));
            self.painted(&text, 2, styles::DIM)?;
        }
        if not_kept > 0 {
            self.painted(&format!("… and {} beyond those kept", count(not_kept)), 2, styles::DIM)?;
        }
        Ok(())
    }

    /// Short texts one after another, two blanks apart, on as many lines as they need. A text wider than a line is cut.
    pub(crate) fn items(&mut self, items: &[String], indent: usize, style: Style) -> io::Result<()> {
        let room = self.look.width.saturating_sub(indent);
        let mut lines: Vec<String> = Vec::new();
        for item in items {
            let item = fit(item, room);
            match lines.last_mut() {
                Some(line) if columns(line) + 2 + columns(&item) <= room => {
                    line.push_str(&format!("  {item}"))
                }
                _ => lines.push(item),
            }
        }
        for line in lines {
            writeln!(self.out, "{}{}", " ".repeat(indent), self.look.paint(style, &line))?;
        }
        Ok(())
    }

    /// A finding: a line of facts in the colour of the severity, then the sentence. A fact for which the line has no room
    /// begins the next line.
    pub(crate) fn finding(&mut self, severity: Severity, facts: &[&str], sentence: &str) -> io::Result<()> {
        let room = self.look.width - FINDING_INDENT;
        let mut lines = vec![String::new()];
        for fact in facts.iter().filter(|fact| !fact.is_empty()) {
            let fact = printable(fact);
            match lines.last_mut() {
                Some(line) if line.is_empty() => line.push_str(&fact),
                Some(line) if columns(line) + 2 + columns(&fact) <= room => {
                    line.push_str(&format!("  {fact}"))
                }
                _ => lines.push(fact.into_owned()),
            }
        }
        let style = styles::severity(severity);
        let name = format!("{:<5}  {}", severity.name(), lines[0]);
        writeln!(self.out, "  {}", self.look.paint(style, name.trim_end()))?;
        for line in &lines[1..] {
            self.painted(line, FINDING_INDENT, style)?;
        }
        self.paragraph(sentence, FINDING_INDENT)
    }

    /// What stands under the findings: how to have a rule explained.
    pub(crate) fn how_to_explain(&mut self) -> io::Result<()> {
        let text = "bittrace explain RULE: what a rule means, an example in bytes, how to fix it";
        self.painted(text, 2, styles::DIM)
    }

    /// A short table, indented by two columns. Columns without any content are left out.
    pub(crate) fn table(&mut self, columns: &[Column], rows: &[Vec<String>]) -> io::Result<()> {
        self.out.write_all(render(columns, rows, self.look).as_bytes())
    }
}

/// The sentence of a finding begins after the severity.
pub(crate) const FINDING_INDENT: usize = 9;

impl Write for Page<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_indented_and_as_wide_as_the_terminal() {
        let mut out = Vec::new();
        let mut page = Page::new(Look { width: 12, colour: false }, &mut out);
        page.title("a\u{1b}b").unwrap();
        page.heading("second").unwrap();
        page.paragraph("block of 16 KiB", 2).unwrap();
        page.painted("dim", 4, styles::DIM).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a\u{fffd}b\n\nsecond\n  block of\n  16 KiB\n    dim\n");
    }

    #[test]
    fn findings_have_a_line_of_facts_and_a_sentence() {
        let mut out = Vec::new();
        let mut page = Page::new(Look { width: 40, colour: true }, &mut out);
        let facts = ["3 times", "", "bep3.example", "BEP 3, peer messages"];
        page.finding(Severity::Error, &facts, "the sentence").unwrap();
        let text = String::from_utf8(out).unwrap();
        let (error, plain) = (styles::ERROR, format!("{:#}", styles::ERROR));
        let first = format!("  {error}error  3 times  bep3.example{plain}\n");
        let second = format!("         {error}BEP 3, peer messages{plain}\n");
        assert_eq!(text, format!("{first}{second}         the sentence\n"));
    }
}
