//! The line that describes what is nearly a handshake or a message: what its sender meant, and in what it differs.

use bittrace_protocol::Hex;
use bittrace_protocol::peer_id::client_name;
use bittrace_protocol::wire::{HandshakeLayout, MessageId, NearMiss};

use super::content::{lossy, short_hash};
use super::units::counted;

pub(super) fn describe_near_miss(near_miss: NearMiss, bytes: &[u8]) -> String {
    match near_miss {
        NearMiss::Handshake(layout) => describe_handshake(layout, bytes),
        NearMiss::LittleEndian => {
            let name = bytes.get(4).map_or("keep-alive", |&id| MessageId(id).name());
            let more = if bytes.len() > SHOWN { " …" } else { "" };
            let sent: Vec<String> = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
            format!("{name} with its length in little endian: {}{more}", sent.join(" "))
        }
        NearMiss::HttpRequest => {
            let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
            let more = if line.len() > LINE { "…" } else { "" };
            format!("HTTP request to a peer: {}{more}", lossy(&line[..line.len().min(LINE)]))
        }
    }
}

fn describe_handshake(layout: HandshakeLayout, bytes: &[u8]) -> String {
    let mut text = format!("malformed handshake ({})", differences(layout, bytes).join(", "));
    match layout.handshake(bytes) {
        Some(handshake) => {
            text.push_str(&format!(" for {}", short_hash(&handshake.info_hash)));
            let client = client_name(&handshake.peer_id).map(|client| format!(", {client}"));
            text.push_str(&client.unwrap_or_default());
        }
        None => {
            text.push_str(&format!(
                ", the first {} of {}",
                bytes.len(),
                counted(layout.length() as u64, "byte")
            ));
        }
    }
    text
}

/// In what a handshake differs from that of BEP 3, part by part.
fn differences(layout: HandshakeLayout, bytes: &[u8]) -> Vec<String> {
    let mut differences = Vec::new();
    match &bytes[layout.name_length()] {
        [19] => {}
        [] => differences.push("no length byte".to_owned()),
        [length] => differences.push(format!("length byte {length}")),
        text if text.iter().all(u8::is_ascii_graphic) => {
            differences.push(format!("the length as text, \"{}\"", lossy(text)));
        }
        other => differences.push(format!("the length as {} bytes, {}", other.len(), Hex(other))),
    }
    let name = &bytes[layout.name()];
    if name != RIGHT_NAME {
        differences.push(format!("\"{}\"", lossy(name)));
    }
    if !layout.has_reserved() {
        differences.push("no reserved bytes".to_owned());
    }
    if layout.is_hexadecimal() {
        differences.push("the info hash as 40 hexadecimal digits".to_owned());
    }
    differences
}

/// A byte in words: its number, or the character that it is.
pub(crate) fn byte_name(byte: u8) -> String {
    match byte {
        b'!'..=b'~' => format!("\"{}\" (0x{byte:02x})", char::from(byte)),
        _ => format!("{byte} (0x{byte:02x})"),
    }
}

const RIGHT_NAME: &[u8] = b"BitTorrent protocol";

/// How many bytes of a message are shown: all of a request.
const SHOWN: usize = 17;

/// How many bytes of the first line of an HTTP request are shown.
const LINE: usize = 60;
