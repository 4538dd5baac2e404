//! `bittrace download`: a live run, with a running commentary.

mod live_trace;
mod narrate;
mod progress;
mod record_target;

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bittrace_client::{
    Download, DownloadOptions, DownloadReport, Notice, Outcome, Resume, RootName, Stop, TorrentFile,
    proxies_of_environment, random_identity,
};
use bittrace_protocol::session::{Config, EncryptionPolicy, EncryptionProfile, Event, Identity, SeedGoal};
use bittrace_protocol::{Metainfo, PeerId};
use bittrace_replay::{Transcript, infer_profile};
use bittrace_trace::units::{count as thousands, counted, rough_size, span};
use bittrace_trace::{Summary, Trace};

use crate::Exit;
use crate::args::{self, Common, Comparing};
use crate::capture_page::{PageReading, PageSettings};
use crate::commands::analyze::command_for;
use crate::commands::diff::{ComparedCaptures, ReplayNotices};
use crate::commands::profile::own_profile;
use crate::commands::torrent::{warn_of_faults, write_contents};
use crate::commands::{diagnose, diff};
use crate::failure::warn;
use crate::interrupt::{heed, interrupted};
use crate::os::{is_same_file, temporary_folder};
use crate::page_file::PageFile;
use crate::print::output::{Look, Output};
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

/// What our peer ids begin with, in the manner of BEP 20: no other client has `bt` in small letters.
const PEER_ID_PREFIX: &[u8] = b"-bt0100-";

