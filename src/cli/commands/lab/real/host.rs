//! A real host: its client from start to end, and how far it is by what is on its disk.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bittrace_lab::scenario::{Client, Departure, PeerGroup, Role};
use bittrace_lab::{ClientJob, Content, HostPlan};
use bittrace_protocol::PieceIndex;

use super::network::Network;
use crate::os::{ProcessTree, at_home, this_program};

/// A host of the run.
pub(super) struct Host {
    pub(super) plan: HostPlan,
    pub(super) client: Client,
    /// Its number on the network, from 1.
    pub(super) number: usize,
    pub(super) address: IpAddr,
    folder: PathBuf,
    process: Option<ProcessTree>,
    disk: DiskProgress,
    /// When its client was started, in seconds since the start, and when it ended.
    pub(super) arrived_at: Option<f64>,
    pub(super) left_at: Option<f64>,
    /// When its disk was first seen to have everything, though it had not at first.
    pub(super) whole_at: Option<f64>,
    /// When its client was asked to end.
    asked_at: Option<f64>,
    /// What its client said when it ended by itself without the file.
    pub(super) failure: Option<String>,
    /// Bytes that could have left on its link so far.
    pub(super) capacity: f64,
    pub(super) load: Load,
}

/// What ends a client at once, from any thread.
pub(super) type Killer = Box<dyn FnOnce() + Send>;

/// What a host needs to be started.
pub(super) struct Setting<'a> {
    pub(super) network: &'a Network,
    pub(super) torrent: &'a Path,
    /// A file with the content, for seeds.
    pub(super) content_file: &'a Path,
    pub(super) python: Option<&'a OsStr>,
}

impl Host {
    pub(super) fn new(
        plan: HostPlan,
        client: Client,
        number: usize,
        network: &Network,
        content: &Content,
        folder: &Path,
    ) -> Self {
        let folder = folder.join(&plan.name);
        let name = content.metainfo.name.to_string();
        Self {
            client,
            number,
            address: network.address(number),
            disk: DiskProgress::new(folder.join(CONTENT).join(name), content.piece_count() as usize),
            folder,
            plan,
            process: None,
            arrived_at: None,
            left_at: None,
            whole_at: None,
            asked_at: None,
            failure: None,
            capacity: 0.0,
            load: Load::default(),
        }
    }

