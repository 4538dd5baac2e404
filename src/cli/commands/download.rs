//! `bittrace download`: a live run, with a running commentary.

mod live_trace;
mod narrate;
mod progress;
mod record_target;
mod source;
mod ways;

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bittrace_client::{
    DhtOptions, Download, DownloadOptions, DownloadReport, Notice, Outcome, Resume, RootName, Stop,
    proxies_of_environment, random_identity,
};
use bittrace_protocol::node::UtpPolicy;
use bittrace_protocol::session::{
    Config, EncryptionPolicy, EncryptionProfile, Event, HostPort, Identity, SeedGoal,
};
use bittrace_protocol::{InfoHash, Metainfo, PeerId};
use bittrace_replay::{Transcript, infer_profile};
use bittrace_trace::units::{count as thousands, counted, rough_size, span};
use bittrace_trace::{Summary, Trace};

use crate::Exit;
use crate::args::{self, Common, Comparing};
use crate::capture_page::{PageReading, PageSettings};
use crate::commands::analyze::command_for;
use crate::commands::diff::{ComparedCaptures, ReplayNotices};
use crate::commands::profile::own_profile;
use crate::commands::{diagnose, diff};
use crate::interrupt::{heed, interrupted};
use crate::os::{is_same_file, state_folder, temporary_folder};
use crate::page_file::PageFile;
use crate::print::output::{Look, Output, styles};
use crate::print::page::Page;
use crate::print::table::Column;
use crate::print::views::DiagnosisPage;
use tempfile::TempDir;

pub(crate) use narrate::violation_in_words;

use live_trace::LiveTrace;
use narrate::Narrator;
use progress::ProgressLine;
pub(crate) use record_target::RecordTarget;
use record_target::is_without_reader;
use source::Source;
pub(crate) use source::{FurtherSources, read_link, warn_of_link, write_link};
use ways::WaysTried;

/// What our peer ids begin with, in the manner of BEP 20: no other client has `bt` in small letters.
const PEER_ID_PREFIX: &[u8] = b"-bt0100-";

/// Runs the command.
pub(crate) fn run(arguments: &args::DownloadArguments, common: Common, output: Output) -> Result<Exit> {
    let target = RecordTarget::of(arguments)?;
    let output = match target {
        // Standard output has the recording and nothing else.
        RecordTarget::StandardOutput => Output::on_standard_error(common),
        _ => output,
    };
    run_recorded(arguments, &target, common, output)
}

