//! Capture files as a stream of packets: pcap and pcapng, bare or compressed, known by content and never by name. One
//! packet is lent at a time and nothing is kept of it.
//!
//! Headers are cut out of our own buffer, and those with options handed to pcap-parser's slice parsers, not to its readers:
//! these forget why a read failed and want a whole header in the first read, which a pipe does not promise.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use bittrace_protocol::{Timestamp, mse};

use crate::burst::Moment;
use crate::packet::link::LinkType;
use crate::recorder::Viewpoint;

mod annotate;
mod byte_order;
mod compression;
mod error;
mod foreign;
mod host_names;
mod input;
mod pcap;
mod pcapng;
mod prefetch;
#[cfg(test)]
mod tests;

pub use annotate::{AnnotateError, Annotated, MAX_COMMENT};
pub use error::TraceError;
pub use host_names::{HostGroups, HostName};
pub(crate) use host_names::{IPV4_NAMES, IPV6_NAMES, NAME_RESOLUTION};

use compression::Compression;
use foreign::ForeignFormat;
use input::CaptureInput;
use pcap::Pcap;
use pcapng::PcapNg;
pub(crate) use pcapng::{DECRYPTION_SECRETS, MSE_KEY_LOG, TLS_KEY_LOG};

/// A capture that is being read.
pub struct Capture {
    name: String,
    label: String,
    compressed: String,
    input: CaptureInput,
    format: CaptureFormat,
    lent: usize,
    packets: u64,
    bytes: u64,
    snapped: u64,
    cut: Option<Cut>,
    ended: bool,
}

/// One packet as a capture holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapturedPacket<'a> {
    /// When it was captured, and its number as Wireshark counts: every packet of every interface, from 1. A
    /// simple packet block has no time and takes that of the packet before it.
    pub moment: Moment,
    /// What its bytes begin with.
    pub link: LinkType,
    /// Its bytes, as many as were captured.
    pub data: &'a [u8],
    /// How long it was on the wire.
    pub original_length: u32,
    /// Whether the capturing machine sent it, where the capture says.
    pub outgoing: Option<bool>,
    /// Which of the section's interfaces saw it, from 0.
    pub interface: u32,
    /// The keys in encrypted connections that the capture holds between the packet before and this one.
    pub mse_keys: &'a [mse::MseKey],
    /// Where the capture was taken.
    pub viewpoint: Viewpoint,
}

/// The place at which a capture ends although it should not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Where the packet or block begins that is not whole, in decompressed bytes.
    pub offset: u64,
}

impl Capture {
    /// Whether a file that begins with these bytes is a capture, or is compressed and may hold one.
    pub fn begins(bytes: &[u8]) -> bool {
        let is_bare = |magic: &[u8; 4]| Pcap::begins(*magic) || PcapNg::begins(*magic);
        Compression::of(bytes).is_some() || bytes.first_chunk().is_some_and(is_bare)
    }

