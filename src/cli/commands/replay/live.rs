//! A capture's tracker and peers on real sockets, and a client against them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use bittrace_client::random_identity;
use bittrace_protocol::HostPort;
use bittrace_protocol::Metainfo;
use bittrace_protocol::magnet::Magnet;
use bittrace_replay::{
    ClientRole, ClientStatus, ConversationRole, InjectedFault, RecordedPieces, ServeOptions, Served, Server,
    Transcript, link_of,
};
use bittrace_trace::Trace;
use bittrace_trace::units::counted;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::ended::RunEnd;
use super::{ReplayPlan, compare, missed_in_words, verdict};
use crate::Exit;
use crate::args::{self, Common, DiffFormat};
use crate::commands::diff::{ComparisonPage, ReplayNotices, is_output};
use crate::failure::{say, warn};
use crate::interrupt::{heed, interrupted, tidy_with};
use crate::os::{ProcessTree, temporary_folder};
use crate::print::output::Output;

/// Runs a client, or waits for one: once, or once undisturbed and once for each disturbance.
pub(super) fn run(
    play: &ReplayPlan,
    arguments: &args::ReplayArguments,
    options: &bittrace_replay::DiffOptions,
    page_to: Option<ComparisonPage>,
    common: Common,
    mut output: Output,
) -> Result<Exit> {
    if arguments.disturb.is_empty() {
        let mut run = ClientRun::new(play, arguments, common, None)?.go()?;
        heed();
        let kept = run.kept_in_words(arguments);
        let is_broken_off = run.ended == RunEnd::Interrupted && !arguments.client.is_empty();
        if run.ended == RunEnd::Interrupted && run.served.plays.is_empty() {
            let what = if is_broken_off { "broken off" } else { "ended" };
            warn(
                common,
                &format!(
                    "the run was {what} with Ctrl-C before the client had a connection with a replayed peer: nothing was \
                     compared; {kept}"
                ),
            );
            return Ok(Exit::Interrupted);
        }
        if is_broken_off {
            let remark = format!(
                "the run was broken off with Ctrl-C: what the client had not sent by then is shown as missing; {kept}"
            );
            warn(common, &remark);
            run.served.remarks.insert(0, remark);
        }
        let exit = run.compare(play, arguments, options, page_to, common, &mut output)?;
        return Ok(if is_broken_off { Exit::Interrupted } else { exit });
    }
    let (mut verdicts, mut stopped) = (Vec::new(), false);
    let has_udp = play.reference.trackers().any(|one| one.role == ConversationRole::UdpTracker);
    if !has_udp && arguments.disturb.iter().any(|named| matches!(named.0[..], [InjectedFault::Lose(_)])) {
        bail!(
            "--disturb lose: {} has no tracker over UDP, so there is no response to lose",
            play.reference.name
        );
    }
    // What `all` names is what there can be.
    let can_be = |what: &InjectedFault| has_udp || !what.is_of_tracker();
    for what in std::iter::once(None).chain(arguments.disturbances().filter(can_be).map(Some)) {
        let run = ClientRun::new(play, arguments, common, what)?.go()?;
        if run.ended == RunEnd::Interrupted {
            stopped = true;
            heed();
            let which =
                what.map_or("without a disturbance".to_owned(), |what| format!("with {}", what.name()));
            let before = counted(verdicts.len() as u64, "run");
            let kept = run.kept_in_words(arguments);
            warn(
                common,
                &format!(
                    "broken off with Ctrl-C in the run {which}, which is not judged; what is shown is of {before} before; {kept}"
                ),
            );
            break;
        }
        let whole = run.is_whole(play);
        verdicts.push(verdict::of(what, &play.reference, &run.served, &run.ended, &run.recording, whole));
    }
    let (has_page, page_is_output) = (page_to.is_some(), is_output(page_to.as_ref()));
    if let Some(page) = page_to {
        verdict::write_page(&verdicts, &arguments.client, &play.reference, page)?;
    }
    match arguments.comparing.format {
        _ if page_is_output => {}
        DiffFormat::Table if has_page => writeln!(output, "{}", verdict::conclusion(&verdicts))?,
        DiffFormat::Table => verdict::write(&verdicts, &arguments.client, &play.reference, &mut output)?,
        DiffFormat::Json => verdict::write_json(&verdicts, &mut output)?,
    }
    output.flush()?;
    Ok(match verdicts.iter().all(verdict::FaultVerdict::is_good) {
        _ if stopped => Exit::Interrupted,
        true => Exit::Done,
        false => Exit::Matched,
    })
}

