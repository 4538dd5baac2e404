//! A run: one task that owns the session, tells it what happens, and does what it wants.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bittrace_protocol::lsd::Beacon;
use bittrace_protocol::magnet::Magnet;
use bittrace_protocol::metainfo::{ChosenFiles, PieceLayers};
use bittrace_protocol::node::Node;
use bittrace_protocol::session::{Config, Identity, Session, Status};
use bittrace_protocol::{HostPort, Metainfo, Timestamp};
use bytes::Bytes;
use tokio::sync::mpsc::unbounded_channel;

use crate::clock::Clock;
use crate::dht::{self, nodes_of};
use crate::drive::{Driver, DriverDisk, SessionEnd};
use crate::files::Files;
use crate::late_disk::LateDisk;
use crate::left_out::LeftOut;
use crate::notice::Notice;
use crate::on_disk::{DiskPlan, OpenedTorrent, check_usable, found_by};
use crate::options::DownloadOptions;
use crate::verify::Survey;
use crate::{Error, Stop};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every file that is wanted is whole.
    Complete,
    /// Pieces are missing, and nobody is left who could have them.
    Incomplete,
    /// It was stopped; pieces are missing.
    Stopped,
}

/// What became of a run.
#[derive(Debug)]
pub struct DownloadReport {
    /// How it ended.
    pub outcome: Outcome,
    /// How many pieces were right before it began.
    pub pieces_before: u32,
    /// The session's last account; `None` where it was stopped before one began.
    pub status: Option<Status>,
    /// How long it took.
    pub elapsed: Duration,
    /// The files that were wanted; `None` where the torrent was never known.
    pub chosen: Option<ChosenFiles>,
    /// What was downloaded; `None` where a magnet link named it and no peer had its metadata.
    pub torrent: Option<Arc<Metainfo>>,
    /// The bytes of the torrent's info dictionary, where they came from peers.
    pub metadata: Option<Bytes>,
    /// The piece layers that came from peers with it: of a torrent of version 2 (BEP 52).
    pub piece_layers: PieceLayers,
    /// Where the file, or the folder around the files, is; `None` where that was never known.
    pub place: Option<PathBuf>,
    /// What the torrent asks for and is not stored: links, marks (BEP 47).
    pub left_out: LeftOut,
    /// Why not everything was recorded, where it should have been; it was told when it happened.
    pub recording: Option<Error>,
}

/// A run that has not begun.
#[derive(Debug)]
pub struct Download {
    what: Wanted,
    options: DownloadOptions,
    stop: Stop,
}

/// What is to be downloaded.
#[derive(Debug)]
enum Wanted {
    Torrent(Arc<Metainfo>),
    /// The torrent of a link, once peers have sent its metadata.
    Magnet(Magnet),
    /// The metadata of the torrent of a link, and nothing more.
    Metadata(Magnet),
}

impl Download {
    /// A download of a torrent.
    ///
    /// # Errors
    /// [`Error::Unplaced`] where it is not known how the pieces lie, [`Error::NoPieceLayers`] where pieces have no hash,
    /// [`Error::Choice`] where the torrent has not got the files that are wanted.
    pub fn new(torrent: Arc<Metainfo>, options: DownloadOptions) -> Result<Self, Error> {
        check_usable(&torrent)?;
        options.config.files.find_in(&torrent)?;
        Ok(Self { what: Wanted::Torrent(torrent), options, stop: Stop::new() })
    }

    /// A download of the torrent of a magnet link. The disk is not touched before peers have sent the metadata. The files that the
    /// link chooses are wanted, unless the options choose some.
    pub fn of_magnet(magnet: Magnet, mut options: DownloadOptions) -> Self {
        options.config.files = magnet.choice(options.config.files);
        Self { what: Wanted::Magnet(magnet), options, stop: Stop::new() }
    }

    /// A run that ends as soon as peers have sent the metadata of the torrent of a magnet link:
    /// [`metadata`](DownloadReport::metadata) has it. No file is made but the recording.
    pub fn of_metadata(magnet: Magnet, options: DownloadOptions) -> Self {
        Self { what: Wanted::Metadata(magnet), options, stop: Stop::new() }
    }

    /// What ends the run.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Runs in a runtime of its own on this thread, to the end.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn run_blocking(self, notice: impl FnMut(Notice)) -> Result<DownloadReport, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| Error::System { what: "a runtime", source })?;
        let result = runtime.block_on(self.run(notice));
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        result
    }

    /// Runs to the end. It may be dropped at any moment: what is verified stays, and a later run carries on.
    ///
    /// # Errors
    /// When this machine stands in the way. What was verified before is kept.
    pub async fn run(self, mut notice: impl FnMut(Notice)) -> Result<DownloadReport, Error> {
        let Self { what, options, stop } = self;
        match what {
            Wanted::Torrent(torrent) => run_torrent(torrent, options, stop, &mut notice).await,
            Wanted::Magnet(magnet) => {
                let late = LateDisk::new(magnet.clone(), Some(DiskPlan::of(&options)), &options);
                run_magnet(&magnet, late, options, stop, &mut notice).await
            }
            Wanted::Metadata(magnet) => {
                let late = LateDisk::new(magnet.clone(), None, &options);
                run_magnet(&magnet, late, options, stop, &mut notice).await
            }
        }
    }
}