    /// Opens a capture file.
    ///
    /// # Errors
    ///
    /// Each in its own words: no such file, a directory, not readable, empty, not a capture.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let name = path.display().to_string();
        let file = match File::open(path) {
            Ok(file) => file,
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Err(TraceError::Missing { name });
            }
            // Some systems do not even open a directory.
            Err(_) if path.is_dir() => return Err(TraceError::Directory { name }),
            Err(source) => return Err(TraceError::Open { name, source }),
        };
        match file.metadata() {
            Ok(metadata) if metadata.is_dir() => Err(TraceError::Directory { name }),
            _ => Self::from_reader(name, file),
        }
    }

    /// Reads a capture from anything that reads, such as standard input; `name` is what errors call it.
    /// Waits for the first four bytes. Later, each packet is given as soon as its bytes are there.
    ///
    /// # Errors
    ///
    /// When it is empty, cannot be read, or is not a capture.
    pub fn from_reader(name: String, reader: impl Read + Send + 'static) -> Result<Self, TraceError> {
        let mut reader: Box<dyn Read + Send> = Box::new(reader);
        let mut layers = Vec::new();
        loop {
            let whose = whose(!layers.is_empty());
            let mut begins = [0; 4];
            let (length, torn) = match read_up_to(&mut reader, &mut begins) {
                Ok(read) => read,
                Err(error) => return Err(opening_fault(name, &layers, error)),
            };
            if let Some(compression) = Compression::of(&begins[..length]) {
                if layers.len() == MAX_LAYERS {
                    return Err(TraceError::TooNested { name });
                }
                layers.insert(0, compression);
                reader =
                    compression.around(Box::new(io::Cursor::new(begins).take(length as u64).chain(reader)));
                continue;
            }
            return match length {
                0..4 if torn => Err(TraceError::CutShort { name, layer: layer_names(&layers), length }),
                0 => Err(TraceError::Empty { name }),
                1..4 => Err(TraceError::TooShort { name, length, whose }),
                _ if Pcap::begins(begins) || PcapNg::begins(begins) => {
                    Ok(Self::begun(name, &layers, begins, Box::new(io::Cursor::new(begins).chain(reader))))
                }
                _ => Err(not_a_capture(name, &layers, begins, &mut reader)),
            };
        }
    }

    /// Lets another thread unpack a compressed capture before its bytes are wanted: for files alone. The bytes of others are
    /// there at once, and a thread that only has the system copy them costs more than it saves.
    pub(crate) fn unpack_ahead(&mut self) {
        if !self.compressed.is_empty() {
            self.input.read_ahead();
        }
    }

    fn begun(name: String, layers: &[Compression], magic: [u8; 4], reader: Box<dyn Read + Send>) -> Self {
        let compressed = layer_names(layers);
        let (format, mut label) = match Pcap::name(magic) {
            Some(variant) => (CaptureFormat::PcapBegins, variant.to_owned()),
            None => (CaptureFormat::PcapNg(PcapNg::new()), "pcapng".to_owned()),
        };
        if !compressed.is_empty() {
            label.push_str(", ");
            label.push_str(&compressed);
        }
        let input = CaptureInput::new(reader);
        Self {
            name,
            label,
            compressed,
            input,
            format,
            lent: 0,
            packets: 0,
            bytes: 0,
            snapped: 0,
            cut: None,
            ended: false,
        }
    }

    /// The next packet, or `None` at the end. A capture that ends within a packet ends before it, and
    /// [`cut`](Self::cut) then says where.
    ///
    /// # Errors
    ///
    /// When the system cannot read on, or what comes cannot be part of a capture. After an error comes `None`.
    #[inline]
    pub fn next_packet(&mut self) -> Result<Option<CapturedPacket<'_>>, TraceError> {
        if self.ended {
            return Ok(None);
        }
        self.input.consume(self.lent);
        self.lent = 0;
        let found = match self.find() {
            Ok(Some(found)) => found,
            Ok(None) => return self.end().map(|()| None),
            Err(fault) => {
                self.ended = true;
                return Err(self.explain(fault));
            }
        };
        self.lent = found.length;
        self.packets += 1;
        self.bytes += found.data.len() as u64;
        if (found.data.len() as u64) < u64::from(found.original_length) {
            self.snapped += 1;
        }
        Ok(Some(CapturedPacket {
            moment: Moment { at: found.at, frame: self.packets },
            link: found.link,
            data: &self.input.available()[found.data],
            original_length: found.original_length,
            outgoing: found.outgoing,
            interface: found.interface,
            mse_keys: match &self.format {
                CaptureFormat::PcapNg(pcapng) => pcapng.fresh_keys(),
                CaptureFormat::Pcap(_) | CaptureFormat::PcapBegins => &[],
            },
            viewpoint: self.viewpoint(),
        }))
    }

    /// Nothing more is to be had.
    fn end(&mut self) -> Result<(), TraceError> {
        self.ended = true;
        // Nothing was taken from it: its header is not whole, and without that nothing can be told.
        if self.input.offset() == 0 {
            let compressed = !self.compressed.is_empty();
            let length = self.input.available().len();
            return Err(TraceError::TooShort { name: self.name.clone(), length, whose: whose(compressed) });
        }
        if self.input.torn() || !self.input.available().is_empty() {
            self.cut = Some(Cut { offset: self.input.offset() });
        }
        Ok(())
    }

    #[inline]
    fn find(&mut self) -> Result<Option<PacketRecord>, Fault> {
        let found = match &mut self.format {
            CaptureFormat::PcapNg(pcapng) => pcapng.next(&mut self.input),
            CaptureFormat::Pcap(pcap) => pcap.next(&mut self.input),
            CaptureFormat::PcapBegins => return self.find_first(),
        };
        match found {
            Err(Fault::AnotherCapture) => {
                self.begin_another();
                self.find_first()
            }
            found => found,
        }
    }

    /// Finds the first packet of a capture, or of one that stands after it. A capture without packets is passed over.
    #[cold]
    fn find_first(&mut self) -> Result<Option<PacketRecord>, Fault> {
        loop {
            if matches!(self.format, CaptureFormat::PcapBegins) {
                let Some(pcap) = Pcap::open(&mut self.input)? else { return Ok(None) };
                self.format = CaptureFormat::Pcap(pcap);
            }
            let found = match &mut self.format {
                CaptureFormat::PcapNg(pcapng) => pcapng.next(&mut self.input),
                CaptureFormat::Pcap(pcap) => pcap.next(&mut self.input),
                CaptureFormat::PcapBegins => continue,
            };
            if !matches!(found, Err(Fault::AnotherCapture)) {
                return found;
            }
            self.begin_another();
        }
    }

    fn begin_another(&mut self) {
        let pcapng = PcapNg::section_stands_here(self.input.available());
        self.format = if pcapng { CaptureFormat::PcapNg(PcapNg::new()) } else { CaptureFormat::PcapBegins };
    }

    fn explain(&mut self, fault: Fault) -> TraceError {
        let name = self.name.clone();
        let compressed = !self.compressed.is_empty();
        match fault {
            Fault::AnotherCapture => TraceError::Corrupt {
                name,
                offset: self.input.offset(),
                whose: whose(compressed),
                what: "another capture begins here".to_owned(),
            },
            Fault::Corrupt { offset, mut what } => {
                // What stands here is judged by as many bytes however they arrive; where they end or fail before, by those.
                let _all = self.input.want(foreign::LOOK);
                let here = self.input.available();
                let here = &here[..here.len().min(foreign::LOOK)];
                let layer = Compression::of(here).map(Compression::name);
                let format = ForeignFormat::of(here).map(|format| format.name);
                if let (true, Some(found)) = (offset == self.input.offset(), layer.or(format)) {
                    what = format!(
                        "another file begins here ({found}); unpack both, and join captures with mergecap"
                    );
                }
                TraceError::Corrupt { name, offset, whose: whose(compressed), what }
            }
            Fault::Read(error) => {
                let offset = self.input.offset() + self.input.available().len() as u64;
                read_fault(name, &self.compressed, offset, error)
            }
        }
    }

    /// What the capture is called in errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The format, and what it is wrapped in: `pcap`, `nanosecond pcap`, `modified pcap` or `pcapng`, then
    /// `gzip` or `zstd`, as in `pcapng, gzip`.
    pub fn format(&self) -> &str {
        &self.label
    }

    /// What the sections of a pcapng read so far say of themselves (the first 64 comments).
    pub fn comments(&self) -> &[String] {
        match &self.format {
            CaptureFormat::PcapNg(pcapng) => pcapng.comments(),
            _ => &[],
        }
    }

    /// The names of addresses that a pcapng holds itself, read so far (the first 4 MiB).
    pub fn hosts(&self) -> &[HostName] {
        match &self.format {
            CaptureFormat::PcapNg(pcapng) => pcapng.hosts(),
            _ => &[],
        }
    }

    /// Where the capture was taken, as far as it was read: the description of a pcapng's interface says that it was taken between
    /// all its hosts, as in the captures of `bittrace lab`.
    #[inline]
    pub const fn viewpoint(&self) -> Viewpoint {
        match &self.format {
            CaptureFormat::PcapNg(pcapng) => pcapng.viewpoint(),
            CaptureFormat::Pcap(_) | CaptureFormat::PcapBegins => Viewpoint::AnyHost,
        }
    }

    /// How many packets were read.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// How many bytes of packets were read: those that were captured.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many packets were captured only in part.
    pub fn snapped(&self) -> u64 {
        self.snapped
    }

    /// Where the capture was cut short. Known once [`next_packet`](Self::next_packet) has given `None`.
    pub fn cut(&self) -> Option<Cut> {
        self.cut
    }
}

