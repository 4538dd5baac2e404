//! Holepunch (BEP 55): what a relay says to whom, what is made of what a relay says, and how little that is for a gun.

use std::net::SocketAddr;

use super::pex::{exchanged, extended, names};
use super::support::*;
use crate::session::*;
use crate::wire::PexPeer;

/// The id under which the session receives holepunch.
const OURS: u8 = 5;

fn stage() -> Stage {
    let mut config = config();
    config.profile = config.profile.with_holepunch();
    let mut stage = Stage::small(config);
    stage.session.note_utp();
    stage.announced(&[]);
    stage
}

/// A caller at 10.0.1.HOST, that listens on port 7000 and receives peer exchange under 7; with `speaks`, holepunch under 8.
fn caller(stage: &mut Stage, stream: u32, host: u8, speaks: bool) -> Vec<String> {
    stage.hear(Input::Accepted(SessionStreamId(stream), SocketAddr::from(([10, 0, 1, host], 5000))));
    let id = format!("-XX1000-{host:012}");
    stage.receive(stream, &stage.handshake(EXTENDED, id.as_bytes().try_into().expect("20 bytes")));
    let holepunch = if speaks { "12:ut_holepunchi8e" } else { "" };
    stage.receive(stream, &extended(0, format!("d1:md{holepunch}6:ut_pexi7ee1:pi7000ee").as_bytes()))
}

/// A message in the bytes of BEP 55: type, IPv4, address and port, error code.
fn message(id: u8, kind: u8, ip: [u8; 4], port: u16, error: u8) -> Vec<u8> {
    let body = [&[kind, 0][..], &ip, &port.to_be_bytes(), &[0, 0, 0, error]].concat();
    extended(id, &body)
}

fn rendezvous(ip: [u8; 4], port: u16) -> Vec<u8> {
    message(OURS, 0, ip, port, 0)
}

fn connect(ip: [u8; 4], port: u16) -> Vec<u8> {
    message(OURS, 1, ip, port, 0)
}

#[test]
fn others_are_told_who_takes_utp_and_who_speaks_holepunch() {
    let mut stage = stage();
    caller(&mut stage, 1, 1, true);
    stage.hear(Input::OverUtp(SessionStreamId(1)));
    caller(&mut stage, 3, 2, true);
    let told = exchanged(&caller(&mut stage, 5, 3, false));
    let [(5, pex)] = &told[..] else { panic!("{told:?}") };
    let peer = |address: &str, flags| PexPeer { address: address.parse().expect("an address"), flags };
    // 0x04 is uTP, 0x08 holepunch (BEP 11).
    assert_eq!(pex.added, [peer("10.0.1.1:7000", 0x0c), peer("10.0.1.2:7000", 0x08)]);
}

#[test]
fn a_relay_tells_two_of_its_peers_of_each_other() {
    let mut stage = stage();
    caller(&mut stage, 1, 1, true);
    caller(&mut stage, 3, 2, true);
    let mut said = stage.receive(1, &rendezvous([10, 0, 1, 2], 7000));
    said.sort();
    let to_asker = sent(1, &message(8, 1, [10, 0, 1, 2], 7000, 0));
    let to_target = sent(3, &message(8, 1, [10, 0, 1, 1], 7000, 0));
    assert_said(said, &[to_asker, to_target]);
}

#[test]
fn a_relay_says_why_not_and_nothing_leaves_for_who_is_no_peer() {
    let mut stage = stage();
    caller(&mut stage, 1, 1, true);
    caller(&mut stage, 3, 2, false);
    for (ip, port, error) in [
        // No such peer, not connected, no support, no self.
        ([10, 0, 1, 9], 0, 1),
        ([10, 0, 1, 9], 7000, 2),
        ([10, 0, 1, 2], 7000, 3),
        ([10, 0, 1, 1], 7000, 4),
    ] {
        let said = stage.receive(1, &rendezvous(ip, port));
        assert_said(said, &[sent(1, &message(8, 2, ip, port, error))]);
    }
}

#[test]
fn a_peer_has_five_rendezvous_a_minute() {
    let mut stage = stage();
    caller(&mut stage, 1, 1, true);
    caller(&mut stage, 3, 2, true);
    let answered = |stage: &mut Stage| {
        let said = (0..100).flat_map(|_| stage.receive(1, &rendezvous([10, 0, 1, 9], 7000)));
        said.filter(|line| line.starts_with("send 1 ")).count()
    };
    assert_eq!(answered(&mut stage), 5);
    stage.wait(61.0);
    assert_eq!(answered(&mut stage), 5);
}

