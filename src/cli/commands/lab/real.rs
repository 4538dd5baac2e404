//! `bittrace lab real`: the scenario of a simulation with real clients, on a network of this machine, beside the simulation.
//!
//! It is part of the command and not of a library: the clients are processes, which `os` starts and ends, and one of them is this
//! program itself.

mod capture;
mod host;
mod ledger;
mod network;
mod page;
mod run;
mod tracker;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufWriter, ErrorKind, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bittrace_lab::scenario::{
    Action, Behaviour, ByteRate, Client, EncryptionPlan, Hosts, PeerGroup, PickerPlan, SpanRange,
    TorrentKind, TrackerKind, TransportPlan,
};
use bittrace_lab::{Content, HostReport, Run, Scenario, Summary, Tracker, World, WorldOptions};
use bittrace_trace::units::counted;
use bittrace_trace::{Dissected, HostName, LocalChoice, Trace, TraceOptions};

use super::{profiles, read_scenario};
use crate::Exit;
use crate::args::{Common, LabFormat, RealArguments};
use crate::failure::{say, warn};
use crate::interrupt::{interrupted, tidy_with};
use crate::os::temporary_folder;
use crate::page_file::PageFile;
use crate::print::output::Output;
use capture::{Captured, Listener};
use host::{Host, find, python_with_libtorrent};
use ledger::{Ledger, Place};
use network::{Link, Network};
use page::Results;
use run::{Course, Killers};
use tracker::TrackerTask;

/// Runs `bittrace lab real`.
pub(crate) fn real(arguments: &RealArguments, common: Common, mut output: Output) -> Result<Exit> {
    let scenario = read_scenario(&arguments.scenario)?;
    check(&scenario, arguments.loopback)?;
    let read = [arguments.scenario.as_path()];
    let file = |option, path: &Option<PathBuf>| {
        path.as_ref().map(|path| PageFile::create_for(option, path, &read, &output)).transpose()
    };
    let torrent_to = file("--write-torrent", &arguments.write_torrent)?;
    let record_to = file("--record", &arguments.record)?;
    let to_errors = record_to.as_ref().is_some_and(PageFile::is_output);
    if to_errors && arguments.format == LabFormat::Json {
        bail!("--record - and --format json both write to standard output: give --record a file");
    }
    let folder = temporary_folder().context("no temporary folder")?;
    let killers = Killers::default();
    let (place, ending) = (folder.path().to_owned(), killers.clone());
    tidy_with(move || {
        ending.end_all();
        let _ = fs::remove_dir_all(place);
    });
    let wants_python = scenario.peers.iter().any(|group| group.client == Client::Libtorrent);
    let python: Option<OsString> = wants_python.then(python_with_libtorrent).flatten();
    let skipped = skipped(&scenario, python.is_some());
    let mut played = scenario.clone();
    for (group, why) in played.peers.iter_mut().zip(&skipped) {
        if let Some(why) = why {
            warn(common, &format!("{} is skipped: {why}", group.name));
            group.count = 0;
        }
    }
    let seed = arguments.seed.unwrap_or(scenario.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (at, python) = (folder.path(), python.as_deref());
    let plan = Plan { arguments, scenario: &scenario, played, seed, common, folder: at, python };
    let done = runtime.block_on(plan.run(&killers, &output))?;
    runtime.shutdown_background();
    if let Some(to) = torrent_to {
        to.write(|out| out.write_all(&done.content.torrent))?;
    }
    let run = done.to_run()?;
    let told = match (record_to, &done.captured) {
        (Some(to), Some(captured)) => {
            let (name, mut to) = (to.name(), to.open());
            let packets = captured.write(&done.names(), &done.comment(), &mut to)?;
            to.finish()?;
            Some(format!("bittrace: {name}: {}", counted(packets, "packet")))
        }
        _ => None,
    };
    if interrupted() {
        warn(common, "interrupted: the results cover the time up to then");
    }
    let results = Results::new(&done, &run, &scenario, &skipped);
    match arguments.format {
        LabFormat::Json => results.write_json(&mut output)?,
        LabFormat::Table if to_errors => {
            let mut text = Vec::new();
            results.write_table(output.look, &mut text)?;
            if !common.quiet {
                say(&String::from_utf8_lossy(&text));
            }
        }
        LabFormat::Table => results.write_table(output.look, &mut output)?,
    }
    output.flush()?;
    if let Some(told) = told.filter(|_| !common.quiet) {
        say(&told);
    }
    Ok(match (interrupted(), results.is_as_expected()) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::Done,
        (false, false) => Exit::Matched,
    })
}

