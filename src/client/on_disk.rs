//! What a run does with the disk before pieces come: where the torrent's files go, and what of them is there.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use bittrace_protocol::metainfo::FileChoice;
use bittrace_protocol::wire::PieceSet;
use bittrace_protocol::{Geometry, Metainfo};
use tokio::sync::mpsc::UnboundedSender;

use crate::Error;
use crate::event::DriverEvent;
use crate::files::Files;
use crate::folder::{Folder, Replace};
use crate::gauge::MemoryBudget;
use crate::journal::{Journal, Remembered};
use crate::layout::{Layout, RootName};
use crate::notice::Notice;
use crate::options::DownloadOptions;
use crate::shared_pieces::SharedPieces;
use crate::storage::{Storage, spawn};
use crate::verify::{Resume, Survey, Surveyor};

/// What a user wants of the files.
#[derive(Debug, Clone)]
pub(crate) struct DiskPlan {
    output: PathBuf,
    root_name: RootName,
    choice: FileChoice,
    resume: Resume,
    replace: Replace,
    repair: bool,
}

/// The place of a torrent on disk, with the lock on it.
#[derive(Debug)]
pub(crate) struct OpenedTorrent {
    pub(crate) torrent: Arc<Metainfo>,
    pub(crate) files: Arc<Files>,
    journal: Option<Journal>,
    /// Where the file, or the folder around the files, is.
    pub(crate) place: PathBuf,
    replace: Replace,
    /// What cannot be written there, and why.
    read_only: Option<(PathBuf, io::Error)>,
    read_only_path: Option<PathBuf>,
    remembered: Option<Remembered>,
    resume: Resume,
    repair: bool,
}

impl DiskPlan {
    pub(crate) fn of(options: &DownloadOptions) -> Self {
        Self {
            output: options.output.clone(),
            root_name: options.root_name,
            choice: options.config.files.clone(),
            resume: options.resume,
            replace: if options.overwrite { Replace::Always } else { Replace::Never },
            repair: options.repair,
        }
    }

    /// Finds the place of a torrent, and locks it.
    pub(crate) fn open(
        &self,
        torrent: Arc<Metainfo>,
        notice: &mut impl FnMut(Notice),
    ) -> Result<OpenedTorrent, Error> {
        let geometry = check_usable(&torrent)?.clone();
        let chosen = self.choice.find_in(&torrent)?;
        let layout = Layout::with_root(&torrent, self.root_name);
        let (count, names) = layout.renamed(&torrent, MAX_RENAMED);
        if count > 0 {
            notice(Notice::Renamed { count, names });
        }
        let folder = Folder::open(&self.output)?;
        let place = folder.shown(std::slice::from_ref(&layout.root), "");
        let (root, pieces) = (layout.root.clone(), geometry.piece_count());
        let opened =
            folder.check_writable().and_then(|()| Journal::open(&folder, &root, torrent.info_hash, pieces));
        let (journal, remembered, read_only) = match opened {
            Ok((journal, remembered)) => (Some(journal), remembered, None),
            // What is whole can be served from where nothing can be written.
            Err(Error::File { path, source, .. }) if is_read_only(&source) => {
                (None, Remembered::nothing(pieces), Some((path, source)))
            }
            Err(error) => return Err(error),
        };
        let length = geometry.piece_length();
        let shared = match SharedPieces::open(&folder, &root, torrent.info_hash, length, pieces) {
            Ok(shared) => shared,
            Err(error) => {
                // Why it could not begin is worth more than why something is left of it.
                let _ = journal.map_or(Ok(()), |journal| journal.remove_if_empty(&folder));
                return Err(error);
            }
        };
        if !chosen.is_all() {
            notice(Notice::Chosen { chosen: chosen.clone(), pieces: chosen.pieces(&torrent).count() });
        }
        Ok(OpenedTorrent {
            files: Arc::new(Files::new(folder, layout, torrent.clone(), geometry, chosen, shared)),
            torrent,
            journal,
            place,
            replace: self.replace,
            read_only_path: read_only.as_ref().map(|(path, _)| path.clone()),
            read_only,
            remembered: Some(remembered),
            resume: self.resume,
            repair: self.repair,
        })
    }
}

