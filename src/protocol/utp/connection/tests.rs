mod faults;
mod laws;
mod liars;
mod link;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::{Connection, ConnectionEvent, Draw, Fragment};
use crate::Timestamp;
use crate::utp::{Header, HeaderExtension, Kind, extensions};

const START: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);
/// IPv4's and UDP's headers.
const IPV4: usize = 28;
const DRAW: Draw = Draw { sequence: 100, seed: 7 };

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A packet of the far end: kind 0 is data, 1 FIN, 2 STATE, 3 RESET, 4 SYN.
fn packet(kind: u8, id: u16, number: u16, acknowledged: u16, window: u32, rest: &[u8]) -> Bytes {
    let mut bytes = vec![kind << 4 | 1, 0];
    bytes.extend(id.to_be_bytes());
    bytes.extend([0; 8]);
    bytes.extend(window.to_be_bytes());
    bytes.extend(number.to_be_bytes());
    bytes.extend(acknowledged.to_be_bytes());
    bytes.extend(rest);
    bytes.into()
}

/// STATE with a selective acknowledgement.
fn selective(id: u16, number: u16, acknowledged: u16, bits: &[u8]) -> Bytes {
    let mut bytes = packet(2, id, number, acknowledged, 1 << 20, &[0, bits.len() as u8]).to_vec();
    bytes[1] = 1;
    bytes.extend(bits);
    bytes.into()
}

fn give(connection: &mut Connection, now: Timestamp, bytes: &Bytes) {
    connection.handle(now, &Header::decode(bytes).unwrap(), bytes);
}

/// Acknowledges all up to `complete`, and the later numbers that are there.
fn acknowledge_with_holes(connection: &mut Connection, now: Timestamp, complete: u16, has: &BTreeSet<u16>) {
    let mut bits = [0; 32];
    for number in has.iter().filter(|&&number| number < complete + 2 + 256) {
        let bit = usize::from(number - complete - 2);
        bits[bit / 8] |= 1 << (bit % 8);
    }
    give(connection, now, &selective(50, 500, complete, &bits));
}

/// A packet that a connection sent.
#[derive(Debug)]
struct Told {
    header: Header,
    bytes: Vec<u8>,
    fragment: Fragment,
}

impl Told {
    fn payload(&self) -> &[u8] {
        &self.bytes[self.header.length..]
    }

    fn selective(&self) -> Vec<u8> {
        extensions(&self.bytes)
            .find(|one| one.kind() == 1)
            .map(|one: HeaderExtension<'_>| one.content().to_vec())
            .unwrap_or_default()
    }
}

/// All that a connection wants to send at this time.
fn told(connection: &mut Connection, now: Timestamp) -> Vec<Told> {
    connection.tick(now);
    std::iter::from_fn(|| {
        let mut bytes = Vec::new();
        let fragment = connection.transmit(now, &mut bytes)?;
        Some(Told { header: Header::decode(&bytes).unwrap(), bytes, fragment })
    })
    .collect()
}

fn kinds(told: &[Told]) -> Vec<(Kind, u16)> {
    told.iter().map(|one| (one.header.kind, one.header.sequence)).collect()
}

fn events(connection: &mut Connection) -> Vec<ConnectionEvent> {
    std::iter::from_fn(|| connection.poll()).collect()
}

/// A connection that we opened with id 50 and SYN 100 (so that our data begins at 101), answered with number 500.
fn opened() -> Connection {
    let mut connection = Connection::connect(50, DRAW, IPV4);
    assert_eq!(kinds(&told(&mut connection, START)), [(Kind::Syn, 100)]);
    give(&mut connection, START + millis(10), &packet(2, 50, 500, 100, 1 << 20, &[]));
    assert_eq!(events(&mut connection), [ConnectionEvent::Opened]);
    connection
}

/// A connection that the far end opened with id 50 and SYN 900, whose first data has come; ours begins at 100.
fn answered() -> Connection {
    let syn = packet(4, 50, 900, 0, 0, &[]);
    let mut connection = Connection::accept(START, &Header::decode(&syn).unwrap(), DRAW, IPV4);
    assert_eq!(kinds(&told(&mut connection, START)), [(Kind::State, 100)]);
    give(&mut connection, START, &packet(0, 51, 901, 99, 1 << 20, b"hello"));
    assert_eq!(
        events(&mut connection),
        [ConnectionEvent::Opened, ConnectionEvent::Received(Bytes::from_static(b"hello"))]
    );
    connection
}

fn write(connection: &mut Connection, length: usize) {
    connection.write(vec![7; length].into());
}
