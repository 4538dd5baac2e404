//! `bittrace replay`: a capture's tracker and peers are replayed, to bittrace itself or to any client, and the client's messages
//! are compared with those of the capture's client.

mod described;
mod ended;
mod live;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use bittrace_protocol::Metainfo;
use bittrace_protocol::session::MessageCounts;
use bittrace_replay::{
    ClientRole, Missed, NoClient, RecordedPieces, TRANSCRIPT_LIMIT, Transcript, infer_profile,
    packets_over_utp, replay_offline,
};
use bittrace_report::CommandLine;
use bittrace_trace::units::counted;
use bittrace_trace::{Trace, TraceOptions};
use serde_json::{Map, Value, json};

use crate::Exit;
use crate::args::{self, Common, DiffFormat};
use crate::commands::diff::{self, ComparedCaptures, ComparisonPage, ReplayNotices};
use crate::commands::download::{keep, violation_in_words};
use crate::commands::profile::own_profile;
use crate::commands::torrent::read_torrent;
use crate::failure::warn;
use crate::input;
use crate::page_file::name_of;
use crate::print::json::write_line;
use crate::print::output::Output;
use crate::print::page::Page;

/// Runs the command.
pub(crate) fn run(arguments: &args::ReplayArguments, common: Common, output: Output) -> Result<Exit> {
    // A mistyped mask is an error before anything runs.
    let options = diff::options(&arguments.comparing)?;
    let play = ReplayPlan::load(arguments, common, &output)?;
    if diff::reading_was_interrupted(1, common) {
        return Ok(Exit::Interrupted);
    }
    if let Some(record) = &arguments.record {
        keep("--record", "the capture", &play.path, record)?;
        keep("--record", "the torrent file", &play.torrent_path, record)?;
        play.content.iter().try_for_each(|content| keep("--record", "the content", content, record))?;
    }
    let page_to = comparison_page(&play, arguments, &output)?;
    if !arguments.disturb.is_empty() && play.role == ClientRole::Seeder {
        bail!(
            "--disturb: the client seeds here, and peers that download cause no faults yet: only --role downloader has them"
        );
    }
    if !arguments.disturb.is_empty() && arguments.client.is_empty() {
        bail!("--disturb needs a client that it can start again and again: name it after --");
    }
    if !arguments.client.is_empty() || arguments.listen.is_some() {
        return live::run(&play, arguments, &options, page_to, common, output);
    }
    rehearsed(&play, arguments, &options, page_to, common, output)
}

/// The file of the page, if one is wanted, and the command that does the same again.
fn comparison_page(
    play: &ReplayPlan,
    arguments: &args::ReplayArguments,
    output: &Output,
) -> Result<Option<ComparisonPage>> {
    let mut read = vec![play.path.as_path(), &play.torrent_path];
    read.extend(play.content.as_deref());
    let Some(file) = arguments.comparing.page_file(&read, output)? else { return Ok(None) };
    if let (Some(html), Some(record)) = (&arguments.comparing.html, &arguments.record) {
        keep("--html", "the recording", record, html)?;
    }
    let mut words = vec!["bittrace".to_owned(), "replay".to_owned(), name_of(&play.path)];
    for what in &arguments.disturb {
        for what in &what.0 {
            words.extend(["--disturb".to_owned(), what.name()]);
        }
    }
    words.extend(diff::html::options(&arguments.comparing));
    let mut client = arguments.client.clone();
    if let Some(program) = client.first_mut() {
        *program = name_of(Path::new(program));
    }
    let command =
        CommandLine::new(words.iter().map(String::as_str)).followed_by(client.iter().map(String::as_str));
    Ok(Some(ComparisonPage { file, command, is_quiet: output.is_quiet() }))
}

/// A capture that is to be played, and what belongs to it.
struct ReplayPlan {
    path: PathBuf,
    local: Option<std::net::IpAddr>,
    reference: Rc<Transcript>,
    /// The role of the client.
    role: ClientRole,
    torrent: Arc<Metainfo>,
    /// The torrent file as it is.
    file: Vec<u8>,
    torrent_path: PathBuf,
    content: Option<PathBuf>,
}

