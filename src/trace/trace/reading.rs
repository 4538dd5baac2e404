//! The way from packets to records, up to where they are annotated.

use std::collections::VecDeque;

use bittrace_protocol::Timestamp;

use super::TraceOptions;
use super::wireshark::WiresharkStreams;
use crate::burst::{Moment, StreamEvent};
use crate::capture::{Capture, CapturedPacket, Cut, HostName, TraceError};
use crate::dissect::{Dissected, Dissector};
use crate::measurement::SegmentNotes;
use crate::packet::copies::RecentPackets;
use crate::packet::defrag::Defragmenter;
use crate::packet::four_tuple::PacketEnds;
use crate::packet::link::{
    Datagram, LinkType, PROTECTED, Parsed, Segment, UNKNOWN_LINK, parse_layers, plain_segment,
};
use crate::reassembly::tcp::Reassembler;
use crate::recorder::Viewpoint;

/// A capture that is being read, and the stages that its packets pass.
pub(super) struct CaptureReader {
    capture: Capture,
    defragmenter: Defragmenter,
    stages: PacketStages,
    span: Option<(Timestamp, Timestamp)>,
    /// Whether no packet comes any more, so that what is open is to be closed.
    ended: bool,
}

/// What segments and datagrams pass, one stage after another.
struct PacketStages {
    counts: Counts,
    wireshark: WiresharkStreams,
    recent: RecentPackets,
    reassembler: Reassembler,
    dissector: Dissector,
}

/// What was in the packets of a capture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// TCP segments.
    pub tcp: u64,
    /// UDP datagrams.
    pub udp: u64,
    /// Of those, copies of one shortly before: the capture has them more than once. What they carry counts once.
    pub copies: u64,
    /// Packets that are neither, or cannot be read.
    pub other: u64,
    /// Of those, packets of link types that are not read.
    pub unread_links: UnreadLinks,
    /// Of those, 802.11 frames that are enciphered.
    pub protected: u64,
}

/// The link types of a capture that are not read, and how many packets there are of each: the first four types, which is
/// more than captures have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnreadLinks([Option<(LinkType, u64)>; 4]);

impl UnreadLinks {
    fn count(&mut self, link: LinkType) {
        for place in &mut self.0 {
            let (known, packets) = place.get_or_insert((link, 0));
            if *known == link {
                *packets += 1;
                return;
            }
        }
    }

    /// Each type, with its number of packets.
    pub fn iter(&self) -> impl Iterator<Item = (LinkType, u64)> {
        self.0.into_iter().flatten()
    }
}

impl CaptureReader {
    pub(super) fn new(capture: Capture, options: &TraceOptions) -> Self {
        let mut dissector = Dissector::knowing(options.torrents.clone());
        options.mse_keys.iter().for_each(|key| dissector.learn_key(key));
        if options.measure {
            dissector.measure_utp();
        }
        Self {
            capture,
            defragmenter: Defragmenter::default(),
            stages: PacketStages {
                counts: Counts::default(),
                wireshark: WiresharkStreams::default(),
                recent: RecentPackets::default(),
                reassembler: if options.measure { Reassembler::noting() } else { Reassembler::new() },
                dissector,
            },
            span: None,
            ended: false,
        }
    }

    /// What is to be measured of the packets that were read, where that is asked for, and not taken yet.
    pub(super) const fn notes(&mut self) -> Option<&mut SegmentNotes> {
        self.stages.reassembler.notes()
    }

    /// Reads one packet, and adds the records that it completes to `out`. `false` when there are no more; what was open
    /// then is closed. After an error, a next call closes it.
    pub(super) fn step(&mut self, out: &mut VecDeque<Dissected>) -> Result<bool, TraceError> {
        if self.ended {
            self.stages.close(out);
            return Ok(false);
        }
        let packet = match self.capture.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => {
                self.ended = true;
                self.stages.close(out);
                return Ok(false);
            }
            Err(error) => {
                self.ended = true;
                return Err(error);
            }
        };
        let Self { defragmenter, stages, span, .. } = self;
        packet.mse_keys.iter().for_each(|key| stages.dissector.learn_key(key));
        let CapturedPacket { moment, link, data, outgoing, .. } = packet;
        let (first, last) = span.unwrap_or((moment.at, moment.at));
        *span = Some((first, last.max(moment.at)));
        if let Some(mut segment) = plain_segment(link, data) {
            segment.outgoing = outgoing;
            stages.segment(moment, &segment, out);
            return Ok(true);
        }
        parse_layers(link, data, |parsed| match parsed {
            Parsed::Fragment(fragment) => match defragmenter.add(moment.at, &fragment) {
                Some(whole) => stages.carried(moment, outgoing, whole.parse(), out),
                None => stages.counts.other += 1,
            },
            Parsed::Other(UNKNOWN_LINK) => {
                stages.counts.other += 1;
                stages.counts.unread_links.count(link);
            }
            Parsed::Other(PROTECTED) => {
                stages.counts.other += 1;
                stages.counts.protected += 1;
            }
            parsed => stages.carried(moment, outgoing, parsed, out),
        });
        Ok(true)
    }
}

impl PacketStages {
    /// Takes in what a packet carries. `outgoing` is what the capture says beside the packet's own headers.
    fn carried(
        &mut self,
        moment: Moment,
        outgoing: Option<bool>,
        parsed: Parsed<'_>,
        out: &mut VecDeque<Dissected>,
    ) {
        match parsed {
            Parsed::Tcp(mut segment) => {
                segment.outgoing = segment.outgoing.or(outgoing);
                self.segment(moment, &segment, out);
            }
            Parsed::Udp(datagram) => self.datagram(moment, &datagram, out),
            Parsed::Fragment(_) | Parsed::Other(_) => self.counts.other += 1,
        }
    }

