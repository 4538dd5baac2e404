//! Bursts to pcapng, so that a live run leaves a capture that Wireshark opens, and that is read back through
//! the same door as any other. The application's bytes are real; the TCP/IP around them is made up.
//!
//! The five kinds of block are written here rather than by pcap-parser: its encoder makes several copies of
//! every packet, and all that is needed of the format is a length before and after.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use bittrace_protocol::Timestamp;
use bittrace_protocol::mse::MseKey;
use etherparse::{TcpHeader, TcpOptionElement, TransportHeader, UdpHeader};
use rustc_hash::FxHashMap;

use crate::burst::{Direction, Flow, StreamClosing, StreamId, StreamOpening};
use crate::capture::{HostName, MSE_KEY_LOG, TLS_KEY_LOG};
use crate::packet::link::LinkType;

pub(crate) mod block;
mod copier;
mod headers;
#[cfg(test)]
mod tests;

use block::Block;
pub use block::Viewpoint;
pub use block::write_all_vectored;
pub use copier::PacketCopier;

/// Writes connections and datagrams as a capture of raw IP packets with nanosecond times.
///
/// Ends are written in the family of both: an IPv4-mapped address as IPv4, and where an IPv4 end meets an IPv6
/// one, the former as IPv4-mapped.
pub struct Recorder<W> {
    writer: W,
    block: Block,
    /// The headers of the packet that is being written.
    headers: Vec<u8>,
    lines: FxHashMap<StreamId, SynthesisedConnection>,
    frames: u64,
    /// The comment on the packet that is written next.
    comment: String,
}

/// A connection that is being recorded: its ends and what number each says next.
struct SynthesisedConnection {
    flow: Flow,
    established: bool,
    /// Which ends have sent their FIN.
    finished: [bool; 2],
    from_initiator: u32,
    from_responder: u32,
}

impl SynthesisedConnection {
    fn next(&mut self, direction: Direction) -> &mut u32 {
        match direction {
            Direction::FromInitiator => &mut self.from_initiator,
            Direction::FromResponder => &mut self.from_responder,
        }
    }
}

impl<W: Write> Recorder<W> {
    /// Begins a capture whose section comment is `comment`, followed by a sentence on what is made up.
    ///
    /// # Errors
    ///
    /// When the writer fails, here as in all methods.
    pub fn new(writer: W, comment: &str) -> io::Result<Self> {
        Self::seen_from(Viewpoint::AnyHost, writer, comment)
    }

    /// As [`new`](Self::new), of packets that were taken somewhere: of those taken between all hosts none is local to readers.
    ///
    /// # Errors
    ///
    /// When the writer fails.
    pub fn seen_from(viewpoint: Viewpoint, writer: W, comment: &str) -> io::Result<Self> {
        let mut recorder = Self {
            writer,
            block: Block::default(),
            headers: Vec::new(),
            lines: FxHashMap::default(),
            frames: 0,
            comment: String::new(),
        };
        let comment =
            if comment.is_empty() { SYNTHESISED.to_owned() } else { format!("{comment}\n{SYNTHESISED}") };
        recorder.block.section(&comment, &mut recorder.writer)?;
        recorder.block.interface(LinkType::RAW.0, viewpoint, &mut recorder.writer)?;
        Ok(recorder)
    }

    /// Writes the names of addresses, for readers that show them in the place of the addresses.
    ///
    /// # Errors
    ///
    /// When the writer fails.
    pub fn host_names(&mut self, hosts: &[HostName]) -> io::Result<()> {
        self.block.host_names(hosts, &mut self.writer)
    }

    /// How many packets were written: the frame number of the last one.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The packet that is written next has this comment; of a [`message`](Self::message), its last packet.
    pub fn comment(&mut self, comment: &str) {
        comment.clone_into(&mut self.comment);
    }

    /// A connection is opened: its SYN. Of one that was open before, a bare acknowledgement from the
    /// initiator, which tells the ends apart.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] when a connection of that number is open already.
    pub fn opened(
        &mut self,
        at: Timestamp,
        stream: StreamId,
        flow: Flow,
        opening: StreamOpening,
    ) -> io::Result<()> {
        if self.lines.contains_key(&stream) {
            return Err(invalid("a stream of this number is being recorded"));
        }
        let (initiator, responder) = same_family(flow.initiator, flow.responder);
        // Different for each stream, so that a reader sees ports used again; and the same in every run.
        let isn = stream.0.wrapping_mul(0x9e37_79b1);
        let line = SynthesisedConnection {
            flow: Flow { initiator, responder },
            established: opening == StreamOpening::MidStream,
            finished: [false; 2],
            from_initiator: isn,
            from_responder: isn ^ 0x5555_5555,
        };
        self.lines.insert(stream, line);
        match opening {
            StreamOpening::Syn => {
                self.say(at, stream, Direction::FromInitiator, Flags::SYN, &[])?;
                self.skip(stream, Direction::FromInitiator, 1)
            }
            StreamOpening::MidStream => self.say(at, stream, Direction::FromInitiator, Flags::ACK, &[]),
        }
    }

