//! Encrypted connections: whole downloads between two sessions under each pair of policies, and which way a peer is
//! dialled.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::support::*;
use crate::mse::{Initiator, KEY_LENGTH, Methods, MseDraw, MseKey, MseOffer, POWERS};
use crate::session::*;
use crate::{PeerId, PieceIndex, Timestamp};

use EncryptionPolicy::{Allow, Off, Prefer, Require};

fn under(policy: EncryptionPolicy) -> Config {
    let mut config = config();
    config.profile.encryption = EncryptionProfile { max_padding: 0, ..EncryptionProfile::own(policy) };
    config
}

/// One of the two ends of a [`Wire`].
struct End {
    session: Session,
    disk: MemoryDisk,
    /// Its stream to the other end, while there is one.
    stream: Option<SessionStreamId>,
    /// What it has sent on the last connection.
    sent: Vec<u8>,
    /// What its session told that it says, in clear.
    said: Vec<u8>,
    keys: Vec<MseKey>,
    violations: Vec<Violation>,
    methods: Vec<Option<Methods>>,
    complete: bool,
}

/// A downloader that learns of a seeder, and what passes between them.
struct Wire {
    now: Timestamp,
    /// The downloader and the seeder.
    ends: [End; 2],
    calls: u32,
    /// How many bytes pass at a time.
    cut: usize,
    /// Whether something passed since the ends were last at rest.
    moved: bool,
}

const SEEDER: [u8; 6] = PEER_A;

impl Wire {
    fn new(policies: [EncryptionPolicy; 2], cut: usize, change: impl Fn(&mut Config)) -> Self {
        let torrent = Arc::new(torrent(100_000, 32_768, &[&["http://t.test/announce"]], ""));
        let now = Timestamp::from_secs_nanos(1_000_000, 0);
        let pieces = torrent.placement().unwrap().piece_count();
        let end = |which: usize| {
            let mut disk = MemoryDisk::new(torrent.clone());
            let have = if which == 1 { pieces } else { 0 };
            for (index, piece) in content(100_000).chunks(32_768).enumerate().filter(|_| which == 1) {
                let piece = Bytes::copy_from_slice(piece);
                disk.handle(&Output::Store(PieceIndex(index as u32), 0, piece));
            }
            let mut config = under(policies[which]);
            config.seeding = (which == 1).then(SeedGoal::default);
            change(&mut config);
            let identity = Identity {
                secret: [which as u8 + 1; 32],
                ..Identity::new(PeerId(if which == 0 { *OUR_ID } else { *A_ID }), 0, 7)
            };
            End {
                session: Session::new(config, torrent.clone(), identity, (0..have).map(PieceIndex), now),
                disk,
                stream: None,
                sent: Vec::new(),
                said: Vec::new(),
                keys: Vec::new(),
                violations: Vec::new(),
                methods: Vec::new(),
                complete: false,
            }
        };
        Self { now, ends: [end(0), end(1)], calls: 0, cut, moved: false }
    }

    /// Runs until the downloader has everything, or for so many seconds.
    fn run(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        while self.now < until && !self.ends[0].complete {
            // No time passes while one end has something for the other.
            let wakes = loop {
                self.moved = false;
                let wakes = [0, 1].map(|which| self.drain(which));
                if !self.moved {
                    break wakes;
                }
            };
            let next = wakes.into_iter().flatten().min().unwrap_or(until);
            self.now = next.max(self.now + Duration::from_millis(1)).min(until);
            self.ends.iter_mut().for_each(|end| end.session.handle(self.now, Input::Tick));
        }
    }

    fn tell(&mut self, which: usize, input: Input) {
        self.ends[which].session.handle(self.now, input);
    }

