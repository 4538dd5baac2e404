//! When peers are told of pieces that are new, where a profile has a list of such moments.

use std::collections::VecDeque;

use crate::PieceIndex;

use super::Session;

/// What has come, and how much of it was told.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// Pieces of which the last block has come and that were not told, in that order.
    arrived: VecDeque<PieceIndex>,
    /// How many blocks peers have given.
    given: u32,
    /// How many pieces have been told.
    told: u32,
}

impl Telling {
    pub(super) const fn note_given(&mut self) {
        self.given = self.given.saturating_add(1);
    }
}

impl Session {
    /// The last block of a piece has come.
    pub(super) fn note_arrived(&mut self, piece: PieceIndex) {
        if !self.config.profile.tells.is_empty() {
            self.telling.arrived.push_back(piece);
        }
    }

    /// A piece that came whole was worthless.
    pub(super) fn note_worthless(&mut self, piece: PieceIndex) {
        self.telling.arrived.retain(|&other| other != piece);
    }

    /// The new pieces that are to be told now; every open peer is then looked after.
    pub(super) fn due_news(&mut self) -> Vec<PieceIndex> {
        match self.config.profile.tells.is_empty() {
            true => std::mem::take(&mut self.news),
            false => self.listed_news(),
        }
    }

    /// The new pieces that are to be told now by the profile's list.
    pub(super) fn listed_news(&mut self) -> Vec<PieceIndex> {
        let Some(wanted) = self.news_wanted() else { return Vec::new() };
        let telling = &mut self.telling;
        let ready = telling.arrived.iter().take(wanted).all(|piece| self.news.contains(piece));
        if telling.arrived.len() < wanted || !ready {
            return Vec::new();
        }
        telling.told += wanted as u32;
        let due: Vec<PieceIndex> = telling.arrived.drain(..wanted).collect();
        self.news.retain(|piece| !due.contains(piece));
        self.stir_all();
        due
    }

    /// Whether pieces are to be told now as soon as they are verified.
    pub(super) fn owes_news(&self) -> bool {
        self.news_wanted().is_some_and(|wanted| self.telling.arrived.len() >= wanted)
    }

    /// How many more pieces are to be told by now, as the profile's list has it; `None` while its next moment is to come.
    fn news_wanted(&self) -> Option<usize> {
        let (telling, tells) = (&self.telling, &self.config.profile.tells);
        let next = tells.partition_point(|tell| tell.told <= telling.told);
        let tell = tells.get(next).filter(|tell| tell.given <= telling.given)?;
        Some((tell.told - telling.told) as usize)
    }

    /// The new pieces that have not been told, at the end of a download.
    pub(super) fn last_news(&mut self) -> Vec<PieceIndex> {
        let mut news = std::mem::take(&mut self.news);
        let place = |piece: &PieceIndex| self.telling.arrived.iter().position(|other| other == piece);
        news.sort_by_key(place);
        self.telling.arrived.clear();
        news
    }
}
