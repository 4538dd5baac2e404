//! Peer exchange (BEP 11) and lt_donthave (BEP 54): whom peers are told of, and what is made of what peers tell.

use std::net::SocketAddr;

use super::support::*;
use crate::session::*;
use crate::wire::{Content, Extension, Pex, PexPeer};

pub(super) fn extended(id: u8, body: &[u8]) -> Vec<u8> {
    [numbers(&[2 + body.len() as u32]), vec![20, id], body.to_vec()].concat()
}

/// An extended handshake that receives peer exchange under 7 and lt_donthave under 9, from a peer that listens on this port.
fn hello(port: u16) -> Vec<u8> {
    extended(0, format!("d1:md11:lt_donthavei9e6:ut_pexi7ee1:pi{port}ee").as_bytes())
}

/// A message of peer exchange in the bytes of BEP 11, under the id that the session gives it: these addresses with these flags.
pub(super) fn names(peers: &[(SocketAddr, u8)]) -> Vec<u8> {
    let compact = |address: &SocketAddr| match address {
        SocketAddr::V4(v4) => [&v4.ip().octets()[..], &v4.port().to_be_bytes()].concat(),
        SocketAddr::V6(_) => panic!("only IPv4 here"),
    };
    let addresses: Vec<u8> = peers.iter().flat_map(|(address, _)| compact(address)).collect();
    let flags: Vec<u8> = peers.iter().map(|(_, flags)| *flags).collect();
    let mut body = format!("d5:added{}:", addresses.len()).into_bytes();
    body.extend(addresses);
    body.extend(format!("7:added.f{}:", flags.len()).bytes());
    body.extend(flags);
    body.push(b'e');
    extended(1, &body)
}

/// The messages of peer exchange among the lines, with the stream of each.
pub(super) fn exchanged(said: &[String]) -> Vec<(u32, Pex)> {
    let mut found = Vec::new();
    for line in said {
        let mut words = line.split(' ');
        if words.next() != Some("send") {
            continue;
        }
        let stream = words.next().and_then(|stream| stream.parse().ok()).expect("a stream");
        let bytes: Vec<u8> = words.map_while(|word| u8::from_str_radix(word, 16).ok()).collect();
        let mut rest = &bytes[..];
        while let Some(head) = rest.first_chunk::<4>() {
            let length = 4 + u32::from_be_bytes(*head) as usize;
            // A line is cut after 400 bytes; messages of peer exchange with more peers are looked at elsewhere.
            let Some(message) = rest.get(..length) else { break };
            if message.get(4..6) == Some(&[20, 7])
                && let Ok(Content::Pex(pex)) = Extension::Pex.decode(&message[6..])
            {
                found.push((stream, pex));
            }
            rest = &rest[length..];
        }
    }
    found
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn caller(stage: &mut Stage, stream: u32, host: u8) -> Vec<String> {
    let from = SocketAddr::from(([10, 0, 1, host], 5000));
    let mut said = stage.hear(Input::Accepted(SessionStreamId(stream), from));
    let id = format!("-XX1000-{host:012}");
    said.extend(
        stage.receive(stream, &stage.handshake(EXTENDED, id.as_bytes().try_into().expect("20 bytes"))),
    );
    said.extend(stage.receive(stream, &hello(7000)));
    said
}

#[test]
fn flags_tell_seeds_by_their_haves_and_whom_we_dialled() {
    let mut stage = Stage::small(config());
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    stage.receive(2, &stage.handshake(EXTENDED, A_ID));
    // Nobody is there to tell of.
    assert_eq!(exchanged(&stage.receive(2, &hello(6881))), []);
    let have = |piece: u32| [&[0, 0, 0, 5, 4][..], &numbers(&[piece])].concat();
    stage.receive(2, &have(0));
    let of_a = |flags| PexPeer { address: address("10.0.0.1:6881"), flags };
    // The first message comes at once.
    let said = exchanged(&caller(&mut stage, 1, 1));
    assert_eq!(said, [(1, Pex { added: vec![of_a(0x10)], ..Pex::default() })]);
    stage.receive(2, &have(1));
    let said = exchanged(&caller(&mut stage, 3, 2));
    let of_caller = PexPeer { address: address("10.0.1.1:7000"), flags: 0 };
    assert_eq!(said, [(3, Pex { added: vec![of_a(0x12), of_caller], ..Pex::default() })]);
}

#[test]
fn what_changed_is_told_once_a_minute_and_nothing_is_never_told() {
    let mut stage = Stage::small(config());
    stage.announced(&[]);
    caller(&mut stage, 1, 1);
    assert_eq!(exchanged(&caller(&mut stage, 3, 2)).len(), 1);
    // The first peer had nobody to be told of before, and hears of the second one at once.
    let said = exchanged(&stage.wait(1.5));
    assert_eq!(said.iter().map(|(stream, _)| *stream).collect::<Vec<_>>(), [1]);
    caller(&mut stage, 5, 3);
    assert_eq!(exchanged(&stage.wait(57.0)), []);
    let said = exchanged(&stage.wait(3.0));
    let third = PexPeer { address: address("10.0.1.3:7000"), flags: 0 };
    let news = Pex { added: vec![third], ..Pex::default() };
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.iter().all(|(_, pex)| *pex == news), "{said:?}");
    stage.closed(5, CloseReason::ByRemote);
    assert_eq!(exchanged(&stage.wait(50.0)), []);
    let said = exchanged(&stage.wait(12.0));
    let gone = Pex { dropped: vec![third.address], ..Pex::default() };
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.iter().all(|(_, pex)| *pex == gone), "{said:?}");
    // Keep-alives keep the connections: two more minutes without a change.
    for _ in 0..2 {
        [1, 3].into_iter().for_each(|stream| drop(stage.receive(stream, &[0; 4])));
        assert_eq!(exchanged(&stage.wait(60.0)), []);
    }
}