    fn drain(&mut self, which: usize) -> Option<Timestamp> {
        loop {
            let output = self.ends[which].session.poll();
            if let Some(inputs) = self.ends[which].disk.handle(&output) {
                inputs.into_iter().for_each(|input| self.tell(which, input));
                continue;
            }
            match output {
                Output::Open(stream, Endpoint::Peer(address)) => self.dial(which, stream, address),
                Output::Open(stream, _) if which == 1 => {
                    self.tell(1, Input::Closed(stream, CloseReason::Refused));
                }
                Output::Open(stream, _) => {
                    self.tell(0, Input::Opened(stream, "10.0.0.9:80".parse().unwrap()));
                    self.tell(0, Input::Received(stream, answer(&SEEDER).into()));
                }
                Output::Send(stream, bytes) if self.ends[which].stream == Some(stream) => {
                    self.moved = true;
                    self.ends[which].sent.extend_from_slice(&bytes);
                    self.tell(which, Input::Sent(stream, bytes.len()));
                    for part in bytes.chunks(self.cut) {
                        if let Some(other) = self.ends[1 - which].stream {
                            self.tell(1 - which, Input::Received(other, Bytes::copy_from_slice(part)));
                        }
                    }
                }
                Output::Close(stream, violation) if self.ends[which].stream == Some(stream) => {
                    self.ends[which].violations.extend(violation);
                    self.ends[which].stream = None;
                    if let Some(other) = self.ends[1 - which].stream.take() {
                        self.moved = true;
                        self.tell(1 - which, Input::Closed(other, CloseReason::ByRemote));
                    }
                }
                Output::Said(_, bytes) => self.ends[which].said.extend_from_slice(&bytes),
                Output::Secret(_, key) => self.ends[which].keys.push(*key),
                Output::Event(Event::Connected { encryption, .. }) => {
                    self.ends[which].methods.push(encryption);
                }
                Output::Event(Event::Complete) => self.ends[which].complete = true,
                Output::Wait(Some(at)) if at <= self.now => self.tell(which, Input::Tick),
                Output::Wait(at) => return at,
                Output::Done => return None,
                _ => {}
            }
        }
    }

    fn dial(&mut self, which: usize, stream: SessionStreamId, address: SocketAddr) {
        assert_eq!(which, 0, "only the downloader learns of a peer");
        self.calls += 1;
        self.moved = true;
        let incoming = SessionStreamId(2 * self.calls + 1);
        self.ends[0].stream = Some(stream);
        self.ends[1].stream = Some(incoming);
        self.ends.iter_mut().for_each(|end| end.sent.clear());
        self.tell(1, Input::Accepted(incoming, "10.0.0.3:5000".parse().unwrap()));
        self.tell(0, Input::Opened(stream, address));
    }

    fn shows(&self, which: usize, text: &[u8]) -> bool {
        self.ends[which].sent.windows(text.len()).any(|window| window == text)
    }
}

const PROTOCOL: &[u8] = b"BitTorrent protocol";
const NONE: Option<Methods> = None;
const RC4: Option<Methods> = Some(Methods(Methods::RC4));
const PLAINTEXT: Option<Methods> = Some(Methods(Methods::PLAINTEXT));

#[test]
fn two_sessions_find_the_way_that_their_policies_have_in_common() {
    // The downloader's policy, the seeder's, what both come to, how often the downloader calls.
    let cases = [
        (Off, Off, NONE, 1),
        (Off, Allow, NONE, 1),
        (Off, Prefer, NONE, 1),
        (Allow, Off, NONE, 1),
        (Allow, Allow, NONE, 1),
        (Allow, Require, RC4, 2),
        (Prefer, Off, NONE, 2),
        (Prefer, Allow, PLAINTEXT, 1),
        (Prefer, Prefer, RC4, 1),
        (Prefer, Require, RC4, 1),
        (Require, Allow, RC4, 1),
        (Require, Prefer, RC4, 1),
        (Require, Require, RC4, 1),
    ];
    for (downloader, seeder, method, calls) in cases {
        for cut in [1, 50, 100_000] {
            let mut wire = Wire::new([downloader, seeder], cut, |_| {});
            wire.run(5);
            let case = format!("{downloader:?} and {seeder:?}, {cut} bytes at a time");
            assert!(wire.ends[0].complete, "{case}");
            assert_eq!(wire.calls, calls, "{case}");
            assert_eq!(wire.ends[0].methods, [method], "{case}");
            assert_eq!(wire.ends[1].methods, [method], "{case}");
            for which in [0, 1] {
                // What is sent ahead, the downloader's handshake, is enciphered with plaintext too.
                let clear = method == NONE || (method == PLAINTEXT && which == 1);
                assert_eq!(wire.shows(which, PROTOCOL), clear, "{case}: {which}");
            }
            let keys = wire.ends.each_ref().map(|end| end.keys.last().cloned());
            assert_eq!(keys[0], keys[1], "{case}");
            assert_eq!(keys[0].is_some(), method.is_some(), "{case}");
        }
    }
}

