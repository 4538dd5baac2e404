//! Blocks as records, and the files that come of them.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use bittrace_protocol::web_seed::WantedPiece;
use bittrace_protocol::{PieceIndex, Timestamp};
use bittrace_trace::{Direction, Side, StreamId, Transport};
use bytes::Bytes;
use sha1::{Digest, Sha1};

use super::*;

const PIECE: u32 = 1000;

/// Files of these names and lengths, end to end, and their bytes. `p` before a name makes it padding.
fn torrent(files: &[(&str, usize)], content: &[u8]) -> Arc<Metainfo> {
    let mut info = b"d5:filesl".to_vec();
    for (name, length) in files {
        let padding = if name.starts_with('p') { "4:attr1:p" } else { "" };
        info.extend(format!("d{padding}6:lengthi{length}e4:pathl").as_bytes());
        for part in name.split('|') {
            info.extend(format!("{}:{part}", part.len()).as_bytes());
        }
        info.extend(b"ee");
    }
    let hashes: Vec<u8> = content.chunks(PIECE as usize).flat_map(Sha1::digest).collect();
    let name = "../up";
    info.extend(
        format!("e4:name{}:{name}12:piece lengthi{PIECE}e6:pieces{}:", name.len(), hashes.len()).as_bytes(),
    );
    info.extend(hashes);
    info.push(b'e');
    Arc::new(Metainfo::decode_info(&info).unwrap())
}

fn content(length: usize) -> Vec<u8> {
    (0..length as u32).map(|number| (number * 31 % 251) as u8 + 1).collect()
}

/// A block that the peer of that number sent.
fn sent(peer: u8, torrent: Option<InfoHash>, index: u32, begin: u32, bytes: &[u8]) -> Record {
    let block = Bytes::copy_from_slice(bytes);
    Record {
        number: 1,
        at: Timestamp::EPOCH,
        stream: StreamId(u32::from(peer)),
        direction: Direction::FromResponder,
        side: Side::Remote,
        source: address(peer),
        destination: address(0),
        transport: Transport::Tcp,
        frames: Default::default(),
        offset: 0,
        bytes: Bytes::new(),
        decrypted: false,
        body: Body::PeerWire(PeerWireBody::Message(Message::Piece {
            index: PieceIndex(index),
            begin,
            block,
        })),
        notes: Vec::new(),
        answers: None,
        effect: bittrace_trace::PeerEffect::default(),
        client: None,
        torrent,
        describes: None,
        wireshark_stream: None,
        in_doubt: false,
    }
}

fn address(peer: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, peer], 6881))
}

fn extracted(
    folder: &Path,
    torrent: &Arc<Metainfo>,
    records: &[Record],
    writing: Writing,
) -> Result<Extracted, Error> {
    let mut extraction = Extraction::new(folder, vec![torrent.clone()]).unwrap();
    for record in records {
        extraction.add(record).unwrap();
    }
    let mut report = extraction.finish(writing).unwrap();
    assert_eq!((report.dropped, report.torrents.len()), (0, 1));
    report.torrents.remove(0).1
}

fn below(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let path = path.strip_prefix(folder).unwrap().to_string_lossy();
                found.insert(path.replace(std::path::MAIN_SEPARATOR, "/"));
            }
        }
    }
    found
}

#[test]
fn names_that_lead_elsewhere_stay_below_the_folder() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("in/ner");
    let bytes = content(300);
    let torrent = torrent(&[("..|..|x", 100), ("/etc|y", 200)], &bytes);
    let records = [sent(1, Some(torrent.info_hash), 0, 0, &bytes)];
    let extracted = extracted(&folder, &torrent, &records, Writing::default()).unwrap();
    assert!(extracted.is_whole());
    let expected = ["in/ner/.._up/__/__/x", "in/ner/.._up/_etc/y"].map(str::to_owned);
    assert_eq!(below(outer.path()), BTreeSet::from(expected));
    assert_eq!(std::fs::read(folder.join(".._up/_etc/y")).unwrap(), bytes[100..]);
}

/// Three peers sent the piece in blocks of their own lengths, each with wrong bytes in another place.
#[test]
fn blocks_that_overlap_are_combined_until_the_hash_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = content(1000);
    let torrent = torrent(&[("x", 1000)], &bytes);
    let hash = Some(torrent.info_hash);
    let altered = |range: Range<usize>, at: usize| {
        let mut part = bytes[range].to_vec();
        part[at] ^= 0xff;
        part
    };
    let records = [
        sent(1, hash, 0, 0, &altered(0..600, 10)),
        sent(1, hash, 0, 600, &bytes[600..]),
        sent(2, hash, 0, 0, &bytes[..300]),
        sent(2, hash, 0, 300, &altered(300..1000, 0)),
        sent(3, hash, 0, 600, &altered(600..1000, 399)),
        sent(3, hash, 0, 600, &altered(600..1000, 399)),
    ];
    let extracted = extracted(folder.path(), &torrent, &records, Writing::default()).unwrap();
    assert!(extracted.is_whole());
    assert_eq!(std::fs::read(folder.path().join(".._up/x")).unwrap(), bytes);
    let fault = &extracted.faults[0];
    let wrong: Vec<_> = fault.blocks.iter().map(|sent| (sent.begin, sent.from.clone())).collect();
    assert_eq!(fault.kind, FaultKind::Mended);
    assert_eq!(wrong, [(0, vec![address(1)]), (300, vec![address(2)]), (600, vec![address(3)])]);
}