/// Runs the command, with a recording that goes to `target`.
pub(crate) fn run_recorded(
    arguments: &args::DownloadArguments,
    target: &RecordTarget,
    common: Common,
    mut output: Output,
) -> Result<Exit> {
    let Some(source) = Source::load(&arguments.torrent)? else { return Ok(Exit::Interrupted) };
    check_key_log(arguments)?;
    if !common.quiet {
        let mut contents = Vec::new();
        source.write_contents(output.look, &mut contents)?;
        tolerate_broken_pipe(output.write_all(&contents).and_then(|()| output.flush()))?;
    }
    source.warn(arguments, FurtherSources::of(arguments), common)?;
    let mut options = options(arguments, source.info_hash())?;
    if !target.open(common, &mut options)? {
        return Ok(Exit::Interrupted);
    }
    let against =
        arguments.against.as_deref().map(|path| Against::begin(path, common, &mut options)).transpose()?;
    let page = arguments
        .html
        .as_deref()
        .map(|path| RunPage::begin(path, arguments, source.known(), target, &output, &mut options));
    let page = page.transpose()?;
    let diagnosed = arguments.diagnose.then(|| RunRecording::begin(&mut options)).transpose()?;
    let live = match arguments.trace {
        true => {
            let (live, watcher) =
                LiveTrace::begin(source.known().cloned().as_slice(), common, output.clone())?;
            options.watchers.push(watcher);
            Some(live)
        }
        false => None,
    };
    let download = source.begin(options)?;
    let EndedRun { report, ways, wrong_output } =
        run_with_commentary(download, target, arguments.trace, common, &mut output);
    let rows = live.map_or(Ok(()), LiveTrace::end);
    let report = report?;
    let torrents: Vec<_> = report.torrent.clone().into_iter().collect();
    tolerate_broken_pipe(wrong_output.map_or(rows, Err))?;
    if !common.quiet {
        let mut table = Vec::new();
        closing_table(&report, &ways, target, arguments.key_log.as_deref(), output.look, &mut table)?;
        tolerate_broken_pipe(output.write_all(&table).and_then(|()| output.flush()))?;
    }
    match report.recording {
        // Nobody is there any more for whom the run was.
        Some(error) if is_without_reader(&error) && target.reader_decides() => return Ok(Exit::Done),
        Some(error) if !is_without_reader(&error) => return Err(error.into()),
        _ => {}
    }
    let exit = match report.outcome {
        Outcome::Complete => Exit::Done,
        Outcome::Stopped if interrupted() => Exit::Interrupted,
        Outcome::Incomplete | Outcome::Stopped => Exit::Matched,
    };
    if let Some(recording) = diagnosed.filter(|_| exit != Exit::Interrupted) {
        recording.diagnose(&torrents, common, &mut output)?;
    }
    if let Some(page) = page {
        // The page is of a run that Ctrl-C ended as well: a seeding run has no other end.
        heed();
        page.write(report.place.as_deref(), &torrents)?;
    }
    match against {
        Some(against) if exit != Exit::Interrupted => {
            if !common.quiet {
                writeln!(output)?;
            }
            Ok(exit.max(against.compare(&torrents, common, &mut output)?))
        }
        _ => Ok(exit),
    }
}

/// Runs a download to its end, and tells what happens.
pub(crate) fn run_with_commentary(
    download: Download,
    target: &RecordTarget,
    beside_rows: bool,
    common: Common,
    output: &mut Output,
) -> EndedRun {
    let stop = download.stop();
    stop_when_interrupted(stop.clone());
    let mut ways = WaysTried::default();
    let mut narrator = Narrator::new(output.look, common, beside_rows);
    // Rows show how far the run is.
    let mut progress = ProgressLine::new(common.quiet || beside_rows);
    let mut wrong_output = None;
    let report = download.run_blocking(|notice| {
        let mut lines = Vec::new();
        if let Notice::Session(event) = &notice {
            ways.see(event);
        }
        match &notice {
            Notice::Progress { status, peers } => progress.show(status, peers),
            Notice::Checking { done, total } => progress.checking(*done, *total),
            // The run is for that reader alone.
            gone if target.is_left_by_reader(gone) => stop.stop(),
            other => narrator.tell(other, &mut lines),
        }
        if matches!(notice, Notice::Session(Event::Complete)) {
            progress.complete();
        }
        if !lines.is_empty() && !common.quiet {
            let written = progress.aside(|| output.write_all(&lines).and_then(|()| output.flush()));
            wrong_output = wrong_output.take().or(written.err());
        }
    });
    progress.end();
    EndedRun { report, ways, wrong_output }
}

/// A run that is over.
pub(crate) struct EndedRun {
    pub(crate) report: Result<DownloadReport, bittrace_client::Error>,
    ways: WaysTried,
    /// Why what happened could not be told.
    pub(crate) wrong_output: Option<io::Error>,
}

/// Whether peers of the local network are looked for. A client that is imitated looks for peers in its own ways, and a single peer
/// comes from the tracker.
const fn looks_around(arguments: &args::DownloadArguments) -> bool {
    !arguments.no_lsd && arguments.like.is_none() && !arguments.single_peer
}

/// The recording of a run, which is read once the run is over.
struct RunRecording {
    path: PathBuf,
    /// Goes with the recording in it, where nobody asked for one.
    folder: Option<TempDir>,
}

