//! `bittrace diff`: two captures in, the differences between them out.

mod choices;
mod details;
mod findings;
pub(crate) mod html;
mod intervals;
mod json;
mod lists;
mod page;
mod phrases;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use bittrace_protocol::metainfo::Metainfo;
use bittrace_replay::{
    ComparedConversation, Conversation, DiffOptions, DiffReport, Judged, Mask, Masking, MessagePair,
    PairVerdict, Refusal, StoredMessage, TRANSCRIPT_LIMIT, Transcriber, Transcript,
};
use bittrace_report::CommandLine;
use bittrace_trace::units::counted;
use bittrace_trace::{Side, Trace, TraceOptions};

use crate::Exit;
use crate::args::{Choice, Common, Comparing, DiffArguments, DiffFormat, JudgedSides};
use crate::commands::expected::ExpectedHost;
use crate::commands::torrent::read_torrents;
use crate::failure::warn;
use crate::input;
use crate::interrupt::interrupted;
use crate::page_file::name_of;
use crate::print::output::Output;
use crate::query::catalog::message_names;
use crate::query::names::close_to;
pub(crate) use html::ComparisonPage;

/// Runs the command.
pub(crate) fn run(arguments: &DiffArguments, common: Common, mut output: Output) -> Result<Exit> {
    // Before the captures are read, which may take long.
    let options = options(&arguments.comparing)?;
    let torrents = read_torrents(&arguments.torrent)?;
    let stdin = Path::new("-");
    if arguments.reference == stdin && arguments.candidate == stdin {
        bail!("standard input can be the reference or the candidate, not both");
    }
    let page_to = comparison_page(arguments, &output)?;
    let mse_keys = arguments.key_logs.read()?;
    let read = |path, local: Option<IpAddr>| {
        let (torrents, mse_keys) = (torrents.clone(), mse_keys.clone());
        let options = TraceOptions { local: local.into(), torrents, mse_keys, ..TraceOptions::default() };
        transcribe(input::open(path, options, &output)?, local, common)
    };
    let reference = read(&arguments.reference, arguments.local)?;
    let candidate = read(&arguments.candidate, arguments.local_candidate.or(arguments.local))?;
    if reading_was_interrupted(2, common) {
        return Ok(Exit::Interrupted);
    }
    let captures = ComparedCaptures { reference: &reference, candidate: &candidate, torrents: &torrents };
    let nothing = ReplayNotices::default();
    present(&captures, &options, &arguments.comparing, &nothing, page_to, common, &mut output)
}

/// Whether a page goes to standard output, where it stands alone.
pub(crate) fn is_output(page_to: Option<&ComparisonPage>) -> bool {
    page_to.is_some_and(|page| page.file.is_output())
}

/// The file of the page, if one is wanted, and the command that compares the same again.
fn comparison_page(arguments: &DiffArguments, output: &Output) -> Result<Option<ComparisonPage>> {
    let captures = [arguments.reference.as_path(), arguments.candidate.as_path()];
    let read: Vec<&Path> =
        captures.into_iter().chain(arguments.torrent.iter().map(PathBuf::as_path)).collect();
    let Some(file) = arguments.comparing.page_file(&read, output)? else {
        return Ok(None);
    };
    let mut words = vec!["bittrace".to_owned(), "diff".to_owned()];
    words.extend(captures.into_iter().map(name_of));
    words.extend(html::options(&arguments.comparing));
    let command = CommandLine::new(words.iter().map(String::as_str));
    Ok(Some(ComparisonPage { file, command, is_quiet: output.is_quiet() }))
}

/// Two captures that are compared.
pub(crate) struct ComparedCaptures<'a> {
    pub(crate) reference: &'a Transcript,
    pub(crate) candidate: &'a Transcript,
    pub(crate) torrents: &'a [Arc<Metainfo>],
}

