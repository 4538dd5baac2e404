//! `bittrace replay`: a capture's far ends play their parts again, to bittrace itself or to any client, and what that
//! says is compared with what the capture's client said.

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
    Missed, NoClient, RecordedPieces, TRANSCRIPT_LIMIT, Transcript, infer_profile, replay_offline,
};
use bittrace_trace::units::counted;
use bittrace_trace::{Trace, TraceOptions};
use serde_json::{Map, Value, json};

use crate::Exit;
use crate::args::{self, Common, DiffFormat};
use crate::commands::diff;
use crate::commands::download::{keep, violation_in_words};
use crate::commands::profile::own_profile;
use crate::commands::torrent::read_torrent;
use crate::failure::warn;
use crate::input;
use crate::print::json::write_line;
use crate::print::output::Output;
use crate::print::page::Page;

/// Runs the command.
pub(crate) fn run(arguments: &args::ReplayArguments, common: Common, output: Output) -> Result<Exit> {
    // A mistyped mask is told before anything runs.
    let options = diff::options(&arguments.comparing)?;
    let play = ReplayPlan::load(arguments, common, &output)?;
    if diff::reading_was_interrupted(1, common) {
        return Ok(Exit::Interrupted);
    }
    if let Some(record) = &arguments.record {
        keep("the capture", &play.path, record)?;
        keep("the torrent file", &play.torrent_path, record)?;
        play.content.iter().try_for_each(|content| keep("the content", content, record))?;
    }
    if !arguments.client.is_empty() || arguments.listen.is_some() {
        return live::run(&play, arguments, &options, common, output);
    }
    if !arguments.disturb.is_empty() {
        bail!("--disturb needs a client to disturb: name it behind --");
    }
    rehearsed(&play, arguments, &options, common, output)
}

/// A capture that is to be played, and what belongs to it.
struct ReplayPlan {
    path: PathBuf,
    local: Option<std::net::IpAddr>,
    reference: Rc<Transcript>,
    torrent: Arc<Metainfo>,
    /// The torrent file as it is.
    file: Vec<u8>,
    torrent_path: PathBuf,
    content: Option<PathBuf>,
}

impl ReplayPlan {
    fn load(arguments: &args::ReplayArguments, common: Common, output: &Output) -> Result<Self> {
        let torrent_path = match &arguments.torrent {
            Some(path) => path.clone(),
            None => beside(&arguments.capture)?,
        };
        let torrent = read_torrent(&torrent_path)?;
        let metainfo = Arc::new(torrent.metainfo.clone());
        let options = TraceOptions {
            local: arguments.local,
            torrents: vec![metainfo.clone()],
            mse_keys: arguments.key_logs.read()?,
            measure: false,
        };
        let trace = input::open(&arguments.capture, options, output)?;
        Ok(Self {
            path: arguments.capture.clone(),
            reference: Rc::new(diff::transcribe(trace, arguments.local, common)?),
            local: arguments.local,
            file: torrent.bytes().to_vec(),
            torrent: metainfo,
            torrent_path,
            content: arguments.content.clone(),
        })
    }

    /// The bytes of the torrent that the capture or the content has.
    fn contents(&self) -> Result<RecordedPieces> {
        let name = &self.reference.name;
        match self.reference.torrent {
            None => return Err(NoClient(name.clone()).into()),
            Some(torrent) if torrent != self.torrent.info_hash => bail!(
                "{name} is about torrent {torrent}, but {} is {}",
                self.torrent_path.display(),
                self.torrent.info_hash
            ),
            Some(_) => {}
        }
        if self.reference.shortened > 0 && self.content.is_none() {
            bail!(
                "{name}: {} beyond {} MiB of messages cannot be played from the capture: give the torrent's files with \
                 --content",
                counted(self.reference.shortened, "block"),
                TRANSCRIPT_LIMIT >> 21
            );
        }
        let mut contents = RecordedPieces::of(&self.reference, &self.torrent);
        if let Some(path) = &self.content {
            contents.read_from(&self.torrent, path).with_context(|| path.display().to_string())?;
        }
        Ok(contents)
    }
}

