//! Web seeds as sources of a download: HTTP servers that have the torrent's files (BEP 19) or give its pieces (BEP 17). Each
//! has every piece and never chokes; it is asked over one connection for runs of blocks, the next while the last one comes.
//! What it sends is checked as what peers send: a piece that it sent corrupt is not asked of it again, and the second such piece
//! ends it.

use std::sync::Arc;
use std::time::Duration;

use crate::{PieceIndex, Timestamp};

use super::core::Core;
use super::io::ServerInput;
use super::server_url::ServerUrl;
use super::torrent::Torrent;
use super::{CloseReason, Endpoint, Event, HttpProxy, Output, SessionStreamId};

mod part;
mod source;

use source::Source;

/// All web seeds of a session, in the order of the torrent.
#[derive(Debug, Default)]
pub(super) struct WebSeeds(Vec<Source>);

/// How a web seed is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SeedKind {
    /// For parts of files (BEP 19).
    Files,
    /// For parts of pieces (BEP 17).
    Pieces,
}

impl WebSeeds {
    /// The web seeds of a session's torrent, as far as its settings have them used. There are none before the torrent is known.
    pub(super) fn of(core: &mut Core) -> Self {
        let Torrent::Known(torrent) = &core.torrent else { return Self::default() };
        if !core.config.profile.web_seeds || core.config.single_peer || torrent.placement().is_none() {
            return Self::default();
        }
        let torrent = Arc::clone(torrent);
        let files = torrent.url_list.iter().map(|url| (url, SeedKind::Files));
        let pieces = torrent.http_seeds.iter().map(|url| (url, SeedKind::Pieces));
        let mut sources: Vec<Source> = Vec::new();
        for (url, kind) in files.chain(pieces) {
            let Some(place) = ServerUrl::parse(url).filter(|place| !matches!(place, ServerUrl::Udp { .. }))
            else {
                continue;
            };
            if sources.len() < MAX_WEB_SEEDS && !sources.iter().any(|source| source.has_url(url)) {
                sources.push(Source::new(torrent.clone(), url, place, kind, core.streams.next()));
            }
        }
        Self(sources)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn owns(&self, stream: SessionStreamId) -> bool {
        self.0.iter().any(|source| source.stream() == Some(stream))
    }

    /// Whether a web seed is asked for something, or will be.
    pub(super) fn is_at_work(&self) -> bool {
        self.0.iter().any(Source::is_at_work)
    }

    /// Whether there were web seeds, and none of them is of use any longer.
    pub(super) fn have_ended(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(Source::has_ended)
    }

    /// When [`Core::advance_web_seeds`] has something to do though nothing happens.
    pub(super) fn deadline(&self, connect_timeout: Duration) -> Option<Timestamp> {
        self.0.iter().filter_map(|source| source.deadline(connect_timeout)).min()
    }

    fn by_stream(&mut self, stream: SessionStreamId) -> Option<&mut Source> {
        self.0.iter_mut().find(|source| source.stream() == Some(stream))
    }
}

impl Core {
    /// Asks web seeds for what is missing, and gives up what takes too long.
    pub(super) fn advance_web_seeds(&mut self, now: Timestamp) {
        if self.web_seeds.0.is_empty() {
            return;
        }
        let mut seeds = std::mem::take(&mut self.web_seeds);
        for source in seeds.0.iter_mut().filter(|source| !source.has_ended()).take(AT_ONCE) {
            source.advance(now, self);
        }
        self.web_seeds = seeds;
    }

    /// Closes the connections to web seeds: nothing more is wanted.
    pub(super) fn close_web_seeds(&mut self) {
        let mut seeds = std::mem::take(&mut self.web_seeds);
        seeds.0.iter_mut().for_each(|source| source.leave(self));
    }

    /// Takes an input for a stream of [the web seeds](WebSeeds::owns).
    pub(super) fn tell_web_seed(&mut self, now: Timestamp, stream: SessionStreamId, input: ServerInput) {
        let mut seeds = std::mem::take(&mut self.web_seeds);
        if let Some(source) = seeds.by_stream(stream) {
            source.handle(now, input, self);
        }
        self.web_seeds = seeds;
    }

    /// A piece that was corrupt came from `giver`; whether that is a web seed.
    pub(super) fn blame_web_seed(&mut self, giver: SessionStreamId, piece: PieceIndex) -> bool {
        let mut seeds = std::mem::take(&mut self.web_seeds);
        let source = seeds.0.iter_mut().find(|source| source.giver() == giver);
        let is_one = source.map(|source| source.note_corrupt(piece, self)).is_some();
        self.web_seeds = seeds;
        is_one
    }
}

/// How many web seeds of a torrent are known, and how many are asked at once: each gives as much as its server can.
const MAX_WEB_SEEDS: usize = 100;
const AT_ONCE: usize = 4;