/// How long fetching a .torrent may take.
const FETCHED_WITHIN: Duration = Duration::from_secs(60);

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
    let Some(torrent) = load(&arguments.torrent)? else { return Ok(Exit::Interrupted) };
    check_key_log(arguments)?;
    let metainfo = Arc::new(torrent.metainfo);
    if !common.quiet {
        let mut contents = Vec::new();
        write_contents(&metainfo, output.look, &mut contents)?;
        tolerate_broken_pipe(output.write_all(&contents).and_then(|()| output.flush()))?;
    }
    warn_of_faults(&arguments.torrent, &metainfo, common);
    if metainfo.trackers().iter().all(Vec::is_empty) {
        if arguments.single_peer {
            bail!("{}: no tracker, so there is no source of peers", arguments.torrent);
        }
        warn(common, &format!("{}: no tracker; waiting for incoming connections", arguments.torrent));
    }
    let mut options = options(arguments, &metainfo)?;
    if !target.open(common, &mut options)? {
        return Ok(Exit::Interrupted);
    }
    let against =
        arguments.against.as_deref().map(|path| Against::begin(path, common, &mut options)).transpose()?;
    let page = arguments
        .html
        .as_deref()
        .map(|path| RunPage::begin(path, arguments, &metainfo, target, &output, &mut options));
    let page = page.transpose()?;
    let diagnosed = arguments.diagnose.then(|| RunRecording::begin(&mut options)).transpose()?;
    let live = match arguments.trace {
        true => {
            let (live, watcher) = LiveTrace::begin(&metainfo, common, output.clone())?;
            options.watchers.push(watcher);
            Some(live)
        }
        false => None,
    };
    let download = Download::new(Arc::clone(&metainfo), options)?;
    let stop = download.stop();
    stop_when_interrupted(stop.clone());

    let mut narrator = Narrator::new(output.look, common, arguments.trace);
    // Rows show how far the run is.
    let mut progress = ProgressLine::new(common.quiet || arguments.trace);
    let mut wrong_output = None;
    let report = download.run_blocking(|notice| {
        let mut lines = Vec::new();
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
    let rows = live.map_or(Ok(()), LiveTrace::end);
    let report = report?;
    tolerate_broken_pipe(wrong_output.map_or(rows, Err))?;
    if !common.quiet {
        let mut table = Vec::new();
        closing_table(&report, target, arguments.key_log.as_deref(), output.look, &mut table)?;
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
        recording.diagnose(&metainfo, common, &mut output)?;
    }
    if let Some(page) = page {
        // The page is of a run that Ctrl-C ended as well: a seeding run has no other end.
        heed();
        page.write(&report.place, &metainfo)?;
    }
    match against {
        Some(against) if exit != Exit::Interrupted => {
            if !common.quiet {
                writeln!(output)?;
            }
            Ok(exit.max(against.compare(&metainfo, common, &mut output)?))
        }
        _ => Ok(exit),
    }
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
    fn diagnose(&self, torrent: &Arc<Metainfo>, common: Common, output: &mut Output) -> Result<()> {
        let torrents = vec![Arc::clone(torrent)];
        let options = bittrace_trace::TraceOptions {
            torrents: torrents.clone(),
            ..bittrace_trace::TraceOptions::default()
        };
        let mut trace = Trace::open(&self.path, options)?;
        let (diagnosis, _) = diagnose::read(&mut trace, &torrents);
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
        torrent: &Metainfo,
        target: &RecordTarget,
        output: &Output,
        options: &mut DownloadOptions,
    ) -> Result<Self> {
        if path == Path::new("-") {
            bail!("--html -: standard output has the commentary of the run; name a file");
        }
        refuse_content(path, &arguments.output.join(torrent.name.to_string()))?;
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
    fn write(self, place: &Path, torrent: &Arc<Metainfo>) -> Result<()> {
        refuse_content(&self.path, place)?;
        let torrents = [Arc::clone(torrent)];
        let options = bittrace_trace::TraceOptions {
            torrents: torrents.to_vec(),
            from_start: true,
            ..bittrace_trace::TraceOptions::default()
        };
        let mut trace = Trace::open(&self.recording.path, options)?;
        let mut page = PageReading::new(self.file, &torrents, self.settings);
        let mut summary = Summary::new(&torrents);
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

    fn compare(&self, torrent: &Arc<Metainfo>, common: Common, output: &mut Output) -> Result<Exit> {
        let torrents = [Arc::clone(torrent)];
        let options_of_trace = bittrace_trace::TraceOptions {
            torrents: torrents.to_vec(),
            from_start: true,
            ..bittrace_trace::TraceOptions::default()
        };
        let trace = Trace::open(&self.recording.path, options_of_trace)?;
        let candidate = diff::transcribe(trace, None, common)?;
        let comparing = Comparing::default();
        let options = diff::options(&comparing)?;
        let captures =
            ComparedCaptures { reference: &self.reference, candidate: &candidate, torrents: &torrents };
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

/// Loads the torrent from a path or a URL; `None` after Ctrl-C.
fn load(source: &str) -> Result<Option<TorrentFile>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let place = source.to_owned();
    let (sender, loaded) = mpsc::channel();
    thread::spawn(move || {
        // Nobody waits for it any longer after an interrupt.
        let _ = sender.send(runtime.block_on(TorrentFile::load(&place, FETCHED_WITHIN)));
    });
    loop {
        match loaded.recv_timeout(Duration::from_millis(50)) {
            Ok(loaded) => return Ok(Some(loaded?)),
            Err(mpsc::RecvTimeoutError::Timeout) if interrupted() => return Ok(None),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("{source}: cannot be loaded"),
        }
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
fn manner(arguments: &args::DownloadArguments, torrent: &Metainfo) -> Result<(Config, Identity)> {
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
    if learnt.torrent == torrent.info_hash {
        config.schedule = learnt.schedule;
    }
    Ok((config, Identity { peer_id, ..identity }))
}

fn options(arguments: &args::DownloadArguments, torrent: &Metainfo) -> Result<DownloadOptions> {
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
    if !arguments.listen.is_empty() {
        options.listen.clone_from(&arguments.listen);
    }
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

/// The first port that is free of those that clients use (BEP 3, "trackers"); 0, for any, when none is.
fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
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
    target: &RecordTarget,
    key_log: Option<&Path>,
    look: Look,
    output: &mut Vec<u8>,
) -> Result<()> {
    let outcome = match report.outcome {
        Outcome::Complete => "complete: every piece is verified",
        Outcome::Incomplete => "incomplete: no peer has the missing pieces",
        Outcome::Stopped => "stopped: the next run resumes from here",
    };
    let mut rows = vec![
        ("outcome", outcome.to_owned()),
        ("time", span(report.elapsed.as_secs_f64())),
        ("saved to", report.place.display().to_string()),
    ];
    if let Some(status) = &report.status {
        let elapsed = report.elapsed.as_secs_f64().max(0.001);
        let rate = rough_size((status.downloaded as f64 / elapsed) as u64);
        rows.push(("pieces", format!("{} of {}", status.pieces_done, status.pieces)));
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
    page.heading("Summary")?;
    page.table(&[Column::text("", 8), Column::text("", 20)], &rows)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