/// The torrent of the same name in the same folder: `a.torrent` for `a.pcap` and `a.pcap.gz`.
fn beside(capture: &Path) -> Result<PathBuf> {
    if capture == Path::new("-") {
        bail!("standard input has no .torrent beside it: give the torrent with --torrent");
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
    found.ok_or_else(|| {
        anyhow!("{}: there is no .torrent of its name beside it: give it with --torrent", capture.display())
    })
}

/// Plays the capture to bittrace, without sockets.
fn rehearsed(
    play: &ReplayPlan,
    arguments: &args::ReplayArguments,
    options: &bittrace_replay::DiffOptions,
    common: Common,
    mut output: Output,
) -> Result<Exit> {
    let contents = play.contents()?;
    let learnt = infer_profile(&play.reference, own_profile())?;
    let name = &play.reference.name;
    let comment = format!("bittrace {} replay of {name}", env!("CARGO_PKG_VERSION"));
    let rehearsal = replay_offline(&play.reference, &learnt, &play.torrent, &contents, &comment)
        .map_err(|why| anyhow!(why))?;
    if let Some(path) = &arguments.record {
        fs::write(path, &rehearsal.capture)
            .with_context(|| format!("{}: cannot be written", path.display()))?;
    }
    let name = format!("bittrace, as {}", learnt.client.as_deref().unwrap_or("its client"));
    let local =
        TraceOptions { local: play.local, torrents: vec![play.torrent.clone()], ..TraceOptions::default() };
    let candidate = Trace::from_reader(name, io::Cursor::new(rehearsal.capture), local)?;
    let told = |table: bool| table && !common.quiet;
    if told(arguments.comparing.format == DiffFormat::Table) {
        let text = format!(
            "The far ends of {} played to bittrace, which spoke as {} did; no sockets.",
            play.reference.name,
            learnt.client.as_deref().unwrap_or("its client")
        );
        let mut page = Page::new(output.look, &mut output);
        page.paragraph(&text, 0)?;
        page.paragraph(&choices_in_words(rehearsal.messages), 0)?;
        writeln!(page)?;
    }
    if arguments.comparing.format == DiffFormat::Json {
        write_line(&choices(rehearsal.messages), &mut output)?;
    }
    for beyond in &learnt.beyond {
        warn(common, &format!("beyond a profile: {beyond}"));
    }
    let missed: Vec<_> = rehearsal.missed.iter().map(|(far, missed)| (*far, missed)).collect();
    let mut remarks: Vec<String> = rehearsal
        .left
        .iter()
        .map(|(far, violation)| format!("the session left {far}: {}", violation_in_words(violation)))
        .collect();
    remarks.extend(rehearsal.remarks);
    let noticed = Noticed { torrent: &play.torrent, missed: &missed, remarks: &remarks };
    compare(play, candidate, noticed, arguments, options, common, &mut output)
}

/// How much of what was said to peers was chosen by the schedule of the capture, and how much by policy.
fn choices_in_words(messages: MessageCounts) -> String {
    let haves = counted(messages.scheduled_haves, "message");
    format!(
        "Of {} to peers, the schedule of the capture placed {}: {} and {haves} about new pieces. Policy chose the \
         other {}.",
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

/// What the far ends noticed of a run, beside what was said.
struct Noticed<'a> {
    torrent: &'a Metainfo,
    missed: &'a [(SocketAddr, &'a Missed)],
    remarks: &'a [String],
}

/// Compares what was said in a run with the capture, and shows that.
fn compare(
    play: &ReplayPlan,
    candidate: Trace,
    noticed: Noticed<'_>,
    arguments: &args::ReplayArguments,
    options: &bittrace_replay::DiffOptions,
    common: Common,
    output: &mut Output,
) -> Result<Exit> {
    let candidate = diff::transcribe(candidate, None, common)?;
    let torrents = [play.torrent.clone()];
    let exit =
        diff::present(&play.reference, &candidate, &torrents, options, &arguments.comparing, common, output)?;
    tell(&noticed, arguments, common, output)?;
    output.flush()?;
    Ok(exit)
}

/// Tells where far ends could not do as recorded, and what else is worth knowing.
fn tell(
    noticed: &Noticed<'_>,
    arguments: &args::ReplayArguments,
    common: Common,
    output: &mut Output,
) -> Result<()> {
    let mut lines = noticed_in_words(noticed.missed, noticed.torrent);
    lines.extend(noticed.remarks.iter().cloned());
    if lines.is_empty() || common.quiet {
        return Ok(());
    }
    if arguments.comparing.format == DiffFormat::Json {
        lines.iter().for_each(|line| warn(common, line));
        return Ok(());
    }
    let mut page = Page::new(output.look, output);
    page.heading("What the far ends noticed")?;
    let shown = if common.verbose { lines.len() } else { SHOWN.min(lines.len()) };
    for line in &lines[..shown] {
        page.paragraph(&format!("- {line}."), 0)?;
    }
    if shown < lines.len() {
        let hidden = counted((lines.len() - shown) as u64, "remark");
        page.paragraph(&format!("- and {hidden} more; -v shows them."), 0)?;
    }
    Ok(())
}

/// What far ends missed, a line each; blocks that were not asked for on one line a far end, equal lines once.
fn noticed_in_words(all: &[(SocketAddr, &Missed)], torrent: &Metainfo) -> Vec<String> {
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
                let more = if *lacking == 1 {
                    format!("one more {what}")
                } else {
                    format!("{lacking} more of {what}")
                };
                format!("{far} waited for {more} before its message {number}, and went on without")
            }
            Missed::Unknown(block) => {
                let of = torrent.geometry.as_ref().map(|geometry| geometry.block_span(*block));
                let why = match of {
                    Some(Err(_)) => "the torrent does not have: the client's error",
                    _ => "the capture does not hold: --content can",
                };
                let length = counted(block.length.into(), "byte");
                format!(
                    "{far} was asked for {length} of piece {} at {}, which {why}",
                    block.index, block.begin
                )
            }
            Missed::Unspoken { number, extension } => {
                format!("{far} left out its message {number}: the client does not speak {extension}")
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
        let pieces: Vec<String> = pieces.iter().map(u32::to_string).collect();
        let shown = pieces.get(..PIECES).unwrap_or(&pieces).join(", ");
        let more = if pieces.len() > PIECES { ", ..." } else { "" };
        let blocks = counted(blocks, "block");
        lines.push(format!("{far} was never asked for {blocks} that it sent then, of pieces {shown}{more}"));
    }
    lines
}

/// How many pieces are named.
const PIECES: usize = 20;

/// How many remarks are shown.
const SHOWN: usize = 12;
