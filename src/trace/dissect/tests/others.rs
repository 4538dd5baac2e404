//! Other protocols, in the shapes of their first and of their later bytes: nothing of them is BitTorrent. What captures
//! of hundreds of protocols hold was read as well (captures/README.md, "Captures of others").

use super::datagrams::said;
use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

/// A name, what the end that calls says, and what the other answers.
type Shape = (&'static str, Vec<u8>, Vec<u8>);

/// Protocols with text in them.
fn texts() -> Vec<Shape> {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\nd5:peers0:8:intervali60e1:xe";
    [
        ("http", "GET /index.html HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        ("http, an announce of another kind", "GET /announce?id=7&port=80 HTTP/1.1\r\nHost: a\r\n\r\n", ok),
        ("http, a short hash", "GET /announce?info_hash=%aa%bb&port=80 HTTP/1.1\r\nHost: a\r\n\r\n", ok),
        ("http, a page of this name", "GET /announce HTTP/1.1\r\nHost: a\r\n\r\n", ok),
        ("http, a scrape of the web", "GET /scrape?url=http%3A%2F%2Fa HTTP/1.1\r\nHost: a\r\n\r\n", ok),
        ("http, a torrent", "GET /a.torrent HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nd8:announce20:http://t.ex/announce4:infod6:lengthi1e4:name1:a12:piece lengthi1e6:pieces20:aaaaaaaaaaaaaaaaaaaaee"),
        ("http, talk of BitTorrent", "POST /\u{13}BitTorrent HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n\u{13}BitTorrent protocol", ok),
        ("ssh", "SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.6\r\n"),
        ("smtp", "EHLO a\r\nMAIL FROM:<a@b>\r\n", "220 mail ready\r\n250-mail\r\n250 OK\r\n"),
        ("imap", "a1 LOGIN u p\r\n", "* OK IMAP4rev1 ready\r\n"),
        ("irc", "NICK a\r\nUSER a 0 * :a\r\n", ":s 001 a :hello\r\n"),
        ("sip", "REGISTER sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n\r\n", "SIP/2.0 200 OK\r\n\r\n"),
        ("ssdp", "M-SEARCH * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\nST: ssdp:all\r\n\r\n", "HTTP/1.1 200 OK\r\nST: x\r\n\r\n"),
        ("almost a local announce", "BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\n\r\n", "BT-SEARCH"),
        ("memcached", "set a 0 0 4\r\nd1:ae\r\nget a\r\n", "STORED\r\nVALUE a 0 4\r\nd1:ae\r\nEND\r\n"),
        ("redis", "*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "$4\r\nd1:a\r\n"),
        ("bencode of another kind", "d4:name3:joe3:agei7ee", "d6:resultld2:ip7:1.2.3.4eee"),
        ("scgi", "70:CONTENT_LENGTH\x0027\x00SCGI\x001\x00,deepthought", "Status: 200 OK\r\n\r\n42"),
        ("a start that ends", "\u{13}BitTorrent", ""),
        ("another handshake", "\u{13}BitTorrent protocal00000000aaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbb", "no"),
        ("gnutella", "GNUTELLA CONNECT/0.6\r\nUser-Agent: a\r\n\r\n", "GNUTELLA/0.6 200 OK\r\n\r\n"),
    ]
    .map(|(name, asked, answered)| (name, asked.as_bytes().to_vec(), answered.as_bytes().to_vec()))
    .into()
}

/// Protocols of numbers; many prefix what they say with its length in four bytes, as peers do.
fn numbers() -> Vec<Shape> {
    [
        ("tls", "16 0301 0200 01 0001fc 0303 5f5f5f5f5f5f5f5f5f5f5f5f", "16 0303 007a 02 000076 0303 9999"),
        ("tls, later", "17 0303 0020 a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90", "15 0303 0002 0100"),
        ("http/2", "00000c 04 00 00000000 000300000064 000400100000 000004 08 00 00000000 0000ffff 000000 04 01 00000000",
            "000006 04 00 00000000 000300000080 000000 04 01 00000000 000008 06 00 00000000 0000000000000001"),
        ("grpc", "000005 00 00 00000001 00 00000000 000005 00 01 00000003 00 00000000", "000004 08 00 00000000 00000005"),
        ("dns", "001d 1234 0100 0001 0000 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001", "001d 1234 8180 0001 0000 0000 0000"),
        ("smb2", "00000040 fe534d42 4000 0000 00000000 0000 0100 00000000 00000000", "00000040 fe534d42 4000 0000"),
        ("netbios keep-alives", "85000000 85000000 85000000", "85000000"),
        ("rpc", "80000028 00000001 00000000 00000002 000186a3 00000003 00000000", "80000018 00000001 00000001 00000000"),
        ("kafka", "00000014 0012 0003 00000001 0005 68656c6c6f 0000000000", "00000008 00000001 00000000 00000008 00000002 00000000"),
        ("zookeeper", "0000002c 00000000 0000000000000000 00007530 00000008 fffffffe 0000000b 00000008 fffffffe 0000000b",
            "00000010 fffffffe 0000000000000001 00000000 00000010 fffffffe 0000000000000002 00000000"),
        ("thrift", "0000001b 80010001 00000004 70696e67 00000000 00", "00000011 80010002 00000004 70696e67 00000000 00"),
        ("postgres", "00000008 04d2162f 0000000f 00030000 75736572 00 61 00 00", "52 00000008 00000000 5a 00000005 49 43 00000005 49"),
        ("cassandra", "04 00 0000 05 00000000 04 00 0001 05 00000000", "84 00 0000 06 00000000"),
        ("mysql", "20000001 85a6ff01 00000001 21 000000000000", "4a000000 0a 382e302e33 00"),
        ("mongodb", "3a000000 01000000 00000000 d4070000 00000000", "3a000000 05000000 01000000 01000000"),
        ("bgp", "ffffffffffffffffffffffffffffffff 0013 04 ffffffffffffffffffffffffffffffff 0013 04", "ffffffffffffffffffffffffffffffff 0013 04"),
        ("tpkt", "03000013 0ee00000 00000001 00080003 000000", "03000013 0ed00000 12340002 0f080000 000000"),
        ("mqtt", "10 10 0004 4d515454 04 02 003c 0004 61626364 c000 c000", "20 02 0000 d000 d000"),
        ("ldap", "30 0c 020101 6007 020103 0400 8000", "30 0c 020101 6107 0a0100 0400 0400"),
        ("modbus", "0001 0000 0006 01 03 0000 000a", "0001 0000 0005 01 03 02 0000"),
        ("rtmp", "03 00000000 00000000 9d9d9d9d", "03 00000000 00000000 1f1f1f1f"),
        ("openvpn", "000e 38 0102030405060708 00 00000000", "001a 40 0102030405060708 01 00000000"),
        ("stun", "0001 0008 2112a442 010203040506070809101112 80280004 deadbeef", "0101 000c 2112a442 010203040506070809101112 00200008 0001a147 e112a643"),
        ("quic", "c3 00000001 08 8394c8f03e515708 00 00 449e 7b9aec34d1b1c98dd7689fb8ec11d242b123dc9bd8bab936b47d92ec356c0bab", "4a 8394c8f03e515708 11223344"),
        ("rtp", "8060 0001 00000000 12345678 d5d5d5d5d5d5d5d5", "8060 0001 000000a0 87654321 55555555"),
        ("rtcp", "80c8 0006 12345678 e5f8a1b2 00000000 00000000 00000001 000000a0", "81c9 0007 87654321 12345678 00 000000 00000001"),
        ("wireguard", "01000000 5a5a5a5a a1b2c3d4e5f60718293a4b5c6d7e8f90", "02000000 6b6b6b6b 5a5a5a5a 0918273645"),
        ("ntp", "23 02 06 e9 00000000 00000000 00000000 0000000000000000", "24 01 06 e9 00000000 00000000 47505300 0000000000000000"),
        ("dhcp", "01 01 06 00 12345678 0000 8000 00000000 00000000", "02 01 06 00 12345678 0000 8000 00000000 0a000005"),
        ("radius", "01 17 0026 9898989898989898989898989898989 00 01 05 616263", "02 17 0014 11111111111111111111111111111111"),
        ("gtp, like uTP", "41 00 0010 00000001 00000000 00000000 00000000", "41 01 0010 00000001 00000000 00000000 00000000"),
        ("zeros", "00000000 00000000 00000000 00000000", "00000000 00000000"),
    ]
    .map(|(name, asked, answered)| (name, hex(asked), hex(answered)))
    .into()
}

fn shapes() -> Vec<Shape> {
    let noisy = (1..20).map(|seed| ("noise", noise(seed, 3000), noise(seed + 100, 3000)));
    [texts(), numbers(), noisy.collect()].concat()
}

#[test]
fn connections_of_other_protocols_make_no_row() {
    for (name, asked, answered) in shapes() {
        let long = |bytes: &[u8]| bytes.iter().copied().cycle().take(bytes.len() * 40).collect::<Vec<u8>>();
        for steps in [
            vec![Says(A, asked.clone()), Says(B, answered.clone()), Closes],
            vec![Says(B, answered.clone()), Says(A, asked.clone()), Closes],
            vec![Says(A, asked.clone()), Says(B, long(&answered)), Says(A, long(&asked)), Closes],
            vec![
                Says(A, asked.clone()),
                Loses(A, 77),
                Says(A, long(&asked)),
                Loses(B, 1),
                Says(B, long(&answered)),
            ],
        ] {
            for opening in [StreamOpening::Syn, StreamOpening::MidStream] {
                assert_eq!(records(opening, &steps), [], "{name}, {opening:?}");
            }
        }
    }
}

#[test]
fn connections_that_begin_with_much_of_nothing_make_no_row() {
    for (mine, theirs) in [
        (vec![0; 50_000], vec![0; 50_000]),
        (noise(1, 50_000), noise(2, 50_000)),
        (vec![0; 3], noise(3, 90_000)),
    ] {
        let steps = [Says(A, mine), Says(B, theirs), Closes];
        assert_eq!(records(StreamOpening::Syn, &steps), []);
        assert_eq!(records(StreamOpening::MidStream, &steps), []);
    }
}

#[test]
fn datagrams_of_other_protocols_make_no_row() {
    for (name, asked, answered) in shapes() {
        let whole: Vec<_> = [(A, &asked), (B, &answered), (A, &answered), (B, &asked), (B, &answered)]
            .map(|(way, bytes)| (way, bytes.clone()))
            .into();
        assert_eq!(said(&whole), [], "{name}");
        let cut: Vec<_> = (0..asked.len().min(90)).map(|end| (A, asked[..end].to_vec())).collect();
        assert_eq!(said(&cut), [], "{name}, cut");
    }
}
