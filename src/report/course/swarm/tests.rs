//! A network of hosts that say what they have, as records.

use std::net::SocketAddr;

use bittrace_protocol::{PieceIndex, Timestamp};
use bittrace_trace::record::{Body, Frames, PeerEffect, PeerWireBody, Transport};
use bittrace_trace::{Direction, StreamId};
use bytes::Bytes;

use super::*;

const TORRENT: InfoHash = InfoHash([7; 20]);

/// A message from a host to a host, by the last bytes of their addresses.
fn said(from: u16, to: u16, message: Message) -> Record {
    let address = |host: u16| SocketAddr::from(([10, 0, (host >> 8) as u8, host as u8], 6881));
    Record {
        number: 1,
        at: Timestamp::EPOCH,
        stream: StreamId(0),
        direction: Direction::FromInitiator,
        side: Side::Initiator,
        source: address(from),
        destination: address(to),
        transport: Transport::Tcp,
        frames: Frames::from_slice(&[1]),
        offset: 0,
        bytes: Bytes::new(),
        decrypted: false,
        describes: None,
        wireshark_stream: None,
        in_doubt: false,
        body: Body::PeerWire(PeerWireBody::Message(message)),
        notes: Vec::new(),
        answers: None,
        effect: PeerEffect::default(),
        client: None,
        torrent: Some(TORRENT),
    }
}

fn name(host: u16, name: &str) -> HostName {
    HostName { address: [10, 0, (host >> 8) as u8, host as u8].into(), names: vec![name.to_owned()] }
}

/// What came of these messages, a second apart.
fn seen(messages: Vec<Record>, names: &[HostName], pieces: Option<u32>) -> Option<Swarm> {
    let mut swarm = SwarmSeen::new();
    for (second, record) in messages.into_iter().enumerate() {
        swarm.add(&record, &PiecesSeen::new(&[]), second as Micros * 1_000_000);
        if let Some(Message::Piece { block, .. }) = record.peer_message() {
            swarm.gave(&record, block.len() as u64);
        }
    }
    swarm.finish(names, &Hosts::default(), pieces)
}

fn have(piece: u32) -> Message {
    Message::Have(PieceIndex(piece))
}

fn block() -> Message {
    Message::Piece { index: PieceIndex(0), begin: 0, block: Bytes::from_static(&[0; 100]) }
}

#[test]
fn hosts_have_what_they_say_and_gave_what_was_sent() {
    let messages = vec![
        said(1, 2, Message::HaveAll),
        said(1, 2, block()),
        said(2, 3, have(0)),
        said(2, 1, have(0)),
        said(2, 3, block()),
        said(3, 1, Message::Bitfield(Bytes::from_static(&[0xa0]))),
        said(1, 3, block()),
    ];
    let swarm = seen(messages, &[name(1, "seed-1"), name(2, "leecher-1")], None).expect("three hosts");
    let rows: Vec<_> =
        swarm.rows.iter().map(|row| (row.name.as_str(), row.got.iter().sum::<u32>(), row.whole)).collect();
    // Piece 2 is the highest that anybody names.
    assert_eq!((swarm.pieces, rows), (3, vec![("seed-1", 3, 1), ("leecher-1", 1, 0), ("10.0.0.3", 2, 0)]));
    assert_eq!(swarm.given, [[0, 100, 100], [0, 0, 100], [0, 0, 0]]);
    assert_eq!((swarm.rows[0].given, swarm.rows[2].taken, swarm.other), (200, 200, 0));
    let copies: Vec<u32> = swarm.copies.got.iter().map(|row| row.iter().sum()).collect();
    assert_eq!((swarm.copies.per_row, copies), (1, vec![3, 1, 2]));
    assert_eq!(swarm.rows[1].whole_at, None);
}

#[test]
fn two_hosts_are_no_network_and_with_a_local_host_there_is_none() {
    assert_eq!(seen(vec![said(1, 2, have(0))], &[], None), None);
    let local = |record: Record| Record { side: Side::Local, ..record };
    assert_eq!(seen((2..9).map(|host| local(said(1, host, have(0)))).collect(), &[], None), None);
}