/// Compares two captures and shows the report. `noticed` is shown with it. Where a page is wanted, it takes the place of the
/// text, of which the answer is left; a page on standard output stands there alone.
pub(crate) fn present(
    captures: &ComparedCaptures<'_>,
    options: &DiffOptions,
    arguments: &Comparing,
    noticed: &ReplayNotices,
    page_to: Option<ComparisonPage>,
    common: Common,
    output: &mut Output,
) -> Result<Exit> {
    let ComparedCaptures { reference, candidate, torrents } = *captures;
    require_names(reference, candidate, options)?;
    let report = bittrace_replay::diff(reference, candidate, options)?;
    let chosen = report.conversations.iter().any(|compared| !compared.pairs.is_empty());
    let some = reference.records + candidate.records > 0;
    if some && !chosen && !(options.only.is_empty() && options.streams.is_empty()) {
        bail!("no message of either capture matches --only and --streams");
    }
    let allowed: Vec<PairVerdict> = arguments.allow.iter().copied().map(verdict).collect();
    let view = DiffView {
        reference,
        candidate,
        torrents,
        report: &report,
        masked: !arguments.no_mask,
        noticed,
        disagreements: report.disagreements(&allowed),
        allowed,
    };
    let (has_page, page_is_output) = (page_to.is_some(), is_output(page_to.as_ref()));
    if let Some(page) = page_to {
        html::write(&view, page)?;
    }
    match arguments.format {
        _ if page_is_output => {}
        DiffFormat::Json => json::write(&view, output)?,
        DiffFormat::Table if common.quiet || has_page => page::write_conclusion(&view, output.look, output)?,
        DiffFormat::Table => {
            let detail = DiffDetail { hex: arguments.hex, context: arguments.context, all: common.verbose };
            page::write(&view, detail, output.look, output)?;
        }
    }
    std::io::Write::flush(output)?;
    Ok(if view.disagreements > 0 { Exit::Matched } else { Exit::Done })
}

/// What a replay noticed of a run, beside its messages; nothing where two captures are compared.
#[derive(Debug, Default)]
pub(crate) struct ReplayNotices {
    /// What was done, in sentences.
    pub(crate) introduction: Vec<String>,
    /// What the replayed tracker and peers did not answer.
    pub(crate) refusals: Vec<Refusal>,
    /// What else is worth knowing, in sentences without a full stop.
    pub(crate) remarks: Vec<String>,
}

/// A comparison, and what it is of.
struct DiffView<'a> {
    reference: &'a Transcript,
    candidate: &'a Transcript,
    torrents: &'a [Arc<Metainfo>],
    report: &'a DiffReport,
    /// Whether masks may let anything pass.
    masked: bool,
    noticed: &'a ReplayNotices,
    allowed: Vec<PairVerdict>,
    /// How many messages disagree that are not allowed to.
    disagreements: u64,
}

/// What is shown of each difference.
#[derive(Debug, Clone, Copy)]
struct DiffDetail {
    hex: bool,
    /// How many messages before and after it.
    context: usize,
    /// Whether differences of identity are shown, and differences that messages before have too.
    all: bool,
}

/// A message, and the conversation it stands in.
#[derive(Debug, Clone, Copy)]
struct NamedMessage<'a> {
    conversation: &'a Conversation,
    stored: &'a StoredMessage,
}

impl<'a> DiffView<'a> {
    fn conversations(
        &self,
        compared: &ComparedConversation,
    ) -> (Option<&'a Conversation>, Option<&'a Conversation>) {
        compared.conversations(self.reference, self.candidate)
    }

    /// The messages of a pair.
    fn said(
        &self,
        compared: &ComparedConversation,
        pair: &MessagePair,
    ) -> (Option<NamedMessage<'a>>, Option<NamedMessage<'a>>) {
        let both = self.conversations(compared);
        let (one, other) = pair.messages(both);
        let named = |conversation: Option<&'a Conversation>, stored| {
            Some(NamedMessage { conversation: conversation?, stored: stored? })
        };
        (named(both.0, one), named(both.1, other))
    }

    /// The message by whose name a pair goes: the reference's, where there is one.
    fn named(&self, compared: &ComparedConversation, pair: &MessagePair) -> Option<NamedMessage<'a>> {
        let (one, other) = self.said(compared, pair);
        one.or(other)
    }

    fn counts(&self, pair: &MessagePair) -> bool {
        self.report.judged.counts(pair.side)
    }
}