/// A run that has not begun.
struct ClientRun<'a> {
    play: &'a ReplayPlan,
    arguments: &'a args::ReplayArguments,
    common: Common,
    disturb: Option<InjectedFault>,
    /// Goes when the run does, with what the client downloaded.
    folder: TempDir,
    recording: PathBuf,
}

/// A run that is over.
struct Ran {
    served: Served,
    ended: RunEnd,
    recording: PathBuf,
    /// Goes with what the client downloaded, and the recording where nobody asked for one.
    folder: TempDir,
}

impl<'a> ClientRun<'a> {
    fn new(
        play: &'a ReplayPlan,
        arguments: &'a args::ReplayArguments,
        common: Common,
        disturb: Option<InjectedFault>,
    ) -> Result<Self> {
        let folder = temporary_folder().context("no temporary folder")?;
        let recording = match &arguments.record {
            Some(_) if arguments.disturbances().count() > 1 => {
                bail!("--record keeps one run: give one --disturb")
            }
            // The run without a disturbance is there to be compared with.
            Some(path) if disturb.is_some() || arguments.disturb.is_empty() => path.clone(),
            _ => folder.path().join("run.pcapng"),
        };
        Ok(Self { play, arguments, common, disturb, folder, recording })
    }

    fn go(self) -> Result<Ran> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (served, ended) = runtime.block_on(self.serve())?;
        runtime.shutdown_background();
        Ok(Ran { served, ended, recording: self.recording, folder: self.folder })
    }

    async fn serve(&self) -> Result<(Served, RunEnd)> {
        let contents = self.play.contents()?;
        let downloads = self.folder.path().join(DOWNLOADS);
        fs::create_dir(&downloads)?;
        if self.play.role == ClientRole::Seeder {
            let written = contents.write_into(&self.play.torrent, &downloads);
            written.with_context(|| format!("{}: the content cannot be written", downloads.display()))?;
        }
        let listen = address(self.arguments.listen.as_deref())?;
        let options = ServeOptions {
            listen,
            role: self.play.role,
            secret: random_identity(&[])?.secret,
            patience: PATIENCE,
            disturb: self.disturb,
            comment: format!("bittrace {} replay of {}", env!("CARGO_PKG_VERSION"), self.play.reference.name),
        };
        let file = File::create(&self.recording)
            .with_context(|| format!("{}: cannot be written", self.recording.display()))?;
        let server = Server::bind(
            self.play.reference.clone(),
            self.play.torrent.clone(),
            contents,
            options,
            Box::new(BufWriter::new(file)),
        )
        .await
        .map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::AddrNotAvailable => {
                    "; give --listen another address of this machine, or add this one (on macOS: sudo ifconfig lo0 \
                     alias ADDRESS)"
                }
                _ => "",
            };
            anyhow::Error::new(error).context(format!("cannot listen on {listen}{advice}"))
        })?;
        let torrent = server
            .torrent_file(&self.play.file)
            .ok_or_else(|| anyhow!("{}: cannot be copied", self.play.torrent_path.display()))?;
        let has_node = self.arguments.client.iter().any(|word| word.contains(NODE));
        // A client with a node of the DHT finds the peers that nodes name.
        let peers = if has_node { server.unnamed_peers() } else { server.untracked_peers() };
        let node = server.first_node().map(|node| node.to_string());
        if has_node && node.is_none() {
            bail!("{NODE}: the client of {} asked no node of the DHT", self.play.reference.name);
        }
        let mut link = link_to(&torrent, &self.play.reference, &peers)
            .ok_or_else(|| anyhow!("{}: no magnet link can name it", self.play.torrent_path.display()))?;
        if has_node && self.play.reference.trackers().next().is_none() {
            // The tracker that the torrent has then is made up, and names the same peers.
            link.trackers.clear();
        }
        let link = link.to_string();
        let copy = self.folder.path().join("replay.torrent");
        fs::write(&copy, torrent).with_context(|| format!("{}: cannot be written", copy.display()))?;
        self.announce(&server, &copy, &link);
        let signs = server.signs();
        let over = async {
            if self.arguments.client.is_empty() {
                return anyhow::Ok(self.watch(signs, None).await);
            }
            let mut client = ClientProcess::start(
                &self.arguments.client,
                (&copy, &link, node.as_deref()),
                self.folder.path(),
            )?;
            let ended = self.watch(signs, Some(&mut client.processes)).await;
            let ended = client.end(ended).await;
            if let RunEnd::Exited(status) = &ended
                && !status.success()
            {
                client.complain(status, self.common);
            }
            if let Some(why) = client.killed {
                let text =
                    format!("{why}, so it was killed: a missing event=stopped is not the client's fault");
                warn(self.common, &text);
            }
            Ok(ended)
        };
        let (served, ended) = server.run(over).await.with_context(|| self.recording.display().to_string())?;
        // The client has ended: a second Ctrl-C from now on has nothing more to end.
        let place = self.folder.path().to_owned();
        tidy_with(move || drop(fs::remove_dir_all(place)));
        Ok((served, ended?))
    }

    /// Shows the addresses of the tracker and the peers.
    fn announce(&self, server: &Server, copy: &Path, link: &str) {
        if !self.arguments.client.is_empty() && !self.common.verbose {
            return;
        }
        match &server.trackers()[..] {
            [(_, here)] => warn(self.common, &format!("the tracker is at {here}")),
            all => {
                for (recorded, here) in all {
                    let recorded = recorded.map_or(String::new(), |recorded| format!("{recorded} "));
                    warn(self.common, &format!("the tracker {recorded}is at {here}"));
                }
            }
        }
        for (recorded, here) in server.peers() {
            warn(self.common, &format!("the peer {recorded} is at {here}"));
        }
        for (recorded, here) in server.nodes() {
            warn(self.common, &format!("the DHT node {recorded} is at {here}"));
        }
        if self.arguments.client.is_empty() {
            let seconds = self.arguments.timeout;
            if self.play.role == ClientRole::Seeder {
                let folder = self.folder.path().join(DOWNLOADS);
                warn(self.common, &format!("the content is in {}", folder.display()));
            }
            if self.play.reference.asks_for_metadata() {
                warn(
                    self.common,
                    &format!("the client of the capture had a magnet link; here that is {link}"),
                );
            }
            let text = format!(
                "give a client {}; the run ends when the client announces event=stopped, after {seconds} s of \
                 silence, or with Ctrl-C",
                copy.display()
            );
            warn(self.common, &text);
        }
    }

    /// Waits until the client has done all it will do.
    async fn watch(
        &self,
        mut signs: watch::Receiver<ClientStatus>,
        mut client: Option<&mut ProcessTree>,
    ) -> RunEnd {
        let patience = Duration::from_secs(self.arguments.timeout);
        let began = Instant::now();
        loop {
            if interrupted() {
                return RunEnd::Interrupted;
            }
            if let Some(client) = client.as_deref_mut()
                && let Ok(Some(status)) = client.try_wait()
            {
                return RunEnd::Exited(status);
            }
            let now = signs.borrow_and_update().clone();
            let quiet = now.last.unwrap_or(began).elapsed();
            if now.stopped() && quiet > AFTER_GOODBYE {
                return RunEnd::Done;
            }
            if now.is_exhausted && quiet > AFTER_GOODBYE {
                return RunEnd::Exhausted;
            }
            if client.is_some() && now.completed() && quiet > AFTER_COMPLETION {
                return RunEnd::Done;
            }
            let has_seeded = self.play.role == ClientRole::Seeder && now.all_played;
            if client.is_some() && has_seeded && quiet > AFTER_COMPLETION {
                return RunEnd::Done;
            }
            // One that is started by hand may take its time to begin.
            if (client.is_some() || now.last.is_some()) && quiet > patience {
                return RunEnd::Silent(patience);
            }
            let _ = timeout(STEP, signs.changed()).await;
        }
    }
}

