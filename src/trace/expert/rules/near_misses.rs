//! Which rule each near miss breaks, and the sentence that says so: the first wrong byte, and what BEP 3 wants there.

use bittrace_protocol::wire::NearMiss;

use super::*;
use crate::record::byte_name;

/// The note on a near miss of these `bytes`.
pub fn note_near_miss(near_miss: NearMiss, bytes: &[u8]) -> Note {
    let fault = near_miss.fault(bytes);
    let (at, wanted) = (fault.offset, fault.wanted);
    let sent = bytes.get(at).map_or_else(|| "missing".to_owned(), |&byte| byte_name(byte));
    match near_miss {
        NearMiss::Handshake(layout) if at < layout.name().end => {
            BEP3_HANDSHAKE_MALFORMED.note(format!("byte {at} is {sent}, expected {wanted} ({SECTION})"))
        }
        NearMiss::Handshake(layout) if !layout.has_reserved() => BEP3_HANDSHAKE_MALFORMED
            .note(format!("byte {at} begins the info hash, expected {wanted} before it ({SECTION})")),
        NearMiss::Handshake(_) => BEP3_HANDSHAKE_MALFORMED.note(format!(
            "byte {at} is {sent}, the first of 40 hexadecimal digits, expected {wanted} ({SECTION})"
        )),
        NearMiss::LittleEndian => {
            let mut prefix = bytes.first_chunk::<4>().copied().unwrap_or_default();
            let little = spaced(prefix);
            prefix.reverse();
            BEP3_LITTLE_ENDIAN.note(format!(
                "byte {at} of the length {little} is {sent}, expected {} in big endian ({SECTION})",
                spaced(prefix)
            ))
        }
        NearMiss::HttpRequest => BEP3_HTTP_TO_PEER
            .note(format!("byte {at} is {sent}, of HTTP, expected a handshake: {wanted} ({SECTION})")),
    }
}

fn spaced([a, b, c, d]: [u8; 4]) -> String {
    format!("{a:02x} {b:02x} {c:02x} {d:02x}")
}

/// The section that all of them break.
const SECTION: &str = "BEP 3, \"peer protocol\"";