#[test]
fn many_hosts_are_folded_by_their_names_and_the_rest_together() {
    let names: Vec<_> = (1..=60).map(|host| name(host, &format!("leecher-{host}"))).collect();
    let ring =
        |hosts: u16| (1..=hosts).map(move |host| said(host, host % hosts + 1, block())).collect::<Vec<_>>();
    let swarm = seen(ring(80), &names, Some(1)).expect("80 hosts");
    let rows: Vec<_> = swarm.rows.iter().map(|row| (row.name.as_str(), row.hosts, row.given)).collect();
    assert_eq!((swarm.folded, rows), (true, vec![("leecher", 60, 6000), (OTHERS, 20, 2000)]));
    assert_eq!(swarm.given, [[5900, 100], [100, 1900]]);
    // Each a name of its own: as many rows as a page has room for.
    let names: Vec<_> = (1..=80).map(|host| name(host, &format!("host{host}"))).collect();
    let swarm = seen(ring(80), &names, Some(1)).expect("80 hosts");
    assert_eq!((swarm.rows.len(), swarm.rows.last().map(|row| row.hosts)), (MOST_SWARM_ROWS, Some(51)));
}

#[test]
fn a_torrent_of_more_pieces_than_are_told_apart_costs_no_more() {
    for message in [have(0), Message::HaveAll] {
        let messages = [said(1, 2, message), said(2, 3, have(1)), said(3, 1, Message::HaveAll)];
        let mut swarm = SwarmSeen::new();
        for (second, record) in messages.iter().enumerate() {
            swarm.add(record, &PiecesSeen::new(&[]), second as Micros * 1_000_000);
        }
        let swarm = swarm.finish(&[], &Hosts::default(), Some(u32::MAX)).expect("a network");
        assert!(swarm.copies.t.len() <= PIECE_ROWS as usize, "{}", swarm.copies.t.len());
    }
}

/// Records whose times run back and forth.
#[test]
fn what_a_host_got_is_told_by_time_however_times_run() {
    let mut swarm = SwarmSeen::new();
    swarm.add(&said(2, 3, have(0)), &PiecesSeen::new(&[]), 0);
    for piece in 0..2_000 {
        let at = if piece % 2 == 0 { 0 } else { 1_000_000_000 };
        swarm.add(&said(1, 2, have(piece)), &PiecesSeen::new(&[]), at);
    }
    let swarm = swarm.finish(&[], &Hosts::default(), None).expect("a network");
    assert_eq!(swarm.rows[0].got, [1_000, 1_000]);
    assert!(swarm.rows[0].t.is_sorted());
}

#[test]
fn what_strangers_say_is_bounded() {
    let mut messages: Vec<_> = (0..12_000).map(|host| said(host, host + 1, have(0))).collect();
    messages.push(said(1, 2, have(u32::MAX)));
    messages.push(said(1, 2, Message::Bitfield(Bytes::from(vec![0xff; 1 << 18]))));
    let mut swarm = SwarmSeen::new();
    for (second, record) in messages.iter().enumerate() {
        swarm.add(record, &PiecesSeen::new(&[]), second as Micros * 1_000_000);
    }
    assert_eq!((swarm.rows.len(), swarm.named), (HOSTS, PIECES));
    assert_eq!(swarm.set_bytes, (HOSTS - 1) * 8 + PIECES as usize / 8);
    assert!(swarm.rows.iter().all(|host| host.got.len() <= BINS as usize));
    assert!(swarm.copies.rows.len() <= PIECE_ROWS as usize);
    let swarm = swarm.finish(&[], &Hosts::default(), None).expect("a network");
    assert_eq!((swarm.copies.per_row, swarm.copies.t.len()), (PIECES / PIECE_ROWS, PIECE_ROWS as usize));
}
