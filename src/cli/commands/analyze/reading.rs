//! One capture, from its first packet to its last: its messages as they are read, then its summary and views.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;
use bittrace_protocol::Timestamp;
use bittrace_trace::units::counted;
use bittrace_trace::{Counts, Dissected, Record, Summary, Trace};

use super::Analysis;
use super::message_view::MessageView;
use crate::Exit;
use crate::args::{Format, ViewName};
use crate::failure::warn;
use crate::input;
use crate::interrupt::interrupted;
use crate::print::ladder::Ladder;
use crate::print::message_table::{Detail, MessageTable};
use crate::print::views::{Follower, Read, Views};
use crate::query::row::{CaptureContext, Row};

/// One capture that is being read.
pub(super) struct CaptureReading {
    pub(super) place: CaptureContext,
    pub(super) view: MessageView,
    /// Messages that wait for the summary.
    pub(super) held: Vec<Record>,
    /// How many messages were read.
    pub(super) read: u64,
    /// How many of them were chosen.
    pub(super) chosen: u64,
}

impl Analysis<'_> {
    /// Reads one capture to its end. Errors are those of the output; a capture that cannot be read is reported and
    /// the next one has its turn.
    pub(super) fn capture(&mut self, path: &Path) -> Result<()> {
        let mut trace = match input::open(path, self.options.clone(), &self.output) {
            Ok(trace) => trace,
            // Input that an interrupt ended is not empty.
            Err(_) if interrupted() => return Ok(()),
            Err(error) => {
                self.report(&error);
                return Ok(());
            }
        };
        if self.begun > 0 && self.settings.format == Format::Table {
            writeln!(self.output)?;
        }
        self.begun += 1;
        let name = trace.capture().name().to_owned();
        let mut summary = Summary::new(&self.options.torrents);
        summary.before = self.before;
        let mut views = Views::new(&self.settings.views, &self.options.torrents);
        let mut reading = self.begin(name.clone());
        let mut whole = true;
        while !interrupted() {
            match trace.advance() {
                Ok(true) => {
                    let Some(dissected) = trace.current() else { continue };
                    self.expected.see(dissected);
                    reading.place.start = trace.span().map_or(Timestamp::EPOCH, |(first, _)| first);
                    let chosen = match dissected {
                        Dissected::Record(record) => self.message(record, &mut reading, &trace)?,
                        Dissected::Connection(end) => self.choice.accepts_end(end, reading.place.start),
                    };
                    if chosen {
                        summary.add(dissected);
                        views.add(dissected, reading.place.start);
                        if let Some(page) = &mut self.page {
                            page.add(dissected, reading.place.start);
                        }
                    }
                }
                Ok(false) => break,
                Err(error) => {
                    whole = false;
                    self.report(&error.into());
                }
            }
        }
        if let (Some(cut), false) = (trace.cut(), interrupted()) {
            warn(
                self.settings.common,
                &format!(
                    "{name}: cut short: the packet at byte {} is incomplete; everything before it is shown",
                    cut.offset
                ),
            );
        }
        self.tell_unread(&name, trace.counts());
        self.before += reading.read;
        if let Some(page) = self.page.take() {
            page.finish(reading.read, &trace, &summary)?;
        }
        self.closing.add(&name, &trace, &summary, whole && !interrupted());
        reading.view.finish(&mut self.output)?;
        let nothing_matches = reading.read > 0 && reading.chosen == 0;
        if self.settings.format == Format::Table && !self.page_is_output {
            self.close_table(&name, &trace, &summary, reading)?;
            if nothing_matches {
                return Ok(self.output.flush()?);
            }
        }
        let read = Read {
            name: &name,
            file: (path != Path::new("-")).then_some(path),
            start: trace.span().map_or(Timestamp::EPOCH, |(first, _)| first),
            summary: &summary,
            trace: &trace,
            look: self.output.look,
            order: self.settings.order,
            limit: self.settings.most_rows,
            verbose: self.settings.common.verbose,
        };
        views.write(read, self.settings.format, self.begun == 1, &mut self.output)?;
        self.output.flush()?;
        Ok(())
    }

    fn begin(&self, capture: String) -> CaptureReading {
        CaptureReading {
            place: CaptureContext {
                capture,
                start: Timestamp::EPOCH,
                before: self.before,
                torrents: self.options.torrents.clone(),
            },
            view: self.message_view(),
            held: Vec::new(),
            read: 0,
            chosen: 0,
        }
    }

    /// What shows the messages of a capture.
    fn message_view(&self) -> MessageView {
        let look = self.output.look;
        if self.settings.follow.is_some() {
            return MessageView::Conversation(Follower::new(look, self.settings.hex));
        }
        if self.settings.views.contains(&ViewName::Ladder) {
            return MessageView::Ladder(Ladder::new(look, !self.settings.unfolded));
        }
        let detail = Detail {
            hex: self.settings.hex,
            verbose: self.settings.common.verbose,
            quiet: self.settings.common.quiet,
            unfolded: self.settings.unfolded,
        };
        MessageView::Table(MessageTable::new(look, &self.settings.columns, detail))
    }

    /// Names the packets that cannot be read, and says what to do about them.
    fn tell_unread(&self, name: &str, counts: Counts) {
        for (link, packets) in counts.unread_links.iter() {
            let packets = counted(packets, "packet");
            let advice = match link.name() {
                Some(name) if name.starts_with("USER") => {
                    "if they are really Ethernet or IP, set the link type with editcap -T ether or editcap -T rawip"
                }
                Some("WIRESHARK_UPPER_PDU") => "save the packets, not PDUs that Wireshark exports",
                _ => {
                    "capture on the network interface that carries the IP packets (tcpdump -i INTERFACE -w FILE)"
                }
            };
            warn(self.settings.common, &format!("{name}: {packets} of {link} are not read: {advice}"));
        }
        if counts.protected > 0 {
            let frames = counted(counts.protected, "protected 802.11 frame");
            let advice = "decrypt them first (airdecap-ng -e NETWORK -p PASSPHRASE FILE)";
            warn(self.settings.common, &format!("{name}: {frames} are not read: {advice}"));
        }
    }

    /// Shows a message, if it is chosen; says whether it is.
    fn message(&mut self, record: &Record, reading: &mut CaptureReading, trace: &Trace) -> io::Result<bool> {
        reading.read += 1;
        let row = Row::new(record, &reading.place);
        if !self.choice.accepts(&row) {
            return Ok(false);
        }
        reading.chosen += 1;
        if self.settings.fail_on.is_some_and(|severity| record.severity() >= Some(severity)) {
            self.exit = self.exit.max(Exit::Matched);
        }
        if !self.settings.show.messages || reading.chosen > self.settings.show.limit {
            return Ok(true);
        }
        if self.settings.format == Format::Table && !self.settings.show.summary && reading.chosen == 1 {
            self.name_capture(&reading.place.capture)?;
        }
        match self.settings.format {
            Format::Json => self.json.write(&row, &mut self.output)?,
            Format::Csv => self.csv.row(&row, &mut self.output)?,
            Format::Table if self.settings.show.held => {
                reading.held.push(record.clone());
                return Ok(true);
            }
            Format::Table => reading.view.row(&row, trace.local(), &mut self.output)?,
        }
        if self.output.is_terminal() {
            self.output.flush()?;
        }
        Ok(true)
    }
}