/// 120 peers are told of in three messages of at most 50, and `added.f` has a flag for each. The peers are told of in the order
/// of their addresses.
#[test]
fn no_message_tells_of_more_than_fifty() {
    let mut stage = Stage::small(Config { max_peers: 200, ..config() });
    stage.announced(&[]);
    for host in 0..120_u8 {
        caller(&mut stage, 1 + 2 * u32::from(host), host);
    }
    let mut told = Vec::new();
    let mut listen = |stage: &mut Stage, bytes: Option<&[u8]>, seconds: f64| {
        let mut outputs = Vec::new();
        if let Some(bytes) = bytes {
            stage.session.handle(stage.now, Input::Received(SessionStreamId(999), bytes.to_vec().into()));
        }
        let until = stage.now + std::time::Duration::from_secs_f64(seconds);
        loop {
            match stage.session.poll() {
                Output::Send(SessionStreamId(999), bytes) => outputs.push(bytes),
                Output::Wait(Some(at)) if at <= until => {
                    stage.now = at.max(stage.now);
                    stage.session.handle(stage.now, Input::Tick);
                }
                Output::Wait(_) => break,
                _ => {}
            }
        }
        stage.now = until;
        for bytes in outputs {
            let length = bytes.first_chunk::<4>().map_or(0, |head| u32::from_be_bytes(*head) as usize);
            if bytes.get(4..6) == Some(&[20, 7]) && bytes.len() == length + 4 {
                let Ok(Content::Pex(pex)) = Extension::Pex.decode(&bytes[6..]) else {
                    panic!("peer exchange")
                };
                assert_eq!(pex.encode(), bytes[6..], "added.f is as long as added");
                told.push(pex.added.len());
            }
        }
    };
    stage.hear(Input::Accepted(SessionStreamId(999), address("10.9.9.9:5000")));
    stage.receive(999, &stage.handshake(EXTENDED, A_ID));
    listen(&mut stage, Some(&hello(7000)), 59.0);
    listen(&mut stage, None, 61.0);
    listen(&mut stage, None, 60.0);
    listen(&mut stage, None, 0.5);
    assert_eq!(told, [50, 50, 20]);
}