/// What is to be run.
struct Plan<'a> {
    arguments: &'a RealArguments,
    scenario: &'a Scenario,
    /// The scenario without what is skipped.
    played: Scenario,
    seed: u64,
    common: Common,
    folder: &'a Path,
    /// An interpreter of Python that has libtorrent, where a group wants it.
    python: Option<&'a OsStr>,
}

/// A run that is over.
struct Done {
    /// The scenario as the simulation beside it had it.
    played: Scenario,
    content: Content,
    hosts: Vec<Host>,
    tracker_address: IpAddr,
    announces: u64,
    captured: Option<Captured>,
    course: Course,
    simulated: Summary,
    /// What of the scenario real clients or this machine cannot do.
    left_out: Vec<String>,
    loopback: bool,
}

impl Plan<'_> {
    async fn run(mut self, killers: &Killers, output: &Output) -> Result<Done> {
        let links: Vec<Link> = std::iter::once(Link::FREE)
            .chain(self.played.host_plans(self.seed).iter().map(|plan| {
                let group = &self.played.peers[plan.group];
                Link { up: group.up, down: group.down, rtt: plan.rtt }
            }))
            .collect();
        let mut network = match self.arguments.loopback {
            true => Network::Loopback,
            false => Network::make(&links, &self.played.link, self.folder).await?,
        };
        let mut left_out = self.left_out(&network);
        let announce = format!("http://{}:{TRACKER_PORT}/announce", network.address(0));
        let content = Content::new(&self.played.torrent, Some(&announce)).context("the torrent")?;
        let simulated = self.simulate(&network, output)?;
        let mut hosts: Vec<Host> = (1..)
            .zip(self.played.host_plans(self.seed))
            .map(|(number, plan)| {
                let client = self.played.peers[plan.group].client;
                Host::new(plan, client, number, &network, &content, self.folder)
            })
            .collect();
        let listener = network.listen(0, TRACKER_PORT).map_err(|error| {
            let hint = match error.kind() {
                ErrorKind::AddrNotAvailable => "; docs/lab.md says how a machine gets such addresses",
                ErrorKind::AddrInUse => "; another run may be under way",
                _ => "",
            };
            anyhow!("{}:{TRACKER_PORT}: the tracker cannot listen: {error}{hint}", network.address(0))
        })?;
        let mut answering = Tracker::of(&self.played, &content, self.seed);
        if let Some(named) = &self.played.tracker.poison {
            let named = Hosts(named.clone());
            let victims = hosts.iter().filter(|host| named.has(&host.plan.name));
            answering.poison(victims.map(|host| (host.address, host::PORT).into()).collect());
        }
        let tracker = TrackerTask::start(answering, listener)?;
        let listener = match Listener::start(&network, self.folder).await {
            Ok(listener) => Some(listener),
            Err(error) if self.arguments.loopback && self.arguments.record.is_none() => {
                left_out.push(format!("there is no capture, so only times are told: {error:#}"));
                None
            }
            Err(error) => return Err(error),
        };
        let files = Files::write(&content, self.folder)?;
        let likes = self.likes()?;
        let setting = host::Setting {
            network: &network,
            torrent: &files.torrent,
            content_file: &files.content,
            python: self.python,
        };
        let game = run::Game {
            scenario: &self.played,
            setting: &setting,
            tracker: &tracker,
            content: &content,
            likes: &likes,
            common: self.common,
        };
        let course = game.play(&mut hosts, killers).await;
        let captured = match listener {
            Some(listener) => Some(listener.end().await),
            None => None,
        };
        let tracker_address = network.address(0);
        network.end();
        let course = course?;
        Ok(Done {
            announces: tracker.announces(),
            played: self.played,
            content,
            hosts,
            tracker_address,
            captured,
            course,
            simulated,
            left_out,
            loopback: self.arguments.loopback,
        })
    }

    /// Runs the simulation that stands beside the run, of the same network as far as that can be made.
    fn simulate(&mut self, network: &Network, output: &Output) -> Result<Summary> {
        if !network.has_delays() {
            for group in &mut self.played.peers {
                group.rtt = SpanRange { from: Duration::ZERO, to: Duration::ZERO };
            }
            self.played.link.loss = 0.0;
        }
        let profiles = profiles(&self.played, &self.arguments.scenario, self.common, output)?;
        let options = WorldOptions { seed: Some(self.seed), profiles, ..WorldOptions::default() };
        let run = World::new(&self.played, options)?.run_while(|| !interrupted())?;
        Ok(Summary::of(&self.played, &run))
    }

    /// The captures whose clients hosts behave like, by group.
    fn likes(&self) -> Result<Vec<Option<PathBuf>>> {
        let folder = self.arguments.scenario.parent().unwrap_or(Path::new(""));
        let like = |group: &PeerGroup| match &group.behaviour {
            Behaviour::Like(path) => {
                let path = folder.join(path);
                fs::canonicalize(&path).with_context(|| path.display().to_string()).map(Some)
            }
            _ => Ok(None),
        };
        self.played.peers.iter().map(like).collect()
    }

    /// What the clients and this machine cannot do, in words.
    fn left_out(&self, network: &Network) -> Vec<String> {
        let mut said = Vec::new();
        let has_delays = self.scenario.peers.iter().any(|group| !group.rtt.to.is_zero());
        if !network.has_delays() && (has_delays || self.scenario.link.loss > 0.0) {
            let why = if network.has_rates() {
                "the kernel has no netem"
            } else {
                "the loopback interface has no links"
            };
            said.push(format!("{why}: delays and losses are left out, here and in the simulation"));
        }
        if let Some(name) = network.other_congestion() {
            said.push(format!("TCP reacts to congestion as {name} does, and in the simulation as reno: the system forbids a choice"));
        }
        let link = &self.scenario.link;
        if link.reorder > 0.0 || link.duplicate > 0.0 {
            said.push("link.reorder and link.duplicate are of datagrams in simulations alone".to_owned());
        }
        for group in self.played.peers.iter().filter(|group| group.count > 0) {
            let mut add = |what: &str| said.push(format!("{}: {what}", group.name));
            if group.picker != PickerPlan::Rarest {
                add("picker is of simulated hosts alone");
            }
            if group.clock.0 != Duration::ZERO {
                add("clock is of simulated hosts alone");
            }
            if !group.reachable {
                add("reachable is of simulated hosts alone: others can open connections to it");
            }
            if group.allowed_fast.is_some() {
                add("allowed_fast is of simulated hosts alone");
            }
            let down = (!network.has_rates() && group.down.0.is_finite()).then_some(group.down.0);
            for what in group.client.cannot(down, group.slots) {
                add(&format!("{} has no option to {what}", group.client.name()));
            }
        }
        said
    }
}

