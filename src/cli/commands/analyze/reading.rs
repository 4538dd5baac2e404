//! One capture, from its first packet to its last: its messages as they are read, then its summary and views.

use std::io::Write;
use std::path::Path;

use anyhow::{Result, anyhow};
use bittrace_protocol::Timestamp;
use bittrace_trace::units::counted;
use bittrace_trace::{Counts, Dissected, Record, Summary, Trace};

use super::Analysis;
use super::message_view::MessageView;
use crate::Exit;
use crate::args::{Format, ViewName};
use crate::capture_names::NamedCapture;
use crate::failure::warn;
use crate::input;
use crate::interrupt::interrupted;
use crate::print::capture_row::CaptureRow;
use crate::print::ladder::Ladder;
use crate::print::message_table::{Detail, MessageTable};
use crate::print::run_summary::CaptureLists;
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

impl Analysis {
    /// Reads one capture to its end. Errors are those of the output; a capture that cannot be read is reported and
    /// the next one has its turn.
    pub(super) fn capture(&mut self, capture: &NamedCapture) -> Result<()> {
        let earlier = std::mem::replace(&mut self.exit, Exit::Done);
        let read = self.read(capture);
        self.exit = self.exit.max(earlier);
        read
    }

    fn read(&mut self, capture: &NamedCapture) -> Result<()> {
        let path = capture.path();
        let opened = match &capture.fault {
            Some(fault) => Err(anyhow!("{}: {fault}", path.display())),
            None => input::open_as(path, &self.settings.standard_input, self.options.clone(), &self.output),
        };
        let mut trace = match opened {
            Ok(trace) => trace,
            // Input that an interrupt ended is not empty.
            Err(_) if interrupted() => return Ok(()),
            Err(error) => {
                self.report(&error);
                return self.close_unread(path, &error);
            }
        };
        let is_told = !self.settings.is_captures_alone();
        if self.begun > 0 && self.settings.format == Format::Table && is_told {
            writeln!(self.output)?;
        }
        self.begun += 1;
        let name = trace.capture().name().to_owned();
        let mut summary = Summary::new(&self.options.torrents);
        summary.before = self.first_number();
        let mut views = Views::new(&self.settings.views, &self.options.torrents);
        let mut reading = self.begin(name.clone());
        let mut fault = None;
        while !interrupted() {
            match trace.advance() {
                Ok(true) => {
                    let Some(dissected) = trace.current() else { continue };
                    self.expected.see(dissected);
                    reading.place.start = trace.span().map_or(Timestamp::EPOCH, |(first, _)| first);
                    let chosen = match dissected {
                        Dissected::Record(record) => self.message(record, &mut reading, &trace)?,
                        Dissected::Connection(end) => {
                            if let Some(export) = &mut self.export {
                                export.connection_ended(end, &mut self.output)?;
                            }
                            self.choice.accepts_end(end, reading.place.start)
                        }
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
                    let error = error.into();
                    self.report(&error);
                    fault.get_or_insert(format!("{error:#}"));
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
        if let Some(export) = &mut self.export {
            export.capture_ended(&summary, &reading.place, self.settings.common, &mut self.output)?;
        }
        if interrupted() {
            self.exit = self.exit.max(Exit::Interrupted);
            fault.get_or_insert("interrupted".to_owned());
        }
        reading.view.finish(&mut self.output)?;
        let nothing_matches = reading.read > 0 && reading.chosen == 0;
        if self.settings.format == Format::Table && !self.page_is_output && is_told {
            self.close_table(&name, &trace, &summary, reading)?;
            if nothing_matches {
                self.close_capture(&trace, &summary, fault)?;
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
            numbers: self.numbers,
        };
        match &mut self.tables {
            Some(tables) => views.rows(read).try_for_each(|rows| tables.rows(rows.name, rows.rows))?,
            None => views.write(read, self.settings.format, self.begun == 1, &mut self.output)?,
        }
        self.close_capture(&trace, &summary, fault)?;
        self.output.flush()?;
        Ok(())
    }

    /// Says of a capture that is read what there is to say of the whole of it, and counts it. `fault` is why its end was not
    /// reached.
    fn close_capture(&mut self, trace: &Trace, summary: &Summary, fault: Option<String>) -> Result<()> {
        let is_whole = fault.is_none();
        let mut row = CaptureRow::new(trace, summary, fault);
        row.exit = self.exit.code();
        let lists = (self.settings.format == Format::Json && self.settings.has_summary_object())
            .then(|| CaptureLists::new(summary));
        let (of_row, of_run) = if self.is_only_capture { (None, lists) } else { (lists, None) };
        self.closing.add(trace, summary, is_whole, of_run);
        self.write_row(row, of_row)
    }

    /// The same of a capture that cannot be opened.
    fn close_unread(&mut self, path: &Path, error: &anyhow::Error) -> Result<()> {
        let name = match path == Path::new("-") {
            true => self.settings.standard_input.clone(),
            false => path.display().to_string(),
        };
        let mut row = CaptureRow::unread(name, format!("{error:#}"));
        row.exit = self.exit.code();
        self.closing.add_unread();
        self.write_row(row, None)
    }

    fn write_row(&mut self, row: CaptureRow, lists: Option<CaptureLists>) -> Result<()> {
        if let Some(tables) = &mut self.tables {
            return tables.rows("capture", [row.object()?]);
        }
        match self.settings.format {
            Format::Json if self.settings.has_rows() => row.write_object(lists, &mut self.output)?,
            Format::Csv if self.settings.has_rows() => {
                if !std::mem::replace(&mut self.has_header, true) {
                    CaptureRow::write_header(&mut self.output)?;
                }
                row.write_cells(&mut self.output)?;
            }
            Format::Table if self.settings.has_rows() => self.push_row(row)?,
            _ => {}
        }
        Ok(())
    }

    /// How many messages stand before the first one of a capture. In tables of columns the messages of each capture count
    /// from 1.
    fn first_number(&self) -> u64 {
        if self.settings.has_columns { 0 } else { self.before }
    }

    fn begin(&self, capture: String) -> CaptureReading {
        let mut place = CaptureContext::new(capture, self.first_number(), self.options.torrents.clone());
        place.numbers = self.numbers;
        CaptureReading { place, view: self.message_view(), held: Vec::new(), read: 0, chosen: 0 }
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
    fn message(&mut self, record: &Record, reading: &mut CaptureReading, trace: &Trace) -> Result<bool> {
        reading.read += 1;
        let row = Row::new(record, &reading.place);
        if let Some(export) = &mut self.export {
            export.observe(&row, &mut self.output)?;
        }
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
        if let Some(tables) = &mut self.tables {
            tables.message(&row)?;
            return Ok(true);
        }
        if let Some(export) = &mut self.export {
            export.message(&row, &mut self.output)?;
            return Ok(true);
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
