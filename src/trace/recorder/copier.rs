//! Packets of captures, copied as they are into one pcapng file.

use std::io::{self, Write};

use super::block::{Block, Viewpoint};
use crate::capture::{CapturedPacket, HostName};
use crate::packet::link::LinkType;

/// Copies packets. Bytes, lengths, link types and times stay, interfaces are told apart by link type and by where they
/// were taken, and keys and comments of the capture are left out.
#[derive(Debug)]
pub struct PacketCopier<W> {
    writer: W,
    block: Block,
    /// The interfaces, in their order.
    interfaces: Vec<(LinkType, Viewpoint)>,
    packets: u64,
}

impl<W: Write> PacketCopier<W> {
    /// Begins a capture whose section comment is `comment`.
    ///
    /// # Errors
    ///
    /// When the writer fails, here as in all methods.
    pub fn new(mut writer: W, comment: &str) -> io::Result<Self> {
        let mut block = Block::default();
        block.section(comment, &mut writer)?;
        Ok(Self { writer, block, interfaces: Vec::new(), packets: 0 })
    }

    /// Writes the names of addresses, for readers that show them in the place of the addresses.
    ///
    /// # Errors
    ///
    /// When the writer fails.
    pub fn host_names(&mut self, hosts: &[HostName]) -> io::Result<()> {
        self.block.host_names(hosts, &mut self.writer)
    }

    /// Copies a packet.
    ///
    /// # Errors
    ///
    /// When the writer fails.
    pub fn packet(&mut self, packet: &CapturedPacket<'_>) -> io::Result<()> {
        let Self { writer, block, interfaces, packets } = self;
        let seen = (packet.link, packet.viewpoint);
        let interface = match interfaces.iter().position(|interface| *interface == seen) {
            Some(interface) => interface,
            None => {
                block.interface(packet.link.0, packet.viewpoint, writer)?;
                interfaces.push(seen);
                interfaces.len() - 1
            }
        };
        block.begin_packet(interface as u32, packet.moment.at);
        block.packet_lengths(packet.data.len() as u32, packet.original_length);
        block.end_with(packet.data, "", writer)?;
        *packets += 1;
        Ok(())
    }

    /// How many packets were copied.
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    ///
    /// When the writer cannot be flushed.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    /// Writes what is buffered and gives the writer back.
    ///
    /// # Errors
    ///
    /// When the writer cannot be flushed.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        Ok(self.writer)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::net::IpAddr;
    use std::path::Path;

    use super::*;
    use crate::Capture;

    #[test]
    fn names_of_hosts_are_those_of_the_copy() {
        let name = HostName { address: IpAddr::from([10, 77, 1, 1]), names: vec!["seed-1".to_owned()] };
        let mut copier = PacketCopier::new(Vec::new(), "a copy").unwrap();
        copier.host_names(std::slice::from_ref(&name)).unwrap();
        let file = copier.finish().unwrap();
        let mut copy = Capture::from_reader("copy".to_owned(), Cursor::new(file)).unwrap();
        assert_eq!(copy.next_packet().unwrap(), None);
        assert_eq!((copy.hosts(), copy.comments()), (&[name][..], &["a copy".to_owned()][..]));
    }

    #[test]
    fn packets_are_copied_as_they_are() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../captures");
        for name in ["download-qbittorrent.pcapng", "corrupt-peer.pcap.gz", "lsd-announce.pcapng"] {
            let mut copier = PacketCopier::new(Vec::new(), "a copy").unwrap();
            let mut capture = Capture::open(&folder.join(name)).unwrap();
            while let Some(packet) = capture.next_packet().unwrap() {
                if packet.moment.frame % 3 != 0 {
                    copier.packet(&packet).unwrap();
                }
            }
            let packets = copier.packets();
            let file = copier.finish().unwrap();
            let mut copy = Capture::from_reader("copy".to_owned(), Cursor::new(file)).unwrap();
            let mut original = Capture::open(&folder.join(name)).unwrap();
            let mut copied = 0;
            while let Some(packet) = original.next_packet().unwrap() {
                if packet.moment.frame % 3 == 0 {
                    continue;
                }
                let copy = copy.next_packet().unwrap().unwrap();
                copied += 1;
                assert_eq!(
                    (copy.moment.at, copy.link, copy.data, copy.original_length),
                    (packet.moment.at, packet.link, packet.data, packet.original_length),
                    "{name}"
                );
            }
            assert!(copied > 0 && copied == packets);
            assert_eq!(copy.next_packet().unwrap(), None, "{name}");
        }
    }
}