/// A relay names a victim at many ports, for ten minutes: each port is dialled once, five a minute, none below 1,024.
#[test]
fn holepunch_is_no_dial_gun() {
    let mut stage = stage();
    caller(&mut stage, 1, 1, true);
    let (mut dialled, mut next) = (Vec::new(), 0_u16);
    for minute in 1..=10 {
        for _ in 0..40 {
            next += 1;
            let port = [22, 80, 443, 20_000 + next % 30][usize::from(next % 4)];
            let said = stage.receive(1, &connect([192, 0, 2, 1], port));
            dialled.extend(said.into_iter().filter(|line| line.starts_with("open ")));
        }
        assert!(dialled.len() <= 5 * minute, "{dialled:?}");
        for stream in (0..200).map(|stream| stream * 2) {
            dialled.extend(
                stage
                    .closed(stream, CloseReason::TimedOut)
                    .into_iter()
                    .filter(|line| line.starts_with("open ")),
            );
        }
        stage.receive(1, &[0; 4]);
        stage.wait(61.0);
    }
    assert!(!dialled.is_empty());
    let ports: Vec<_> = dialled.iter().map(|line| line.split([' ', ':']).nth(3).expect("a port")).collect();
    let each: std::collections::BTreeSet<_> = ports.iter().collect();
    assert_eq!(each.len(), ports.len(), "{ports:?}");
    assert!(each.iter().all(|port| port.len() == 5), "{ports:?}");
}

/// Such a client dials others all the same: libtorrent with `enable_incoming_utp` and `enable_incoming_tcp` off.
#[test]
fn a_peer_that_lets_nobody_in_is_met_through_the_relay_as_well() {
    let mut stage = stage();
    caller(&mut stage, 1, 1, true);
    let peer: SocketAddr = "10.0.0.7:6881".parse().expect("an address");
    stage.receive(1, &names(&[(peer, 0x0c)]));
    stage.opened(2, "10.0.0.7:6881");
    stage.hear(Input::OverUtp(SessionStreamId(2)));
    let said = stage.closed(2, CloseReason::Reset);
    assert!(said.contains(&sent(1, &message(8, 0, [10, 0, 0, 7], 6881, 0))), "{said:?}");
    assert!(!said.iter().any(|line| line.starts_with("open")), "{said:?}");
}

#[test]
fn who_named_a_peer_that_cannot_be_dialled_is_asked_to_be_the_relay_once() {
    let mut stage = stage();
    caller(&mut stage, 1, 1, true);
    // It takes uTP and speaks holepunch.
    let peer: SocketAddr = "10.0.0.7:6881".parse().expect("an address");
    let said = stage.receive(1, &names(&[(peer, 0x0c)]));
    assert_said(said, crate::lines!["open 2 10.0.0.7:6881 over uTP, First"]);
    let said = stage.closed(2, CloseReason::TimedOut);
    assert!(said.contains(&sent(1, &message(8, 0, [10, 0, 0, 7], 6881, 0))), "{said:?}");
    // The relay brings us together: over uTP and nothing else.
    let said = stage.receive(1, &connect([10, 0, 0, 7], 6881));
    assert_said(said, crate::lines!["open 4 10.0.0.7:6881 over uTP, Punch"]);
    let said = stage.closed(4, CloseReason::TimedOut);
    assert!(!said.iter().any(|line| line.starts_with("send 1 ")), "{said:?}");
    assert_said(stage.receive(1, &connect([10, 0, 0, 7], 6881)), &[]);
}

/// libtorrent that takes uTP alone listens on TCP as well, and closes what comes there.
#[test]
fn a_peer_that_closes_what_comes_over_tcp_is_dialled_over_utp() {
    for has_utp in [true, false] {
        let mut config = config();
        config.profile.encryption = EncryptionProfile::own(EncryptionPolicy::Allow);
        let mut stage = Stage::small(config);
        if has_utp {
            stage.session.note_utp();
        }
        stage.announced(&[PEER_A]);
        stage.opened(2, "10.0.0.1:6881");
        let said = stage.closed(2, CloseReason::Reset);
        assert!(said.contains(&"open 4 10.0.0.1:6881".to_owned()), "{said:?}");
        stage.opened(4, "10.0.0.1:6881");
        let said = stage.closed(4, CloseReason::Reset);
        let over_utp = said.contains(&"open 6 10.0.0.1:6881 over uTP, Alone".to_owned());
        assert_eq!(over_utp, has_utp, "{said:?}");
        if has_utp {
            let said = stage.closed(6, CloseReason::TimedOut);
            assert!(!said.iter().any(|line| line.starts_with("open")), "{said:?}");
            // It may only have been full: later it is dialled in the usual way.
            let said = stage.wait(130.0);
            assert!(said.contains(&"open 8 10.0.0.1:6881".to_owned()), "{said:?}");
        }
    }
}
