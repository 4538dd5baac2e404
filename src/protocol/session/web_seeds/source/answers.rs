//! What a web seed answers: which bytes are taken, and what follows from everything else.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;

use bytes::Bytes;

use crate::session::download::zeros;
use crate::session::picker::Seeker;
use crate::web_seed::{AnswerHead, AnswerPart, BodyLength};
use crate::{Metainfo, PieceIndex, Timestamp, is_local_network};

use super::{
    Answering, Core, FIRST_APPETITE, MAX_FAILURES, MOST_APPETITE, MOST_PIECES, Output, SeedKind, ServerUrl,
    Source, SourceState, USUAL_WAIT, target,
};

impl Source {
    /// Reads all that came.
    pub(super) fn read(&mut self, now: Timestamp, core: &mut Core) {
        while let SourceState::Connected(connection) = &mut self.state {
            if connection.asked.is_empty() && connection.answering.is_none() {
                return match connection.reader.is_between_answers() {
                    true => {}
                    false => self.fail(now, "sent something that was not asked for", core),
                };
            }
            match connection.reader.next_part() {
                Ok(None) => return,
                Ok(Some(AnswerPart::Head(head))) => self.judge(now, &head, core),
                Ok(Some(AnswerPart::Body(bytes))) => self.take_body(now, bytes, core),
                Ok(Some(AnswerPart::End)) => self.answer_ended(now, core),
                Err(error) => self.fail(now, &format!("the response is not HTTP: {error}"), core),
            }
        }
    }

    /// Decides what becomes of an answer.
    fn judge(&mut self, now: Timestamp, head: &AnswerHead, core: &mut Core) {
        let SourceState::Connected(connection) = &mut self.state else { return };
        let Some(part) = connection.asked.front_mut() else { return };
        let wanted = part.bytes.end - part.bytes.start;
        let has = |length: u64| match head.length {
            BodyLength::Bytes(count) => count == length,
            BodyLength::UntilClose => true,
            BodyLength::Unknown => false,
        };
        let take = Some(Answering::Take { stays_open: head.stays_open });
        match head.status {
            200 | 206 if !head.is_verbatim || head.length == BodyLength::Unknown => {
                self.fail(now, "the response is compressed, or does not say its length", core);
            }
            206 if head.range.as_ref() == Some(&part.bytes) && has(wanted) => connection.answering = take,
            206 => self.fail(now, "the response has other bytes than those that were requested", core),
            200 if self.kind == SeedKind::Pieces && has(wanted) => connection.answering = take,
            200 if self.kind == SeedKind::Pieces => {
                self.fail(now, "the response has another length than what was requested", core);
            }
            200 => self.judge_whole_file(head, core),
            301 | 302 | 303 | 307 | 308 => self.redirect(now, head, core),
            404 | 410 | 416 => self.drop_file(head, core),
            429 | 503 if self.kind == SeedKind::Pieces && has_few_bytes(head) => {
                connection.answering = Some(Answering::Seconds(Vec::new()));
            }
            429 | 503 => self.wait(now, head.retry_after.unwrap_or(USUAL_WAIT), core),
            _ => self.fail(now, &status_text(head), core),
        }
    }

    /// A server that was asked for a part sends all of the file, or was asked for all of it.
    fn judge_whole_file(&mut self, head: &AnswerHead, core: &mut Core) {
        let SourceState::Connected(connection) = &mut self.state else { return };
        let Some(part) = connection.asked.front().cloned() else { return };
        let length = self.torrent.files.get(part.of).map_or(0, |file| file.length);
        if matches!(head.length, BodyLength::Bytes(count) if count != length) {
            return self.drop_file(head, core);
        }
        connection.answering = Some(Answering::Take { stays_open: head.stays_open });
        if part.bytes == (0..length) {
            return;
        }
        self.gives_parts = false;
        if part.bytes.start > 0 {
            // Not the bytes that were asked for, and no fault: from now on files are asked for whole.
            self.leave(core);
            return;
        }
        // What was picked beyond this file is for others, or for a later request.
        let planned = std::mem::take(&mut self.planned);
        planned.iter().for_each(|part| self.release(part, core));
        *self.offers.entry(part.of).or_default() += 1;
        if let SourceState::Connected(connection) = &mut self.state
            && let Some(asked) = connection.asked.front_mut()
        {
            asked.bytes.end = length;
            asked.is_offered = true;
        }
    }