    /// The called end accepted: the rest of the handshake, unless it was written before.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] when the stream is not open, here and below.
    pub fn established(&mut self, at: Timestamp, stream: StreamId) -> io::Result<()> {
        let line = self.line(stream)?;
        if std::mem::replace(&mut line.established, true) {
            return Ok(());
        }
        self.say(at, stream, Direction::FromResponder, Flags::SYN_ACK, &[])?;
        self.skip(stream, Direction::FromResponder, 1)?;
        self.say(at, stream, Direction::FromInitiator, Flags::ACK, &[])
    }

    /// One end says `bytes`: one packet, or several when they do not fit. Before the handshake is complete,
    /// its rest comes first.
    pub fn burst(
        &mut self,
        at: Timestamp,
        stream: StreamId,
        direction: Direction,
        bytes: &[u8],
    ) -> io::Result<()> {
        self.segments(at, stream, direction, bytes.chunks(MAX_SEGMENT))
    }

    /// As [`burst`](Self::burst), in packets that a network could carry: of 1,400 bytes at most. The comment is on the last
    /// one, where Wireshark shows a message.
    pub fn message(
        &mut self,
        at: Timestamp,
        stream: StreamId,
        direction: Direction,
        bytes: &[u8],
    ) -> io::Result<()> {
        let comment = std::mem::take(&mut self.comment);
        let last = bytes.len().saturating_sub(1) / CARRIED_SEGMENT * CARRIED_SEGMENT;
        self.segments(at, stream, direction, bytes[..last].chunks(CARRIED_SEGMENT))?;
        self.comment = comment;
        self.segments(at, stream, direction, std::iter::once(&bytes[last..]))
    }

    fn segments<'a>(
        &mut self,
        at: Timestamp,
        stream: StreamId,
        direction: Direction,
        segments: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<()> {
        self.established(at, stream)?;
        for segment in segments {
            self.say(at, stream, direction, Flags::PSH_ACK, segment)?;
            self.skip(stream, direction, segment.len() as u32)?;
        }
        Ok(())
    }

    /// As [`burst`](Self::burst), as of packets of which only the first `kept` bytes were captured.
    pub fn cut_burst(
        &mut self,
        at: Timestamp,
        stream: StreamId,
        direction: Direction,
        bytes: &[u8],
        kept: usize,
    ) -> io::Result<()> {
        self.established(at, stream)?;
        let mut kept = kept;
        for segment in bytes.chunks(MAX_SEGMENT) {
            let captured = kept.min(segment.len());
            self.say_cut(at, stream, direction, Flags::PSH_ACK, segment, segment.len() - captured)?;
            self.skip(stream, direction, segment.len() as u32)?;
            kept -= captured;
        }
        Ok(())
    }

    /// `length` bytes of one end were lost: nothing but the other end's acknowledgement of them.
    ///
    /// A reader sees the gap unless it is what a mid-stream direction begins with, or a single byte with
    /// nothing after it, not even a closing.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] also when more is lost than TCP can have under way (1 GiB).
    pub fn gap(
        &mut self,
        at: Timestamp,
        stream: StreamId,
        direction: Direction,
        length: u64,
    ) -> io::Result<()> {
        self.established(at, stream)?;
        let Some(length) = u32::try_from(length).ok().filter(|&length| length <= MAX_GAP) else {
            return Err(invalid("a gap of more than 1 GiB"));
        };
        self.skip(stream, direction, length)?;
        self.say(at, stream, direction.reverse(), Flags::ACK, &[])
    }

    /// The key of a connection that is encrypted, for readers. It must come before the bytes that need it.
    ///
    /// # Errors
    ///
    /// When the writer fails.
    pub fn mse_key(&mut self, key: &MseKey, initiator: SocketAddr, responder: SocketAddr) -> io::Result<()> {
        let line = format!("{}\n", key.to_line(initiator, responder));
        self.block.secrets(MSE_KEY_LOG, line.as_bytes(), &mut self.writer)
    }