    /// What its client is to do.
    pub(super) fn job<'a>(
        &'a self,
        group: &PeerGroup,
        limited: bool,
        torrent: &'a Path,
        content: &'a Path,
        like: Option<&'a Path>,
    ) -> ClientJob<'a> {
        let limit = |rate: f64| (limited && rate.is_finite()).then_some(rate);
        ClientJob {
            torrent,
            content,
            work: &self.folder,
            address: SocketAddr::new(self.address, PORT),
            stays: self.plan.role == Role::Seed || self.plan.leave != Departure::WhenDone,
            up: limit(group.up.0),
            down: limit(group.down.0),
            connections: group.connections,
            slots: group.slots,
            like,
        }
    }

    /// Starts its client.
    pub(super) fn start(
        &mut self,
        group: &PeerGroup,
        setting: &Setting<'_>,
        like: Option<&Path>,
    ) -> Result<()> {
        let name = || format!("{}: {} cannot be started", self.plan.name, self.client.name());
        let content = self.folder.join(CONTENT);
        fs::create_dir_all(&content).with_context(name)?;
        if self.plan.role == Role::Seed {
            let file = self.disk.file.clone();
            // One file serves all seeds, where the file system has links.
            fs::hard_link(setting.content_file, &file)
                .or_else(|_| fs::copy(setting.content_file, &file).map(drop))
                .with_context(name)?;
        }
        let job = self.job(group, !setting.network.has_rates(), setting.torrent, &content, like);
        let command = self.client.command(&job);
        for (path, text) in &command.files {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).with_context(name)?;
            }
            fs::write(path, text).with_context(name)?;
        }
        if let Some(watched) = &command.watched {
            fs::create_dir_all(watched).with_context(name)?;
            fs::copy(setting.torrent, watched.join("lab.torrent")).with_context(name)?;
        }
        let program: OsString = match (self.client, self.client.program()) {
            (Client::Libtorrent, _) => setting.python.unwrap_or(OsStr::new("python3")).to_owned(),
            (_, Some(program)) => find(program).map_or_else(|| program.into(), PathBuf::into_os_string),
            // This program's own path is that of whoever reads it: a link of this process would lead elsewhere later.
            (_, None) => {
                let own = this_program().with_context(name)?;
                fs::canonicalize(own).with_context(name)?.into_os_string()
            }
        };
        let (program, arguments) = at_home(&program, &command.arguments, &self.folder);
        let (program, arguments) = setting.network.on_host(self.number, program, arguments);
        let log = File::create(self.folder.join(LOG)).with_context(name)?;
        self.process = Some(ProcessTree::start(&program, &arguments, log).with_context(name)?);
        Ok(())
    }

    /// Whether its client runs.
    pub(super) const fn is_there(&self) -> bool {
        self.arrived_at.is_some() && self.left_at.is_none()
    }

    /// Whether its client was asked to end, and has not ended.
    pub(super) const fn is_ending(&self) -> bool {
        self.asked_at.is_some() && self.process.is_some()
    }

    /// Whether nothing more is to be waited for: it has the file, or is gone.
    pub(super) const fn is_finished(&self) -> bool {
        self.whole_at.is_some() || self.left_at.is_some()
    }

    /// Looks at its disk and its client.
    pub(super) fn look(&mut self, now: f64, content: &Content) -> Result<()> {
        if !self.is_there() {
            return Ok(());
        }
        let Some(process) = &mut self.process else { return Ok(()) };
        let ended = process.try_wait()?;
        // A client that has ended writes nothing more.
        if self.plan.role == Role::Leecher && self.whole_at.is_none() {
            // A file that is being renamed is found the next time.
            let _ = self.disk.look(content);
            if self.disk.is_whole() {
                self.whole_at = Some(now);
            }
        }
        if let Some(status) = ended {
            self.left_at = Some(now);
            let was_asked = self.asked_at.is_some();
            if !was_asked && (self.plan.role == Role::Seed || self.whole_at.is_none()) {
                self.failure =
                    Some(format!("{} ended with {status}{}", self.client.name(), self.last_words()));
            }
            self.process = None;
        }
        Ok(())
    }

    /// Looks how much of a processor its client takes.
    pub(super) fn look_at_load(&mut self) {
        if let Some(time) = self.process.as_ref().and_then(ProcessTree::processor_time) {
            self.load.note(Instant::now(), time);
        }
    }

    /// Asks its client to end; where that does not help, or cannot be, it is ended.
    pub(super) fn ask_to_end(&mut self, now: f64) {
        let Some(process) = &mut self.process else { return };
        match self.asked_at {
            None => {
                self.asked_at = Some(now);
                if !process.ask_to_end() {
                    process.kill();
                }
            }
            Some(asked) if now > asked + GOODBYE => process.kill(),
            Some(_) => {}
        }
    }

    /// Ends its client at once.
    pub(super) fn kill(&mut self, now: f64) {
        if let Some(mut process) = self.process.take() {
            process.kill();
            self.left_at = self.left_at.or(Some(now));
        }
    }

    /// Something that ends its client at once, from any thread.
    pub(super) fn killer(&self) -> Option<Killer> {
        let killer = self.process.as_ref()?.killer();
        Some(Box::new(killer))
    }

    /// Whether its client runs no longer.
    pub(super) const fn has_ended(&self) -> bool {
        self.process.is_none()
    }

    /// The last line that its client wrote.
    fn last_words(&self) -> String {
        let text = fs::read(self.folder.join(LOG)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(MOST_LOG)..]).into_owned();
        last_line(&text).map_or(String::new(), |line| format!(": {line}"))
    }
}

/// Which pieces are on a disk, whatever the client calls the file until it is whole.
#[derive(Debug)]
pub(super) struct DiskProgress {
    file: PathBuf,
    has: Vec<bool>,
    missing: usize,
}

impl DiskProgress {
    fn new(file: PathBuf, pieces: usize) -> Self {
        Self { file, has: vec![false; pieces], missing: pieces }
    }

    const fn is_whole(&self) -> bool {
        self.missing == 0
    }