impl OpenedTorrent {
    /// Refuses a recording and a key log that are files of the torrent.
    pub(crate) fn check_outlets(&self, record: Option<&Path>, key_log: Option<&Path>) -> Result<(), Error> {
        if let Some(path) = record {
            self.files.check_recording(path, self.journal.as_ref())?;
        }
        key_log.map_or(Ok(()), |path| self.files.check_key_log(path, self.journal.as_ref()))
    }

    /// Finds out what is on disk, on a thread of its own, which tells `progress` how many of how many bytes are hashed, once a
    /// percent, and `done` that it ends. [`found_by`] has what it found.
    pub(crate) fn survey(
        &mut self,
        progress: impl Fn(u64, u64) + Send + Sync + 'static,
        done: impl FnOnce() + Send + 'static,
    ) -> Result<JoinHandle<Result<Survey, Error>>, Error> {
        let files = self.files.clone();
        let (resume, repair, replace) = (self.resume, self.repair, self.replace);
        let remembered = self.remembered.take().unwrap_or_else(|| Remembered::nothing(0));
        let read_only = self.read_only.take();
        spawn("survey", move || {
            let last = AtomicU64::new(0);
            let progress = |hashed: u64, total: u64| {
                // One notice a percent is enough.
                let percent = hashed.saturating_mul(100) / total.max(1);
                if last.swap(percent, Ordering::Relaxed) != percent {
                    progress(hashed, total);
                }
            };
            let surveyor = Surveyor {
                files: &files,
                remembered: &remembered,
                resume,
                replace,
                repair,
                read_only,
                progress: &progress,
            };
            let survey = surveyor.run();
            done();
            survey
        })
    }

    /// Begins the state file of a run that has these pieces.
    pub(crate) fn begin(&mut self, verified: &PieceSet) -> Result<(), Error> {
        self.journal.as_mut().map_or(Ok(()), |journal| journal.begin(verified))
    }

    /// Starts the threads that write.
    pub(crate) fn start(
        self,
        verified: PieceSet,
        gauge: MemoryBudget,
        events: &UnboundedSender<DriverEvent>,
    ) -> Result<(Arc<Files>, Storage), Error> {
        let Self { files, journal, replace, .. } = self;
        let storage = Storage::start(&files, verified, journal, replace, gauge, events)?;
        Ok((files, storage))
    }

    /// Leaves no state file that says nothing.
    pub(crate) fn withdraw(self) -> Result<(), Error> {
        self.journal.map_or(Ok(()), |journal| journal.remove_if_empty(&self.files.folder))
    }

    /// Keeps what a survey found that was not waited for.
    pub(crate) fn interrupt(self, survey: &Survey) -> Result<(), Error> {
        match self.journal {
            // The next run finds that unfinished files are this torrent's.
            Some(mut journal) if survey.changed => journal.begin(&survey.verified),
            Some(journal) => journal.remove_if_empty(&self.files.folder),
            None => Ok(()),
        }
    }

    /// Tells what a survey found.
    pub(crate) fn tell(&self, survey: &Survey, notice: &mut impl FnMut(Notice)) {
        for file in &survey.finished {
            if let Some(path) = self.files.path(*file) {
                notice(Notice::FileDone { path: self.files.folder.shown(&path, "") });
            }
        }
        if let Some(path) = &self.read_only_path {
            notice(Notice::ReadOnly { path: path.clone() });
        }
        notice(Notice::Checked { verified: survey.verified.clone(), damaged: survey.damaged.clone() });
    }
}

/// What a survey found, once its thread has ended.
pub(crate) fn found_by(thread: JoinHandle<Result<Survey, Error>>) -> Result<Survey, Error> {
    thread.join().unwrap_or_else(|_| {
        Err(Error::System { what: "a thread", source: io::Error::other("it ended early") })
    })
}

/// How the pieces of a torrent lie.
///
/// # Errors
/// [`Error::Unplaced`] where that is not known, [`Error::NoPieceLayers`] where pieces have no hash.
pub(crate) fn check_usable(torrent: &Metainfo) -> Result<&Geometry, Error> {
    let name = || torrent.name.to_string();
    let geometry = torrent.placement().ok_or_else(|| Error::Unplaced { name: name() })?;
    match torrent.has_all_hashes() {
        true => Ok(geometry),
        false => Err(Error::NoPieceLayers { name: name() }),
    }
}

/// Whether an error says that this user may not write there, or that nobody can.
fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// So many names that are stored as others are told.
const MAX_RENAMED: usize = 10;