/// A peer that names 10,000 peers each second, all at its own host: 50 are taken a message, one message in 30 seconds.
#[test]
fn a_flood_of_named_peers_is_taken_slowly() {
    let mut stage = Stage::small(Config { max_half_open: 0, ..config() });
    stage.announced(&[]);
    caller(&mut stage, 1, 1);
    let known = |stage: &Stage| stage.session.status(stage.now).peers_known;
    let before = known(&stage);
    let mut reached = Vec::new();
    for second in 0..100_u32 {
        let peers: Vec<_> = (0..10_000_u32)
            .map(|number| {
                let port = 1_024 + ((second * 10_000 + number) % 60_000) as u16;
                (SocketAddr::from(([10, 0, 1, 1], port)), 0)
            })
            .collect();
        let said = stage.receive(1, &names(&peers));
        if said.iter().any(|line| line.starts_with("close")) {
            break;
        }
        reached.push(known(&stage) - before);
        stage.wait(1.0);
    }
    for (second, known) in reached.iter().enumerate() {
        assert!(*known <= 50 * (1 + second / 30), "{known} after {second} s");
    }
    assert_eq!(reached.first(), Some(&50));
}

#[test]
fn a_peer_that_prefers_encryption_is_dialled_so_where_the_policy_allows() {
    for (policy, flags, encrypted) in [
        (EncryptionPolicy::Allow, 0x01, true),
        (EncryptionPolicy::Allow, 0x00, false),
        (EncryptionPolicy::Off, 0x01, false),
        (EncryptionPolicy::Prefer, 0x00, true),
    ] {
        let mut config = config();
        config.profile.encryption = EncryptionProfile::own(policy);
        let mut stage = Stage::small(config);
        stage.announced(&[]);
        caller(&mut stage, 1, 1);
        let said = stage.receive(1, &names(&[(address("10.0.0.7:6881"), flags)]));
        assert_said(said, crate::lines!["open 2 10.0.0.7:6881"]);
        let said = stage.opened(2, "10.0.0.7:6881");
        let clear = said.iter().any(|line| line.starts_with("send 2 13 42 69 74"));
        assert_eq!(clear, !encrypted, "{policy:?} {flags:#x}");
    }
}

/// A session that has everything, and stays for others, of whom one has called.
fn seeding() -> Stage {
    let mut config = config();
    config.seeding = Some(SeedGoal::default());
    let torrent = torrent(40_000, 32_768, &[&["http://t.test/announce"]], "");
    let mut stage = Stage::new(config, torrent, &[0, 1]);
    stage.announced(&[]);
    caller(&mut stage, 1, 1);
    stage
}

#[test]
fn who_has_everything_learns_no_seeds() {
    let mut stage = seeding();
    let before = stage.session.status(stage.now).peers_known;
    let said =
        stage.receive(1, &names(&[(address("10.0.0.7:6881"), 0x02), (address("10.0.0.8:6881"), 0x10)]));
    assert!(!said.iter().any(|line| line.starts_with("open")), "{said:?}");
    assert_eq!(stage.session.status(stage.now).peers_known - before, 1);
}