async fn run_torrent(
    torrent: Arc<Metainfo>,
    mut options: DownloadOptions,
    stop: Stop,
    notice: &mut impl FnMut(Notice),
) -> Result<DownloadReport, Error> {
    let started = Instant::now();
    let mut opened = DiskPlan::of(&options).open(torrent.clone(), notice)?;
    let survey = match survey(&mut opened, &stop, notice).await {
        Ok(survey) => survey,
        Err(error) => {
            opened.withdraw()?;
            return Err(error);
        }
    };
    let (pieces_before, place) = (survey.verified.count(), Some(opened.place.clone()));
    let chosen = opened.files.chosen.clone();
    let report = |outcome, status, left_out, recording| DownloadReport {
        outcome,
        pieces_before,
        status,
        elapsed: started.elapsed(),
        chosen: Some(chosen.clone()),
        torrent: Some(torrent.clone()),
        metadata: None,
        piece_layers: PieceLayers::new(),
        place,
        left_out,
        recording,
    };
    if stop.times() > 0 {
        opened.interrupt(&survey)?;
        return Ok(report(Outcome::Stopped, None, LeftOut::default(), None));
    }
    opened.tell(&survey, notice);
    if torrent.private && options.dht.take().is_some() {
        notice(Notice::PrivateTorrent);
    }
    // BEP 27: peers of a private torrent come from its trackers only.
    options.lsd &= !torrent.private;
    let clock = Clock::new();
    let files = opened.files.clone();
    let disk = DriverDisk::Ready { opened: Box::new(opened), verified: survey.verified.clone() };
    let driver = Driver::new(&options, clock, disk, stop.clone())?;
    let now = clock.now();
    let node = node(&driver, options, nodes_of(&torrent), now, notice, |config, identity| {
        Session::new(config, torrent.clone(), identity, survey.verified.iter(), now)
    });
    let SessionEnd { status, finished, recording, .. } = driver.run(node, notice).await?;
    let outcome = outcome(&status, finished, &stop);
    Ok(report(outcome, Some(status), files.left_out(), recording))
}

async fn run_magnet(
    magnet: &Magnet,
    late: LateDisk,
    options: DownloadOptions,
    stop: Stop,
    notice: &mut impl FnMut(Notice),
) -> Result<DownloadReport, Error> {
    let started = Instant::now();
    let clock = Clock::new();
    let driver = Driver::new(&options, clock, DriverDisk::Awaited(Box::new(late)), stop.clone())?;
    let now = clock.now();
    let node = node(&driver, options, magnet.nodes.clone(), now, notice, |config, identity| {
        Session::of_magnet(config, magnet, identity, now)
    });
    let SessionEnd { status, finished, recording, late } = driver.run(node, notice).await?;
    let late = late.unwrap_or_default();
    let outcome = match late.only_metadata && late.metadata.is_some() {
        true => Outcome::Complete,
        false => outcome(&status, finished && late.torrent.is_some(), &stop),
    };
    Ok(DownloadReport {
        outcome,
        pieces_before: late.pieces_before,
        status: Some(status),
        elapsed: started.elapsed(),
        chosen: late.files.as_ref().map(|files| files.chosen.clone()),
        torrent: late.torrent,
        metadata: late.metadata,
        piece_layers: late.piece_layers,
        place: late.place,
        left_out: late.files.map_or_else(LeftOut::default, |files| files.left_out()),
        recording,
    })
}

/// The session that `begin` makes, once its port is known, and what shares the UDP port with it. A node of the DHT begins with
/// the nodes that are `named`.
fn node(
    driver: &Driver,
    mut options: DownloadOptions,
    named: Vec<HostPort>,
    now: Timestamp,
    notice: &mut impl FnMut(Notice),
    begin: impl FnOnce(Config, Identity) -> Session,
) -> Node {
    let dht = dht::node(&mut options, named, driver, now, notice);
    let DownloadOptions { mut config, identity, utp, lsd, .. } = options;
    let (secret, port) = (identity.secret, driver.port());
    config.port = port;
    config.dht_port = dht.as_ref().map(|_| port);
    notice(Notice::Listening { port });
    let mut node = Node::new(begin(config, identity)).with_utp(utp, secret, now);
    if let Some(dht) = dht {
        node = node.with_dht(dht, now);
    }
    // Nobody is told of a port that nobody can call.
    if lsd && port != 0 {
        let torrents = node.session().info_hashes();
        node = node.with_lsd(Beacon::new(port, torrents, &secret));
    }
    node
}

fn outcome(status: &Status, finished: bool, stop: &Stop) -> Outcome {
    match status.metadata.is_none() && status.pieces_done == status.pieces && finished {
        true => Outcome::Complete,
        false if stop.times() > 0 => Outcome::Stopped,
        false => Outcome::Incomplete,
    }
}

/// Finds out what is on disk, on threads of its own.
async fn survey(
    opened: &mut OpenedTorrent,
    stop: &Stop,
    notice: &mut impl FnMut(Notice),
) -> Result<Survey, Error> {
    let (told, mut heard) = unbounded_channel();
    let progress = move |hashed, total| {
        let _ = told.send((hashed, total));
    };
    let files = opened.files.clone();
    let thread = opened.survey(progress, || {})?;
    // Dropping this future ends the thread as well.
    let mut guard = GiveUp(Some(&files));
    loop {
        tokio::select! {
            progress = heard.recv() => match progress {
                Some((done, total)) => notice(Notice::Checking { done, total }),
                // The thread ends.
                None => break,
            },
            () = stop.said_again(0), if !files.is_given_up() => files.give_up(),
        }
    }
    guard.0 = None;
    found_by(thread)
}

/// Ends what goes on with files when this is dropped, unless it has ended before.
struct GiveUp<'a>(Option<&'a Files>);

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        if let Some(files) = self.0 {
            files.give_up();
        }
    }
}