impl Ran {
    /// What became of the recording, to be said of a run that did not end by itself.
    fn kept_in_words(&self, arguments: &args::ReplayArguments) -> String {
        match &arguments.record {
            Some(path) if *path == self.recording => {
                format!("the recording up to then is in {}", self.recording.display())
            }
            Some(_) => "nothing is kept, as --record keeps the run with the disturbance".to_owned(),
            None => "nothing is kept, as --record names no file".to_owned(),
        }
    }

    /// Whether the client's folder has the whole content.
    fn is_whole(&self, play: &ReplayPlan) -> bool {
        let mut contents = RecordedPieces::default();
        let pieces = play.torrent.placement().map_or(0, |geometry| geometry.piece_count());
        let read = contents.read_from(&play.torrent, &self.folder.path().join(DOWNLOADS));
        read.is_ok() && contents.whole() == pieces as usize
    }

    fn compare(
        &self,
        play: &ReplayPlan,
        arguments: &args::ReplayArguments,
        options: &bittrace_replay::DiffOptions,
        page_to: Option<ComparisonPage>,
        common: Common,
        output: &mut Output,
    ) -> Result<Exit> {
        let candidate = match (&arguments.record, arguments.client.first()) {
            (None, Some(client)) => {
                let client = Path::new(client).file_name().unwrap_or_default().to_string_lossy();
                Trace::from_reader(
                    format!("a run of {client}"),
                    File::open(&self.recording)?,
                    play.options_of_run(),
                )?
            }
            _ => Trace::open(&self.recording, play.options_of_run())?,
        };
        let plays = &self.served.plays;
        let missed = plays.iter().flat_map(|one| one.missed.iter().map(|missed| (one.far, missed)));
        let mut remarks = missed_in_words(&missed.collect::<Vec<_>>());
        remarks.extend(self.served.remarks.iter().cloned());
        if let RunEnd::Silent(patience) = self.ended {
            let seconds = patience.as_secs();
            remarks.push(format!("the client sent nothing for {seconds} s, so the run was ended"));
        }
        let noticed =
            ReplayNotices { refusals: self.served.refusals.clone(), remarks, ..ReplayNotices::default() };
        compare(play, candidate, noticed, (arguments, options), page_to, common, output)
    }
}

