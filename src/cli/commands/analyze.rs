//! `bittrace analyze`: captures in, summaries and messages out, as they are read.

mod choice;
mod message_view;
mod page;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use bittrace_protocol::Timestamp;
use bittrace_trace::record::Severity;
use bittrace_trace::units::{count, counted};
use bittrace_trace::{Counts, Dissected, Record, Summary, Trace, TraceOptions};

use crate::Exit;
use crate::args::{AnalyzeArguments, Common, ConnectionOrder, FailOn, Format, ViewName};
use crate::capture_page::PageReading;
use crate::commands::expected::{ExpectedHost, ExpectedStreams, ExpectedTorrents};
use crate::commands::torrent::read_torrent;
use crate::failure::{self, warn};
use crate::input;
use crate::interrupt::interrupted;
use crate::print::csv::CsvTable;
use crate::print::json::{self, JsonSummary};
use crate::print::ladder::Ladder;
use crate::print::message_json::JsonMessages;
use crate::print::message_table::{Detail, MessageTable};
use crate::print::output::{Output, styles};
use crate::print::overview::Overview;
use crate::print::page::Page;
use crate::print::printable::printable;
use crate::print::views::{Follower, Read, Views, list_rules};
use crate::query::names::FieldName;
use crate::query::row::{CaptureContext, Row};
use choice::MessageChoice;
use message_view::MessageView;
use page::page;

pub(crate) use page::command_for;

/// How many messages stand after the summary when nobody says how many.
const FIRST_MESSAGES: u64 = 50;

/// Runs the command.
pub(crate) fn run(arguments: &AnalyzeArguments, common: Common, mut output: Output) -> Result<Exit> {
    if arguments.list_rules {
        list_rules(arguments.format, output.look, &mut output)?;
        output.flush()?;
        return Ok(Exit::Done);
    }
    let mut analysis = Analysis::new(arguments, common, output)?;
    for path in &arguments.captures {
        if interrupted() {
            break;
        }
        analysis.capture(path)?;
    }
    analysis.finish()
}

struct Analysis<'a> {
    common: Common,
    output: Output,
    options: TraceOptions,
    choice: MessageChoice,
    /// The page that is to be written, until it is.
    page: Option<PageReading>,
    /// Whether the page is all that standard output gets.
    page_is_output: bool,
    expected: Expected,
    columns: Vec<(FieldName, String)>,
    format: Format,
    views: Vec<ViewName>,
    /// The stream that is told as a conversation.
    follow: Option<u32>,
    hex: bool,
    unfolded: bool,
    order: Option<ConnectionOrder>,
    /// How many connections views show at most, where that was asked for.
    most_rows: Option<usize>,
    show: Show,
    csv: CsvTable,
    json: JsonMessages,
    closing: JsonSummary,
    fail_on: Option<Severity>,
    no_summary: bool,
    /// How many messages earlier captures had.
    before: u64,
    /// How many captures were begun.
    begun: usize,
    captures: &'a [PathBuf],
    exit: Exit,
}

/// What to show of each capture, and when.
#[derive(Debug, Clone, Copy)]
struct Show {
    summary: bool,
    messages: bool,
    /// Messages wait for the summary, which stands first. Of messages without a limit none is kept: the summary
    /// then stands after them.
    held: bool,
    limit: u64,
}

/// What the options name, and no capture has had so far.
#[derive(Debug)]
struct Expected {
    streams: ExpectedStreams,
    host: ExpectedHost,
    torrents: ExpectedTorrents,
}