impl Link {
    /// That of the tracker.
    const FREE: Self = Self { up: ByteRate::INFINITE, down: ByteRate::INFINITE, rtt: Duration::ZERO };
}

/// The torrent and its content on disk.
struct Files {
    torrent: PathBuf,
    content: PathBuf,
}

impl Files {
    fn write(content: &Content, folder: &Path) -> Result<Self> {
        let files = Self { torrent: folder.join("lab.torrent"), content: folder.join("content") };
        fs::write(&files.torrent, &content.torrent)?;
        let mut file = BufWriter::new(fs::File::create(&files.content)?);
        for piece in 0..content.piece_count() {
            file.write_all(&content.bytes(piece, 0, content.piece_size(piece)))?;
        }
        file.flush()?;
        Ok(files)
    }
}

impl Done {
    /// The run in the terms of a simulated one, with what its capture shows.
    fn to_run(&self) -> Result<Seen> {
        let place = |host: &Host| {
            let limited = self.played.peers[host.plan.group].up.0.is_finite();
            Place { address: host.address, role: host.plan.role, limited }
        };
        let places: Vec<Place> = self.hosts.iter().map(place).collect();
        let mut ledger = Ledger::new(&self.content, self.course.start, &places, self.course.moments.clone());
        if let Some(captured) = &self.captured {
            let options =
                TraceOptions { local: LocalChoice::Nobody, from_start: true, ..TraceOptions::default() };
            let mut trace = Trace::open(&captured.file, options)?;
            while let Some(dissected) = trace.next()? {
                if let Dissected::Record(record) = dissected {
                    ledger.take(&record);
                }
            }
        }
        ledger.finish();
        Ok(Seen::new(self, ledger))
    }

    /// The names of all hosts.
    fn names(&self) -> Vec<HostName> {
        let hosts = self.hosts.iter().map(|host| (host.address, host.plan.name.clone()));
        std::iter::once((self.tracker_address, "tracker".to_owned()))
            .chain(hosts)
            .map(|(address, name)| HostName { address, names: vec![name] })
            .collect()
    }

    fn comment(&self) -> String {
        format!(
            "A swarm of real clients of bittrace lab, seen between their links. Scenario:\n{}",
            self.played.text
        )
    }
}

/// A run as its capture shows it.
struct Seen {
    run: Run,
    /// Bytes of each host that cannot be read.
    opaque: Vec<u64>,
}