    fn take_body(&mut self, now: Timestamp, bytes: Bytes, core: &mut Core) {
        let SourceState::Connected(connection) = &mut self.state else { return };
        match &mut connection.answering {
            Some(Answering::Take { .. }) => {}
            Some(Answering::Seconds(digits)) => return digits.extend_from_slice(&bytes),
            Some(Answering::Skip) | None => return,
        }
        let address = connection.address;
        let Some(part) = connection.asked.front_mut() else { return };
        let left = usize::try_from(part.bytes.end - part.bytes.start).unwrap_or(usize::MAX);
        let (at, is_offered, has_more) = (part.at, part.is_offered, bytes.len() > left);
        let bytes = bytes.slice(..bytes.len().min(left));
        part.pass(bytes.len() as u64);
        let is_whole = part.bytes.is_empty();
        self.take(now, at, bytes, is_offered, address, core);
        // A body without a length, which goes on or not: the connection is of no more use.
        if let SourceState::Connected(connection) = &mut self.state
            && is_whole
            && (has_more || matches!(connection.answering, Some(Answering::Take { stays_open: false })))
        {
            self.answer_ended(now, core);
        }
    }

    /// Takes bytes from `at` of the row on.
    fn take(
        &self,
        now: Timestamp,
        mut at: u64,
        mut bytes: Bytes,
        is_offered: bool,
        address: Option<SocketAddr>,
        core: &mut Core,
    ) {
        while !bytes.is_empty() {
            let (block, position) = core.picker.block_at(at);
            let room = block.length.saturating_sub(position) as usize;
            if room == 0 {
                return;
            }
            let piece = bytes.split_to(bytes.len().min(room));
            at += piece.len() as u64;
            let seeker = Seeker::of_any(self.giver, &self.pieces);
            let ends = piece.len() == room;
            if is_offered && !core.picker.take_offered(block, &seeker) {
                // Zeros that are made come from nobody.
                core.totals.wasted += if address.is_some() { piece.len() as u64 } else { 0 };
            } else {
                core.take_bytes(now, block, position, piece, (self.giver, address));
            }
            if ends {
                core.picker.release(block, self.giver);
            }
        }
    }

    /// Makes the bytes of padding files, which are zeros (BEP 47).
    pub(super) fn take_zeros(&self, now: Timestamp, span: Range<u64>, is_offered: bool, core: &mut Core) {
        for (at, zeros) in zeros(span) {
            self.take(now, at, zeros, is_offered, None, core);
        }
    }

    /// The first answer is over.
    fn answer_ended(&mut self, now: Timestamp, core: &mut Core) {
        let SourceState::Connected(connection) = &mut self.state else { return };
        let answering = connection.answering.take();
        if let Some(Answering::Seconds(digits)) = answering {
            let seconds = std::str::from_utf8(&digits).ok().and_then(|text| text.trim().parse().ok());
            return self.wait(now, seconds.unwrap_or(USUAL_WAIT), core);
        }
        let Some(Answering::Take { stays_open }) = answering else { return };
        let Some(part) = connection.asked.pop_front() else { return };
        connection.answers += 1;
        connection.begin_wait(now);
        self.failures = 0;
        let length = u64::from(self.torrent.piece_length);
        self.appetite = (self.appetite * 2).min((length * MOST_PIECES).clamp(FIRST_APPETITE, MOST_APPETITE));
        if !stays_open {
            let stream = connection.stream;
            let asked = std::mem::take(&mut connection.asked);
            core.outputs.push_back(Output::Close(stream, None));
            self.state = SourceState::Idle;
            self.elsewhere.clear();
            self.ask_again(asked);
        }
        if part.is_offered {
            let padding = padding_at(&self.torrent, part.at);
            let end = padding.as_ref().map_or(part.at, |padding| padding.end);
            if let Some(padding) = padding {
                self.take_zeros(now, padding, true, core);
            }
            // A block that goes on in the next file is free until that file is asked for.
            let (block, position) = core.picker.block_at(end);
            if position > 0 {
                core.picker.release(block, self.giver);
                core.deferred.blocks_freed = true;
            }
        }
    }

