//! A recorded peer on a connection that may be encrypted: where the reference negotiates, its far end negotiates anew, with the
//! recorded methods and lengths and a public key of its own, and speaks as recorded under the new cipher. It does no I/O.

use bittrace_protocol::mse::{
    Agreement, Cipher, End, IncomingCipher, Initiator, Methods, MseAcceptance, MseDraw, MseError, MseKey,
    MseLengths, MseOffer, Part, Progress, Pushed, Responder, Terms, terms,
};
use bittrace_protocol::wire::{Prefix, handshake_prefix};
use bittrace_protocol::{InfoHash, Timestamp};
use bittrace_trace::{Body, MseBody, Side};
use bytes::Bytes;

use crate::model::torrent_hashes::TorrentHashes;
use crate::model::transcript::Conversation;
use crate::play::client_role::ClientRole;
use crate::play::pieces::RecordedPieces;
use crate::play::replay_peer::ReplayPeer;

/// A recorded peer, and the encryption of its connection.
#[derive(Debug)]
pub(crate) struct PlayedConnection {
    /// The recorded peer, whose messages are in clear.
    pub(crate) peer: ReplayPeer,
    torrent: TorrentHashes,
    /// What the reference's client went by on this connection.
    called: InfoHash,
    /// Where the far end's key comes from.
    draw: MseDraw,
    encryption: PlayedEncryption,
    /// What the far end said that waits for the end of the negotiation, in clear; and when, in the reference.
    held: Option<(Bytes, Timestamp)>,
    /// Whether the client called in clear where the reference's client negotiated.
    pub(crate) is_clear_instead: bool,
}

#[derive(Debug)]
enum PlayedEncryption {
    /// There is none.
    Clear,
    /// The client calls, and its first bytes do not tell yet whether it negotiates.
    Undecided(Vec<u8>, RecordedTerms),
    /// The far end calls, and has not begun.
    Calling(RecordedTerms),
    Initiating(Box<Initiator>),
    Responding(Box<Responder>),
    Agreed(Option<Box<Cipher>>, Box<IncomingCipher>),
}

/// What a recorded far end said in its negotiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RecordedTerms {
    /// What it offered, or selected.
    methods: Methods,
    lengths: MseLengths,
    /// How many bytes it sent ahead.
    ahead: usize,
}

/// What follows from bytes of the client.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Keys of the connection, to be recorded before the bytes to send.
    pub(crate) keys: Vec<MseKey>,
    /// What the far end sends for the negotiation.
    pub(crate) send: Vec<u8>,
}

impl PlayedConnection {
    /// The far end of a conversation about `torrent` with a client in this role. Its key, if it has one, comes from `draw`.
    pub(crate) fn of(
        torrent: TorrentHashes,
        conversation: &Conversation,
        role: ClientRole,
        draw: MseDraw,
    ) -> Self {
        let end = far_end(conversation);
        let encryption = match (RecordedTerms::of(conversation, end), end) {
            (None, _) => PlayedEncryption::Clear,
            (Some(terms), End::Responder) => PlayedEncryption::Undecided(Vec::new(), terms),
            (Some(terms), End::Initiator) => PlayedEncryption::Calling(terms),
        };
        let peer = ReplayPeer::of(torrent, conversation, role);
        let called = conversation.torrent.filter(|hash| torrent.has(*hash)).unwrap_or(torrent.first);
        Self { peer, torrent, called, draw, encryption, held: None, is_clear_instead: false }
    }

    /// Has the far end open the connection.
    pub(crate) fn call(&mut self) {
        self.peer.call();
        // Where the client called in the reference, nothing shows how this far end would have begun to negotiate.
        if let PlayedEncryption::Undecided(..) = self.encryption {
            self.encryption = PlayedEncryption::Clear;
        }
    }