impl<'a> Analysis<'a> {
    fn new(arguments: &'a AnalyzeArguments, common: Common, output: Output) -> Result<Self> {
        let columns = arguments
            .fields
            .iter()
            .map(|text| match FieldName::parse(text.trim()) {
                Ok(name) => Ok((name, text.trim().to_owned())),
                Err(unknown) => bail!("--fields: {unknown}"),
            })
            .collect::<Result<Vec<_>>>()?;
        let views = chosen_views(arguments);
        if !views.is_empty() && !views.contains(&ViewName::Messages) {
            let option = if arguments.hex { "--hex" } else { "--fields" };
            if arguments.hex || !columns.is_empty() {
                bail!("{option} needs the messages: add messages to --view");
            }
        }
        if let Some(refusal) = picture_refusal(&views, arguments.format) {
            bail!(refusal);
        }
        if arguments.format == Format::Csv && views.contains(&ViewName::Summary) {
            bail!("--format csv takes one view, not the summary; --format table and json have the summary");
        }
        if arguments.format == Format::Csv && views.iter().any(|view| *view != views[0]) {
            bail!("--format csv takes one view: each view has its own columns");
        }
        // A page takes the place of what is printed where nothing was asked for.
        let is_page_alone = arguments.html.is_some() && arguments.format == Format::Table;
        let usual = views.is_empty() && arguments.follow.is_none() && !is_page_alone;
        let limit = match arguments.limit {
            Some(0) => u64::MAX,
            Some(limit) => limit,
            None if usual && arguments.format == Format::Table => FIRST_MESSAGES,
            None => u64::MAX,
        };
        let summary = !arguments.no_summary && (usual || views.contains(&ViewName::Summary));
        let show = Show {
            summary,
            messages: usual
                || views.contains(&ViewName::Messages)
                || views.contains(&ViewName::Ladder)
                || arguments.follow.is_some(),
            held: arguments.format == Format::Table && summary && limit < u64::MAX,
            limit,
        };
        let given = arguments
            .torrent
            .iter()
            .map(|path| Ok((path.clone(), Arc::new(read_torrent(path)?.metainfo))))
            .collect::<Result<Vec<_>>>()?;
        let torrents: Vec<_> = given.iter().map(|(_, torrent)| Arc::clone(torrent)).collect();
        let choice = MessageChoice::new(arguments)?;
        let page = page(arguments, &torrents, !choice.is_everything(), &output)?;
        Ok(Self {
            common,
            page,
            page_is_output: arguments.html.as_deref() == Some(Path::new("-")),
            output,
            options: TraceOptions {
                local: arguments.local,
                torrents,
                mse_keys: arguments.key_logs.read()?,
                measure: views.contains(&ViewName::Diagnosis),
                ..TraceOptions::default()
            },
            expected: Expected {
                streams: ExpectedStreams::new(choice.streams()),
                host: ExpectedHost::new(arguments.local),
                torrents: ExpectedTorrents::new(given.into_iter()),
            },
            choice,
            csv: CsvTable::new(&columns, arguments.hex),
            json: JsonMessages::new(&columns, arguments.hex),
            columns,
            format: arguments.format,
            views,
            follow: arguments.follow,
            hex: arguments.hex,
            unfolded: arguments.no_fold,
            order: arguments.sort,
            most_rows: arguments.limit.map(|limit| if limit == 0 { usize::MAX } else { limit as usize }),
            show,
            closing: JsonSummary::default(),
            fail_on: arguments.fail_on.map(severity),
            no_summary: arguments.no_summary,
            before: 0,
            begun: 0,
            captures: &arguments.captures,
            exit: Exit::Done,
        })
    }

    /// Reads one capture to its end. Errors are those of the output; a capture that cannot be read is reported and
    /// the next one has its turn.
    fn capture(&mut self, path: &Path) -> Result<()> {
        let mut trace = match input::open(path, self.options.clone(), &self.output) {
            Ok(trace) => trace,
            // Input that an interrupt ended is not empty.
            Err(_) if interrupted() => return Ok(()),
            Err(error) => {
                self.report(&error);
                return Ok(());
            }
        };
        if self.begun > 0 && self.format == Format::Table {
            writeln!(self.output)?;
        }
        self.begun += 1;
        let name = trace.capture().name().to_owned();
        let mut summary = Summary::new(&self.options.torrents);
        summary.before = self.before;
        let mut views = Views::new(&self.views, &self.options.torrents);
        let mut reading = CaptureReading {
            place: CaptureContext::new(name.clone(), self.before, self.options.torrents.clone()),
            view: self.message_view(),
            held: Vec::new(),
            read: 0,
            chosen: 0,
        };
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
                self.common,
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
        if self.format == Format::Table && !self.page_is_output {
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
            order: self.order,
            limit: self.most_rows,
            verbose: self.common.verbose,
        };
        views.write(read, self.format, self.begun == 1, &mut self.output)?;
        self.output.flush()?;
        Ok(())
    }

