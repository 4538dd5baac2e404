//! The times and counts by which the conduct of a peer is judged, by a session and by an analyzer alike.

use std::time::Duration;

/// A peer that has sent nothing for this long is silent. "Generally" keep-alives are sent every two minutes (BEP 3, "peer
/// protocol"); the rest is slack for slow clients and networks.
pub const SILENCE: Duration = Duration::from_secs(150);

/// A peer that has sent no block for this long, though requests are outstanding and it does not choke, snubs the requester.
/// BEP 3 names no time; clients use one minute.
pub const SNUBBED: Duration = Duration::from_secs(60);

/// The most bytes that a request may ask for. Clients ask for 16 KiB, and "close connections which request an amount greater
/// than that" (BEP 3, "peer messages").
pub const MAX_REQUEST: u32 = 16 * 1024;

/// How often a peer may send peer exchange messages: once a minute (BEP 11, "Security Considerations").
pub const PEX_INTERVAL: Duration = Duration::from_secs(60);

/// A peer exchange message that comes this soon after the previous message breaks the rule of [`PEX_INTERVAL`]. The
/// difference is slack for the clocks of senders and the delays of networks.
pub const PEX_TOO_SOON: Duration = Duration::from_secs(50);

/// The most peers that a peer exchange message may add, and drop, except the first message (BEP 11, "Security
/// Considerations").
pub const MAX_PEX_PEERS: usize = 50;

/// Two messages that are sent within this time may have crossed on the way: round trips are shorter, and clients read at
/// least this often. What may have crossed is no fault.
pub const CROSSING: Duration = Duration::from_secs(2);

/// With the fast extension a cancelled request is answered all the same, by a block or by a reject (BEP 6, "Modifications
/// to Semantics of Existing Messages"). A request that was not answered within this time after its cancel never is.
pub const CANCEL_UNANSWERED: Duration = Duration::from_secs(60);
