//! The few things that must be rewritten to play a reference on this machine: the addresses in a tracker's answer, and
//! the tracker's URL in a copy of the torrent.

use std::net::{IpAddr, SocketAddr};

use bittrace_protocol::bencode::{self, View};
use bittrace_protocol::compact::{endpoints, put_endpoint};
use bittrace_protocol::tracker::http::{Response, encode_response};

/// A tracker's answer with other peers in it: each address that `place` knows stands for what it gives, the others are
/// left out, and `more` follow. An answer that is no bencoded dictionary stays as it is.
pub(crate) fn recast_answer(
    answer: &[u8],
    place: &dyn Fn(SocketAddr) -> Option<SocketAddr>,
    more: &[SocketAddr],
) -> Vec<u8> {
    let Ok(response) = Response::decode(answer) else { return answer.to_vec() };
    let Some(body) = recast_body(response.body(), place, more) else { return answer.to_vec() };
    // The body is neither packed nor chunked any longer.
    let gone = ["content-length", "content-encoding", "transfer-encoding", "connection"];
    let text =
        |span: std::ops::Range<usize>| String::from_utf8_lossy(&response.source[span]).trim().to_owned();
    let headers: Vec<_> = response
        .headers
        .iter()
        .map(|header| (text(header.name.clone()), text(header.value.clone())))
        .collect();
    let mut kept: Vec<(&str, &str)> = headers
        .iter()
        .filter(|(name, _)| !gone.iter().any(|gone| name.eq_ignore_ascii_case(gone)))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    kept.push(("Connection", "close"));
    encode_response(response.status, &response.reason, &kept, &body)
}

fn recast_body(
    body: &[u8],
    place: &dyn Fn(SocketAddr) -> Option<SocketAddr>,
    more: &[SocketAddr],
) -> Option<Vec<u8>> {
    let document = bencode::scan(body).ok()?;
    let mut out = vec![b'd'];
    for entry in document.root().entries()? {
        let ipv6 = match entry.key {
            b"peers" => false,
            b"peers6" => true,
            _ => {
                bencode::put_string(&mut out, entry.key);
                out.extend_from_slice(entry.value.raw());
                continue;
            }
        };
        bencode::put_string(&mut out, entry.key);
        match entry.value.bytes() {
            Some(compact) => {
                let told = endpoints(compact, ipv6).into_iter().filter_map(place);
                let mut peers: Vec<_> = told.filter(|peer| peer.is_ipv6() == ipv6).collect();
                for &peer in more.iter().filter(|peer| peer.is_ipv6() == ipv6) {
                    if !peers.contains(&peer) {
                        peers.push(peer);
                    }
                }
                let mut told = Vec::new();
                peers.into_iter().for_each(|peer| put_endpoint(&mut told, peer));
                bencode::put_string(&mut out, &told);
            }
            None => put_list(&mut out, entry.value, place, more),
        }
    }
    out.push(b'e');
    Some(out)
}

/// Peers as dictionaries, without their ids: other ones will call themselves otherwise.
fn put_list(
    out: &mut Vec<u8>,
    list: View<'_>,
    place: &dyn Fn(SocketAddr) -> Option<SocketAddr>,
    more: &[SocketAddr],
) {
    let address = |peer: View<'_>| {
        let ip: IpAddr = peer.get(b"ip")?.text()?.parse().ok()?;
        let port = u16::try_from(peer.get(b"port")?.unsigned()?).ok()?;
        place(SocketAddr::new(ip, port))
    };
    let mut peers: Vec<_> = list.items().into_iter().flatten().filter_map(address).collect();
    for &peer in more {
        if !peers.contains(&peer) {
            peers.push(peer);
        }
    }
    out.push(b'l');
    for peer in peers {
        out.extend_from_slice(b"d2:ip");
        bencode::put_string(out, peer.ip().to_string().as_bytes());
        out.extend_from_slice(b"4:port");
        bencode::put_integer(out, peer.port().into());
        out.push(b'e');
    }
    out.push(b'e');
}

/// A copy of a torrent file whose only tracker is at `url`: the info value as it stands, so that its hash stays, and
/// nothing that would lead elsewhere. `None` where the bytes are no torrent file.
pub(crate) fn recast_torrent(file: &[u8], url: &str) -> Option<Vec<u8>> {
    let document = bencode::scan(file).ok()?;
    let mut out = b"d8:announce".to_vec();
    bencode::put_string(&mut out, url.as_bytes());
    bencode::put_string(&mut out, b"info");
    out.extend_from_slice(document.root().get(b"info")?.raw());
    // The only other entry that belongs to the content (BEP 52).
    if let Some(layers) = document.root().get(b"piece layers") {
        bencode::put_string(&mut out, b"piece layers");
        out.extend_from_slice(layers.raw());
    }
    out.push(b'e');
    Some(out)
}

#[cfg(test)]
mod tests {
    use bittrace_protocol::Metainfo;

    use super::*;

    fn place(peer: SocketAddr) -> Option<SocketAddr> {
        (peer.port() == 0x1ae1).then(|| "127.0.0.3:7000".parse().unwrap())
    }

    #[test]
    fn known_peers_are_replaced_and_others_left_out() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 40\r\n\r\n\
            d8:intervali9e5:peers12:\x0a\x4d\0\x03\x1a\xe1\x0a\x4d\0\x04\0\x01e";
        let recast = recast_answer(answer, &place, &["127.0.0.9:1".parse().unwrap()]);
        let wanted =
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 37\r\n\r\n\
            d8:intervali9e5:peers12:\x7f\0\0\x03\x1b\x58\x7f\0\0\x09\0\x01e";
        assert_eq!(recast.escape_ascii().to_string(), wanted.escape_ascii().to_string());
    }

    #[test]
    fn lists_of_dictionaries_stay_lists() {
        let answer = b"HTTP/1.1 200 OK\r\n\r\nd5:peersld2:ip9:10.77.0.37:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti6881eeee";
        let recast = recast_answer(answer, &place, &[]);
        assert!(recast.ends_with(b"d5:peersld2:ip9:127.0.0.34:porti7000eeee"), "{}", recast.escape_ascii());
    }

    #[test]
    fn a_failure_stays_as_it_is() {
        let answer = b"HTTP/1.1 200 OK\r\n\r\nno bencoding";
        assert_eq!(recast_answer(answer, &place, &[]), answer);
    }

    #[test]
    fn a_torrent_keeps_its_hash_and_loses_every_other_address() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures/web-seed.torrent");
        let file = std::fs::read(folder).unwrap();
        let copy = recast_torrent(&file, "http://127.0.0.2:6969/announce").unwrap();
        let (before, after) = (Metainfo::decode(&file).unwrap(), Metainfo::decode(&copy).unwrap());
        assert_eq!(before.info_hash, after.info_hash);
        assert_eq!(after.trackers(), [["http://127.0.0.2:6969/announce"]]);
        assert!(after.url_list.is_empty() && after.nodes.is_empty());
    }
}