impl RunRecording {
    /// Has the run recorded, where it is not already.
    fn begin(options: &mut DownloadOptions) -> Result<Self> {
        if let Some(path) = &options.record {
            return Ok(Self { path: path.clone(), folder: None });
        }
        let folder = temporary_folder().context("no temporary folder")?;
        let path = folder.path().join("run.pcapng");
        options.record = Some(path.clone());
        Ok(Self { path, folder: Some(folder) })
    }

    /// Says why the run went as it did. The packets of a recording are made up around the bytes, so nothing is measured on them.
    fn diagnose(&self, torrents: &[Arc<Metainfo>], common: Common, output: &mut Output) -> Result<()> {
        let options = bittrace_trace::TraceOptions {
            torrents: torrents.to_vec(),
            ..bittrace_trace::TraceOptions::default()
        };
        let mut trace = Trace::open(&self.path, options)?;
        let (diagnosis, _) = diagnose::read(&mut trace, torrents);
        let run = diagnosis.finish();
        // A recording that nobody asked for is gone with the run.
        let file = self.folder.is_none().then_some(&*self.path);
        let page = DiagnosisPage { name: "this run", file, run: &run, verbose: common.verbose };
        writeln!(output)?;
        let look = output.look;
        page.write(args::Format::Table, true, look, output)?;
        output.flush()?;
        Ok(())
    }
}

/// The page of a run, which is written once the run is over.
struct RunPage {
    file: PageFile,
    path: PathBuf,
    settings: PageSettings,
    recording: RunRecording,
}

impl RunPage {
    /// Makes the file before anything is downloaded, and has the run recorded.
    fn begin(
        path: &Path,
        arguments: &args::DownloadArguments,
        known: Option<&Arc<Metainfo>>,
        target: &RecordTarget,
        output: &Output,
        options: &mut DownloadOptions,
    ) -> Result<Self> {
        if path == Path::new("-") {
            bail!("--html -: standard output has the commentary of the run; name a file");
        }
        if let Some(torrent) = known {
            refuse_content(path, &arguments.output.join(torrent.name.to_string()))?;
        }
        if target.file().is_some_and(|record| record == path) {
            bail!("--html {}: this is the recording", path.display());
        }
        let torrent = Path::new(&arguments.torrent);
        let read: Vec<_> = [torrent]
            .into_iter()
            .chain(arguments.like.as_deref())
            .chain(arguments.against.as_deref())
            .collect();
        let file = PageFile::create(path, &read, output)?;
        let capture_is_gone = match target.file() {
            Some(_) => None,
            None => Some("The recording of the run was not kept (--record FILE.pcapng keeps one)."),
        };
        let recording = RunRecording::begin(options)?;
        let settings = PageSettings {
            command: command_for(&recording.path),
            messages: None,
            order: args::ConnectionOrder::default(),
            is_choice: false,
            is_quiet: output.is_quiet(),
            capture_is_gone,
        };
        Ok(Self { file, path: path.to_owned(), settings, recording })
    }

    /// Writes the page. `place` is where the files of the torrent are.
    fn write(self, place: Option<&Path>, torrents: &[Arc<Metainfo>]) -> Result<()> {
        if let Some(place) = place {
            refuse_content(&self.path, place)?;
        }
        let options = bittrace_trace::TraceOptions {
            torrents: torrents.to_vec(),
            from_start: true,
            ..bittrace_trace::TraceOptions::default()
        };
        let mut trace = Trace::open(&self.recording.path, options)?;
        let mut page = PageReading::new(self.file, torrents, self.settings);
        let mut summary = Summary::new(torrents);
        while !interrupted() && trace.advance()? {
            let (Some(dissected), Some((start, _))) = (trace.current(), trace.span()) else { continue };
            summary.add(dissected);
            page.add(dissected, start);
        }
        page.finish(summary.records, &trace, &summary)
    }
}

