//! A run: one task that owns the session, tells it what happens, and does what it wants.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bittrace_protocol::lsd::Beacon;
use bittrace_protocol::node::Node;
use bittrace_protocol::session::{Session, Status};
use bittrace_protocol::{Geometry, Metainfo};
use tokio::sync::mpsc::unbounded_channel;

use crate::clock::Clock;
use crate::drive::{Driver, SessionEnd};
use crate::files::Files;
use crate::folder::{Folder, Replace};
use crate::journal::{Journal, Remembered};
use crate::layout::Layout;
use crate::left_out::LeftOut;
use crate::notice::Notice;
use crate::options::DownloadOptions;
use crate::storage::spawn;
use crate::verify::{Survey, Surveyor};
use crate::{Error, Stop};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every file is whole.
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
    /// Where the file, or the folder around the files, is.
    pub place: PathBuf,
    /// What the torrent asks for and is not stored: links, marks (BEP 47).
    pub left_out: LeftOut,
    /// Why not everything was recorded, where it should have been; it was told when it happened.
    pub recording: Option<Error>,
}

/// A run that has not begun.
#[derive(Debug)]
pub struct Download {
    torrent: Arc<Metainfo>,
    geometry: Geometry,
    options: DownloadOptions,
    stop: Stop,
}

impl Download {
    /// A download of a torrent.
    ///
    /// # Errors
    /// [`Error::VersionTwoOnly`] for a torrent without the piece hashes of BEP 3.
    pub fn new(torrent: Arc<Metainfo>, options: DownloadOptions) -> Result<Self, Error> {
        let Some(geometry) = torrent.geometry.clone() else {
            return Err(Error::VersionTwoOnly { name: torrent.name.to_string() });
        };
        Ok(Self { torrent, geometry, options, stop: Stop::new() })
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
        let started = Instant::now();
        let layout = Layout::with_root(&self.torrent, self.options.root_name);
        let (count, names) = layout.renamed(&self.torrent, MAX_RENAMED);
        if count > 0 {
            notice(Notice::Renamed { count, names });
        }
        let folder = Folder::open(&self.options.output)?;
        let place = folder.shown(std::slice::from_ref(&layout.root), "");
        let (root, pieces) = (layout.root.clone(), self.geometry.piece_count());
        let opened = folder
            .check_writable()
            .and_then(|()| Journal::open(&folder, &root, self.torrent.info_hash, pieces));
        let (journal, remembered, read_only) = match opened {
            Ok((journal, remembered)) => (Some(journal), remembered, None),
            // What is whole can be served from where nothing can be written.
            Err(Error::File { path, source, .. }) if is_read_only(&source) => {
                (None, Remembered::nothing(pieces), Some((path, source)))
            }
            Err(error) => return Err(error),
        };
        let read_only_path = read_only.as_ref().map(|(path, _)| path.clone());
        let files = Arc::new(Files::new(folder, layout, self.geometry.clone()));
        let replace = if self.options.overwrite { Replace::Always } else { Replace::Never };

        let survey = self.survey(files.clone(), remembered, replace, read_only, &mut notice).await;
        let survey = match survey {
            Ok(survey) => survey,
            Err(error) => {
                if let Some(journal) = journal {
                    journal.remove_if_empty(&files.folder)?;
                }
                return Err(error);
            }
        };
        let pieces_before = survey.verified.count();
        let report = |outcome, status, left_out, recording| {
            let elapsed = started.elapsed();
            DownloadReport { outcome, pieces_before, status, elapsed, place, left_out, recording }
        };
        if self.stop.times() > 0 {
            match journal {
                // The next run finds that unfinished files are this torrent's.
                Some(mut journal) if survey.changed => journal.begin(&survey.verified)?,
                Some(journal) => journal.remove_if_empty(&files.folder)?,
                None => {}
            }
            return Ok(report(Outcome::Stopped, None, LeftOut::default(), None));
        }
        for file in survey.finished {
            if let Some(path) = files.path(file) {
                notice(Notice::FileDone { path: files.folder.shown(&path, "") });
            }
        }
        if let Some(path) = read_only_path {
            notice(Notice::ReadOnly { path });
        }
        notice(Notice::Checked { verified: survey.verified.clone(), damaged: survey.damaged });

        let Self { torrent, mut options, stop, .. } = self;
        // BEP 27: peers of a private torrent come from its trackers only.
        options.lsd &= !torrent.private && !options.listen.is_empty();
        let clock = Clock::new();
        let driver = Driver::new(
            &options,
            clock,
            files.clone(),
            survey.verified.clone(),
            journal,
            replace,
            stop.clone(),
        )?;
        let DownloadOptions { mut config, identity, lsd, .. } = options;
        config.port = driver.port();
        let beacon = lsd.then(|| Beacon::new(config.port, vec![torrent.info_hash], &identity.secret));
        notice(Notice::Listening { port: config.port });
        let session = Session::new(config, torrent, identity, survey.verified.iter(), clock.now());
        let node = match beacon {
            Some(beacon) => Node::new(session).with_lsd(beacon),
            None => Node::new(session),
        };
        let SessionEnd { status, finished, recording } = driver.run(node, &mut notice).await?;
        let outcome = match status.pieces_done == status.pieces && finished {
            true => Outcome::Complete,
            false if stop.times() > 0 => Outcome::Stopped,
            false => Outcome::Incomplete,
        };
        Ok(report(outcome, Some(status), files.left_out(), recording))
    }

    /// Finds out what is on disk, on threads of its own.
    async fn survey(
        &self,
        files: Arc<Files>,
        remembered: Remembered,
        replace: Replace,
        read_only: Option<(PathBuf, io::Error)>,
        notice: &mut impl FnMut(Notice),
    ) -> Result<Survey, Error> {
        let (done, mut heard) = unbounded_channel();
        let torrent = self.torrent.clone();
        let (resume, repair) = (self.options.resume, self.options.repair);
        let surveyed = files.clone();
        let thread = spawn("survey", move || {
            let last = std::sync::atomic::AtomicU64::new(0);
            let progress = |hashed: u64, total: u64| {
                // One notice a percent is enough.
                let percent = hashed.saturating_mul(100) / total.max(1);
                if last.swap(percent, Ordering::Relaxed) != percent {
                    let _ = done.send((hashed, total));
                }
            };
            Surveyor {
                files: &surveyed,
                metainfo: &torrent,
                remembered: &remembered,
                resume,
                replace,
                repair,
                read_only,
                progress: &progress,
            }
            .run()
        })?;
        // Dropping this future ends the thread as well.
        let mut guard = GiveUp(Some(&files));
        loop {
            tokio::select! {
                progress = heard.recv() => match progress {
                    Some((done, total)) => notice(Notice::Checking { done, total }),
                    None => break,
                },
                () = self.stop.said_again(0), if !files.is_given_up() => files.give_up(),
            }
        }
        guard.0 = None;
        thread.join().unwrap_or_else(|_| {
            Err(Error::System { what: "a thread", source: io::Error::other("it ended early") })
        })
    }
}

/// Whether an error says that this user may not write there, or that nobody can.
fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// So many names that are stored as others are told.
const MAX_RENAMED: usize = 10;

/// Ends what goes on with files when this is dropped, unless it has ended before.
struct GiveUp<'a>(Option<&'a Files>);

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        if let Some(files) = self.0 {
            files.give_up();
        }
    }
}