    /// Secrets of TLS connections, as lines of a key log (RFC 9850), for Wireshark. They must come before the bytes that need
    /// them.
    ///
    /// # Errors
    ///
    /// When the writer fails.
    pub fn tls_secrets(&mut self, lines: &str) -> io::Result<()> {
        self.block.secrets(TLS_KEY_LOG, lines.as_bytes(), &mut self.writer)
    }

    /// One end says nothing more: its FIN, and after that of both ends the acknowledgement.
    pub fn finished(&mut self, at: Timestamp, stream: StreamId, direction: Direction) -> io::Result<()> {
        self.established(at, stream)?;
        if std::mem::replace(&mut self.line(stream)?.finished[direction as usize], true) {
            return Ok(());
        }
        self.say(at, stream, direction, Flags::FIN_ACK, &[])?;
        self.skip(stream, direction, 1)?;
        match self.line(stream)?.finished {
            [true, true] => self.say(at, stream, direction.reverse(), Flags::ACK, &[]),
            _ => Ok(()),
        }
    }

    /// One end resets a connection that stood: its RST. [`closed`](Self::closed) follows.
    pub fn reset(&mut self, at: Timestamp, stream: StreamId, direction: Direction) -> io::Result<()> {
        let flags = if self.line(stream)?.established { Flags::RST_ACK } else { Flags::RST };
        self.say(at, stream, direction, flags, &[])
    }

    /// A connection is over. Nothing is written for one that was only given up on.
    pub fn closed(&mut self, at: Timestamp, stream: StreamId, closing: StreamClosing) -> io::Result<()> {
        use Direction::{FromInitiator, FromResponder};
        let established = self.line(stream)?.established;
        match closing {
            StreamClosing::Finished => {
                self.finished(at, stream, FromInitiator)?;
                self.finished(at, stream, FromResponder)?;
            }
            StreamClosing::Refused if !established => {
                *self.line(stream)?.next(FromResponder) = 0;
                self.say(at, stream, FromResponder, Flags::RST_ACK, &[])?;
            }
            StreamClosing::Reset | StreamClosing::Refused => self.reset(at, stream, FromInitiator)?,
            StreamClosing::Unanswered | StreamClosing::CaptureEnded | StreamClosing::Replaced => {}
        }
        self.lines.remove(&stream);
        Ok(())
    }

    /// A datagram.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] when it is longer than UDP can carry.
    pub fn datagram(
        &mut self,
        at: Timestamp,
        src: SocketAddr,
        dst: SocketAddr,
        bytes: &[u8],
    ) -> io::Result<()> {
        let (src, dst) = same_family(src, dst);
        self.packet(at, (src, dst), udp_header(src, dst), bytes, 0)
    }

    /// The first bytes of a datagram of `length` bytes, as of a packet that was not captured whole.
    ///
    /// # Errors
    ///
    /// As of [`datagram`](Self::datagram), and when there are more first bytes than the datagram has.
    pub fn cut_datagram(
        &mut self,
        at: Timestamp,
        (src, dst): (SocketAddr, SocketAddr),
        first: &[u8],
        length: u64,
    ) -> io::Result<()> {
        let length = usize::try_from(length).ok().filter(|&length| length <= usize::from(u16::MAX));
        let Some(lacks) = length.and_then(|length| length.checked_sub(first.len())) else {
            return Err(invalid("a datagram that is shorter than its part, or longer than UDP can carry"));
        };
        let whole = [first, &vec![0; lacks]].concat();
        let (src, dst) = same_family(src, dst);
        self.packet(at, (src, dst), udp_header(src, dst), &whole, lacks)
    }

    /// Writes what is buffered and gives the writer back.
    ///
    /// # Errors
    ///
    /// When the writer cannot be flushed.
    pub fn finish(mut self) -> io::Result<W> {
        self.writer.flush()?;
        Ok(self.writer)
    }

    fn line(&mut self, stream: StreamId) -> io::Result<&mut SynthesisedConnection> {
        self.lines.get_mut(&stream).ok_or_else(|| invalid("a stream of this number is not being recorded"))
    }

    /// Moves the number of what one end says next.
    fn skip(&mut self, stream: StreamId, direction: Direction, length: u32) -> io::Result<()> {
        let next = self.line(stream)?.next(direction);
        *next = next.wrapping_add(length);
        Ok(())
    }

    /// Writes one segment, with the numbers that both ends are at.
    fn say(
        &mut self,
        at: Timestamp,
        stream: StreamId,
        direction: Direction,
        flags: Flags,
        payload: &[u8],
    ) -> io::Result<()> {
        self.say_cut(at, stream, direction, flags, payload, 0)
    }