/// A tracker of peers that can be invented names 10,000 addresses of one victim, in many messages.
#[test]
fn no_more_than_ten_hosts_that_no_tracker_names_are_being_dialled() {
    let config = Config { max_half_open: 40, max_peers: 100, ..config() };
    let mut stage = Stage::small(config);
    stage.announced(&[PEER_A, PEER_B]);
    let mut opened = std::collections::BTreeMap::<String, usize>::new();
    for second in 0..590_u32 {
        let victims = (0..17).map(|number| SocketAddr::from(([192, 0, 2, 1], 20_000 + (number % 17) as u16)));
        let more = [22, 80, 443, 1023].map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        let input = Input::PeersFound(PeerSource::Dht, victims.chain(more).collect());
        let mut said = stage.hear(input);
        if second % 40 == 39 {
            // All dials to the victim are refused.
            for stream in (0..200).map(|stream| stream * 2) {
                said.extend(stage.closed(stream, CloseReason::Refused));
            }
        }
        said.extend(stage.wait(1.0));
        for line in said.iter().filter(|line| line.starts_with("open") && line.contains("192.0.2.1")) {
            *opened.entry(line.split(' ').nth(2).expect("an address").to_owned()).or_default() += 1;
        }
        if second == 0 {
            assert_eq!(opened.len(), 10, "half open: {opened:?}");
        }
    }
    assert!(opened.values().all(|times| *times == 1), "{opened:?}");
    assert_eq!(opened.len(), 17, "no port below 1,024: {opened:?}");
}

#[test]
fn a_piece_that_cannot_be_read_is_told_under_the_receivers_id_and_not_offered_again() {
    let mut stage = seeding();
    // This peer does not say how it takes lt_donthave.
    stage.hear(Input::Accepted(SessionStreamId(3), address("10.0.0.3:5000")));
    stage.receive(3, &stage.handshake(EXTENDED, B_ID));
    stage.receive(1, &INTERESTED);
    assert_said(stage.receive(1, &about(6, 1, 0, 7_232)), crate::lines!["load 1 1 0 7232"]);
    let block = crate::Block { index: crate::PieceIndex(1), begin: 0, length: 7_232 };
    let said = stage.hear(Input::Loaded(SessionStreamId(1), block, None));
    let told = [about(16, 1, 0, 7_232), extended(9, &numbers(&[1]))].concat();
    assert_said(said, crate::lines!["piece 1 lost", sent(1, &told)]);
    // It is refused from then on, told once, and missing in what others are told first.
    assert_said(stage.receive(1, &about(6, 1, 0, 7_232)), crate::lines![sent(1, &about(16, 1, 0, 7_232))]);
    assert_said(stage.receive(1, &about(6, 0, 0, 16_384)), crate::lines!["load 1 0 0 16384"]);
    stage.hear(Input::Accepted(SessionStreamId(5), address("10.0.0.5:5000")));
    let said = stage.receive(5, &stage.handshake(EXTENDED, b"-XX1000-cccccccccccc"));
    assert!(
        said.iter().any(|line| line.contains(" 00 00 00 02 05 80 ")),
        "a bitfield of piece 0 alone: {said:?}"
    );
}

#[test]
fn a_piece_that_a_peer_lost_is_not_asked_of_it() {
    let mut stage = Stage::small(config());
    stage.announced(&[PEER_A]);
    stage.opened(2, "10.0.0.1:6881");
    stage.receive(2, &[&stage.handshake(EXTENDED, A_ID)[..], &HAVE_ALL].concat());
    assert_eq!(stage.session.peers(stage.now).map(|peer| peer.pieces).collect::<Vec<_>>(), [2]);
    // 4 is the id that our own extended handshake gave it.
    stage.receive(2, &extended(4, &numbers(&[1])));
    assert_eq!(stage.session.peers(stage.now).map(|peer| peer.pieces).collect::<Vec<_>>(), [1]);
    let said = stage.receive(2, &UNCHOKE);
    let asked: Vec<_> = said.iter().flat_map(|line| requests(line)).map(|(_, piece, ..)| piece).collect();
    assert_eq!(asked, [0, 0]);
    // A piece beyond the torrent ends the connection.
    let said = stage.receive(2, &extended(4, &numbers(&[2])));
    assert!(said.iter().any(|line| line.contains("OutOfRange")), "{said:?}");
}