    fn segment(&mut self, moment: Moment, segment: &Segment<'_>, out: &mut VecDeque<Dissected>) {
        let Self { counts, wireshark, recent, reassembler, dissector } = self;
        counts.tcp += 1;
        let ends = PacketEnds::new(segment.src, segment.dst);
        wireshark.segment(moment.frame, ends, segment);
        if recent.has_segment(moment.at, ends, segment) {
            counts.copies += 1;
            return;
        }
        let before = out.len();
        let sink = &mut |at, event: StreamEvent<'_>| dissector.handle_into(at, event, out);
        reassembler.segment_between(moment, ends.between, segment, sink);
        wireshark.number(out, before);
    }

    fn datagram(&mut self, moment: Moment, datagram: &Datagram<'_>, out: &mut VecDeque<Dissected>) {
        let Self { counts, wireshark, recent, dissector, .. } = self;
        counts.udp += 1;
        let Datagram { src, dst, payload, lost_tail, .. } = *datagram;
        let ends = PacketEnds::new(src, dst);
        wireshark.datagram(moment.frame, ends);
        if recent.has_datagram(moment.at, ends, datagram) {
            counts.copies += 1;
            return;
        }
        let before = out.len();
        if lost_tail == 0 {
            dissector.datagram_into(moment, (src, dst), payload, out);
        } else {
            let length = payload.len() as u64 + u64::from(lost_tail);
            dissector.cut_datagram_into(moment, (src, dst), (payload, length), out);
        }
        wireshark.number(out, before);
    }

    /// Closes what is open.
    fn close(&mut self, out: &mut VecDeque<Dissected>) {
        let Self { wireshark, reassembler, dissector, .. } = self;
        let before = out.len();
        reassembler.finish(&mut |at, event| dissector.handle_into(at, event, out));
        dissector.finish_into(out);
        wireshark.number(out, before);
    }
}

/// A capture, as far as it was read.
#[derive(Debug, Clone)]
pub struct About {
    name: String,
    format: String,
    comments: Vec<String>,
    hosts: Vec<HostName>,
    tally: PacketTally,
}

/// What changes with every packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct PacketTally {
    packets: u64,
    bytes: u64,
    snapped: u64,
    cut: Option<Cut>,
    counts: Counts,
    span: Option<(Timestamp, Timestamp)>,
    mse_keys: usize,
    viewpoint: Viewpoint,
}

impl PacketTally {
    pub(super) fn of(reading: &CaptureReader) -> Self {
        let capture = &reading.capture;
        Self {
            packets: capture.packets(),
            bytes: capture.bytes(),
            snapped: capture.snapped(),
            cut: capture.cut(),
            counts: reading.stages.counts,
            span: reading.span,
            mse_keys: reading.stages.dissector.keys(),
            viewpoint: capture.viewpoint(),
        }
    }
}

impl About {
    pub(super) fn of(reading: &CaptureReader) -> Self {
        Self {
            name: reading.capture.name().to_owned(),
            format: reading.capture.format().to_owned(),
            comments: reading.capture.comments().to_vec(),
            hosts: reading.capture.hosts().to_vec(),
            tally: PacketTally::of(reading),
        }
    }

    /// Takes in how far it was read by now.
    pub(super) fn update(&mut self, reading: &CaptureReader) {
        let (comments, hosts) = (self.comments.len(), self.hosts.len());
        self.note(PacketTally::of(reading), new_comments(reading, comments), new_hosts(reading, hosts));
    }

    /// The same, from afar.
    pub(super) fn note(&mut self, tally: PacketTally, comments: &[String], hosts: &[HostName]) {
        self.tally = tally;
        self.hosts.extend_from_slice(hosts);
        self.comments.extend_from_slice(comments);
    }

    /// What it is called in errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The format, and what it is wrapped in, as in `pcapng, gzip`.
    pub fn format(&self) -> &str {
        &self.format
    }

    /// What the sections of a pcapng read so far say of themselves (the first 64 comments).
    pub fn comments(&self) -> &[String] {
        &self.comments
    }

    /// The names of addresses that a pcapng holds itself, read so far (the first 4 MiB).
    pub fn hosts(&self) -> &[HostName] {
        &self.hosts
    }

    /// How many packets were read.
    pub const fn packets(&self) -> u64 {
        self.tally.packets
    }

    /// How many bytes of packets were read: those that were captured.
    pub const fn bytes(&self) -> u64 {
        self.tally.bytes
    }

    /// How many packets were captured only in part.
    pub const fn snapped(&self) -> u64 {
        self.tally.snapped
    }

    /// How many keys in encrypted connections are known, those that were given and those that it holds itself.
    pub const fn mse_keys(&self) -> usize {
        self.tally.mse_keys
    }

    /// Where the capture was taken, as far as it was read.
    pub const fn viewpoint(&self) -> Viewpoint {
        self.tally.viewpoint
    }

    pub(super) const fn cut(&self) -> Option<Cut> {
        self.tally.cut
    }

    pub(super) const fn counts(&self) -> Counts {
        self.tally.counts
    }

    pub(super) const fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.tally.span
    }
}

/// The comments beyond the first `known`.
pub(super) fn new_comments(reading: &CaptureReader, known: usize) -> &[String] {
    reading.capture.comments().get(known..).unwrap_or_default()
}

/// The names of addresses beyond the first `known`.
pub(super) fn new_hosts(reading: &CaptureReader, known: usize) -> &[HostName] {
    reading.capture.hosts().get(known..).unwrap_or_default()
}
