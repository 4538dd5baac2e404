//! The objects of plain messages between peers, which nearly all messages are: with the same keys in the same order as other
//! objects, but written without a step for each key. What all messages of one sender say alike is kept as one text.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bittrace_protocol::InfoHash;
use bittrace_trace::record::{Record, Side, Transport};
use bittrace_trace::{Body, PeerWireBody};

use super::{write_number_fields, write_numbers, write_seconds, write_text};
use crate::print::kept_texts::{KeptTexts, push_number};
use crate::query::row::Row;

/// Writes plain messages.
#[derive(Debug)]
pub(super) struct PlainMessages {
    /// The name of the capture, and the key with it.
    capture: Option<(String, Vec<u8>)>,
    /// The senders, each at the place of its stream and direction until another takes the place.
    senders: Vec<Option<KnownSender>>,
}

/// One end of a connection.
#[derive(Debug)]
struct KnownSender {
    source: SocketAddr,
    destination: SocketAddr,
    side: Side,
    transport: Transport,
    client: Option<Arc<str>>,
    torrent: Option<InfoHash>,
    /// The keys from `src` to the name of the message, and the keys after `fields` that are of the sender.
    from_source: Vec<u8>,
    after_fields: Vec<u8>,
}

/// Senders that are kept, of 500 bytes each: both ends of more connections than clients mostly have open.
const SENDERS: usize = 512;
/// The longest name of a client that is kept, in bytes: peers may call themselves what they like.
const LONGEST_CLIENT: usize = 100;

impl Default for PlainMessages {
    fn default() -> Self {
        Self { capture: None, senders: (0..SENDERS).map(|_| None).collect() }
    }
}

impl PlainMessages {
    /// Writes the object of a message with all its keys but those of bytes. `false`, and nothing is written, where the
    /// message is not plain: where its fields are not all numbers, where notes are to be written, or where the name of its
    /// sender's client is too long to be kept.
    pub(super) fn write(
        &mut self,
        row: &Row<'_>,
        (summary, texts): (&mut String, &mut KeptTexts),
        line: &mut Vec<u8>,
    ) -> io::Result<bool> {
        let record = row.record;
        let Body::PeerWire(PeerWireBody::Message(message)) = &record.body else { return Ok(false) };
        let (Some(stream), Some(frame), true) =
            (record.wireshark_stream, row.frame(), record.notes.is_empty() && !record.decrypted)
        else {
            return Ok(false);
        };
        let client_is_kept = record.client.as_ref().is_none_or(|client| client.len() <= LONGEST_CLIENT);
        if !client_is_kept || !message.each_number(|_, _| {}) {
            return Ok(false);
        }
        let Self { capture, senders } = self;
        let place = (2 * record.stream.0 as usize + record.direction as usize) % SENDERS;
        let sender = match &mut senders[place] {
            Some(sender) if sender.has_sent(record) => sender,
            place => place.insert(KnownSender::of(record, texts)),
        };
        let capture = match capture {
            Some((name, text)) if *name == row.place.capture => text,
            place => {
                let mut text = b",\"capture\":".to_vec();
                write_text(&row.place.capture, &mut text);
                &mut place.insert((row.place.capture.clone(), text)).1
            }
        };
        let numbers = row.place.numbers;
        line.extend_from_slice(b"{\"n\":");
        numbers.push(row.number(), line);
        line.extend_from_slice(b",\"n_in_capture\":");
        push_number(record.number, line);
        line.extend_from_slice(b",\"time\":\"");
        texts.push_time(record.at, line);
        line.extend_from_slice(b"\",\"elapsed\":");
        write_seconds(row.elapsed(), line)?;
        line.extend_from_slice(capture);
        line.extend_from_slice(b",\"frames\":");
        write_numbers(&record.frames, line);
        line.extend_from_slice(b",\"stream\":");
        push_number(record.stream.0.into(), line);
        line.extend_from_slice(b",\"wireshark\":{\"stream\":");
        push_number(stream.into(), line);
        line.extend_from_slice(b",\"frame\":");
        push_number(frame, line);
        line.extend_from_slice(&sender.from_source);
        line.extend_from_slice(message.name().as_bytes());
        line.extend_from_slice(b"\",\"offset\":");
        push_number(record.offset, line);
        line.extend_from_slice(b",\"length\":");
        push_number(record.length(), line);
        line.extend_from_slice(b",\"summary\":");
        summary.clear();
        row.summary_into(summary);
        write_text(summary, line);
        line.extend_from_slice(b",\"fields\":");
        write_number_fields(row, line);
        line.extend_from_slice(&sender.after_fields);
        if let (Some(number), Some(answer)) = (row.answers(), record.answers) {
            line.extend_from_slice(b",\"answers\":");
            numbers.push(number, line);
            line.extend_from_slice(b",\"latency\":");
            write_seconds(answer.latency, line)?;
        }
        line.extend_from_slice(b",\"notes\":[]}\n");
        Ok(true)
    }
}

