//! BitTorrent behind proxies, Azureus messaging, and encrypted connections that go on in clear.

use super::*;

const SOCKS5_CLIENT: &[u8] = b"\x05\x01\x00\x05\x01\x00\x01\x0a\x09\x00\x02\xc8\xd5";
const SOCKS5_PROXY: &[u8] = b"\x05\x00\x05\x00\x00\x01\xc6\x33\x64\x50\x9c\x40";

/// The negotiation with each kind of proxy: what the client says, what the proxy says, the names of both.
#[expect(clippy::type_complexity, reason = "a table")]
fn negotiations() -> Vec<(&'static [u8], &'static [u8], Vec<&'static str>, Vec<&'static str>)> {
    vec![
        (
            SOCKS5_CLIENT,
            SOCKS5_PROXY,
            vec!["socks5-greeting", "socks5-request"],
            vec!["socks5-method", "socks5-reply"],
        ),
        (
            b"\x05\x01\x02\x01\x02me\x02pw\x05\x01\x00\x03\x06t.test\x00\x50",
            b"\x05\x02\x01\x00\x05\x00\x00\x01\0\0\0\0\0\0",
            vec!["socks5-greeting", "socks5-auth", "socks5-request"],
            vec!["socks5-method", "socks5-auth-reply", "socks5-reply"],
        ),
        (
            b"\x04\x01\x1a\xe1\0\0\0\x01me\0t.test\0",
            b"\x00\x5a\0\0\0\0\0\0",
            vec!["socks4-request"],
            vec!["socks4-reply"],
        ),
        (
            b"CONNECT 10.9.0.2:6881 HTTP/1.1\r\nHost: 10.9.0.2:6881\r\nX-A: b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nVia: 1.1 p\r\n\r\n",
            vec!["http-connect-request"],
            vec!["http-connect-response"],
        ),
    ]
}