#[test]
fn what_is_said_under_encryption_is_told_in_clear_to_who_wants_to_know() {
    let run = |policy, tells_said| {
        let mut wire = Wire::new([policy; 2], 100_000, |config| config.tells_said = tells_said);
        wire.run(5);
        assert!(wire.ends[0].complete);
        wire
    };
    let (clear, enciphered) = (run(Off, false), run(Require, true));
    for which in [0, 1] {
        assert!(clear.ends[which].said.is_empty());
        assert_eq!(enciphered.ends[which].said, clear.ends[which].sent, "{which}");
        assert_ne!(enciphered.ends[which].said, enciphered.ends[which].sent, "{which}");
    }
}

#[test]
fn policies_that_exclude_each_other_part() {
    for policies in [[Off, Require], [Require, Off]] {
        let mut wire = Wire::new(policies, 100, |_| {});
        wire.run(60);
        assert!(!wire.ends[0].complete && wire.ends[0].methods.is_empty(), "{policies:?}");
        let expected = match policies {
            [Off, _] => Violation::Unencrypted,
            _ => Violation::Malformed("a handshake"),
        };
        assert!(wire.ends[1].violations.contains(&expected), "{:?}", wire.ends[1].violations);
    }
}

#[test]
fn a_handshake_that_is_not_sent_ahead_follows_the_negotiation() {
    for policies in [[Prefer, Allow], [Require, Require]] {
        let mut wire = Wire::new(policies, 33, |config| config.profile.encryption.sends_ahead = false);
        wire.run(5);
        assert!(wire.ends[0].complete, "{policies:?}");
        assert_eq!(wire.calls, 1);
    }
}

#[test]
fn a_run_with_the_same_secret_sends_the_same_bytes() {
    let sent = || {
        let mut wire =
            Wire::new([Require, Require], 1000, |config| config.profile.encryption.max_padding = 512);
        wire.run(5);
        wire.ends.map(|end| end.sent)
    };
    assert_eq!(sent(), sent());
}

#[test]
fn a_key_is_told_before_the_bytes_that_need_it() {
    let mut stage = Stage::small(under(Require));
    stage.announced(&[PEER_A]);
    let hello = stage.opened(2, "10.0.0.1:6881");
    assert!(hello.iter().any(|line| line.starts_with("send 2 ")), "{hello:?}");
    assert!(!hello.iter().any(|line| line.starts_with("secret")), "{hello:?}");
    let lines = stage.receive(2, &[3; KEY_LENGTH]);
    let order: Vec<_> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(order, ["secret", "send"]);
}

#[test]
fn a_peer_that_cuts_both_ways_waits_for_its_next_turn() {
    let mut stage = Stage::small(under(Allow));
    stage.announced(&[PEER_A]);
    let clear = stage.opened(2, "10.0.0.1:6881");
    assert!(clear.iter().any(|line| line.starts_with("send 2 13 42 69 74")), "{clear:?}");
    let lines = stage.closed(2, CloseReason::ByRemote);
    assert!(lines.contains(&"open 4 10.0.0.1:6881".to_owned()), "{lines:?}");
    let encrypted = stage.opened(4, "10.0.0.1:6881");
    assert!(encrypted.iter().any(|line| line.starts_with("send 4 ")), "{encrypted:?}");
    assert!(!encrypted.iter().any(|line| line.contains(" 13 42 69 74")), "{encrypted:?}");
    let lines = stage.closed(4, CloseReason::ByRemote);
    assert!(!lines.iter().any(|line| line.ends_with("10.0.0.1:6881")), "{lines:?}");
    // After the pause the peer is dialled in clear again, with no cipher left of the last try.
    let lines = stage.wait(35.0);
    let dialled = lines.iter().find_map(|line| line.strip_prefix("open ")?.strip_suffix(" 10.0.0.1:6881"));
    let stream = dialled.expect("the peer is dialled again").parse().unwrap();
    let clear = stage.opened(stream, "10.0.0.1:6881");
    assert!(clear.iter().any(|line| line.starts_with(&format!("send {stream} 13 42 69 74"))), "{clear:?}");
}