/// Refuses names of `--only` that are not message names, and streams of `--streams` that the reference does not have.
fn require_names(reference: &Transcript, candidate: &Transcript, options: &DiffOptions) -> Result<()> {
    let said = || {
        let conversations = reference.conversations.iter().chain(&candidate.conversations);
        let sides = conversations.flat_map(|one| [Side::Local, Side::Remote].map(|side| one.direction(side)));
        sides.flat_map(|direction| &direction.messages)
    };
    for name in &options.only {
        if message_names().any(|known| known == name) || said().any(|stored| stored.message() == name) {
            continue;
        }
        let close = close_to(name, message_names());
        if !close.is_empty() {
            bail!("--only: unknown message \"{name}\"; did you mean {}?", close.join(" or "));
        }
        let names: BTreeSet<&str> = said().map(StoredMessage::message).collect();
        let names: Vec<&str> = names.into_iter().collect();
        bail!("--only: unknown message \"{name}\"; the captures have {}", names.join(", "));
    }
    let streams: BTreeSet<u32> = reference.conversations.iter().map(|one| one.stream.0).collect();
    for stream in options.streams.iter().filter(|_| !streams.is_empty()) {
        if !streams.contains(stream) {
            let streams: Vec<String> = streams.iter().map(u32::to_string).collect();
            bail!("--streams: the reference has no stream {stream}; it has {}", streams.join(", "));
        }
    }
    Ok(())
}

/// Reads a capture into its conversations. `local` is the address that `--local` gives.
///
/// # Errors
/// When the capture cannot be read on, is too large, or has no message from or to `local`.
pub(crate) fn transcribe(mut trace: Trace, local: Option<IpAddr>, common: Common) -> Result<Transcript> {
    let mut host = ExpectedHost::new(local);
    let mut transcriber = Transcriber::new(trace.capture().name(), TRANSCRIPT_LIMIT);
    while !interrupted() {
        match trace.next()? {
            Some(dissected) => {
                host.see(&dissected);
                transcriber.push(dissected)?;
            }
            None => break,
        }
    }
    if let (Some(complaint), false) = (host.complaint(), interrupted()) {
        bail!("--local: {}: {complaint}", trace.capture().name());
    }
    let transcript = transcriber.finish(&trace);
    if let (Some(offset), false) = (transcript.cut, interrupted()) {
        let name = &transcript.name;
        warn(
            common,
            &format!("{name}: the file ends in the middle of a packet, which begins at byte {offset}"),
        );
    }
    if transcript.shortened > 0 {
        let pieces = counted(transcript.shortened, "block");
        let limit = TRANSCRIPT_LIMIT >> 21;
        let name = &transcript.name;
        warn(common, &format!("{name}: after {limit} MiB of messages, {pieces} are compared by SHA-1 only"));
    }
    Ok(transcript)
}

/// Whether Ctrl-C ended the reading of the captures, one or two; the user is told so.
pub(crate) fn reading_was_interrupted(captures: usize, common: Common) -> bool {
    let interrupted = interrupted();
    if interrupted {
        let captures = if captures == 1 { "the capture was" } else { "both captures were" };
        warn(common, &format!("interrupted before {captures} read"));
    }
    interrupted
}

pub(crate) fn options(arguments: &Comparing) -> Result<DiffOptions> {
    let mut by_hand = Vec::new();
    for text in &arguments.mask {
        match Mask::parse(text) {
            Ok(mask) => by_hand.push(mask),
            Err(error) => bail!("--mask: {error}"),
        }
    }
    let side = match (arguments.side, arguments.no_mask) {
        (Some(JudgedSides::Local), _) | (None, false) => Judged::Local,
        (Some(JudgedSides::Far), _) => Judged::Remote,
        (Some(JudgedSides::Both), _) | (None, true) => Judged::Both,
    };
    Ok(DiffOptions {
        masking: if arguments.no_mask { Masking::None } else { Masking::Table(by_hand) },
        judged: side,
        only: arguments.only.iter().map(|name| name.trim().to_owned()).collect(),
        streams: arguments.streams.clone(),
    })
}

const fn verdict(choice: Choice) -> PairVerdict {
    match choice {
        Choice::Moved => PairVerdict::Moved,
        Choice::Missing => PairVerdict::Missing,
        Choice::Extra => PairVerdict::Extra,
    }
}
