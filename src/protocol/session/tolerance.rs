//! Which broken rules end a connection, and which are borne.

use crate::peer::PeerFault;

use super::Violation;

/// What a fault of a peer has for a consequence.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tolerance {
    /// The connection is closed.
    Close(Violation),
    /// Nothing: the fault harms nobody, or what it asks for is simply not done.
    Bear,
}

impl Tolerance {
    /// What follows from a fault. Most clients that break a rule mean no harm, so that only what leaves the connection without
    /// a meaning closes it.
    pub(super) const fn of(fault: &PeerFault) -> Self {
        match fault {
            PeerFault::OutOfRange { .. } => Self::Close(Violation::OutOfRange),
            PeerFault::Malformed { wanted, .. } => Self::Close(Violation::Malformed(wanted)),
            PeerFault::BitfieldLength { .. } => {
                Self::Close(Violation::Malformed("a bitfield with a bit for each piece"))
            }
            PeerFault::BitfieldSpareBits => {
                Self::Close(Violation::Malformed("a bitfield without bits beyond the last piece"))
            }
            // Some clients send a bitfield again, but each costs as much work as many other messages: see `on_pieces`.
            PeerFault::BitfieldLate | PeerFault::HaveAllOrNoneLate => Self::Bear,
            // Both are compared with what we know before our own handshake is sent: see `on_handshake`.
            PeerFault::SamePeerId | PeerFault::InfoHashDiffers { .. } => Self::Bear,
            // Of these messages only have-all and have-none leave it open what is meant: see `on_pieces`.
            PeerFault::FastNotOffered => Self::Bear,
            // Extensions are nobody's duty, and each of their messages counts as one that says nothing new.
            PeerFault::MalformedExtended { .. }
            | PeerFault::UnannouncedExtension { .. }
            | PeerFault::UnknownMessage(_)
            | PeerFault::PortNotOffered
            | PeerFault::PexTooSoon { .. }
            | PeerFault::PexTooMany { .. }
            | PeerFault::MetadataTotalDiffers { .. }
            | PeerFault::MetadataPieceLength { .. } => Self::Bear,
            // A request that cannot be answered is refused, and that counts: see `on_request`.
            PeerFault::RequestWhileChoked { .. }
            | PeerFault::RequestWithoutInterest
            | PeerFault::RequestTooLong { .. }
            | PeerFault::ReqqExceeded { .. }
            | PeerFault::CancelUnrequested => Self::Bear,
            // Blocks that nobody asked for count by their bytes: see `begin_block`.
            PeerFault::BlockAfterCancel
            | PeerFault::BlockAgain
            | PeerFault::BlockAfterReject
            | PeerFault::BlockUnsolicited
            | PeerFault::BlockWhileChoking
            | PeerFault::RejectAfterAnswer
            | PeerFault::RejectUnrequested => Self::Bear,
            // The session keeps deadlines of its own, which do not wait for a message: see `end_of_patience`.
            PeerFault::Silent { .. } | PeerFault::Snubbed { .. } | PeerFault::CancelUnanswered { .. } => {
                Self::Bear
            }
            // Hashes that nobody asked for count by their bytes: see `on_hashes`.
            PeerFault::HashesUnsolicited | PeerFault::HashRejectUnrequested => Self::Bear,
        }
    }
}

/// Lets a fault of a peer have its consequence.
pub(super) fn tolerate(fault: &PeerFault) -> Result<(), Violation> {
    match Tolerance::of(fault) {
        Tolerance::Close(violation) => Err(violation),
        Tolerance::Bear => Ok(()),
    }
}