    /// As `say`, without the last `lacks` bytes of the payload.
    fn say_cut(
        &mut self,
        at: Timestamp,
        stream: StreamId,
        direction: Direction,
        flags: Flags,
        payload: &[u8],
        lacks: usize,
    ) -> io::Result<()> {
        let line = self.line(stream)?;
        let (src, dst) = line.flow.ends(direction);
        let seq = *line.next(direction);
        let ack = *line.next(direction.reverse());
        let mut header = TcpHeader::new(src.port(), dst.port(), seq, u16::MAX);
        header.syn = flags.syn;
        header.fin = flags.fin;
        header.rst = flags.rst;
        header.psh = flags.psh;
        header.ack = flags.ack;
        header.acknowledgment_number = if flags.ack { ack } else { 0 };
        if flags.syn {
            // Or else readers would say that the window is full: acknowledgements are few.
            header
                .set_options(&[TcpOptionElement::WindowScale(14)])
                .map_err(|_| invalid("options that do not fit"))?;
        }
        self.packet(at, (src, dst), TransportHeader::Tcp(header), payload, lacks)
    }

    /// Writes one enhanced packet block, without the last `lacks` bytes of the payload.
    fn packet(
        &mut self,
        at: Timestamp,
        (src, dst): (SocketAddr, SocketAddr),
        transport: TransportHeader,
        payload: &[u8],
        lacks: usize,
    ) -> io::Result<()> {
        let block = &mut self.block;
        block.begin_packet(0, at);
        self.headers.clear();
        headers::append(src, dst, transport, payload, &mut self.headers)?;
        let captured = &payload[..payload.len().saturating_sub(lacks)];
        let length = |payload: &[u8]| (self.headers.len() + payload.len()) as u32;
        block.packet_lengths(length(captured), length(payload));
        block.bytes.extend_from_slice(&self.headers);
        block.end_with(captured, &self.comment, &mut self.writer)?;
        self.comment.clear();
        self.frames += 1;
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Flags {
    syn: bool,
    fin: bool,
    rst: bool,
    psh: bool,
    ack: bool,
}

impl Flags {
    const NONE: Self = Self { syn: false, fin: false, rst: false, psh: false, ack: false };
    const SYN: Self = Self { syn: true, ..Self::NONE };
    const RST: Self = Self { rst: true, ..Self::NONE };
    const ACK: Self = Self { ack: true, ..Self::NONE };
    const SYN_ACK: Self = Self { syn: true, ..Self::ACK };
    const PSH_ACK: Self = Self { psh: true, ..Self::ACK };
    const FIN_ACK: Self = Self { fin: true, ..Self::ACK };
    const RST_ACK: Self = Self { rst: true, ..Self::ACK };
}

/// Two ends in the family that fits both.
fn same_family(a: SocketAddr, b: SocketAddr) -> (SocketAddr, SocketAddr) {
    match (a.ip().to_canonical(), b.ip().to_canonical()) {
        (IpAddr::V4(a_ip), IpAddr::V6(_)) => {
            (SocketAddr::new(a_ip.to_ipv6_mapped().into(), a.port()), SocketAddr::new(b.ip(), b.port()))
        }
        (IpAddr::V6(_), IpAddr::V4(b_ip)) => {
            (SocketAddr::new(a.ip(), a.port()), SocketAddr::new(b_ip.to_ipv6_mapped().into(), b.port()))
        }
        (a_ip, b_ip) => (SocketAddr::new(a_ip, a.port()), SocketAddr::new(b_ip, b.port())),
    }
}

fn udp_header(src: SocketAddr, dst: SocketAddr) -> TransportHeader {
    let (source_port, destination_port) = (src.port(), dst.port());
    TransportHeader::Udp(UdpHeader { source_port, destination_port, ..UdpHeader::default() })
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

const SYNTHESISED: &str = "The payloads are real. The TCP, UDP and IP headers around them were synthesised by \
     bittrace: sequence numbers, acknowledgements, windows and checksums say nothing about the network.";

/// What fits into one IPv4 packet beside the two headers.
const MAX_SEGMENT: usize = 65_535 - 40;
/// What an Ethernet packet carries beside the headers of IPv6 and TCP and those of a tunnel.
const CARRIED_SEGMENT: usize = 1_400;
/// The most that TCP can have under way (RFC 7323, section 2.2).
const MAX_GAP: u32 = 1 << 30;