/// A magnet link to the torrent of a reference, with its trackers and these peers.
fn link_to(torrent: &[u8], reference: &Transcript, peers: &[SocketAddr]) -> Option<Magnet> {
    let metainfo = Metainfo::decode(torrent).ok()?;
    let peers = peers.iter().map(|peer| HostPort { host: peer.ip().to_string(), port: peer.port() });
    Some(Magnet { peers: peers.collect(), ..link_of(&metainfo, reference) })
}

/// A client that runs. It ends with this value, and all that it started with it.
struct ClientProcess {
    processes: ProcessTree,
    log: PathBuf,
    /// Why it was killed, if it was.
    killed: Option<&'static str>,
}

impl ClientProcess {
    /// Starts a client with these words, in which a torrent file, a magnet link to it and a node of the DHT may stand.
    fn start(
        words: &[String],
        (torrent, link, node): (&Path, &str, Option<&str>),
        folder: &Path,
    ) -> Result<Self> {
        let downloads = folder.join(DOWNLOADS);
        let port = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port();
        let words: Vec<OsString> = words
            .iter()
            .map(|word| {
                word.replace("{torrent}", &torrent.display().to_string())
                    .replace("{magnet}", link)
                    .replace(NODE, node.unwrap_or(NODE))
                    .replace("{dir}", &downloads.display().to_string())
                    .replace("{port}", &port.to_string())
                    .into()
            })
            .collect();
        let log = folder.join("client.log");
        let [program, arguments @ ..] = &words[..] else { bail!("no client is named") };
        let processes = ProcessTree::start(program, arguments, File::create(&log)?)
            .with_context(|| format!("{}: cannot be started", program.display()))?;
        let kill = processes.killer();
        let place = folder.to_owned();
        tidy_with(move || {
            say(
                "bittrace: Ctrl-C again: the client was killed, nothing was compared, and a recording is not whole",
            );
            kill();
            let _ = fs::remove_dir_all(place);
        });
        Ok(Self { processes, log, killed: None })
    }