    /// What shows the messages of a capture.
    fn message_view(&self) -> MessageView {
        let look = self.output.look;
        if self.follow.is_some() {
            return MessageView::Conversation(Follower::new(look, self.hex));
        }
        if self.views.contains(&ViewName::Ladder) {
            return MessageView::Ladder(Ladder::new(look, !self.unfolded));
        }
        let detail = Detail {
            hex: self.hex,
            verbose: self.common.verbose,
            quiet: self.common.quiet,
            unfolded: self.unfolded,
        };
        MessageView::Table(MessageTable::new(look, &self.columns, detail))
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
            warn(self.common, &format!("{name}: {packets} of {link} are not read: {advice}"));
        }
        if counts.protected > 0 {
            let frames = counted(counts.protected, "protected 802.11 frame");
            let advice = "decrypt them first (airdecap-ng -e NETWORK -p PASSPHRASE FILE)";
            warn(self.common, &format!("{name}: {frames} are not read: {advice}"));
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
        if self.fail_on.is_some_and(|severity| record.severity() >= Some(severity)) {
            self.exit = self.exit.max(Exit::Matched);
        }
        if !self.show.messages || reading.chosen > self.show.limit {
            return Ok(true);
        }
        if self.format == Format::Table && !self.show.summary && reading.chosen == 1 {
            self.name_capture(&reading.place.capture)?;
        }
        match self.format {
            Format::Json => self.json.write(&row, &mut self.output)?,
            Format::Csv => self.csv.row(&row, &mut self.output)?,
            Format::Table if self.show.held => {
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

    /// Says of which capture a table is, where there are several captures.
    fn name_capture(&mut self, name: &str) -> io::Result<()> {
        if self.captures.len() < 2 {
            return Ok(());
        }
        Page::new(self.output.look, &mut self.output).title(name)
    }

    fn close_table(
        &mut self,
        name: &str,
        trace: &Trace,
        summary: &Summary,
        mut reading: CaptureReading,
    ) -> io::Result<()> {
        let look = self.output.look;
        let read = counted(reading.read, "message");
        if reading.read > 0 && reading.chosen == 0 {
            self.name_capture(name)?;
            let lasted = trace.span().map_or(0.0, |(first, last)| last.seconds_since(first));
            let tail = format!("no message matches ({read}, {lasted:.3} s)");
            return Page::new(look, &mut self.output).painted(&tail, 0, styles::DIM);
        }
        if self.show.summary {
            if !self.show.held && self.show.messages {
                writeln!(self.output)?;
            }
            let (order, verbose) = (self.order.unwrap_or_default(), self.common.verbose);
            Overview { name, trace, summary, look, order, verbose }.write(&mut self.output)?;
            if !self.choice.is_everything() && reading.chosen > 0 {
                let remark =
                    format!("Only the chosen messages are counted: {} of {read}.", count(reading.chosen));
                writeln!(self.output)?;
                Page::new(look, &mut self.output).painted(&remark, 2, styles::DIM)?;
            }
        } else if reading.read == 0 {
            writeln!(
                self.output,
                "{}: no BitTorrent traffic in {}",
                printable(name),
                counted(trace.capture().packets(), "packet")
            )?;
        }
        if !self.show.messages || summary.records == 0 {
            return Ok(());
        }
        if self.show.held && !reading.held.is_empty() {
            writeln!(self.output)?;
            for record in &reading.held {
                let row = Row::new(record, &reading.place);
                reading.view.row(&row, trace.local(), &mut self.output)?;
            }
            reading.view.finish(&mut self.output)?;
        }
        if reading.chosen <= self.show.limit {
            return Ok(());
        }
        let mut tail = format!("… {}", counted(reading.chosen - self.show.limit, "more message"));
        if self.most_rows.is_none() {
            tail.push_str("; all: --view messages; some: --limit N, --filter EXPR");
        }
        Page::new(look, &mut self.output).painted(&tail, 0, styles::DIM)
    }

    fn report(&mut self, error: &anyhow::Error) {
        failure::report(error);
        self.exit = self.exit.max(Exit::CouldNotTell);
    }

    /// Says which stream, host or torrent the options name that no capture has.
    fn compare_with_expected(&mut self) {
        let Expected { streams, host, torrents } = &self.expected;
        let option = if self.follow.is_some() { "--follow" } else { "--stream" };
        let complaints = [
            streams.complaint().map(|complaint| format!("{option}: {complaint}")),
            host.complaint().map(|complaint| format!("--local: {complaint}")),
        ];
        for remark in torrents.remarks() {
            warn(self.common, &remark);
        }
        for complaint in complaints.into_iter().flatten() {
            self.report(&anyhow::Error::msg(complaint));
        }
    }

    fn finish(mut self) -> Result<Exit> {
        match self.format {
            Format::Json if self.begun > 0 && !self.no_summary => {
                json::write_line(&std::mem::take(&mut self.closing).object(), &mut self.output)?
            }
            Format::Csv if self.begun > 0 && self.show.messages => self.csv.header(&mut self.output)?,
            _ => {}
        }
        self.output.flush()?;
        if !interrupted() {
            self.compare_with_expected();
        }
        if interrupted() {
            let unread = self.captures.len() - self.begun.min(self.captures.len());
            if unread > 0 {
                warn(self.common, &format!("interrupted; {} not read", counted(unread as u64, "capture")));
            } else {
                warn(self.common, &format!("interrupted after {}", counted(self.before, "message")));
            }
            return Ok(Exit::Interrupted);
        }
        Ok(self.exit)
    }
}

/// One capture that is being read.
struct CaptureReading {
    place: CaptureContext,
    view: MessageView,
    /// Messages that wait for the summary.
    held: Vec<Record>,
    /// How many messages were read.
    read: u64,
    /// How many of them were chosen.
    chosen: u64,
}

impl Expected {
    fn see(&mut self, dissected: &Dissected) {
        self.host.see(dissected);
        if let Dissected::Record(record) = dissected {
            self.streams.see(record);
            self.torrents.see(record);
        }
    }
}

/// The views to show. Where no view is named, options that choose messages, or say how messages look, ask for messages, and
/// `--sort` asks for conversations.
fn chosen_views(arguments: &AnalyzeArguments) -> Vec<ViewName> {
    if !arguments.view.is_empty() || arguments.follow.is_some() {
        return arguments.view.clone();
    }
    let says_how_messages_look = arguments.hex || arguments.no_fold || !arguments.fields.is_empty();
    // With a page these options choose what the page is of.
    let has_page = arguments.html.is_some() && arguments.format == Format::Table;
    let chooses_messages = !has_page
        && (arguments.filter.is_some()
            || !arguments.stream.is_empty()
            || arguments.limit.is_some()
            || arguments.from.is_some()
            || arguments.to.is_some());
    if has_page && !says_how_messages_look {
        Vec::new()
    } else if arguments.sort.is_some() && !says_how_messages_look {
        vec![ViewName::Conversations]
    } else if says_how_messages_look || chooses_messages {
        vec![ViewName::Messages]
    } else {
        Vec::new()
    }
}

/// Why views that are pictures cannot be shown as they are asked for, and what to use instead.
fn picture_refusal(views: &[ViewName], format: Format) -> Option<&'static str> {
    let has = |view| views.contains(&view);
    if format != Format::Table && has(ViewName::Ladder) {
        return Some("--view ladder is for people; --view messages has the same messages as JSON and CSV");
    }
    if format != Format::Table && has(ViewName::Map) {
        return Some(
            "--view map is for people; --view pieces has who sent each piece, and when it was verified, as JSON and CSV",
        );
    }
    if format != Format::Table && has(ViewName::Rates) {
        return Some(
            "--view rates is for people; --filter 'message == piece' --fields elapsed,src,dst,fields.length has each block as \
             JSON and CSV",
        );
    }
    if has(ViewName::Ladder) && has(ViewName::Messages) {
        return Some("--view messages and --view ladder show the same messages; name one of them");
    }
    None
}

const fn severity(fail_on: FailOn) -> Severity {
    match fail_on {
        FailOn::Note => Severity::Note,
        FailOn::Warn => Severity::Warn,
        FailOn::Error => Severity::Error,
    }
}
