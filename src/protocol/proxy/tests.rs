//! Negotiations in raw bytes: whole, cut, and untrue.

use super::*;
use crate::field::untiled;

/// Each with what the client and the proxy say, and where the proxy connects.
fn granted() -> Vec<(&'static [u8], &'static [u8], &'static str)> {
    vec![
        // SOCKS4: version, command, port 6881, 10.9.0.2, user "me"; granted
        (b"\x04\x01\x1a\xe1\x0a\x09\x00\x02me\0", b"\x00\x5a\0\0\0\0\0\0", "10.9.0.2:6881"),
        // SOCKS4a: 0.0.0.1, no user, a name
        (b"\x04\x01\x00\x50\0\0\0\x01\0t.test\0", b"\x00\x5a\0\0\0\0\0\0", "t.test:80"),
        // SOCKS5 without authentication: greeting, request
        (
            b"\x05\x01\x00\x05\x01\x00\x01\x0a\x09\x00\x02\xc8\xd5",
            b"\x05\x00\x05\x00\x00\x01\xc6\x33\x64\x50\x9c\x40",
            "10.9.0.2:51413",
        ),
        // SOCKS5: two methods, the proxy takes 2; user "me", password "pw"; a name
        (
            b"\x05\x02\x00\x02\x01\x02me\x02pw\x05\x01\x00\x03\x06t.test\x00\x50",
            b"\x05\x02\x01\x00\x05\x00\x00\x03\x01x\x00\x00",
            "t.test:80",
        ),
        // SOCKS5 with IPv6
        (
            b"\x05\x01\x00\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x1a\xe1",
            b"\x05\x00\x05\x00\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            "[2001:db8::7]:6881",
        ),
        (
            b"CONNECT t.test:80 HTTP/1.1\r\nHost: t.test:80\r\nProxy-Authorization: Basic bWU6cHc=\r\n\r\n",
            b"HTTP/1.1 200 Connection established\r\nVia: 1.1 p\r\n\r\n",
            "t.test:80",
        ),
        (
            b"CONNECT [::1]:80 HTTP/1.0\r\n\r\nCONNECT [::1]:80 HTTP/1.0\r\nProxy-Authorization: x\r\n\r\n",
            b"HTTP/1.1 407 Who\r\nContent-Length: 2\r\n\r\nnoHTTP/1.0 200\r\n\r\n",
            "[::1]:80",
        ),
    ]
}

#[test]
fn a_negotiation_is_read_to_its_end_and_no_further() {
    for (client, proxy, target) in granted() {
        // What stands after belongs to the ends.
        let behind = b"\x13BitTorrent protocol";
        let progress = negotiation(&[client, behind].concat(), &[proxy, behind].concat());
        let NegotiationProgress::Granted(negotiation) = progress else { panic!("{target}: {progress:?}") };
        assert_eq!(negotiation.target.to_string(), target);
        for (bytes, parts) in [(client, &negotiation.client), (proxy, &negotiation.proxy)] {
            let mut at = 0;
            for &(part, length) in parts {
                let message = &bytes[at..at + length];
                assert_eq!(untiled(&part.fields(message), 0..length), None, "{target}, {}", part.name());
                assert!(part.describe(message).starts_with(part.name()));
                at += length;
            }
            assert_eq!(at, bytes.len(), "{target}");
        }
    }
}

#[test]
fn a_cut_negotiation_waits() {
    for (client, proxy, target) in granted() {
        for end in 0..client.len() {
            let progress = negotiation(&client[..end], proxy);
            assert_eq!(progress, NegotiationProgress::Incomplete, "{target}, client to {end}");
        }
        for end in 0..proxy.len() {
            let progress = negotiation(client, &proxy[..end]);
            assert_eq!(progress, NegotiationProgress::Incomplete, "{target}, proxy to {end}");
        }
    }
}