#[test]
fn a_piece_that_is_never_right_is_a_hole_and_names_its_senders() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = content(1500);
    let torrent = torrent(&[("x", 1200), ("y", 300)], &bytes);
    let hash = Some(torrent.info_hash);
    let mut wrong = bytes[..1000].to_vec();
    wrong[999] ^= 1;
    let records =
        [sent(1, hash, 0, 0, &wrong), sent(2, hash, 1, 0, &bytes[1000..]), sent(2, hash, 7, 0, &wrong)];
    let extracted = extracted(folder.path(), &torrent, &records, Writing::default()).unwrap();
    let files: Vec<_> = extracted.files.iter().map(|file| (file.whole, file.wrong.clone())).collect();
    assert_eq!(files, [(false, vec![0..1000; 1]), (true, Vec::new())]);
    assert_eq!((extracted.faults[0].kind, extracted.beyond), (FaultKind::Failed, 1));
    assert_eq!(extracted.faults[0].blocks[0].from, [address(1)]);
    let part = std::fs::read(folder.path().join(".._up/x.part")).unwrap();
    assert_eq!(part, [vec![0; 1000], bytes[1000..1200].to_vec()].concat());
}

#[test]
fn padding_need_not_be_sent_and_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = content(2000);
    bytes[700..1000].fill(0);
    let torrent = torrent(&[("x", 700), ("pad", 300), ("y", 1000)], &bytes);
    let hash = Some(torrent.info_hash);
    let records = [sent(1, hash, 0, 0, &bytes[..700]), sent(1, hash, 1, 0, &bytes[1000..])];
    assert!(extracted(folder.path(), &torrent, &records, Writing::default()).unwrap().is_whole());
    assert_eq!(below(folder.path()), BTreeSet::from([".._up/x", ".._up/y"].map(str::to_owned)));
}

#[test]
fn connections_that_name_no_torrent_count_where_the_hash_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = content(2000);
    let torrent = torrent(&[("x", 2000)], &bytes);
    let mut records = vec![sent(1, None, 0, 0, &bytes[..1000]), sent(1, None, 1, 0, &bytes[..1000])];
    let incomplete = extracted(folder.path(), &torrent, &records, Writing::default()).unwrap();
    // Whether the second piece is wrong or another torrent's, nobody can say.
    assert_eq!((incomplete.verified, incomplete.faults.len()), (1, 0));
    assert_eq!(incomplete.files[0].unverified, [1000..2000; 1]);
    records.push(sent(2, Some(torrent.info_hash), 1, 0, &bytes[1000..]));
    let in_the_way = extracted(folder.path(), &torrent, &records, Writing::default());
    assert!(matches!(in_the_way, Err(Error::Exists { .. })));
    let writing = Writing { overwrite: true, ..Writing::default() };
    assert!(extracted(folder.path(), &torrent, &records, writing).unwrap().is_whole());
    assert_eq!(below(folder.path()), BTreeSet::from([".._up/x".to_owned()]));
}

/// Of BEP 17: ranges stand end to end, and nothing tells how long a whole piece is but the torrent.
#[test]
fn what_an_http_seed_sent_counts_as_blocks_do() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = content(1500);
    let torrent = torrent(&[("x", 1500)], &bytes);
    let seeded = |index: u32, ranges: Vec<Range<u32>>, bytes: Vec<u8>| {
        let piece = PieceIndex(index);
        let data = WantedPiece { info_hash: torrent.info_hash, piece, ranges };
        let record = sent(9, Some(torrent.info_hash), 0, 0, &[]);
        Record { bytes: bytes.into(), body: Body::WebSeed(WebSeedBody::PieceData(Arc::new(data))), ..record }
    };
    let two = [&bytes[900..1000], &bytes[..500]].concat();
    let records = [
        seeded(0, vec![900..1000, 0..500], two),
        sent(1, Some(torrent.info_hash), 0, 500, &bytes[500..900]),
        seeded(1, vec![0..600; 1], [&bytes[1000..], &[7; 100]].concat()),
    ];
    let extracted = extracted(folder.path(), &torrent, &records, Writing::default()).unwrap();
    assert!(extracted.is_whole());
    assert_eq!((extracted.blocks, extracted.beyond), (4, 0));
    assert_eq!(std::fs::read(folder.path().join(".._up/x")).unwrap(), bytes);
}