    /// Ends the client, first by asking it to end, so that it announces event=stopped; how the run ended.
    async fn end(&mut self, ended: RunEnd) -> RunEnd {
        if matches!(ended, RunEnd::Exited(_)) {
            // The last bytes may still be on their way.
            sleep(AFTER_EXIT).await;
            return ended;
        }
        self.killed = if !self.processes.ask_to_end() {
            Some("the client could not be asked to end")
        } else if timeout(GOODBYE, self.processes.wait()).await.is_err() {
            Some("the client did not end when asked to")
        } else {
            None
        };
        if self.killed.is_some() {
            self.processes.kill();
            let _ = self.processes.wait().await;
        }
        sleep(AFTER_EXIT).await;
        ended
    }

    /// Shows the last lines that a client wrote that failed.
    fn complain(&self, status: &ExitStatus, common: Common) {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = without_escapes(&String::from_utf8_lossy(&text));
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let what = if lines.is_empty() { "; it wrote nothing" } else { "; its last output:" };
        warn(common, &format!("the client ended with {status}{what}"));
        for line in &lines[lines.len().saturating_sub(SHOWN)..] {
            warn(common, &format!("  {line}"));
        }
    }
}

/// Text without the sequences that colour it on a terminal.
fn without_escapes(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| {
        out + part.trim_start_matches(|c: char| !c.is_ascii_alphabetic()).get(1..).unwrap_or_default()
    })
}

/// An address with or without a port. The default is 127.0.0.2, so that a client at 127.0.0.1 has another address than the
/// tracker and the peers.
fn address(text: Option<&str>) -> Result<SocketAddr> {
    let Some(text) = text else { return Ok(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0))) };
    let bare = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    let address = text.parse::<SocketAddr>().or(bare);
    let address = address.map_err(|_| {
        anyhow!("--listen: \"{text}\" is not an address; write it as 127.0.0.2 or 127.0.0.2:6969")
    })?;
    let ip = address.ip();
    if ip.is_unspecified() || ip == IpAddr::V4(Ipv4Addr::LOCALHOST) || ip == IpAddr::V6(Ipv6Addr::LOCALHOST) {
        bail!(
            "--listen: {text}: the client needs an address of its own, apart from the tracker and peers: try 127.0.0.2"
        );
    }
    Ok(address)
}

/// What stands for a node of the DHT in a client's words.
const NODE: &str = "{dht}";

/// The client's folder in that of the run.
const DOWNLOADS: &str = "downloads";

/// How long a replayed peer waits for a message that does not come.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the run is checked for its end.
const STEP: Duration = Duration::from_millis(100);

/// How long it must be quiet for the run to be over: after event=stopped; and after event=completed, since some clients stop
/// soon after.
const AFTER_GOODBYE: Duration = Duration::from_millis(500);
const AFTER_COMPLETION: Duration = Duration::from_secs(3);

/// How long a client may take to end, and its last bytes to arrive.
const GOODBYE: Duration = Duration::from_secs(10);
const AFTER_EXIT: Duration = Duration::from_millis(200);

/// How many lines of a client's output are shown.
const SHOWN: usize = 10;
