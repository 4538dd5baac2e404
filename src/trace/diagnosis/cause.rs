//! The causes that time can belong to.

/// What a direction of a connection, or a whole run, waited for. Each moment has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DelayCause {
    /// Of a run alone: no tracker has answered, and no connection is open.
    Tracker,
    /// Of a run alone: no connection is open, although a tracker has answered.
    NoPeer,
    /// The connection is being opened: from its first packet to its first message.
    Connecting,
    /// From the first message until both handshakes are there (BEP 3, and MSE before it).
    Handshake,
    /// The downloader fetches the metadata from the peer (BEP 9) and cannot know yet which blocks it wants.
    Metadata,
    /// The downloader is not interested: the peer has no piece that it lacks (BEP 3).
    NothingWanted,
    /// The downloader is interested and choked, and no block comes.
    Choked,
    /// The downloader is interested and unchoked, and has no request outstanding.
    NotAsked,
    /// The peer had nothing to send, because fewer requests were outstanding than rate times round trip.
    AskedTooLittle,
    /// The peer had requests, and neither the network nor the receiver held it back: its upload limit, its disk, its load.
    FarPace,
    /// Losses, the delay target of uTP (BEP 29), or a link that is full.
    Network,
    /// The TCP window of the receiver is closed, or full.
    Receiver,
    /// The downloader has everything, and the connection stays open.
    Complete,
    /// The capture does not show it: lost packets, encryption, the middle of a connection.
    Unknown,
}

impl DelayCause {
    /// All causes, in the order in which a download meets them.
    pub const ALL: [Self; 14] = [
        Self::Tracker,
        Self::NoPeer,
        Self::Connecting,
        Self::Handshake,
        Self::Metadata,
        Self::NothingWanted,
        Self::Choked,
        Self::NotAsked,
        Self::AskedTooLittle,
        Self::FarPace,
        Self::Network,
        Self::Receiver,
        Self::Complete,
        Self::Unknown,
    ];

    /// Its name in tables, JSON and `bittrace explain`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tracker => "tracker-wait",
            Self::NoPeer => "no-peer",
            Self::Connecting => "connecting",
            Self::Handshake => "handshake-wait",
            Self::Metadata => "metadata-wait",
            Self::NothingWanted => "nothing-wanted",
            Self::Choked => "choked",
            Self::NotAsked => "not-asked",
            Self::AskedTooLittle => "asked-too-little",
            Self::FarPace => "far-pace",
            Self::Network => "network",
            Self::Receiver => "receiver",
            Self::Complete => "complete",
            Self::Unknown => "unseen",
        }
    }

    /// What is so during that time, in a few words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Tracker => "no tracker has answered yet",
            Self::NoPeer => "no connection to a peer is open",
            Self::Connecting => "the connection is being opened",
            Self::Handshake => "handshakes are exchanged, and the peer has not told of its pieces yet",
            Self::Metadata => "the metadata is fetched from the peer",
            Self::NothingWanted => "the downloader is not interested yet, or no longer",
            Self::Choked => "the peer chokes the downloader",
            Self::NotAsked => "the downloader is unchoked and interested, and has no request outstanding",
            Self::AskedTooLittle => {
                "too few requests are outstanding for the round trip: the peer stands idle"
            }
            Self::FarPace => "the peer has requests and sends no faster",
            Self::Network => "losses, delay or a full link hold the sender back",
            Self::Receiver => "the receive window of the downloader is full",
            Self::Complete => "the downloader has everything",
            Self::Unknown => "the capture does not show it",
        }
    }

    /// Whether blocks are on their way: requests are outstanding, or were a round trip ago.
    pub const fn is_transfer(self) -> bool {
        matches!(self, Self::AskedTooLittle | Self::FarPace | Self::Network | Self::Receiver)
    }

    /// Whether it belongs to the beginning of a connection.
    pub const fn is_start(self) -> bool {
        matches!(self, Self::Connecting | Self::Handshake | Self::Metadata)
    }
}

/// Seconds and bytes by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CauseTotals {
    seconds: [f64; DelayCause::ALL.len()],
    bytes: [u64; DelayCause::ALL.len()],
}

impl CauseTotals {
    /// Seconds that belong to a cause.
    pub const fn seconds(&self, cause: DelayCause) -> f64 {
        self.seconds[cause as usize]
    }

    /// Bytes of blocks that came during that time.
    pub const fn bytes(&self, cause: DelayCause) -> u64 {
        self.bytes[cause as usize]
    }

    /// Seconds of all causes.
    pub fn all_seconds(&self) -> f64 {
        self.seconds.iter().sum()
    }

    /// Bytes of all causes.
    pub fn all_bytes(&self) -> u64 {
        self.bytes.iter().sum()
    }

    /// The share of a cause in the seconds of all, from 0 to 1.
    pub fn share(&self, cause: DelayCause) -> f64 {
        let all = self.all_seconds();
        if all > 0.0 { self.seconds(cause) / all } else { 0.0 }
    }

    /// The causes that have time or bytes, the one with most seconds first.
    pub fn ranked(&self) -> Vec<DelayCause> {
        let has_any = |cause: &DelayCause| self.seconds(*cause) > 0.0 || self.bytes(*cause) > 0;
        let mut causes: Vec<_> = DelayCause::ALL.into_iter().filter(has_any).collect();
        causes.sort_by(|one, other| self.seconds(*other).total_cmp(&self.seconds(*one)));
        causes
    }

    pub(super) fn add(&mut self, cause: DelayCause, seconds: f64, bytes: u64) {
        self.seconds[cause as usize] += seconds;
        self.bytes[cause as usize] += bytes;
    }
}