/// Refuses a page that would take the place of the files at `content`.
fn refuse_content(page: &Path, content: &Path) -> Result<()> {
    let whole = |path: &Path| {
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    };
    if let (Some(page), Some(content)) = (whole(page), whole(content))
        && page.starts_with(&content)
    {
        bail!("--html {}: this is where the files of the torrent go", page.display());
    }
    Ok(())
}

/// A comparison of what the run says with a capture, once it is over.
struct Against {
    reference: Transcript,
    recording: RunRecording,
}

impl Against {
    /// Reads the capture before anything is downloaded, and has the run recorded.
    fn begin(path: &Path, common: Common, options: &mut DownloadOptions) -> Result<Self> {
        let trace = Trace::open(path, bittrace_trace::TraceOptions::default())?;
        let reference = diff::transcribe(trace, None, common)?;
        Ok(Self { reference, recording: RunRecording::begin(options)? })
    }

    fn compare(&self, torrents: &[Arc<Metainfo>], common: Common, output: &mut Output) -> Result<Exit> {
        let options_of_trace = bittrace_trace::TraceOptions {
            torrents: torrents.to_vec(),
            from_start: true,
            ..bittrace_trace::TraceOptions::default()
        };
        let trace = Trace::open(&self.recording.path, options_of_trace)?;
        let candidate = diff::transcribe(trace, None, common)?;
        let comparing = Comparing::default();
        let options = diff::options(&comparing)?;
        let captures = ComparedCaptures { reference: &self.reference, candidate: &candidate, torrents };
        diff::present(&captures, &options, &comparing, &ReplayNotices::default(), None, common, output)
    }
}

/// Nobody may read the output any more (a closed pipe): that changes nothing of the run and its outcome.
fn tolerate_broken_pipe(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output cannot be written"),
    }
}

/// Refuses to write over a file that is read. `option` names the file to write.
pub(crate) fn keep(option: &str, what: &str, read: &Path, written: &Path) -> Result<()> {
    if is_same_file(read, written) {
        bail!("{option} {}: this is {what} and would be overwritten", written.display());
    }
    Ok(())
}

/// Refuses a key log that would change another file of the run.
fn check_key_log(arguments: &args::DownloadArguments) -> Result<()> {
    let Some(log) = &arguments.key_log else { return Ok(()) };
    if log == Path::new("-") {
        bail!("--key-log -: keys are appended to a file; name a file");
    }
    keep("--key-log", "the torrent file", Path::new(&arguments.torrent), log)?;
    let named = [&arguments.like, &arguments.against, &arguments.record, &arguments.html];
    for other in named.into_iter().flatten() {
        let is_same_name = matches!((absolute(log), absolute(other)), (Ok(log), Ok(other)) if log == other);
        if is_same_name || is_same_file(other, log) {
            bail!("--key-log {}: another option names this file", log.display());
        }
    }
    Ok(())
}

/// How to speak, and what to call ourselves: as the client of a capture where that is wanted.
fn manner(arguments: &args::DownloadArguments, torrent: InfoHash) -> Result<(Config, Identity)> {
    let identity = random_identity(PEER_ID_PREFIX)?;
    let Some(path) = &arguments.like else {
        let mut config = Config::new(own_profile());
        config.profile.encryption = EncryptionProfile::own(EncryptionPolicy::Allow);
        return Ok((config, identity));
    };
    let reference = Transcript::open(path, bittrace_trace::TraceOptions::default())?;
    let learnt = infer_profile(&reference, own_profile())?;
    let peer_id = learnt.profile.peer_id.draw(identity.seed);
    let mut config = Config::new(learnt.profile);
    if learnt.torrent == torrent {
        config.schedule = learnt.schedule;
    }
    Ok((config, Identity { peer_id, ..identity }))
}