    /// Takes in bytes of the client, as they came over the wire.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Heard {
        match &mut self.encryption {
            PlayedEncryption::Clear | PlayedEncryption::Calling(_) => self.peer.hear(bytes),
            PlayedEncryption::Agreed(_, theirs) => {
                let mut clear = bytes.to_vec();
                theirs.apply(&mut clear);
                self.peer.hear(&clear);
            }
            PlayedEncryption::Initiating(initiator) => {
                let pushed = initiator.push(bytes);
                return self.negotiated(pushed);
            }
            PlayedEncryption::Responding(responder) => {
                let pushed = responder.push(bytes);
                return self.negotiated(pushed);
            }
            PlayedEncryption::Undecided(begun, terms) => {
                begun.extend_from_slice(bytes);
                match handshake_prefix(begun) {
                    Prefix::SoFar => {}
                    Prefix::Yes => {
                        let begun = std::mem::take(begun);
                        self.encryption = PlayedEncryption::Clear;
                        self.is_clear_instead = true;
                        self.peer.hear(&begun);
                    }
                    Prefix::No => {
                        let (begun, terms) = (std::mem::take(begun), *terms);
                        let acceptance = MseAcceptance {
                            info_hashes: self.torrent.all().collect(),
                            methods: terms.takes(),
                            max_padding: terms.lengths.padding,
                        };
                        let mut draw = self.draw.clone().with_lengths(Some(terms.lengths));
                        let mut responder = Responder::new(acceptance, &mut draw);
                        let pushed = responder.push(&begun);
                        self.encryption = PlayedEncryption::Responding(Box::new(responder));
                        return self.negotiated(pushed);
                    }
                }
            }
        }
        Heard::default()
    }

    fn negotiated(&mut self, pushed: Result<Pushed, MseError>) -> Heard {
        let Pushed { keys, send, agreed } = match pushed {
            Ok(pushed) => pushed,
            Err(error) => {
                self.peer.garble_negotiation(error.wanted);
                self.encryption = PlayedEncryption::Clear;
                return Heard::default();
            }
        };
        if let Some(Agreement { ours, theirs, payload, .. }) = agreed {
            self.encryption = PlayedEncryption::Agreed(ours.map(Box::new), Box::new(theirs));
            self.peer.hear(&payload);
        }
        Heard { keys, send }
    }

    /// What it sends now, on the wire, each message by itself; and when the last of them was sent in the reference. `None` while
    /// it waits.
    pub(crate) fn speak(&mut self, contents: &RecordedPieces) -> Option<(Vec<Bytes>, Timestamp)> {
        match &mut self.encryption {
            PlayedEncryption::Undecided(..)
            | PlayedEncryption::Initiating(_)
            | PlayedEncryption::Responding(_) => None,
            PlayedEncryption::Calling(terms) => {
                let terms = *terms;
                let (said, at) = self.peer.speak(contents)?;
                Some((vec![self.begin(terms, &said, at)], at))
            }
            PlayedEncryption::Clear => self.peer.speak(contents),
            PlayedEncryption::Agreed(ours, _) => {
                let (held, (said, at)) = match (self.held.take(), self.peer.speak(contents)) {
                    (held, Some(said)) => (held, said),
                    (Some((held, at)), None) => (Some((held, at)), (Vec::new(), at)),
                    (None, None) => return None,
                };
                let encipher = |bytes: Bytes| match ours {
                    None => bytes,
                    Some(cipher) => {
                        let mut enciphered = Vec::from(bytes);
                        cipher.apply(&mut enciphered);
                        enciphered.into()
                    }
                };
                Some((held.map(|(held, _)| held).into_iter().chain(said).map(encipher).collect(), at))
            }
        }
    }

    /// Begins to negotiate as the end that calls; its first bytes. As much of `said` goes ahead as in the reference.
    fn begin(&mut self, terms: RecordedTerms, said: &[Bytes], at: Timestamp) -> Bytes {
        let said = Bytes::from(said.concat());
        let ahead = terms.ahead.min(said.len());
        let offer = MseOffer {
            info_hash: self.called,
            methods: terms.methods,
            max_padding: terms.lengths.padding,
            ahead: said[..ahead].to_vec(),
        };
        if ahead < said.len() {
            self.held = Some((said.slice(ahead..), at));
        }
        let mut draw = self.draw.clone().with_lengths(Some(terms.lengths));
        let (initiator, hello) = Initiator::new(offer, &mut draw);
        self.encryption = PlayedEncryption::Initiating(Box::new(initiator));
        hello.into()
    }
}

impl RecordedTerms {
    /// What the far end of a conversation, which is this end of it, said; `None` where there is no negotiation, or its key is not
    /// known.
    fn of(conversation: &Conversation, end: End) -> Option<Self> {
        let (lengths, terms) = said(conversation, Side::Remote, end)?;
        Some(Self { methods: terms.methods, lengths, ahead: usize::from(terms.ahead) })
    }

    /// The methods that it takes as the end that is called, best first: the one that it selected, then the other.
    fn takes(self) -> Vec<Methods> {
        let others = [Methods(Methods::RC4), Methods(Methods::PLAINTEXT)];
        std::iter::once(self.methods).chain(others.into_iter().filter(|one| *one != self.methods)).collect()
    }
}

/// The lengths of what `side`, which is this end of a conversation, drew in its negotiation, and its terms; `None` where there is
/// no negotiation, or its key is not known.
pub(crate) fn said(conversation: &Conversation, side: Side, end: End) -> Option<(MseLengths, Terms)> {
    let (mut padding, mut whole) = (0, None);
    for message in &conversation.direction(side).messages {
        match message.body() {
            Body::Mse(MseBody::Negotiation(Part::Padding)) => padding = message.bytes.len() as u16,
            Body::Mse(MseBody::Negotiation(Part::CryptoProvide | Part::CryptoSelect)) => {
                if let Ok(Progress::Whole(terms)) = terms(end, &message.bytes) {
                    whole = Some(terms);
                }
            }
            _ => {}
        }
    }
    let terms = whole?;
    Some((MseLengths { padding, terms: terms.padding as u16 }, terms))
}

/// Whether the bytes of a conversation are encrypted, and cannot be read.
pub(crate) fn is_unread(conversation: &Conversation) -> bool {
    let messages = conversation.messages().map(|(_, message)| message.body());
    let is_encrypted = |body: &Body| matches!(body, Body::Mse(MseBody::Encrypted | MseBody::KeyExchange));
    messages.filter(is_encrypted).count() > 0
        && said(conversation, Side::Remote, far_end(conversation)).is_none()
}

/// Which end of the negotiation the far end of a conversation is.
fn far_end(conversation: &Conversation) -> End {
    if conversation.is_outgoing() { End::Responder } else { End::Initiator }
}

/// What is to be said of the encryption of a reference's connections, a sentence each.
pub(crate) fn encryption_remarks<'t>(peers: impl Iterator<Item = &'t Conversation>) -> Vec<String> {
    let remark = |conversation: &Conversation| {
        let far = conversation.far();
        format!(
            "the connection with {far} is encrypted in the reference, and its key is not known: what of it is in clear was played \
             in clear (--mse-keys gives keys)"
        )
    };
    peers.filter(|conversation| is_unread(conversation)).map(remark).collect()
}