enum CaptureFormat {
    /// A pcap whose header is not read yet, so that opening does not wait for it.
    PcapBegins,
    Pcap(Pcap),
    PcapNg(PcapNg),
}

/// A packet within the available bytes of the input.
struct PacketRecord {
    at: Timestamp,
    link: LinkType,
    original_length: u32,
    outgoing: Option<bool>,
    interface: u32,
    data: Range<usize>,
    length: usize,
}

/// What goes wrong below the level that knows the capture's name.
enum Fault {
    /// No fault: what stands at the first available byte is the header of another capture.
    AnotherCapture,
    Read(io::Error),
    Corrupt {
        offset: u64,
        what: String,
    },
}

impl Fault {
    /// What stands at the first available byte cannot be part of a capture.
    #[cold]
    fn corrupt(input: &CaptureInput, what: String) -> Self {
        Self::Corrupt { offset: input.offset(), what }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// Says what a file is that begins with `begins` and goes on with what `reader` has.
fn not_a_capture(
    name: String,
    layers: &[Compression],
    begins: [u8; 4],
    reader: &mut impl Read,
) -> TraceError {
    let mut look = [0; foreign::LOOK];
    look[..4].copy_from_slice(&begins);
    // What cannot be read on is told by its first bytes.
    let more = read_up_to(reader, &mut look[4..]).map_or(0, |(length, _)| length);
    if let Some(ForeignFormat { name: format, command }) = ForeignFormat::of(&look[..4 + more]) {
        let within =
            if layers.is_empty() { String::new() } else { format!(" within {}", layer_names(layers)) };
        return TraceError::Foreign { name, format, within, command };
    }
    let [a, b, c, d] = begins;
    let begins = format!("{a:02x} {b:02x} {c:02x} {d:02x}");
    TraceError::NotACapture { name, begins, whose: whose(!layers.is_empty()) }
}

fn whose(compressed: bool) -> &'static str {
    if compressed { " of the decompressed data" } else { "" }
}

fn layer_names(layers: &[Compression]) -> String {
    layers.iter().map(|layer| layer.name()).collect::<Vec<_>>().join(", ")
}

fn opening_fault(name: String, layers: &[Compression], error: io::Error) -> TraceError {
    read_fault(name, &layer_names(layers), 0, error)
}

fn read_fault(name: String, compressed: &str, offset: u64, error: io::Error) -> TraceError {
    match error.kind() {
        io::ErrorKind::IsADirectory => TraceError::Directory { name },
        // The decompressors' own words; anything else comes from the system underneath them.
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other
            if !compressed.is_empty() =>
        {
            TraceError::Damaged { name, layer: compressed.to_owned(), offset, what: error.to_string() }
        }
        _ => TraceError::Read { name, offset, whose: whose(!compressed.is_empty()), source: error },
    }
}

/// Fills as much of `into` as the reader has: how much, and whether it ended because compressed data ended too early.
fn read_up_to(reader: &mut impl Read, into: &mut [u8]) -> io::Result<(usize, bool)> {
    let mut filled = 0;
    while filled < into.len() {
        match reader.read(&mut into[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok((filled, true)),
            Err(error) => return Err(error),
        }
    }
    Ok((filled, false))
}

/// A longer block or packet is a lie: found out before memory is spent on it.
const MAX_BLOCK: usize = 64 << 20;

const MAX_LAYERS: usize = 2;