impl Seen {
    fn new(done: &Done, ledger: Ledger<'_>) -> Self {
        let hosts: Vec<_> = done
            .hosts
            .iter()
            .zip(&ledger.hosts)
            .map(|(host, seen)| HostReport {
                first_block_at: seen.first_block_at,
                name: host.plan.name.clone(),
                group: host.plan.group,
                role: host.plan.role,
                arrived_at: host.arrived_at,
                // What is whole on disk was whole when its last block came, where the capture shows that.
                done_at: host.whole_at.map(|whole| seen.done_at.unwrap_or(whole)),
                left_at: host.left_at,
                sent: seen.sent,
                capacity: host.capacity,
                uploaded: seen.uploaded,
                downloaded: seen.downloaded,
                wasted: seen.wasted,
                hash_failures: 0,
                rtt: if done.loopback { 0.0 } else { host.plan.rtt.as_secs_f64() },
                tenths: seen.tenths.clone(),
                identity: None,
            })
            .collect();
        let groups = done.played.peers.len();
        let last = hosts.iter().filter_map(|host| host.done_at).max_by(f64::total_cmp);
        let run = Run {
            seconds: last.filter(|_| done.course.all_done).unwrap_or(done.course.seconds),
            hosts,
            events: 0,
            events_by_kind: Vec::new(),
            connections: 0,
            ends: BTreeMap::new(),
            packets: 0,
            announces: done.announces,
            torrent: done.content.torrent.clone(),
            messages: ledger.messages,
            samples: ledger.samples.into_vec(),
            unchoked: Vec::new(),
            interest: [0; 101],
            stalls: [(0, 0.0); 4],
            dials: vec![0; groups],
            bans: vec![0; groups],
            datagrams: vec![0; groups],
            keys_left_out: 0,
            first_copy: ledger.first_copy,
        };
        Self { run, opaque: ledger.hosts.iter().map(|host| host.opaque).collect() }
    }
}

/// Refuses what real clients cannot be made to do.
fn check(scenario: &Scenario, loopback: bool) -> Result<()> {
    if scenario.host_count() > MOST_HOSTS {
        bail!(
            "a scenario of real clients has {MOST_HOSTS} hosts at the most: this one has {}",
            scenario.host_count()
        );
    }
    if scenario.tracker.kind != TrackerKind::Http {
        bail!("tracker: real clients have a tracker over HTTP: leave out tracker.kind");
    }
    if scenario.dht.nodes > 0 {
        bail!("dht: the network of real clients has no DHT: leave out dht.nodes");
    }
    for group in &scenario.peers {
        let name = &group.name;
        let reads_v2 = matches!(group.client, Client::Ours | Client::Qbittorrent | Client::Libtorrent);
        if scenario.torrent.kind == TorrentKind::V2 && !reads_v2 {
            bail!(
                "peers {name}: {} reads no torrents of version 2 alone: take torrent.kind = \"hybrid\"",
                group.client.name()
            );
        }
        match &group.behaviour {
            Behaviour::Ours => {}
            Behaviour::Like(_) if group.client == Client::Ours => {}
            Behaviour::Like(_) => {
                bail!(
                    "peers {name}: {} cannot behave like another client: only client = \"ours\" can",
                    group.client.name()
                )
            }
            Behaviour::FreeRider
            | Behaviour::Liar
            | Behaviour::Slow
            | Behaviour::Sybil
            | Behaviour::BitfieldFlipper
            | Behaviour::ChokeFlipper
            | Behaviour::PexPoisoner
            | Behaviour::DhtPoisoner
            | Behaviour::DhtNode => {
                bail!("peers {name}: real clients have no such behaviour: lab sim has")
            }
        }
        if group.discover.is_some()
            || group.encryption != EncryptionPlan::Off
            || group.transport != TransportPlan::Tcp
        {
            bail!(
                "peers {name}: real clients find each other by the tracker, over TCP and in clear: leave out discover, \
                 encryption and transport"
            );
        }
    }
    for event in &scenario.events {
        if loopback
            && !matches!(
                event.action,
                Action::Kill(_) | Action::Stop(_) | Action::TrackerDown | Action::TrackerUp
            )
        {
            bail!("events: links cannot be cut with --loopback");
        }
    }
    Ok(())
}

/// Why the client of each group cannot be started here, where that is so.
fn skipped(scenario: &Scenario, has_libtorrent: bool) -> Vec<Option<String>> {
    let why = |group: &PeerGroup| match (group.client, group.client.program()) {
        (Client::Libtorrent, _) => {
            (!has_libtorrent).then(|| "Python's module libtorrent is not installed".to_owned())
        }
        (_, Some(program)) => find(program).is_none().then(|| format!("{program} is not installed")),
        (_, None) => None,
    };
    scenario.peers.iter().map(why).collect()
}

/// The second-last byte of an address tells the host, and each is some processes.
const MOST_HOSTS: usize = 200;

const TRACKER_PORT: u16 = 6969;
