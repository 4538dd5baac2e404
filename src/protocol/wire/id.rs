//! The ids of the messages after the handshake, with their names.

/// The byte after the length prefix (BEP 4, "Reserved Message IDs").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId(pub u8);

macro_rules! message_ids {
    ($($constant:ident = $id:literal $name:literal,)*) => {
        impl MessageId {
            $(#[doc = concat!("The id of `", $name, "`.")] pub const $constant: Self = Self($id);)*

            /// The message's name, with words joined by hyphens; `unknown` for an id nobody has allocated.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$constant => $name,)*
                    _ => "unknown",
                }
            }

            /// Whether a specification allocates the id.
            pub const fn is_allocated(self) -> bool {
                matches!(self, $(Self::$constant)|*)
            }
        }
    };
}

message_ids! {
    CHOKE = 0 "choke",
    UNCHOKE = 1 "unchoke",
    INTERESTED = 2 "interested",
    NOT_INTERESTED = 3 "not-interested",
    HAVE = 4 "have",
    BITFIELD = 5 "bitfield",
    REQUEST = 6 "request",
    PIECE = 7 "piece",
    CANCEL = 8 "cancel",
    PORT = 9 "port",
    SUGGEST_PIECE = 13 "suggest-piece",
    HAVE_ALL = 14 "have-all",
    HAVE_NONE = 15 "have-none",
    REJECT_REQUEST = 16 "reject-request",
    ALLOWED_FAST = 17 "allowed-fast",
    EXTENDED = 20 "extended",
    HASH_REQUEST = 21 "hash-request",
    HASHES = 22 "hashes",
    HASH_REJECT = 23 "hash-reject",
}