/// What the arguments want of a run of this torrent.
pub(crate) fn options(arguments: &args::DownloadArguments, torrent: InfoHash) -> Result<DownloadOptions> {
    let (mut config, mut identity) = manner(arguments, torrent)?;
    if let Some(peer_id) = &arguments.peer_id {
        identity = Identity { peer_id: own_peer_id(peer_id)?, ..identity };
    }
    config.single_peer = arguments.single_peer;
    if let Some(encryption) = arguments.encryption {
        config.profile.encryption = config.profile.encryption.under(match encryption {
            args::Encryption::Off => EncryptionPolicy::Off,
            args::Encryption::Allow => EncryptionPolicy::Allow,
            args::Encryption::Prefer => EncryptionPolicy::Prefer,
            args::Encryption::Require => EncryptionPolicy::Require,
        });
    }
    config.port = arguments.port.unwrap_or_else(free_port);
    config.upload_limit = arguments.upload_limit.map(|kib| kib.saturating_mul(1024));
    if let Some(peers) = arguments.max_peers {
        config.max_peers = usize::from(peers);
    }
    if let Some(seconds) = arguments.timeout {
        let timeout = Duration::from_secs(seconds);
        config.connect_timeout = timeout;
        config.handshake_timeout = timeout;
        config.request_timeout = timeout;
        config.choke_timeout = timeout;
        config.tracker_timeout = timeout;
    }
    config.allow_local = arguments.allow_local;
    config.profile.web_seeds &= !arguments.no_web_seeds;
    config.proxies = proxies_of_environment();
    config.seeding = arguments.seed.as_deref().map(seed_goal).transpose()?;
    let rounds = arguments.rounds.unwrap_or(if arguments.single_peer { 1 } else { 3 });
    config.rounds = Some(rounds).filter(|&rounds| rounds > 0);
    let mut options = DownloadOptions::new(&arguments.output, config, identity);
    options.dht = dht_options(arguments);
    if !arguments.listen.is_empty() {
        options.listen.clone_from(&arguments.listen);
    }
    // A capture shows how its client spoke over TCP, and one peer at a time leaves nobody to race with.
    let is_plain = arguments.like.is_none() && !arguments.single_peer;
    options.utp = match arguments.utp {
        None if is_plain => UtpPolicy::Allow,
        None | Some(args::Utp::Off) => UtpPolicy::Off,
        Some(args::Utp::Allow) => UtpPolicy::Allow,
        Some(args::Utp::Prefer) => UtpPolicy::Prefer,
        Some(args::Utp::Require) => UtpPolicy::Require,
    };
    options.lsd = looks_around(arguments);
    options.resume = if arguments.no_resume { Resume::Ignore } else { Resume::Verify };
    options.overwrite = arguments.overwrite;
    options.repair = arguments.repair;
    if arguments.output == Path::new(".") {
        options.root_name = RootName::SafeAndVisible;
    }
    options.key_log.clone_from(&arguments.key_log);
    options.record_comment = format!("bittrace {} download", env!("CARGO_PKG_VERSION"));
    Ok(options)
}

/// How the DHT is used; `None` is without it.
pub(crate) fn dht_options(arguments: &args::DownloadArguments) -> Option<DhtOptions> {
    // What a capture shows of its client's nodes is not imitated.
    if arguments.no_dht || (arguments.like.is_some() && arguments.dht_node.is_empty()) {
        return None;
    }
    let is_local = !arguments.listen.is_empty() && arguments.listen.iter().all(IpAddr::is_loopback);
    let is_public = arguments.dht_node.is_empty() && !is_local;
    let state = || Some(state_folder()?.join("dht.dat"));
    Some(DhtOptions {
        version: DHT_VERSION,
        nodes: arguments.dht_node.clone(),
        routers: if is_public { ROUTERS.map(router).to_vec() } else { Vec::new() },
        state: arguments.dht_state.clone().or_else(|| if is_public { state() } else { None }),
    })
}

fn router(host: &str) -> HostPort {
    HostPort { host: host.to_owned(), port: 6881 }
}

