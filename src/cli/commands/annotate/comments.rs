//! Comments by packet, kept until the capture is copied: beyond some memory, in a temporary file.

use std::io::{self, Read, Seek, SeekFrom, Write};

use tempfile::SpooledTempFile;

/// Comments on packets, in the order in which they were added; of a packet, one after the other.
pub(crate) struct PacketComments {
    texts: SpooledTempFile,
    length: u64,
    places: Vec<CommentPlace>,
    next: usize,
}

/// Where a comment stands in the texts.
#[derive(Debug, Clone, Copy)]
struct CommentPlace {
    packet: u64,
    from: u64,
    length: u32,
}

/// So many bytes of comments are kept in memory; more go to a temporary file.
const IN_MEMORY: usize = 32 << 20;

impl PacketComments {
    pub(crate) fn new() -> Self {
        Self { texts: SpooledTempFile::new(IN_MEMORY), length: 0, places: Vec::new(), next: 0 }
    }

    /// Adds a comment on a packet.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub(crate) fn add(&mut self, packet: u64, text: &str) -> io::Result<()> {
        self.texts.write_all(text.as_bytes())?;
        self.places.push(CommentPlace { packet, from: self.length, length: text.len() as u32 });
        self.length += text.len() as u64;
        Ok(())
    }

    /// Puts them in the order of their packets, to be asked for.
    pub(crate) fn sort(&mut self) {
        self.places.sort_by_key(|place| (place.packet, place.from));
        self.next = 0;
    }

    /// The comments on a packet, which is none before the one that was asked for last.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub(crate) fn on(&mut self, packet: u64) -> io::Result<Option<String>> {
        let mut text = String::new();
        while let Some(place) = self.places.get(self.next).filter(|place| place.packet <= packet) {
            self.next += 1;
            if place.packet < packet {
                continue;
            }
            if !text.is_empty() {
                text.push('\n');
            }
            self.texts.seek(SeekFrom::Start(place.from))?;
            (&mut self.texts).take(place.length.into()).read_to_string(&mut text)?;
        }
        Ok((!text.is_empty()).then_some(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_come_by_packet_one_after_the_other() {
        let mut comments = PacketComments::new();
        for (packet, text) in [(7, "last"), (2, "one"), (5, ""), (2, "other")] {
            comments.add(packet, text).expect("kept");
        }
        comments.sort();
        let read: Vec<_> = (1..=7).map(|packet| comments.on(packet).expect("read")).collect();
        let expected = [None, Some("one\nother"), None, None, None, None, Some("last")];
        assert_eq!(read, expected.map(|text| text.map(str::to_owned)));
    }
}