impl ReplayPlan {
    fn load(arguments: &args::ReplayArguments, common: Common, output: &Output) -> Result<Self> {
        let given = match &arguments.torrent {
            Some(path) => Some(path.clone()),
            None => beside(&arguments.capture)?,
        };
        let (torrent_path, file, metainfo) = match given {
            Some(path) => {
                let torrent = read_torrent(&path)?;
                (path, torrent.bytes().to_vec(), torrent.metainfo)
            }
            None => {
                let file = described::torrent_file(arguments, output)?;
                let metainfo = Metainfo::decode(&file)?;
                (arguments.capture.clone(), file, metainfo)
            }
        };
        let metainfo = Arc::new(metainfo);
        let options = TraceOptions {
            local: arguments.local.into(),
            torrents: vec![metainfo.clone()],
            mse_keys: arguments.key_logs.read()?,
            // For the packets of uTP.
            measure: true,
            ..TraceOptions::default()
        };
        let trace = input::open(&arguments.capture, options, output)?;
        let reference = diff::transcribe(trace, arguments.local, common)?;
        Ok(Self {
            path: arguments.capture.clone(),
            role: arguments.role_in(&reference),
            reference: Rc::new(reference),
            local: arguments.local,
            file,
            torrent: metainfo,
            torrent_path,
            content: arguments.content.clone(),
        })
    }

    /// How the recording of a run is read: it begins before the client does.
    fn options_of_run(&self) -> TraceOptions {
        TraceOptions {
            torrents: vec![self.torrent.clone()],
            from_start: true,
            // For the packets of uTP.
            measure: true,
            ..TraceOptions::default()
        }
    }

    /// The bytes of the torrent that the capture or the content has.
    fn contents(&self) -> Result<RecordedPieces> {
        let name = &self.reference.name;
        match self.reference.torrent {
            None => return Err(NoClient(name.clone()).into()),
            Some(torrent) if !self.torrent.goes_by(torrent) => bail!(
                "{name} is about torrent {torrent}, but {} is {}",
                self.torrent_path.display(),
                self.torrent.info_hash
            ),
            Some(_) => {}
        }
        if self.reference.shortened > 0 && self.content.is_none() {
            bail!(
                "{name}: {} after {} MiB of messages cannot be replayed from the capture: give the torrent's files with \
                 --content",
                counted(self.reference.shortened, "block"),
                TRANSCRIPT_LIMIT >> 21
            );
        }
        let mut contents = RecordedPieces::of(&self.reference, &self.torrent);
        if let Some(path) = &self.content {
            contents.read_from(&self.torrent, path).with_context(|| path.display().to_string())?;
        }
        let missing = contents.missing(&self.torrent);
        if let (ClientRole::Seeder, false) = (self.role, missing.is_empty()) {
            bail!(
                "{name}: the client is to seed, and the capture lacks {}: give the torrent's files with --content",
                pieces_in_words(missing.into_iter().map(|piece| piece.0))
            );
        }
        Ok(contents)
    }
}

/// The torrent of the same name in the same folder: `a.torrent` for `a.pcap` and `a.pcap.gz`; `None` where there is none.
fn beside(capture: &Path) -> Result<Option<PathBuf>> {
    if capture == Path::new("-") {
        bail!("standard input has no .torrent file beside it: give the torrent with --torrent");
    }
    if !capture.exists() {
        bail!("{}: no such file", capture.display());
    }
    let name = capture.file_name().unwrap_or_default().to_string_lossy();
    let stems = [".gz", ".zst"].iter().filter_map(|packed| name.strip_suffix(packed)).chain([&*name]);
    let found = stems
        .filter_map(|stem| stem.rsplit_once('.'))
        .map(|(stem, _)| capture.with_file_name(format!("{stem}.torrent")))
        .find(|path| path.is_file());
    Ok(found)
}

