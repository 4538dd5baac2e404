//! When peers are told of pieces that are new, where a profile has a list of such moments.

use std::collections::VecDeque;

use crate::PieceIndex;

use super::Session;

/// What has come, and how much of it was told.
#[derive(Debug, Default)]
pub(super) struct HaveSchedule {
    /// Pieces of which the last block has come and that were not told, in that order.
    arrived: VecDeque<PieceIndex>,
    /// How many blocks peers have given.
    blocks_received: u32,
    /// How many pieces have been told.
    haves_sent: u32,
}

impl HaveSchedule {
    pub(super) const fn note_given(&mut self) {
        self.blocks_received = self.blocks_received.saturating_add(1);
    }
}

impl Session {
    /// The last block of a piece has come.
    pub(super) fn note_arrived(&mut self, piece: PieceIndex) {
        if !self.config.profile.have_steps.is_empty() {
            self.have_schedule.arrived.push_back(piece);
        }
    }

    /// A piece that came whole was worthless.
    pub(super) fn note_worthless(&mut self, piece: PieceIndex) {
        self.have_schedule.arrived.retain(|&other| other != piece);
    }

    /// The new pieces that are to be told now; every open peer is then looked after.
    pub(super) fn due_haves(&mut self) -> Vec<PieceIndex> {
        match self.config.profile.have_steps.is_empty() {
            true => std::mem::take(&mut self.pending_haves),
            false => self.scheduled_haves(),
        }
    }

    /// The new pieces that are to be told now by the profile's list.
    pub(super) fn scheduled_haves(&mut self) -> Vec<PieceIndex> {
        let Some(wanted) = self.haves_wanted() else { return Vec::new() };
        let telling = &mut self.have_schedule;
        let ready = telling.arrived.iter().take(wanted).all(|piece| self.pending_haves.contains(piece));
        if telling.arrived.len() < wanted || !ready {
            return Vec::new();
        }
        telling.haves_sent += wanted as u32;
        let due: Vec<PieceIndex> = telling.arrived.drain(..wanted).collect();
        self.pending_haves.retain(|piece| !due.contains(piece));
        self.mark_all_dirty();
        due
    }

    /// Whether pieces are to be told now as soon as they are verified.
    pub(super) fn owes_haves(&self) -> bool {
        self.haves_wanted().is_some_and(|wanted| self.have_schedule.arrived.len() >= wanted)
    }

    /// How many more pieces are to be told by now, as the profile's list has it; `None` while its next moment is to come.
    fn haves_wanted(&self) -> Option<usize> {
        let (telling, tells) = (&self.have_schedule, &self.config.profile.have_steps);
        let next = tells.partition_point(|tell| tell.haves_sent <= telling.haves_sent);
        let tell = tells.get(next).filter(|tell| tell.blocks_received <= telling.blocks_received)?;
        Some((tell.haves_sent - telling.haves_sent) as usize)
    }

    /// The new pieces that have not been told, at the end of a download.
    pub(super) fn last_haves(&mut self) -> Vec<PieceIndex> {
        let mut news = std::mem::take(&mut self.pending_haves);
        let place = |piece: &PieceIndex| self.have_schedule.arrived.iter().position(|other| other == piece);
        news.sort_by_key(place);
        self.have_schedule.arrived.clear();
        news
    }
}