/// Nodes that other clients ask too; the help lists them.
const ROUTERS: [&str; 3] = ["router.bittorrent.com", "dht.transmissionbt.com", "router.utorrent.com"];
/// What nodes of the DHT read of us: the letters of our peer ids, and a version.
const DHT_VERSION: [u8; 4] = *b"bt\x01\x00";

/// The first port that is free of those that clients use (BEP 3, "trackers"); 0, for any, when none is.
fn free_port() -> u16 {
    let free = |port: &u16| {
        let address = (Ipv4Addr::UNSPECIFIED, *port);
        TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
    };
    (6881..=6889).find(free).unwrap_or(0)
}

/// A peer id of up to 20 characters, filled up at random by the caller's own choice of prefix.
fn own_peer_id(text: &str) -> Result<PeerId> {
    if text.len() > 20 {
        bail!("--peer-id: {} bytes, expected at most 20", text.len());
    }
    Ok(random_identity(text.as_bytes())?.peer_id)
}

/// `RATIO` (a number), `TIME` (a number and s, min, h or d), or nothing: for ever.
fn seed_goal(text: &str) -> Result<SeedGoal> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(SeedGoal::default());
    }
    let units = [("min", 60), ("h", 3600), ("d", 24 * 3600), ("s", 1)];
    let time = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        Some(Duration::from_secs(number.saturating_mul(*seconds)))
    });
    let ratio = text.parse().ok().filter(|ratio: &f64| ratio.is_finite() && *ratio >= 0.0);
    if time.is_none() && ratio.is_none() {
        bail!("--seed: {text} is neither a ratio, such as 1.5, nor a time, such as 90s, 30min, 2h or 1d");
    }
    Ok(SeedGoal { ratio, time })
}

/// The first Ctrl-C announces stopped to the trackers and closes the connections; the second ends the process, which loses nothing verified.
fn stop_when_interrupted(stop: Stop) {
    thread::spawn(move || {
        while !interrupted() {
            thread::sleep(Duration::from_millis(50));
        }
        stop.stop();
    });
}