#[test]
fn refusals_and_lies_are_no_negotiation() {
    let long = [b"\x04\x01\x1a\xe1\x0a\x09\x00\x02".as_slice(), &[b'u'; 300]].concat();
    let endless = [b"CONNECT t:1 HTTP/1.1\r\n".as_slice(), &[b'x'; MAX_CONNECT]].concat();
    let cases: [(&[u8], &[u8]); 13] = [
        (b"\x04\x01\x1a\xe1\x0a\x09\x00\x02\0", b"\x00\x5b\0\0\0\0\0\0"),
        // BIND
        (b"\x04\x02\x1a\xe1\x0a\x09\x00\x02\0", b""),
        (&long, b""),
        // no method
        (b"\x05\x00", b""),
        (b"\x05\x01\x00", b"\x05\xff"),
        // GSSAPI
        (b"\x05\x01\x01", b"\x05\x01"),
        (b"\x05\x01\x00\x05\x01\x00\x02", b"\x05\x00"),
        // UDP ASSOCIATE
        (b"\x05\x01\x00\x05\x03\x00\x01", b"\x05\x00"),
        (b"\x05\x01\x00\x05\x01\x00\x01\x0a\x09\x00\x02\xc8\xd5", b"\x05\x00\x05\x05\x00\x01\0\0\0\0\0\0"),
        (b"CONNECT t HTTP/1.1\r\n\r\n", b""),
        (b"CONNECT t:1 HTTP/1.1\r\n\r\n", b"HTTP/1.1 403 No\r\n\r\n"),
        (&endless, b""),
        (b"GET / HTTP/1.1\r\n\r\n", b""),
    ];
    for (client, proxy) in cases {
        assert_eq!(negotiation(client, proxy), NegotiationProgress::Other, "{}", client.escape_ascii());
    }
}

#[test]
fn requests_are_encoded_to_what_is_decoded() {
    let address = ProxyTarget::Address("10.9.0.2:6881".parse().unwrap());
    let v6 = ProxyTarget::Address("[2001:db8::7]:6881".parse().unwrap());
    let name = ProxyTarget::Name("t.test".to_owned(), 80);
    for part in [ProxyPart::Socks4Request, ProxyPart::Socks5Request, ProxyPart::ConnectRequest] {
        for target in [&address, &v6, &name] {
            let Some(bytes) = encode_request(part, target) else {
                assert_eq!((part, target), (ProxyPart::Socks4Request, &v6));
                continue;
            };
            assert_eq!(part.target(&bytes).as_ref(), Some(target));
            assert_eq!(part.length(&bytes), Ok(Some(bytes.len())));
        }
    }
    assert_eq!(encode_request(ProxyPart::Socks5Reply, &address), None);
}

#[test]
fn a_datagrams_header_ends_where_its_payload_begins() {
    // reserved, no fragment, IPv4, 10.9.0.2, port 6881
    let bytes = b"\0\0\0\x01\x0a\x09\x00\x02\x1a\xe1d1:ad";
    let header = DatagramHeader::decode(bytes).expect("a header");
    assert_eq!((header.target.to_string().as_str(), header.length), ("10.9.0.2:6881", 10));
    assert_eq!(DatagramHeader::encode(&header.target).as_deref(), Some(&bytes[..10]));
    for end in 0..10 {
        assert!(DatagramHeader::decode(&bytes[..end]).is_err(), "{end}");
    }
    let name = DatagramHeader::decode(b"\0\0\0\x03\x06t.test\x00\x50").expect("a header");
    assert_eq!(name.target, ProxyTarget::Name("t.test".to_owned(), 80));
    for wrong in [b"\0\x01\0\x01\x0a\x09\x00\x02\x1a\xe1", b"\0\0\x01\x01\x0a\x09\x00\x02\x1a\xe1"] {
        assert!(DatagramHeader::decode(wrong).is_err());
    }
    assert!(DatagramHeader::decode(b"\0\0\0\x02\x0a\x09\x00\x02\x1a\xe1").is_err());
}
