#![no_main]
//! A node of the DHT takes any datagrams in any order, from few addresses or many, while time passes: it does not panic, its
//! messages decode, none is longer than a packet of any network carries, and it never sends much more than it got.

use std::net::SocketAddr;
use std::time::Duration;

use bittrace_protocol::dht::{DhtInput, DhtNode, DhtOutput, DhtSettings, Message, SavedNodes};
use bittrace_protocol::{InfoHash, Timestamp};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let settings = DhtSettings {
        port: 6881,
        ipv4: true,
        ipv6: true,
        read_only: false,
        version: *b"bt\x01\x00",
        secret: [0; 32],
        saved: SavedNodes::default(),
        contacts: Vec::new(),
        routers: Vec::new(),
    };
    let mut now = Timestamp::from_secs_nanos(1_000_000, 0);
    let mut node = DhtNode::new(settings, now);
    node.handle(now, DhtInput::Follow(InfoHash([5; 20])));
    // The queries of the node, so that answers to them can be made.
    let mut asked: Vec<(SocketAddr, Vec<u8>)> = Vec::new();
    let mut rest = input;
    while let Some((&[kind, host, length], after)) = rest.split_first_chunk::<3>() {
        let (payload, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        let stranger = SocketAddr::from(([11, host, 0, 1], 1024 + u16::from(host)));
        match kind % 5 {
            0 => now = now + Duration::from_millis(u64::from(host) * 200),
            1 => node.handle(now, DhtInput::Datagram(stranger, Bytes::copy_from_slice(payload))),
            2 => node.handle(now, DhtInput::Contact(stranger)),
            3 => {
                // An answer whose values are the input's.
                if let Some((from, transaction)) = asked.pop() {
                    let head = format!("t{}:", transaction.len());
                    let bytes =
                        [b"d1:rd2:id20:", &[host; 20][..], payload, b"e1:", head.as_bytes(), &transaction];
                    let bytes = [&bytes.concat()[..], b"1:y1:re"].concat();
                    node.handle(now, DhtInput::Datagram(from, bytes.into()));
                }
            }
            _ => {
                let v6 = SocketAddr::from(([0x2001, 0xdb8, u16::from(host), 0, 0, 0, 0, 1], 2000));
                node.handle(now, DhtInput::Datagram(v6, Bytes::copy_from_slice(payload)));
            }
        }
        node.handle(now, DhtInput::Tick);
        let mut sent = 0;
        while let Some(output) = node.poll() {
            if let DhtOutput::Datagram(to, bytes) = output {
                assert!(bytes.len() <= 1_232, "{} bytes", bytes.len());
                let message = Message::decode(&bytes).expect("a message of ours");
                assert!(message.faults.is_empty(), "{:?}", message.faults);
                asked.push((to, message.transaction));
                sent += 1;
            }
        }
        assert!(sent <= 600, "{sent} datagrams in one step");
        asked.truncate(64);
        assert!(node.wakes_at() > Timestamp::EPOCH);
    }
});