impl KnownSender {
    /// The sender of a plain message.
    fn of(record: &Record, texts: &mut KeptTexts) -> Self {
        let &Record { source, destination, side, transport, torrent, .. } = record;
        let mut from_source = b"},\"src\":\"".to_vec();
        texts.push_end(source, &mut from_source);
        from_source.extend_from_slice(b"\",\"dst\":\"");
        texts.push_end(destination, &mut from_source);
        let protocol = record.body.protocol().name();
        for (key, name) in [("speaker", side.name()), ("transport", transport.name()), ("protocol", protocol)]
        {
            from_source.extend_from_slice(format!("\",\"{key}\":\"{name}").as_bytes());
        }
        from_source.extend_from_slice(b"\",\"message\":\"");
        let mut after_fields = Vec::new();
        if let Some(client) = &record.client {
            after_fields.extend_from_slice(b",\"client\":");
            write_text(client, &mut after_fields);
        }
        if let Some(torrent) = torrent {
            after_fields.extend_from_slice(b",\"torrent\":\"");
            texts.push_hash(torrent, &mut after_fields);
            after_fields.push(b'"');
        }
        let client = record.client.clone();
        Self { source, destination, side, transport, client, torrent, from_source, after_fields }
    }

    /// Whether a plain message is of this sender, with nothing known that was not known before.
    #[inline]
    fn has_sent(&self, record: &Record) -> bool {
        let same_client = match (&self.client, &record.client) {
            (Some(known), Some(client)) => Arc::ptr_eq(known, client),
            (None, None) => true,
            _ => false,
        };
        same_client
            && self.source == record.source
            && self.destination == record.destination
            && self.side == record.side
            && self.transport == record.transport
            && self.torrent == record.torrent
    }
}

#[cfg(test)]
mod tests {
    use bittrace_testing::captures::{captures, records};

    use super::*;
    use crate::query::row::CaptureContext;

    #[test]
    fn long_names_of_clients_are_not_kept() {
        let place = CaptureContext::new("a".to_owned(), 0, Vec::new());
        let is_plain = |record: &Record| {
            record.notes.is_empty() && Row::new(record, &place).each_number(|_, _| {}) && !record.decrypted
        };
        let mut record = captures().iter().flat_map(|path| records(path)).find(is_plain).unwrap();
        for (length, is_kept) in [(LONGEST_CLIENT, true), (LONGEST_CLIENT + 1, false)] {
            record.client = Some("x".repeat(length).into());
            let mut plain = PlainMessages::default();
            let (mut summary, mut texts, mut line) = (String::new(), KeptTexts::default(), Vec::new());
            let row = Row::new(&record, &place);
            assert_eq!(plain.write(&row, (&mut summary, &mut texts), &mut line).unwrap(), is_kept);
            assert_eq!(plain.senders.iter().flatten().count(), usize::from(is_kept));
            assert_eq!(line.is_empty(), !is_kept);
        }
    }
}