fn closing_table(
    report: &DownloadReport,
    ways: &WaysTried,
    target: &RecordTarget,
    key_log: Option<&Path>,
    look: Look,
    output: &mut Vec<u8>,
) -> Result<()> {
    let waits_for_metadata = report.status.as_ref().is_some_and(|status| status.metadata.is_some());
    let outcome = match report.outcome {
        Outcome::Complete => "complete: every piece is verified",
        Outcome::Incomplete if waits_for_metadata => "incomplete: no peer sent the metadata of the torrent",
        Outcome::Incomplete => "incomplete: no peer has the missing pieces",
        Outcome::Stopped if waits_for_metadata => "stopped: the metadata of the torrent is missing",
        Outcome::Stopped => "stopped: the next run resumes from here",
    };
    let mut rows = vec![("outcome", outcome.to_owned()), ("time", span(report.elapsed.as_secs_f64()))];
    rows.extend(report.place.as_ref().map(|place| ("saved to", place.display().to_string())));
    if let Some(status) = &report.status {
        let elapsed = report.elapsed.as_secs_f64().max(0.001);
        let rate = rough_size((status.downloaded as f64 / elapsed) as u64);
        if !waits_for_metadata {
            rows.push(("pieces", format!("{} of {}", status.pieces_done, status.pieces)));
        }
        if report.pieces_before > 0 {
            rows.push(("already present", counted(u64::from(report.pieces_before), "piece")));
        }
        rows.push(("downloaded", format!("{}, {rate}/s", counted(status.downloaded, "byte"))));
        rows.push(("uploaded", counted(status.uploaded, "byte")));
        rows.push(("wasted", counted(status.wasted, "byte")));
        rows.push(("hash failures", status.hash_failures.to_string()));
        rows.push(("peers tried", status.peers_tried.to_string()));
    }
    for (reason, count, first) in report.left_out.iter() {
        rows.push(("left out", format!("{} × {reason}: {first}", thousands(count))));
    }
    rows.extend(target.name().map(|name| ("recording", name)));
    rows.extend(key_log.map(|path| ("key log", path.display().to_string())));
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    let mut page = Page::new(look, output);
    let peers = ways.peers();
    if !peers.is_empty() {
        page.heading("Peers and the ways that were tried")?;
        page.table(&[Column::text("peer", 15), Column::text("ways", 20)], &peers)?;
        if ways.peers_left_out() > 0 {
            page.painted(&format!("… {} more", thousands(ways.peers_left_out())), 2, styles::DIM)?;
        }
    }
    let by_way = ways.by_way();
    if !by_way.is_empty() {
        page.heading("Ways to peers")?;
        page.table(
            &[Column::text("way", 12), Column::numbers("tried"), Column::numbers("connected")],
            &by_way,
        )?;
    }
    page.heading("Summary")?;
    page.table(&[Column::text("", 8), Column::text("", 20)], &rows)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// How the DHT is used with these options: the hosts of its nodes, those of its well-known nodes, its file.
    fn dht_of(options: &[&str]) -> Option<(Vec<String>, usize, Option<PathBuf>)> {
        let line = [&["bittrace", "download", "file.torrent"], options].concat();
        let args::Command::Download(arguments) = args::Arguments::try_parse_from(line).unwrap().command
        else {
            panic!("not a download");
        };
        let dht = dht_options(&arguments)?;
        let nodes = dht.nodes.iter().map(ToString::to_string).collect();
        Some((nodes, dht.routers.len(), dht.state))
    }

    #[test]
    fn well_known_nodes_are_asked_unless_there_are_others_or_only_loopback_is_listened_on() {
        let (nodes, routers, state) = dht_of(&[]).unwrap();
        assert_eq!(
            (nodes.len(), routers, state),
            (0, 3, state_folder().map(|folder| folder.join("dht.dat")))
        );
        assert_eq!(dht_of(&["--listen", "127.0.0.1", "--listen", "::1"]), Some((Vec::new(), 0, None)));
        assert_eq!(dht_of(&["--listen", "127.0.0.1", "--listen", "10.0.0.1"]).unwrap().1, 3);
        let own = ["--dht-node", "[::1]:7000", "--dht-node", "node.test:6881", "--dht-state", "nodes"];
        let named = vec!["::1:7000".to_owned(), "node.test:6881".to_owned()];
        assert_eq!(dht_of(&own), Some((named, 0, Some("nodes".into()))));
        assert_eq!(dht_of(&["--no-dht"]), None);
        assert_eq!(dht_of(&["--like", "a.pcap"]), None);
        assert!(dht_of(&["--like", "a.pcap", "--dht-node", "10.0.0.1:6881"]).is_some());
    }

    #[test]
    fn a_node_of_the_dht_has_a_host_and_a_port() {
        for node in ["", "host", ":6881", "host:", "host:0", "host:65536", "::1:6881", "[]:6881"] {
            let line = ["bittrace", "download", "file.torrent", "--dht-node", node];
            assert!(args::Arguments::try_parse_from(line).is_err(), "{node}");
        }
    }

    #[test]
    fn seeds_up_to_a_ratio_or_for_a_time() {
        let time = |seconds| SeedGoal { ratio: None, time: Some(Duration::from_secs(seconds)) };
        for (text, goal) in [
            ("", SeedGoal::default()),
            ("1.5", SeedGoal { ratio: Some(1.5), time: None }),
            ("90s", time(90)),
            ("30min", time(1800)),
            ("2 h", time(7200)),
            ("1d", time(86_400)),
        ] {
            assert_eq!(seed_goal(text).unwrap(), goal, "{text}");
        }
        for text in ["1w", "d", "-1", "nan", "1.5h"] {
            assert!(seed_goal(text).is_err(), "{text}");
        }
    }
}
