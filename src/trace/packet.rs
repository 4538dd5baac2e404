//! From a captured frame to the payload of TCP or UDP: link layers, tunnels, and IP fragments.

mod community_id;
pub(crate) mod copies;
pub(crate) mod defrag;
pub(crate) mod four_tuple;
pub(crate) mod link;

pub use community_id::{CommunityId, CommunityIds};
pub use defrag::{Defragmenter, Whole};
pub use link::{Datagram, FragmentedPacket, IpFragment, LinkType, Parsed, Segment, parse, parse_each};