/// Replays the capture to bittrace, without sockets.
fn rehearsed(
    play: &ReplayPlan,
    arguments: &args::ReplayArguments,
    options: &bittrace_replay::DiffOptions,
    page_to: Option<ComparisonPage>,
    common: Common,
    mut output: Output,
) -> Result<Exit> {
    let contents = play.contents()?;
    let learnt = infer_profile(&play.reference, own_profile())?;
    let name = &play.reference.name;
    let comment = format!("bittrace {} replay of {name}", env!("CARGO_PKG_VERSION"));
    let rehearsal = replay_offline(&play.reference, &learnt, &play.torrent, &contents, play.role, &comment)
        .map_err(|why| anyhow!(why))?;
    if let Some(path) = &arguments.record {
        fs::write(path, &rehearsal.capture)
            .with_context(|| format!("{}: cannot be written", path.display()))?;
    }
    let name = format!("bittrace, as {}", learnt.client.as_deref().unwrap_or("its client"));
    // The session has the address of the reference's client.
    let local = play.local.or(play.reference.local);
    let options_of_trace = TraceOptions { local: local.into(), ..play.options_of_run() };
    let candidate = Trace::from_reader(name, io::Cursor::new(rehearsal.capture), options_of_trace)?;
    let introduction = |capture: &str| {
        [
            format!(
                "The tracker and peers of {capture}, replayed to bittrace, which {} as {}; no sockets.",
                if play.role == ClientRole::Seeder { "seeded" } else { "behaved" },
                learnt.client.as_deref().unwrap_or("its client")
            ),
            choices_in_words(rehearsal.messages),
        ]
    };
    if arguments.comparing.format == DiffFormat::Table && !common.quiet && page_to.is_none() {
        let mut page = Page::new(output.look, &mut output);
        introduction(&play.reference.name).iter().try_for_each(|sentence| page.paragraph(sentence, 0))?;
        writeln!(page)?;
    }
    if arguments.comparing.format == DiffFormat::Json {
        write_line(&choices(rehearsal.messages), &mut output)?;
    }
    for beyond in &learnt.beyond {
        warn(common, &format!("not imitated: {beyond}"));
    }
    let missed: Vec<_> = rehearsal.missed.iter().map(|(far, missed)| (*far, missed)).collect();
    let mut remarks = missed_in_words(&missed);
    let left = rehearsal.left.iter();
    remarks.extend(left.map(|(far, violation)| {
        format!("the session closed its connection to {far}: {}", violation_in_words(violation))
    }));
    remarks.extend(rehearsal.remarks);
    let noticed = ReplayNotices {
        introduction: introduction(&name_of(&play.path)).into(),
        refusals: rehearsal.refusals,
        remarks,
    };
    compare(play, candidate, noticed, (arguments, options), page_to, common, &mut output)
}

/// How many messages to peers the schedule of the capture chose, and how many the session's policy.
fn choices_in_words(messages: MessageCounts) -> String {
    let haves = counted(messages.scheduled_haves, "message");
    format!(
        "Of {} to peers, {} followed the schedule of the capture: {} and {haves} about new pieces. The session's \
         policy chose the other {}.",
        counted(messages.sent, "message"),
        messages.scheduled(),
        counted(messages.scheduled_requests, "request"),
        messages.sent - messages.scheduled(),
    )
}

fn choices(messages: MessageCounts) -> Map<String, Value> {
    let counts = json!({
        "sent": messages.sent,
        "scheduled_requests": messages.scheduled_requests,
        "scheduled_haves": messages.scheduled_haves,
        "by_policy": messages.sent - messages.scheduled(),
    });
    Map::from_iter([("messages_to_peers".to_owned(), counts)])
}

