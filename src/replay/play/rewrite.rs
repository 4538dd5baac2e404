//! The few things that must be rewritten to play a reference on this machine: the addresses in a tracker's answer, and
//! the tracker's URL in a copy of the torrent.

use std::net::{IpAddr, SocketAddr};

use bittrace_protocol::bencode::{self, View, Writer};
use bittrace_protocol::compact::{endpoints, put_endpoint};
use bittrace_protocol::tracker::http::{Response, encode_response};

/// A tracker's answer with other peers in it: each address that `place` knows stands for what it gives, the others are
/// left out, and `more` follow. An answer that is not a bencoded dictionary stays as it is.
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
    let entries = document.root().entries()?;
    Some(bencode::dictionary(|out| {
        for entry in entries {
            let ipv6 = match entry.key {
                b"peers" => false,
                b"peers6" => true,
                _ => {
                    out.raw(entry.key, entry.value.raw());
                    continue;
                }
            };
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
                    out.bytes(entry.key, &told);
                }
                None => out.list(entry.key, |out| write_peers(out, entry.value, place, more)),
            }
        }
    }))
}

/// Peers as dictionaries, without their ids: other peers will have other ids.
fn write_peers(
    out: &mut Writer,
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
    for peer in peers {
        out.dictionary(|out| {
            out.bytes("ip", peer.ip().to_string());
            out.integer("port", peer.port());
        });
    }
}

/// A copy of a torrent file whose trackers are those of `tiers` (BEP 12): the info value as it stands, so that its hash stays, and
/// nothing that would lead elsewhere. `None` where the bytes are no torrent file.
pub(crate) fn recast_torrent(file: &[u8], tiers: &[Vec<String>]) -> Option<Vec<u8>> {
    let (document, _) = bencode::scan_prefix(file).ok()?;
    let info = document.root().get(b"info")?.raw();
    // The only other entry that belongs to the content (BEP 52).
    let layers = document.root().get(b"piece layers");
    Some(bencode::dictionary(|out| {
        let mut all = tiers.iter().flatten();
        if let Some(first) = all.next() {
            out.bytes("announce", first);
        }
        if all.next().is_some() {
            out.list("announce-list", |out| {
                for tier in tiers {
                    out.list(|out| tier.iter().for_each(|url| out.bytes(url)));
                }
            });
        }
        out.raw("info", info);
        if let Some(layers) = layers {
            out.raw("piece layers", layers.raw());
        }
    }))
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
        let url = "http://127.0.0.2:6969/announce".to_owned();
        let copy = recast_torrent(&file, &[vec![url]]).unwrap();
        let (before, after) = (Metainfo::decode(&file).unwrap(), Metainfo::decode(&copy).unwrap());
        assert_eq!(before.info_hash, after.info_hash);
        assert_eq!(after.trackers(), [["http://127.0.0.2:6969/announce"]]);
        assert!(after.url_list.is_empty() && after.nodes.is_empty());
        let tiers = [vec!["http://a/".to_owned(), "udp://b:1".to_owned()], vec!["http://c/".to_owned()]];
        let copy = recast_torrent(&file, &tiers).unwrap();
        assert_eq!(Metainfo::decode(&copy).unwrap().trackers(), tiers);
    }
}