    /// The file that is asked for is at another place: it is asked for there, as long as that lasts.
    fn redirect(&mut self, now: Timestamp, head: &AnswerHead, core: &mut Core) {
        let SourceState::Connected(connection) = &mut self.state else { return };
        let Some(part) = connection.asked.front_mut() else { return };
        let base = match self.elsewhere.get(&part.of) {
            Some((place, _)) => Some(place.clone()),
            None => target(&self.torrent, self.kind, &self.place, part)
                .map(|target| self.place.with_target(&target)),
        };
        let location = head.location.as_deref().unwrap_or_default();
        let place = base.and_then(|base| base.redirect(location));
        part.redirects += 1;
        let (of, redirects) = (part.of, part.redirects);
        let is_local = connection.proxy.is_none()
            && connection.address.is_some_and(|address| is_local_network(address.ip()));
        let Some(place) = place.filter(|place| !matches!(place, ServerUrl::Udp { .. })) else {
            return self.fail(now, &format!("redirects to {location:?}"), core);
        };
        if redirects > MAX_REDIRECTS {
            return self.fail(now, &format!("more than {MAX_REDIRECTS} redirects"), core);
        }
        // A file whose place is forgotten is redirected once more.
        if self.elsewhere.len() >= MAX_ELSEWHERE && !self.elsewhere.contains_key(&of) {
            self.elsewhere.pop_first();
        }
        // A server of the Internet leads to no local network; one that is in it may lead about in it.
        self.elsewhere.insert(of, (place, core.config.allow_local || is_local));
        self.ask_anew(head, core);
    }

    /// The server does not have the file.
    fn drop_file(&mut self, head: &AnswerHead, core: &mut Core) {
        let SourceState::Connected(connection) = &mut self.state else { return };
        let Some(part) = connection.asked.front().cloned() else { return };
        if self.kind == SeedKind::Pieces || self.torrent.files.len() == 1 {
            return self.end(&status_text(head), core);
        }
        self.failures += 1;
        if self.failures >= MAX_FAILURES {
            return self.end(&status_text(head), core);
        }
        let pieces = self.torrent.placement().map_or(0..0, |geometry| geometry.pieces_of(part.of));
        for piece in pieces.map(PieceIndex) {
            self.pieces.remove(piece);
        }
        connection.asked.pop_front();
        self.release(&part, core);
        let (gone, rest): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.planned).into_iter().partition(|planned| planned.of == part.of);
        gone.iter().for_each(|part| self.release(part, core));
        self.planned = rest;
        self.ask_anew(head, core);
    }

    /// What was asked for is asked for elsewhere: over the same connection, where the page about it is short.
    fn ask_anew(&mut self, head: &AnswerHead, core: &mut Core) {
        let SourceState::Connected(connection) = &mut self.state else { return };
        let asked = std::mem::take(&mut connection.asked);
        if head.stays_open && matches!(head.length, BodyLength::Bytes(0..=MOST_SKIPPED)) {
            connection.answering = Some(Answering::Skip);
        } else {
            core.outputs.push_back(Output::Close(connection.stream, None));
            self.state = SourceState::Idle;
        }
        self.ask_again(asked);
    }
}

/// The padding that begins at `at` of the row.
fn padding_at(torrent: &Metainfo, at: u64) -> Option<Range<u64>> {
    let geometry = torrent.placement()?;
    let next = geometry.files_in(at..at + 1).into_iter().next()?;
    let file = torrent.files.get(next.file).filter(|file| file.is_padding())?;
    (next.bytes.start == 0).then(|| at..at + file.length)
}

fn has_few_bytes(head: &AnswerHead) -> bool {
    matches!(head.length, BodyLength::Bytes(1..=MOST_DIGITS))
}

fn status_text(head: &AnswerHead) -> String {
    format!("the server responded with {} {}", head.status, head.reason).trim_end().to_owned()
}

/// How many digits the number of seconds may have that a BEP 17 server answers with.
const MOST_DIGITS: u64 = 10;

/// How many redirects one request may follow, and how many files may be elsewhere.
const MAX_REDIRECTS: u8 = 5;
const MAX_ELSEWHERE: usize = 1_000;

/// How long the page about an error or a redirect may be that is read to its end, so that the connection can be used again.
const MOST_SKIPPED: u64 = 64 * 1024;