fn way(records: &[(Direction, &'static str, u64)], direction: Direction) -> Vec<&'static str> {
    records.iter().filter(|record| record.0 == direction).map(|record| record.1).collect()
}

#[test]
fn peers_behind_a_proxy_are_read() {
    for (client, proxy, mut asked, mut answered) in negotiations() {
        let steps = [
            Says(A, client.to_vec()),
            Says(B, proxy.to_vec()),
            Says(A, handshake(b"-TR3000-aaaaaaaaaaaa")),
            Says(B, [handshake(b"-TR3000-bbbbbbbbbbbb"), vec![0, 0, 0, 1, 14]].concat()),
            Says(A, request(0, 0)),
            Closes,
        ];
        let seen = records(StreamOpening::Syn, &steps);
        asked.extend(["handshake", "request"]);
        answered.extend(["handshake", "have-all"]);
        assert_eq!(way(&seen, A), asked);
        assert_eq!(way(&seen, B), answered);
    }
}

#[test]
fn trackers_and_encrypted_peers_behind_a_proxy_are_read() {
    let announce = b"GET /announce?info_hash=%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa%aa&peer_id=-TR3000-aaaaaaaaaaaa&port=6881&uploaded=0&downloaded=0&left=1 HTTP/1.1\r\nHost: t.test\r\n\r\n";
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\nd8:intervali60e5:peers0:e\r\n";
    for (client, proxy, ..) in negotiations() {
        let tracker = [Says(A, [client, announce].concat()), Says(B, [proxy, answer].concat()), Closes];
        let seen = records(StreamOpening::Syn, &tracker);
        assert_eq!(way(&seen, A).last(), Some(&"announce-request"));
        let encrypted = [
            Says(A, client.to_vec()),
            Says(B, proxy.to_vec()),
            Says(A, noise(1, 300)),
            Says(B, [noise(4, 214), handshake(b"-TR3000-bbbbbbbbbbbb")].concat()),
            Closes,
        ];
        let seen = records(StreamOpening::Syn, &encrypted);
        assert!(way(&seen, A).contains(&"key-exchange"));
        assert_eq!(way(&seen, B).last(), Some(&"handshake"));
    }
}

#[test]
fn other_protocols_behind_a_proxy_make_no_records() {
    let tls = [&[0x16, 3, 1, 2, 0][..], &noise(3, 600)].concat();
    for (client, proxy, ..) in negotiations() {
        for carried in
            [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), tls.clone(), noise(5, 30_000), Vec::new()]
        {
            let steps = [
                Says(A, client.to_vec()),
                Says(B, proxy.to_vec()),
                Says(A, carried),
                Says(B, noise(6, 20_000)),
                Closes,
            ];
            assert_eq!(records(StreamOpening::Syn, &steps), []);
        }
    }
}

/// A proxy passes on what peers and others say; the others are none the more peers for it.
#[test]
fn a_proxy_is_no_peer() {
    let mut dissector = Dissector::new();
    let peer = [
        Says(A, [SOCKS5_CLIENT, &handshake(b"-TR3000-aaaaaaaaaaaa")].concat()),
        Says(B, [SOCKS5_PROXY, &handshake(b"-TR3000-bbbbbbbbbbbb")].concat()),
        Closes,
    ];
    assert_eq!(play(&mut dissector, StreamOpening::Syn, &peer, usize::MAX).len(), 6);
    let other = [Says(A, noise(1, 9000)), Says(B, noise(2, 30_000)), Closes];
    assert_eq!(play(&mut dissector, StreamOpening::Syn, &other, usize::MAX).len(), 0);
}

fn azureus(id: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut bytes = ((5 + id.len() + rest.len()) as u32).to_be_bytes().to_vec();
    bytes.extend((id.len() as u32).to_be_bytes());
    bytes.extend(id);
    bytes.push(1);
    bytes.extend(rest);
    bytes
}

#[test]
fn azureus_messaging_is_read_and_goes_on_behind_a_loss() {
    let block = [&[0; 8][..], &noise(9, 0x4000)].concat();
    let hello = azureus(b"AZ_HANDSHAKE", b"d6:client7:Azureus7:version5:5.7.6e");
    let steps = [
        Says(A, handshake(b"-AZ5760-aaaaaaaaaaaa")),
        Says(B, handshake(b"-AZ5760-bbbbbbbbbbbb")),
        Says(A, hello.clone()),
        Says(B, [hello, azureus(b"BT_BITFIELD", b"\xe0"), azureus(b"BT_UNCHOKE", b"")].concat()),
        Says(A, azureus(b"BT_INTERESTED", b"")),
        Says(A, azureus(b"BT_REQUEST", &request(0, 0)[5..])),
        Says(B, azureus(b"BT_PIECE", &block)),
        Loses(B, 100),
        Says(B, [noise(3, 50), azureus(b"PLUGIN", b"")].concat()),
        Says(B, [azureus(b"BT_HAVE", &[0; 4]), azureus(b"PLUGIN", b"de")].concat()),
        Closes,
    ];
    let seen = records(StreamOpening::Syn, &steps);
    assert_eq!(way(&seen, A), ["handshake", "az-handshake", "interested", "request"]);
    let expected =
        ["handshake", "az-handshake", "bitfield", "unchoke", "piece", "gap", "opaque", "have", "azureus"];
    assert_eq!(way(&seen, B), expected);

    let records = play(&mut Dissector::new(), StreamOpening::Syn, &steps, usize::MAX);
    let piece = records.iter().find(|record| record.body.message() == "piece").expect("a piece");
    assert!(piece.answers.is_some(), "a wrapped block answers the wrapped request");
}

/// The caller's handshake is in the encrypted first payload, so that only its messages are in clear.
#[test]
fn what_the_caller_says_in_clear_is_read_however_short_it_is() {
    let interested = vec![0, 0, 0, 1, 2];
    for (clear, names) in [
        (interested.clone(), vec!["interested"]),
        (request(3, 0), vec!["request"]),
        ([interested.clone(), request(3, 0)].concat(), vec!["interested", "request"]),
        (
            [vec![0, 0, 0, 1, 15], interested, request(3, 0)].concat(),
            vec!["have-none", "interested", "request"],
        ),
    ] {
        let steps = [
            Says(A, noise(1, 300)),
            Says(B, [noise(4, 214), handshake(b"-TR3000-bbbbbbbbbbbb"), vec![0, 0, 0, 1, 14]].concat()),
            Says(A, [noise(3, 156), clear].concat()),
            Closes,
        ];
        let seen = way(&records(StreamOpening::Syn, &steps), A);
        assert_eq!(seen[..2], ["key-exchange", "encrypted"]);
        assert_eq!(seen[2..], names);
    }
}

#[test]
fn datagrams_through_a_socks5_proxy_are_read() {
    let client: SocketAddr = "10.0.0.3:40000".parse().expect("an address");
    let relay: SocketAddr = "198.51.100.80:1081".parse().expect("an address");
    let node = b"\0\0\0\x01\x0a\x09\x00\x02\x1a\xe1";
    let query = b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:xx1:y1:qe";
    let response = b"d1:rd2:id20:bbbbbbbbbbbbbbbbbbbbe1:t2:xx1:y1:re";
    // to the tracker t.test by its name; its response comes from an address
    let tracker = b"\0\0\0\x03\x06t.test\x00\x50";
    let connect = b"\x00\x00\x04\x17\x27\x10\x19\x80\0\0\0\0\x12\x34\x56\x78";
    let from_tracker = b"\0\0\0\x01\x0a\x09\x00\x09\x00\x50";
    let connected = b"\0\0\0\0\x12\x34\x56\x78abcdefgh";
    let mut seen = Vec::new();
    let mut dissector = Dissector::new();
    for (frame, (from, to, header, payload)) in [
        (client, relay, &node[..], &query[..]),
        (relay, client, &node[..], &response[..]),
        (client, relay, &tracker[..], &connect[..]),
        (relay, client, &from_tracker[..], &connected[..]),
    ]
    .into_iter()
    .enumerate()
    {
        dissector.datagram(moment(frame as u64), from, to, &[header, payload].concat(), &mut |dissected| {
            if let Dissected::Record(record) = dissected {
                seen.push((record.source, record.destination, record.body.message()));
            }
        });
    }
    let far = "10.9.0.2:6881".parse().expect("an address");
    let names: Vec<_> = seen.iter().map(|seen| seen.2).collect();
    assert_eq!(names, ["ping-query", "ping-response", "connect-request", "connect-response"]);
    assert_eq!((seen[0].0, seen[0].1, seen[1].0), (client, far, far));
    assert_eq!((seen[2].1, seen[3].0), (relay, relay));
}

#[test]
fn other_datagrams_that_look_wrapped_make_no_records() {
    let end = |port: u16| SocketAddr::from(([10, 0, 0, 3], port));
    let mut dissector = Dissector::new();
    // the start of a unit of H.264, and a wrapped message of the DNS
    for payload in [
        &b"\0\0\0\x01\x67\x42\x00\x1e\xab\x40abcdefghijklmnopqrstuv"[..],
        b"\0\0\0\x01\x08\x08\x08\x08\0\x35\x12\x34\x01\0\0\x01",
    ] {
        for frame in 1..20 {
            let payload = [payload, &noise(frame, 60)].concat();
            dissector.datagram(moment(frame), end(1), end(2), &payload, &mut |dissected| {
                panic!("{dissected:?}");
            });
        }
    }
    dissector.finish(&mut |dissected| panic!("{dissected:?}"));
}