#[test]
fn a_peer_that_refuses_the_connection_is_not_dialled_another_way() {
    let mut stage = Stage::small(under(Allow));
    stage.announced(&[PEER_A]);
    let lines = stage.closed(2, CloseReason::Refused);
    assert!(!lines.iter().any(|line| line.starts_with("open")), "{lines:?}");
}

/// A peer that calls and offers RC4 alone, with its first bytes.
fn rc4_caller(stage: &Stage) -> (Initiator, Vec<u8>) {
    let offer = MseOffer {
        info_hash: stage.torrent.info_hash,
        methods: Methods(Methods::RC4),
        max_padding: 0,
        ahead: stage.handshake(FAST, A_ID),
    };
    Initiator::new(offer, &mut MseDraw::new([5; 32], 1))
}

#[test]
fn an_encrypted_caller_over_utp_hears_our_handshake_before_a_pause() {
    let mut config = under(Require);
    config.seeding = Some(SeedGoal::default());
    let mut stage = Stage::new(config, torrent(40_000, 32_768, &[], ""), &[0, 1]);
    stage.said();
    let (mut initiator, hello) = rc4_caller(&stage);
    stage.hear(Input::Accepted(SessionStreamId(1), "10.2.0.1:99".parse().unwrap()));
    stage.hear(Input::OverUtp(SessionStreamId(1)));
    let lines = stage.receive(1, &hello);
    assert!(!lines.contains(&"pause 1".to_owned()), "{lines:?}");
    let key: Vec<u8> = lines.iter().filter_map(|line| sent_to(line, 1)).flatten().collect();
    let terms = initiator.push(&key).unwrap().send;
    let lines = stage.receive(1, &terms);
    let (before, after) = lines.split_at(lines.iter().position(|line| line == "pause 1").expect("a pause"));
    let sent = |lines: &[String]| -> Vec<u8> {
        lines.iter().filter_map(|line| sent_to(line, 1)).flatten().collect()
    };
    let agreed = initiator.push(&sent(before)).unwrap().agreed.expect("the terms came before");
    assert_eq!(agreed.payload, stage.handshake([0, 0, 0, 0, 0, 0x10, 0, 4], OUR_ID));
    let (mut rest, mut theirs) = (sent(after), agreed.theirs);
    theirs.apply(&mut rest);
    assert_eq!(rest, HAVE_ALL);
}

#[test]
fn negotiations_that_others_begin_are_bounded_and_leave_room_for_a_peer_that_means_it() {
    let mut config = under(Allow);
    config.max_peers = 200;
    config.seeding = Some(SeedGoal::default());
    let mut stage = Stage::new(config, torrent(40_000, 32_768, &[], ""), &[0, 1]);
    stage.said();
    // Callers of ten hosts, with a public key each and nothing more; every other one is silent before that.
    for caller in 0..100_u32 {
        let address = format!("10.1.0.{}:{}", caller % 10, 1000 + caller);
        stage.hear(Input::Accepted(SessionStreamId(2 * caller + 1), address.parse().unwrap()));
        let begun = if caller % 2 == 0 { &[7; KEY_LENGTH][..] } else { &[7; 20] };
        stage.receive(2 * caller + 1, begun);
    }
    assert_eq!(stage.session.peers(stage.now).count(), 32);
    let (mut initiator, hello) = rc4_caller(&stage);
    stage.hear(Input::Accepted(SessionStreamId(1001), "10.2.0.1:99".parse().unwrap()));
    let mut to_session = hello;
    let mut agreed = false;
    while !to_session.is_empty() && !agreed {
        let lines = stage.receive(1001, &std::mem::take(&mut to_session));
        for bytes in lines.iter().filter_map(|line| sent_to(line, 1001)) {
            if agreed {
                break;
            }
            let pushed = initiator.push(&bytes).unwrap();
            to_session.extend(pushed.send);
            agreed = pushed.agreed.is_some();
        }
    }
    assert!(agreed);
    let view = stage.session.peers(stage.now).find(|peer| peer.stream == SessionStreamId(1001)).unwrap();
    assert_eq!((view.encryption, view.open), (RC4, true));
}