/// Compares the recording of a run with the capture, and shows the report.
fn compare(
    play: &ReplayPlan,
    candidate: Trace,
    mut noticed: ReplayNotices,
    (arguments, options): (&args::ReplayArguments, &bittrace_replay::DiffOptions),
    page_to: Option<ComparisonPage>,
    common: Common,
    output: &mut Output,
) -> Result<Exit> {
    let candidate = diff::transcribe(candidate, None, common)?;
    noticed.remarks.extend(packets_over_utp(&play.reference, &candidate));
    let padded = play.reference.padded_requests().count() as u64;
    if padded > 0 && candidate.padded_requests().next().is_none() {
        noticed.remarks.push(format!(
            "the client of the reference requests the zeros after the end of a file too ({}), and counts them as left and as \
             downloaded; the last piece of a file is shorter (BEP 52), so a client that does neither is right as well",
            counted(padded, "request")
        ));
    }
    let torrents = [play.torrent.clone()];
    let captures =
        ComparedCaptures { reference: &play.reference, candidate: &candidate, torrents: &torrents };
    diff::present(&captures, options, &arguments.comparing, &noticed, page_to, common, output)
}

/// Where peers could not do as in the reference, a sentence each: blocks that were not requested in one sentence a peer, equal
/// sentences once.
fn missed_in_words(all: &[(SocketAddr, &Missed)]) -> Vec<String> {
    let mut lines: Vec<(String, u64)> = Vec::new();
    let mut not_asked: BTreeMap<SocketAddr, (u64, BTreeSet<u32>)> = BTreeMap::new();
    for (far, missed) in all {
        let line = match missed {
            Missed::NotAsked { block, .. } => {
                let (blocks, pieces) = not_asked.entry(*far).or_default();
                *blocks += 1;
                pieces.insert(block.index.0);
                continue;
            }
            Missed::Cue { number, cue, lacking } => {
                let what = cue.name();
                let more = counted(u64::from(*lacking), &format!("more {what} message"));
                format!(
                    "the replayed peer {far} waited for {more} before its message {number}, then went on without it"
                )
            }
            Missed::MetadataNotAsked { number, piece } => {
                format!("the client did not request piece {piece} of the metadata, message {number} of {far}")
            }
            Missed::HashesNotAsked { number } => {
                format!("the client did not request the hashes of message {number} of {far}")
            }
            Missed::Never { number, cue, lacking } => {
                let more = counted(u64::from(*lacking), &format!("more {} message", cue.name()));
                format!(
                    "the replayed peer {far} waited for {more} before its message {number} until the end, and never sent it"
                )
            }
            Missed::WrongBlock { block } => format!(
                "the client sent the peer {far} other bytes than the content's for the block at {} of piece {}",
                block.begin, block.index
            ),
            Missed::Unspoken { number, extension } => {
                format!(
                    "the replayed peer {far} left out its message {number}: the client does not have {extension}"
                )
            }
        };
        match lines.iter_mut().find(|(known, _)| *known == line) {
            Some((_, times)) => *times += 1,
            None => lines.push((line, 1)),
        }
    }
    let mut lines: Vec<String> = lines
        .into_iter()
        .map(|(line, times)| if times == 1 { line } else { format!("{line} ({times} times)") })
        .collect();
    for (far, (blocks, pieces)) in not_asked {
        let pieces = pieces_in_words(pieces);
        let blocks = counted(blocks, "block");
        lines.push(format!(
            "the client did not request {blocks} that the peer {far} sent in the reference, of {pieces}"
        ));
    }
    lines
}

/// Pieces by their numbers, the first of them where they are many.
fn pieces_in_words(pieces: impl IntoIterator<Item = u32>) -> String {
    let pieces: Vec<String> = pieces.into_iter().map(|piece| piece.to_string()).collect();
    let shown = pieces.get(..PIECES).unwrap_or(&pieces).join(", ");
    let more = if pieces.len() > PIECES { ", …" } else { "" };
    let noun = if pieces.len() == 1 { "piece" } else { "pieces" };
    format!("{noun} {shown}{more}")
}

/// How many pieces are named.
const PIECES: usize = 20;
