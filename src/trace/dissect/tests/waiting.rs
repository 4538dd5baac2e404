//! Messages that are never whole, on many connections at once: memory has one bound, and every byte is shown.

use std::collections::BTreeMap;

use super::*;
use crate::dissect::waiting::WAITING_BUDGET;

/// What many connections say, a burst of each in turn.
struct Crowd {
    dissector: Dissector,
    frame: u64,
    /// The bytes shown of each stream, and the names of its messages.
    shown: BTreeMap<StreamId, (u64, Vec<&'static str>)>,
    gave_way: usize,
    peak: usize,
}

impl Crowd {
    fn of(connections: u32) -> Self {
        let (dissector, shown) = (Dissector::new(), BTreeMap::new());
        let mut crowd = Self { dissector, frame: 0, shown, gave_way: 0, peak: 0 };
        for number in 0..connections {
            let stream = StreamId(number);
            let initiator = format!("10.0.{}.{}:40000", number / 250, number % 250).parse().unwrap();
            let flow = Flow { initiator, ..flow() };
            crowd.happens(StreamEvent::Opened { stream, flow, opening: StreamOpening::Syn });
        }
        crowd
    }

    fn happens(&mut self, event: StreamEvent<'_>) {
        self.frame += 1;
        let Self { dissector, shown, gave_way, .. } = self;
        dissector.handle(moment(self.frame), event, &mut |dissected| {
            let Dissected::Record(record) = dissected else { return };
            let (bytes, names) = shown.entry(record.stream).or_default();
            assert_eq!(record.offset, *bytes, "the records of a direction tile it");
            *bytes += record.length();
            names.push(record.body.message());
            *gave_way += record.notes.iter().filter(|note| note.rule.id == "capture.memory").count();
        });
        self.peak = self.peak.max(self.dissector.recognised.waiting);
    }

    fn says(&mut self, number: u32, direction: Direction, bytes: &[u8]) {
        for bytes in bytes.chunks(64 * 1024) {
            self.happens(StreamEvent::Burst { stream: StreamId(number), direction, bytes });
        }
    }

    fn closes(&mut self, connections: u32) {
        for number in 0..connections {
            self.happens(StreamEvent::Closed { stream: StreamId(number), closing: StreamClosing::Finished });
        }
        assert_eq!((self.dissector.recognised.waiting, self.dissector.undecided), (0, 0));
    }
}

/// A piece message of 16 MiB less a little.
const HUGE: u32 = (16 << 20) - 100;

fn huge() -> Vec<u8> {
    let mut bytes = HUGE.to_be_bytes().to_vec();
    bytes.resize(4 + HUGE as usize, 0xee);
    bytes[4..13].copy_from_slice(&[7, 0, 0, 0, 3, 0, 0, 0, 0]);
    bytes
}

const HAVE: [u8; 9] = [0, 0, 0, 5, 4, 0, 0, 0, 3];

#[test]
fn half_messages_of_many_streams_wait_within_one_budget_and_are_all_shown() {
    let mut crowd = Crowd::of(20);
    let message = huge();
    let (half, rest) = message.split_at(message.len() - 50_000);
    for number in 0..20 {
        crowd.says(number, A, &handshake(b"-TR3000-aaaaaaaaaaaa"));
        crowd.says(number, A, half);
    }
    assert!(crowd.peak <= WAITING_BUDGET + 128 * 1024, "{}", crowd.peak);
    assert!(crowd.gave_way >= 4, "{}", crowd.gave_way);
    for number in 0..20 {
        crowd.says(number, A, rest);
        crowd.says(number, A, &HAVE);
    }
    crowd.closes(20);
    let whole = (68 + message.len() + HAVE.len()) as u64;
    let mut in_parts = 0;
    for (bytes, names) in crowd.shown.values() {
        assert_eq!(*bytes, whole);
        // Where the next message begins is known all the same.
        assert_eq!(names.last(), Some(&"have"), "{names:?}");
        in_parts += usize::from(names.contains(&"opaque"));
        assert!(names.contains(&"opaque") || names.contains(&"piece"), "{names:?}");
    }
    assert_eq!(in_parts, crowd.gave_way, "each stream that gave way says so once");
}

#[test]
fn answers_of_trackers_that_never_end_wait_within_the_same_budget() {
    let mut crowd = Crowd::of(12);
    let request =
        b"GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=-XX0000-aaaaaaaaaaaa&port=1&uploaded=0\
        &downloaded=0&left=0 HTTP/1.1\r\nHost: t\r\n\r\n";
    let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    answer.resize(15 << 20, b'x');
    let mut said = 0;
    for number in 0..12 {
        crowd.says(number, A, request);
        // Both directions begin at 0: what is shown is counted for the answers alone.
        said += crowd.shown.remove(&StreamId(number)).unwrap().0;
        crowd.says(number, B, &answer);
    }
    assert_eq!(said, 12 * request.len() as u64);
    assert!(crowd.peak <= WAITING_BUDGET + 128 * 1024, "{}", crowd.peak);
    assert!(crowd.gave_way >= 4, "{}", crowd.gave_way);
    crowd.closes(12);
    assert!(crowd.shown.values().all(|(bytes, _)| *bytes == answer.len() as u64), "{:?}", crowd.shown);
}

#[test]
fn a_few_great_messages_need_not_give_way() {
    let mut crowd = Crowd::of(4);
    for number in 0..4 {
        crowd.says(number, A, &handshake(b"-TR3000-aaaaaaaaaaaa"));
        crowd.says(number, A, &huge());
    }
    crowd.closes(4);
    assert_eq!(crowd.gave_way, 0);
    assert!(crowd.shown.values().all(|(_, names)| names == &["handshake", "piece"]), "{:?}", crowd.shown);
}