/// 1,000 callers a second for three seconds, of 20 hosts: half of them silent, half with a public key and nothing more. At no time
/// more than 32 negotiations go on, and a peer that calls in the middle of it is in within two seconds. A negotiation holds less
/// than 4 KiB, a caller less than 64 KiB before its handshake, so that 50 of these take less than 4 MiB.
///
/// Only a whole public key costs powers, two of a tenth of a millisecond each, so that a second of this takes a tenth of a core, and
/// a fifth if none of the callers were silent.
#[test]
fn a_thousand_openings_a_second_keep_nobody_out() {
    let mut config = under(Allow);
    config.seeding = Some(SeedGoal::default());
    let mut stage = Stage::new(config, torrent(40_000, 32_768, &[], ""), &[0, 1]);
    stage.said();
    let (mut initiator, hello) = rc4_caller(&stage);
    const HONEST: u32 = 100_001;
    let (mut to_session, mut called, mut agreed) = (hello, None, None);
    let powers = POWERS.get();
    for caller in 0..3_000_u32 {
        stage.now = stage.now + Duration::from_millis(1);
        let stream = 2 * caller + 1;
        let address = format!("10.1.0.{}:{}", caller % 20, 1_024 + caller);
        stage.hear(Input::Accepted(SessionStreamId(stream), address.parse().unwrap()));
        match caller % 4 {
            0 | 2 => drop(stage.receive(stream, &[7; KEY_LENGTH])),
            // Nearly a public key.
            1 => drop(stage.receive(stream, &[7; KEY_LENGTH - 1])),
            _ => {}
        }
        let negotiate = |peer: &&crate::session::Peer| {
            matches!(peer.encryption, crate::session::negotiate::PeerEncryption::Responding(_))
        };
        assert!(stage.session.peers.iter().filter(negotiate).count() <= 32);
        assert!(stage.session.peers.len() <= stage.session.core.config.max_peers);
        if caller < 1_500 || agreed.is_some() {
            continue;
        }
        if called.is_none() {
            called = Some(stage.now);
            stage.hear(Input::Accepted(SessionStreamId(HONEST), "10.2.0.1:99".parse().unwrap()));
        }
        // One flight a round trip of 100 ms.
        if caller % 100 != 0 || to_session.is_empty() {
            continue;
        }
        for bytes in stage
            .receive(HONEST, &std::mem::take(&mut to_session))
            .iter()
            .filter_map(|line| sent_to(line, HONEST))
        {
            if agreed.is_none() {
                let pushed = initiator.push(&bytes).unwrap();
                to_session.extend(pushed.send);
                agreed = pushed.agreed.is_some().then_some(stage.now);
            }
        }
    }
    // Two for each of the 1,500 public keys at the most, less for callers that find no place; and two for the peer that means it,
    // and one of its own.
    let powers = POWERS.get() - powers;
    assert!((2_000..=2 * 1_500 + 2 + 1).contains(&powers), "{powers} powers");
    let waited = agreed.expect("the peer is in") - called.expect("it called");
    assert!(waited <= Duration::from_secs(2), "{waited:?}");
    assert!(stage.session.peers(stage.now).any(|peer| peer.stream == SessionStreamId(HONEST) && peer.open));
}

#[test]
fn a_negotiation_that_does_not_end_is_left() {
    let mut stage = Stage::new(
        Config { seeding: Some(SeedGoal::default()), ..under(Allow) },
        torrent(40_000, 32_768, &[], ""),
        &[0, 1],
    );
    stage.said();
    stage.hear(Input::Accepted(SessionStreamId(1), "10.1.0.1:99".parse().unwrap()));
    stage.receive(1, &[7; KEY_LENGTH]);
    stage.wait(14.0);
    assert_eq!(stage.session.peers(stage.now).count(), 1);
    stage.wait(3.0);
    assert_eq!(stage.session.peers(stage.now).count(), 0);
}

/// The bytes in a line that says what was sent on this stream.
fn sent_to(line: &str, stream: u32) -> Option<Vec<u8>> {
    let bytes = line.strip_prefix(&format!("send {stream} "))?;
    Some(bytes.split(' ').map_while(|byte| u8::from_str_radix(byte, 16).ok()).collect())
}
