//! The disk of a run that begins with a magnet link: nothing of it is touched before peers have sent the metadata.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use bittrace_protocol::Metainfo;
use bittrace_protocol::magnet::Magnet;
use bittrace_protocol::metainfo::PieceLayers;
use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;

use crate::Error;
use crate::event::DriverEvent;
use crate::files::Files;
use crate::notice::Notice;
use crate::on_disk::{DiskPlan, OpenedTorrent, found_by};
use crate::options::DownloadOptions;
use crate::torrent_source::TorrentFile;
use crate::verify::Survey;

/// What becomes of the metadata when it comes.
#[derive(Debug)]
pub(crate) struct LateDisk {
    magnet: Magnet,
    /// What the user wants of the files; `None` where only the metadata is wanted.
    plan: Option<DiskPlan>,
    record: Option<PathBuf>,
    key_log: Option<PathBuf>,
    /// While it is found out what is on disk.
    surveying: Option<(OpenedTorrent, JoinHandle<Result<Survey, Error>>)>,
    known: LateTorrent,
}

/// What a run with a magnet link came to know of its torrent.
#[derive(Debug, Default)]
pub(crate) struct LateTorrent {
    pub(crate) only_metadata: bool,
    pub(crate) metadata: Option<Bytes>,
    pub(crate) piece_layers: PieceLayers,
    pub(crate) torrent: Option<Arc<Metainfo>>,
    pub(crate) place: Option<PathBuf>,
    pub(crate) files: Option<Arc<Files>>,
    pub(crate) pieces_before: u32,
}

impl LateDisk {
    pub(crate) fn new(magnet: Magnet, plan: Option<DiskPlan>, options: &DownloadOptions) -> Self {
        let known = LateTorrent { only_metadata: plan.is_none(), ..LateTorrent::default() };
        let (record, key_log) = (options.record.clone(), options.key_log.clone());
        Self { magnet, plan, record, key_log, surveying: None, known }
    }

    /// Whether the run is over when the metadata has come.
    pub(crate) const fn wants_metadata_alone(&self) -> bool {
        self.plan.is_none()
    }

    /// Takes the metadata: the torrent is read, and its place on disk looked at, on a thread of its own that tells when it is
    /// done.
    pub(crate) fn describe(
        &mut self,
        info: Bytes,
        layers: PieceLayers,
        events: &UnboundedSender<DriverEvent>,
        notice: &mut impl FnMut(Notice),
    ) -> Result<(), Error> {
        let torrent = TorrentFile::of_metadata(&self.magnet, &info, &layers)?;
        let torrent = Arc::new(torrent.metainfo);
        self.known.metadata = Some(info);
        self.known.piece_layers = layers;
        self.known.torrent = Some(torrent.clone());
        notice(Notice::Described { torrent: torrent.clone() });
        let Some(plan) = &self.plan else { return Ok(()) };
        let mut opened = plan.open(torrent, notice)?;
        // Both are being written already.
        let allowed = opened.check_outlets(self.record.as_deref(), self.key_log.as_deref());
        let begun = allowed.and_then(|()| {
            let (told, done) = (events.clone(), events.clone());
            opened.survey(
                move |done, total| {
                    let _ = told.send(DriverEvent::Checking { done, total });
                },
                move || {
                    let _ = done.send(DriverEvent::Surveyed);
                },
            )
        });
        match begun {
            Ok(thread) => {
                self.known.place = Some(opened.place.clone());
                self.known.files = Some(opened.files.clone());
                self.surveying = Some((opened, thread));
                Ok(())
            }
            Err(error) => {
                // Why it could not begin is worth more than why something is left of it.
                let _ = opened.withdraw();
                Err(error)
            }
        }
    }

    /// The torrent's place, and what was found there; `None` where nobody looked, or the run was ended meanwhile.
    pub(crate) fn surveyed(&mut self) -> Option<Result<(OpenedTorrent, Survey), Error>> {
        let (opened, thread) = self.surveying.take()?;
        Some(match found_by(thread) {
            Ok(survey) => {
                self.known.pieces_before = survey.verified.count();
                Ok((opened, survey))
            }
            Err(error) => {
                // Why nothing was found is worth more than why something is left of it.
                let _ = opened.withdraw();
                Err(error)
            }
        })
    }

    /// The survey is not waited for any longer.
    fn give_up(&mut self) {
        if let Some((opened, thread)) = self.surveying.take() {
            opened.files.give_up();
            // That something is left of it matters less than how the run ended.
            let _ = match found_by(thread) {
                Ok(survey) => opened.interrupt(&survey),
                Err(_) => opened.withdraw(),
            };
        }
    }

    /// What is known at the end.
    pub(crate) fn finish(mut self) -> LateTorrent {
        self.give_up();
        std::mem::take(&mut self.known)
    }
}

impl Drop for LateDisk {
    fn drop(&mut self) {
        self.give_up();
    }
}