    /// Reads the pieces that were missing.
    fn look(&mut self, content: &Content) -> io::Result<()> {
        let open = |suffix: &str| {
            let mut path = self.file.clone().into_os_string();
            path.push(suffix);
            File::open(path)
        };
        let mut file = open("").or_else(|_| open(".part"))?;
        for piece in (0..self.has.len()).filter(|&piece| !self.has[piece]).collect::<Vec<_>>() {
            let geometry = content.metainfo.placement();
            let Some(span) = geometry.and_then(|all| all.piece_span(PieceIndex(piece as u32))) else {
                continue;
            };
            let (start, length) = (span.start, (span.end - span.start) as u32);
            // The end of a piece is looked at first: most pieces that are missing are missing there.
            let tail = length.min(TAIL);
            let mut read = vec![0; tail as usize];
            let matches = |read: &[u8], offset: u32| content.matches(piece as u32, offset, read);
            file.seek(SeekFrom::Start(start + u64::from(length - tail)))?;
            if file.read_exact(&mut read).is_err() || !matches(&read, length - tail) {
                continue;
            }
            read.resize(length as usize, 0);
            file.seek(SeekFrom::Start(start))?;
            if file.read_exact(&mut read).is_ok() && matches(&read, 0) {
                self.has[piece] = true;
                self.missing -= 1;
            }
        }
        Ok(())
    }
}

/// How much of a processor a client takes.
#[derive(Debug, Default)]
pub(super) struct Load {
    began: Option<(Instant, Duration)>,
    /// The most of any stretch of some seconds.
    pub(super) most: Option<f64>,
}

impl Load {
    /// Takes in for how long processors had worked at a moment.
    fn note(&mut self, now: Instant, worked: Duration) {
        let Some((since, before)) = self.began else {
            self.began = Some((now, worked));
            return;
        };
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= STRETCH {
            let share = worked.saturating_sub(before).as_secs_f64() / elapsed.as_secs_f64();
            self.most = Some(self.most.map_or(share, |most| most.max(share)));
            self.began = Some((now, worked));
        }
    }
}

/// The last line that says something.
pub(super) fn last_line(text: &str) -> Option<&str> {
    text.lines().map(str::trim).rfind(|line| !line.is_empty())
}

/// The file of a program on the path.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(&file)).find(|file| file.is_file())
}

/// An interpreter of Python that has libtorrent.
pub(super) fn python_with_libtorrent() -> Option<OsString> {
    let interpreters = ["python3", "/usr/bin/python3", "python"];
    let has_it = |interpreter: &&str| {
        let import = Command::new(interpreter)
            .args(["-c", "import libtorrent"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        import.is_ok_and(|status| status.success())
    };
    interpreters.into_iter().find(has_it).map(OsString::from)
}

/// Where all hosts listen.
pub(super) const PORT: u16 = 6881;

/// How long a client may take to end when it is asked to, in seconds.
const GOODBYE: f64 = 5.0;

/// In the folder of a host.
const CONTENT: &str = "content";
const LOG: &str = "log";

/// The part of a log that is read for its last line.
const MOST_LOG: usize = 64 * 1024;

/// The bytes at the end of a piece that are looked at first.
const TAIL: u32 = 16;

/// A client that takes much of a processor for less than this has just been started.
const STRETCH: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use bittrace_lab::scenario::ByteCount;
    use bittrace_lab::scenario::{TorrentKind, TorrentPlan};

    use super::*;

    #[test]
    fn pieces_on_disk_are_found_under_either_name_and_wrong_ones_are_not() {
        let plan = TorrentPlan { size: ByteCount(150_000), piece: ByteCount(65_536), kind: TorrentKind::V1 };
        let content = Content::new(&plan, None).expect("a torrent");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("lab.bin");
        let mut disk = DiskProgress::new(file.clone(), 3);
        assert!(disk.look(&content).is_err());
        let whole =
            [content.bytes(0, 0, 65_536), content.bytes(1, 0, 65_536), content.bytes(2, 0, 18_928)].concat();
        let mut part = whole.clone();
        part[70_000] ^= 1;
        part.truncate(140_000);
        fs::write(folder.path().join("lab.bin.part"), &part).expect("a file");
        disk.look(&content).expect("a look");
        assert_eq!(disk.has, [true, false, false]);
        fs::write(&file, &whole).expect("a file");
        disk.look(&content).expect("a look");
        assert!(disk.is_whole());
    }

    #[test]
    fn a_load_is_that_of_the_busiest_stretch() {
        let (mut load, start) = (Load::default(), Instant::now());
        let mut note =
            |seconds, worked| load.note(start + Duration::from_secs(seconds), Duration::from_secs(worked));
        note(0, 0);
        note(3, 3);
        note(10, 4);
        note(20, 10);
        note(24, 14);
        assert_eq!(load.most, Some(0.6));
    }
}
