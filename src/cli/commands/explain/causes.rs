//! What a reader should know of each cause of a diagnosis: how it is told from the others, and what helps.

use bittrace_trace::diagnosis::DelayCause;

use super::CauseNotes;

macro_rules! notes {
    ($($cause:ident $shows:literal $fix:literal [$($about:literal),*])*) => {
        /// A page for each cause.
        pub(super) const CAUSE_NOTES: &[CauseNotes] = &[$(CauseNotes {
            cause: DelayCause::$cause,
            shows: $shows,
            fix: $fix,
            about: &[$($about),*],
        }),*];
    };
}

notes! {
    Tracker
    "An announce was sent (or a UDP tracker was asked for a connection id), no tracker has answered yet, and no connection to a peer is open. It ends with the first answer of any tracker."
    "Put a tracker first that answers. Clients wait 15 s (BEP 15) to a minute before they ask the next one. DHT, PEX and local discovery find peers without a tracker."
    ["announce-request", "announce-response"]
    NoPeer
    "No connection to a peer is open, although a tracker has answered or none was asked: it named no peer, the client waits before it dials again, or the client itself closed what was open."
    "Look at how connections ended and which dials failed. A client that was paused closes all its connections."
    ["connecting"]
    Connecting
    "From the first packet of a connection to its first message; of a run also the dials that nobody answered. A dial to an address that is gone takes seconds to minutes until the client gives up."
    "Shorter time-outs and more dials at once get past dead peers. Peers that a tracker names and that never answer are the tracker's old entries."
    ["no-peer", "handshake-wait"]
    Handshake
    "From the first message of a connection until both handshakes are there; a negotiation of MSE encryption and one with a proxy count as well. Some clients send their handshake in a rhythm of their own, up to a second late."
    "Nothing, where it is short. Where it is long, the other end is busy or does not know the torrent."
    ["handshake"]
    Metadata
    "The downloader has no description of the torrent and fetches it from the peer (BEP 9). It is not interested yet, as it cannot know which pieces there are."
    "Start from a .torrent file instead of a magnet link."
    ["ut_metadata"]
    NothingWanted
    "The downloader is not interested: by BEP 3 a client says so as long as the peer has no piece that it lacks. A seed that super-seeds (BEP 16) says it has nothing and names one piece at a time. A client that says interested long after the peer told of its pieces is counted as not-asked instead."
    "Peers with other pieces. Nothing in the downloader changes it."
    ["interested", "not-interested", "bitfield", "have", "not-asked"]
    Choked
    "The downloader is interested, the peer chokes it, and no block comes. Requests that a choke ended without a block are counted. With the fast extension (BEP 6) a request outlives the choke until it is rejected."
    "A downloader cannot end a choke. More peers help; with leechers, uploading to them does, as they unchoke whoever gives most; the peer's owner can give more upload slots."
    ["choke", "unchoke", "interested"]
    NotAsked
    "The downloader is interested and unchoked, and has no request outstanding for longer than a block needs to reach it and a request to come back."
    "Look at the downloader: it is paused, limits its own rate, waits for its disk, or has requested every block that it wants of other peers. A receive window that is closed at the same time shows that it does not read."
    ["request", "asked-too-little", "receiver"]
    AskedTooLittle
    "Requests are outstanding, or came at once after the last block, but none can have reached the peer and been answered within that time: a request and its block need a round trip. The peer had nothing to send in between. Rate times round trip, divided by the size of a block, is the number of requests that keeps it busy."
    "Let the downloader keep more requests outstanding: its queue or pipeline depth. The reqq of the peer's extended handshake (BEP 10) bounds it; where that is small, it is to be raised at the peer."
    ["request", "piece", "far-pace"]
    FarPace
    "The peer has requests at hand for longer than a round trip, its transport has nothing under way for most of that time, and neither the receiver's window nor a queue in the path holds it back. A constant rate over seconds is a limit that somebody set; blocks that come in bursts with pauses of 100 ms to a second are a client's limiter at work."
    "Only the peer can raise it: its upload limit, its disk, its load. More peers add to it."
    ["piece", "network"]
    Network
    "The transport repairs a loss, or the delay target of uTP (100 ms, BEP 29) is reached, or the path is full: bytes are under way all the time, and acknowledgements take longer than on the idle path because packets wait in a queue."
    "No setting of a client makes a link faster. Losses on wireless go away on cable; a full link is shared with whatever else uses it; with losses on a long path several peers together are faster than one."
    ["far-pace"]
    Receiver
    "The bytes under way fill the window that the receiver offers, or the window is closed. A small window on a long round trip lets through window divided by round trip; a closed one shows that the client does not read what has come."
    "Give the receiver's sockets a larger buffer (Linux: net.ipv4.tcp_rmem, or the client's own setting). Where the window closes: the client's own download limit, or a disk that is too slow."
    ["not-asked", "network"]
    Unknown
    "The capture does not show what was so: packets that the capture lost, an encrypted connection without a key, a connection that was open when the capture began."
    "Capture from before the client starts, on the host itself, with a buffer that is large enough (tcpdump -B 65536). A key log makes encrypted connections readable (--mse-keys)."
    []
}
