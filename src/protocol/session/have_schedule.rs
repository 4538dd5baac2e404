//! When peers are told of pieces that are new, where a profile has a list of such moments.

use std::collections::VecDeque;

use crate::PieceIndex;

use super::Session;
use super::core::Core;

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

impl Core {
    /// The last block of a piece has come.
    pub(super) fn note_arrived(&mut self, piece: PieceIndex) {
        if !self.config.schedule.haves.is_empty() {
            self.have_schedule.arrived.push_back(piece);
        }
    }

    /// A piece that came whole was worthless.
    pub(super) fn note_worthless(&mut self, piece: PieceIndex) {
        self.have_schedule.arrived.retain(|&other| other != piece);
    }

    /// The new pieces that the list has told now; none while a piece of them is not verified.
    pub(super) fn scheduled_haves(&mut self) -> Vec<PieceIndex> {
        let Some(wanted) = self.haves_wanted() else { return Vec::new() };
        let schedule = &mut self.have_schedule;
        let ready = schedule.arrived.iter().take(wanted).all(|piece| self.pending_haves.contains(piece));
        if schedule.arrived.len() < wanted || !ready {
            return Vec::new();
        }
        schedule.haves_sent += wanted as u32;
        let due: Vec<PieceIndex> = schedule.arrived.drain(..wanted).collect();
        self.pending_haves.retain(|piece| !due.contains(piece));
        due
    }

    /// Whether pieces are to be told now as soon as they are verified.
    pub(super) fn owes_haves(&self) -> bool {
        self.haves_wanted().is_some_and(|wanted| self.have_schedule.arrived.len() >= wanted)
    }

    /// How many more pieces are to be told by now, as the profile's list has it; `None` while its next moment is to come.
    fn haves_wanted(&self) -> Option<usize> {
        let (schedule, steps) = (&self.have_schedule, &self.config.schedule.haves);
        let next = steps.partition_point(|step| step.haves_sent <= schedule.haves_sent);
        let step = steps.get(next).filter(|step| step.blocks_received <= schedule.blocks_received)?;
        Some((step.haves_sent - schedule.haves_sent) as usize)
    }

    /// The new pieces that have not been told, at the end of a download.
    pub(super) fn last_haves(&mut self) -> Vec<PieceIndex> {
        let mut haves = std::mem::take(&mut self.pending_haves);
        let place = |piece: &PieceIndex| self.have_schedule.arrived.iter().position(|other| other == piece);
        haves.sort_by_key(place);
        self.have_schedule.arrived.clear();
        haves
    }
}

impl Session {
    /// The new pieces that peers are told of now; every peer is then serviced.
    pub(super) fn due_haves(&mut self) -> Vec<PieceIndex> {
        if self.core.config.schedule.haves.is_empty() {
            return std::mem::take(&mut self.core.pending_haves);
        }
        let due = self.core.scheduled_haves();
        if !due.is_empty() {
            self.peers.mark_all_dirty();
        }
        due
    }
}
