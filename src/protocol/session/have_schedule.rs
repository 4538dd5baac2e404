//! When peers are told of new pieces: at once, or at the moments that the schedule of a run lists.

use std::collections::VecDeque;

use crate::PieceIndex;

use super::Session;
use super::schedule::HaveStep;

/// The new pieces, and how far the list of moments has been followed.
#[derive(Debug, Default)]
pub(super) struct HaveSchedule {
    /// When the schedule has haves sent; empty where each is sent as soon as its piece is verified.
    steps: Vec<HaveStep>,
    /// The verified pieces that peers have not been told of.
    verified: Vec<PieceIndex>,
    /// The pieces whose last block has arrived and that peers have not been told of, in the order of arrival. Empty
    /// without a list.
    arrived: VecDeque<PieceIndex>,
    /// How many blocks have been received.
    blocks_received: u32,
    /// How many pieces peers have been told of.
    haves_sent: u32,
}

impl HaveSchedule {
    pub(super) fn new(steps: Vec<HaveStep>) -> Self {
        Self { steps, ..Self::default() }
    }

    /// How many verified pieces peers have not been told of.
    pub(super) fn pending(&self) -> usize {
        self.verified.len()
    }

    /// A block was received.
    pub(super) const fn note_block(&mut self) {
        self.blocks_received = self.blocks_received.saturating_add(1);
    }

    /// The last block of a piece was received.
    pub(super) fn note_arrived(&mut self, piece: PieceIndex) {
        if !self.steps.is_empty() {
            self.arrived.push_back(piece);
        }
    }

    /// A piece was verified.
    pub(super) fn note_verified(&mut self, piece: PieceIndex) {
        self.verified.push(piece);
    }

    /// The blocks of a piece have another hash than the torrent says.
    pub(super) fn note_corrupt(&mut self, piece: PieceIndex) {
        self.arrived.retain(|&other| other != piece);
    }

    /// The pieces that the list has peers told of now. Empty while one of these pieces is not verified.
    pub(super) fn take_scheduled(&mut self) -> Vec<PieceIndex> {
        let Some(wanted) = self.wanted() else { return Vec::new() };
        let ready = self.arrived.iter().take(wanted).all(|piece| self.verified.contains(piece));
        if self.arrived.len() < wanted || !ready {
            return Vec::new();
        }
        self.haves_sent += wanted as u32;
        let due: Vec<PieceIndex> = self.arrived.drain(..wanted).collect();
        self.verified.retain(|piece| !due.contains(piece));
        due
    }

    /// Whether the list has peers told of pieces that have arrived, as soon as these are verified.
    pub(super) fn is_due(&self) -> bool {
        self.wanted().is_some_and(|wanted| self.arrived.len() >= wanted)
    }

    /// How many more pieces the list has peers told of by now; `None` before its next moment.
    fn wanted(&self) -> Option<usize> {
        let next = self.steps.partition_point(|step| step.haves_sent <= self.haves_sent);
        let step = self.steps.get(next).filter(|step| step.blocks_received <= self.blocks_received)?;
        Some((step.haves_sent - self.haves_sent) as usize)
    }

    /// All verified pieces that peers have not been told of, in the order of arrival. For the end of a download.
    pub(super) fn take_rest(&mut self) -> Vec<PieceIndex> {
        let mut rest = std::mem::take(&mut self.verified);
        rest.sort_by_key(|piece| self.arrived.iter().position(|other| other == piece));
        self.arrived.clear();
        rest
    }
}

impl Session {
    /// The new pieces that peers are told of now. Where the list names them, all peers are serviced.
    pub(super) fn due_haves(&mut self) -> Vec<PieceIndex> {
        let schedule = &mut self.core.have_schedule;
        if schedule.steps.is_empty() {
            return std::mem::take(&mut schedule.verified);
        }
        let due = schedule.take_scheduled();
        if !due.is_empty() {
            self.peers.mark_all_dirty();
        }
        due
    }
}
