//! The uids of connections, in the form that Zeek gives them. The same capture under the same name gives the same ones.

use bittrace_trace::StreamId;
use bittrace_trace::statistics::Connection;
use sha1::{Digest, Sha1};

/// The uid of a stream of a capture.
pub(super) fn stream_uid(capture: &str, stream: StreamId) -> String {
    uid(capture, &stream.0.to_string())
}

/// The uid of a connection of a capture: that of its stream. A connection that was only tried has no stream, and is told
/// from others by its ends and its time.
pub(super) fn connection_uid(capture: &str, connection: &Connection) -> String {
    match connection.stream {
        Some(stream) => stream_uid(capture, stream),
        None => {
            let (initiator, responder) = (connection.initiator, connection.responder);
            uid(capture, &format!("{initiator} {responder} {}", connection.opened.as_nanos()))
        }
    }
}

/// `C`, as Zeek has it for connections, and 96 bits of a hash in base 62.
fn uid(capture: &str, connection: &str) -> String {
    let digest = Sha1::new().chain_update(capture).chain_update([0]).chain_update(connection).finalize();
    let mut rest = digest.iter().take(12).fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
    let mut uid = String::from("C");
    while rest > 0 {
        uid.push(char::from(DIGITS[(rest % 62) as usize]));
        rest /= 62;
    }
    uid
}

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_captures_have_uids_of_their_own() {
        let first = stream_uid("a.pcap", StreamId(0));
        assert_eq!(first, stream_uid("a.pcap", StreamId(0)));
        for other in [stream_uid("a.pcap", StreamId(1)), stream_uid("b.pcap", StreamId(0))] {
            assert_ne!(first, other);
        }
        assert!(first.starts_with('C') && (12..=18).contains(&first.len()), "{first}");
        assert!(first.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{first}");
    }
}
