//! When a client encrypts its connections to peers, and what it says in the negotiation (message stream encryption).

use crate::mse::{MAX_PADDING, Methods};

use super::{CloseReason, DisconnectReason, Violation};

/// When connections are encrypted, and what a negotiation says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncryptionProfile {
    /// When connections are encrypted.
    pub policy: EncryptionPolicy,
    /// The methods that are offered to peers we dial: crypto_provide.
    pub offers: Methods,
    /// The most bytes of padding after our public key, of 512.
    pub max_padding: u16,
    /// Whether our handshake is sent ahead, before the peer selects a method (IA).
    pub sends_ahead: bool,
}

/// When connections to peers are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptionPolicy {
    /// Never: a peer that calls encrypted is refused.
    Off,
    /// Where the peer wants it: peers are dialled in clear, and encrypted when a peer ends that connection before its
    /// handshake.
    Allow,
    /// Where the peer can: peers are dialled encrypted, and in clear when that fails. Callers may choose.
    Prefer,
    /// Always, and the payload too: what is in clear is refused.
    Require,
}

/// A way to begin a connection to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// With the handshake.
    Clear,
    /// With a public key.
    Encrypted,
}

impl EncryptionProfile {
    /// What bittrace says in negotiations under this policy.
    pub const fn own(policy: EncryptionPolicy) -> Self {
        let offers = match policy {
            EncryptionPolicy::Require => Methods(Methods::RC4),
            _ => Methods(Methods::PLAINTEXT | Methods::RC4),
        };
        Self { policy, offers, max_padding: MAX_PADDING as u16, sends_ahead: true }
    }

    /// The same terms under another policy.
    pub const fn under(self, policy: EncryptionPolicy) -> Self {
        let offers = match policy {
            EncryptionPolicy::Require => Self::own(policy).offers,
            _ => self.offers,
        };
        Self { policy, offers, ..self }
    }

    /// The methods that peers who call may choose, best first.
    pub(super) const fn accepts(&self) -> &'static [Methods] {
        const RC4: Methods = Methods(Methods::RC4);
        const PLAINTEXT: Methods = Methods(Methods::PLAINTEXT);
        match self.policy {
            EncryptionPolicy::Off => &[],
            EncryptionPolicy::Allow => &[PLAINTEXT, RC4],
            EncryptionPolicy::Prefer => &[RC4, PLAINTEXT],
            EncryptionPolicy::Require => &[RC4],
        }
    }
}

impl EncryptionPolicy {
    /// How a peer is dialled first.
    pub(super) const fn first_way(self) -> Way {
        match self {
            Self::Off | Self::Allow => Way::Clear,
            Self::Prefer | Self::Require => Way::Encrypted,
        }
    }

    /// Whether a peer that we dialled is dialled in the other way, after a connection that ended so before its handshake.
    pub(super) const fn tries_other_way(self, way: Way, reason: &DisconnectReason) -> bool {
        match (self, way, reason) {
            (Self::Off | Self::Require, ..) => false,
            (_, _, DisconnectReason::Closed(CloseReason::ByRemote | CloseReason::Reset)) => true,
            (
                _,
                Way::Encrypted,
                DisconnectReason::Violated(Violation::Silent(_) | Violation::Malformed(_)),
            ) => true,
            _ => false,
        }
    }
}

impl Way {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Clear => Self::Encrypted,
            Self::Encrypted => Self::Clear,
        }
    }
}
