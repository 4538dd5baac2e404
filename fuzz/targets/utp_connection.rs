#![no_main]
//! A uTP connection against any packets: memory is bounded, nothing is due twice, at most one RESET ends it, and each packet of
//! its own can be read.

use std::time::Duration;

use arbitrary::Arbitrary;
use bittrace_protocol::Timestamp;
use bittrace_protocol::utp::{Connection, ConnectionEvent, Draw, Header, Kind};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    calls: bool,
    first: u16,
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    /// A packet whose numbers are near those of the connection, with a window in units of 256 bytes and any rest.
    Packet {
        kind: u8,
        extension: u8,
        number: i16,
        acknowledged: i16,
        window: u16,
        delay: u32,
        rest: Vec<u8>,
    },
    Write(u16),
    /// Milliseconds.
    Wait(u16),
    /// Until the connection has something to do.
    WaitForTimer,
    Close,
    Abort,
}

fuzz_target!(|input: Input| {
    let mut now = Timestamp::from_secs_nanos(1_700_000_000, 0);
    let draw = Draw { sequence: input.first, seed: 5 };
    let mut connection = if input.calls {
        Connection::connect(7, draw, 28)
    } else {
        let mut syn = vec![0x41, 0, 0, 6];
        syn.extend([0; 16]);
        Connection::accept(now, &Header::decode(&syn).expect("a SYN"), draw, 28)
    };
    // Where the connection is, by the packets that it sent.
    let (mut ours, mut theirs) = (input.first, 0u16);
    let (mut written, mut left, mut over, mut resets) = (0, 0, false, 0);
    for step in input.steps {
        match step {
            Step::Packet { kind, extension, number, acknowledged, window, delay, rest } => {
                let mut bytes = vec![kind % 5 << 4 | 1, extension % 4];
                bytes.extend(connection.receive_id().to_be_bytes());
                bytes.extend([0; 4]);
                bytes.extend(delay.to_be_bytes());
                bytes.extend((u32::from(window) << 8).to_be_bytes());
                bytes.extend(theirs.wrapping_add_signed(number).to_be_bytes());
                bytes.extend(ours.wrapping_add_signed(acknowledged).to_be_bytes());
                bytes.extend(rest);
                let bytes = Bytes::from(bytes);
                if let Ok(header) = Header::decode(&bytes) {
                    connection.handle(now, &header, &bytes);
                }
            }
            Step::Write(length) if !over && connection.unsent() < 1 << 20 => {
                connection.write(Bytes::from(vec![1; length.into()]));
                written += usize::from(length);
            }
            Step::Write(_) => {}
            Step::Wait(millis) => now = now + Duration::from_millis(millis.into()),
            Step::WaitForTimer => now = connection.wakes_at().unwrap_or(now).max(now),
            Step::Close => connection.close(now),
            Step::Abort => connection.abort(),
        }
        connection.tick(now);
        let mut packet = Vec::new();
        while connection.transmit(now, &mut packet).is_some() {
            let header = Header::decode(&packet).expect("it can be read");
            assert!(packet.len() <= 1_472);
            resets += usize::from(header.kind == Kind::Reset);
            (ours, theirs) = (header.sequence, header.acknowledged);
            packet.clear();
        }
        while let Some(event) = connection.poll() {
            assert!(!over, "{event:?} after the end");
            match event {
                ConnectionEvent::Sent(count) => left += count,
                ConnectionEvent::Closed(_) => over = true,
                ConnectionEvent::Opened | ConnectionEvent::Received(_) | ConnectionEvent::Ended => {}
            }
        }
        assert!(left <= written && resets <= 1);
        assert!(connection.held() <= (1 << 20) + 65_536);
        assert_eq!(over, connection.is_over());
        let wakes = connection.wakes_at();
        assert!(wakes.is_none_or(|at| at > now), "what was due at {wakes:?} is due again at {now:?}");
    }
});
