//! A run: one task that owns the session, tells it what happens, and does what it wants.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bittrace_protocol::session::{Session, Status};
use bittrace_protocol::{Geometry, Metainfo};
use tokio::sync::mpsc::unbounded_channel;

use crate::clock::Clock;
use crate::drive::{Driver, SessionEnd};
use crate::files::Files;
use crate::folder::{Folder, Replace};
use crate::journal::Journal;
use crate::layout::Layout;
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
        let layout = Layout::new(&self.torrent);
        let folder = Folder::open(&self.options.output)?;
        let place = folder.shown(std::slice::from_ref(&layout.root), "");
        let (root, pieces) = (layout.root.clone(), self.geometry.piece_count());
        let (journal, remembered) = Journal::open(&folder, &root, self.torrent.info_hash, pieces)?;
        let files = Arc::new(Files::new(folder, layout, self.geometry.clone()));
        let replace = if self.options.overwrite { Replace::Always } else { Replace::Never };

        let survey = self.survey(files.clone(), remembered, replace, &mut notice).await;
        let survey = match survey {
            Ok(survey) => survey,
            Err(error) => {
                journal.remove_if_empty(&files.folder)?;
                return Err(error);
            }
        };
        let pieces_before = survey.verified.count();
        let report = |outcome, status, recording| {
            let elapsed = started.elapsed();
            DownloadReport { outcome, pieces_before, status, elapsed, place, recording }
        };
        if self.stop.times() > 0 {
            journal.remove_if_empty(&files.folder)?;
            return Ok(report(Outcome::Stopped, None, None));
        }
        for file in survey.finished {
            if let Some(path) = files.path(file) {
                notice(Notice::FileDone { path: files.folder.shown(path, "") });
            }
        }
        notice(Notice::Checked { verified: survey.verified.clone(), damaged: survey.damaged });

        let Self { torrent, options, stop, .. } = self;
        let clock = Clock::new();
        let driver =
            Driver::new(&options, clock, files, survey.verified.clone(), journal, replace, stop.clone())?;
        let DownloadOptions { mut config, identity, .. } = options;
        config.port = driver.port();
        notice(Notice::Listening { port: config.port });
        let session = Session::new(config, torrent, identity, survey.verified.iter(), clock.now());
        let SessionEnd { status, recording } = driver.run(session, &mut notice).await?;
        let outcome = match status.pieces_done == status.pieces {
            true => Outcome::Complete,
            false if stop.times() > 0 => Outcome::Stopped,
            false => Outcome::Incomplete,
        };
        Ok(report(outcome, Some(status), recording))
    }

    /// Finds out what is on disk, on threads of its own.
    async fn survey(
        &self,
        files: Arc<Files>,
        remembered: crate::journal::Remembered,
        replace: Replace,
        notice: &mut impl FnMut(Notice),
    ) -> Result<Survey, Error> {
        let (done, mut heard) = unbounded_channel();
        let given_up = Arc::new(AtomicBool::new(false));
        let (torrent, resume, stop) = (self.torrent.clone(), self.options.resume, given_up.clone());
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
                files: &files,
                metainfo: &torrent,
                remembered: &remembered,
                resume,
                replace,
                stop: &stop,
                progress: &progress,
            }
            .run()
        })?;
        // Dropping this future ends the thread as well.
        let _guard = GiveUp(given_up.clone());
        loop {
            tokio::select! {
                progress = heard.recv() => match progress {
                    Some((done, total)) => notice(Notice::Checking { done, total }),
                    None => break,
                },
                () = self.stop.said_again(0), if !given_up.load(Ordering::Relaxed) => {
                    given_up.store(true, Ordering::Relaxed);
                }
            }
        }
        thread.join().unwrap_or_else(|_| {
            Err(Error::System { what: "a thread", source: std::io::Error::other("it ended early") })
        })
    }
}

struct GiveUp(Arc<AtomicBool>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
