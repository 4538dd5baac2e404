//! What every message has beside its own fields: the keys of its JSON object and the names in filters and columns.

use crate::query::names::RowKey;

/// What stands under a key.
#[derive(Debug)]
pub(crate) struct KeyEntry {
    /// The key.
    pub(crate) key: RowKey,
    /// The type as people call it.
    pub(crate) kind: &'static str,
    /// The unit of its numbers; empty where there is none.
    pub(crate) unit: &'static str,
    /// What it means, without a full stop.
    pub(crate) text: &'static str,
}

macro_rules! keys {
    ($($key:ident $kind:literal $unit:literal $text:literal,)*) => {
        /// Every key, in the order of the JSON.
        pub(crate) const KEY_CATALOG: &[KeyEntry] =
            &[$(KeyEntry { key: RowKey::$key, kind: $kind, unit: $unit, text: $text },)*];
    };
}

keys! {
    N "integer" "" "the number of the message over all captures, from 1",
    NumberInCapture "integer" "" "its number within its capture, from 1",
    Time "time" "" "when its last packet was captured",
    Elapsed "number" "s" "the same, since the first packet of the capture",
    Capture "text" "" "the capture",
    Frames "list" "" "the packets that carried it, by Wireshark's numbers",
    Frame "integer" "" "the last of these packets, where Wireshark shows the message; also frame.number",
    Stream "integer" "" "the stream, from 0 in the order in which bittrace recognises them",
    Wireshark "object" "" "stream and frame as in Wireshark",
    WiresharkStream "integer" "" "Wireshark's tcp.stream or udp.stream; also wireshark.stream",
    CommunityId "text" "" "the Community ID of the conversation, as Zeek, Suricata and Wireshark have it; also communityid",
    Src "address:port" "" "the end that sent it",
    SrcAddr "address" "" "its address; also ip.src, ipv6.src",
    SrcPort "integer" "" "its port; also tcp.srcport, udp.srcport",
    Dst "address:port" "" "the end that received it",
    DstAddr "address" "" "its address; also ip.dst, ipv6.dst",
    DstPort "integer" "" "its port; also tcp.dstport, udp.dstport",
    Addr "addresses" "" "both addresses; also ip.addr, ipv6.addr",
    Port "list" "" "both ports; also tcp.port, udp.port",
    Side "word" "" "local: the host the capture is about sent it; far: the other end did",
    Transport "word" "" "tcp, udp, utp",
    Protocol "word" "" "http-tracker, udp-tracker, peer-wire, dht, lsd, utp, mse, web-seed, proxy",
    Message "word" "" "the message, by one of the names that bittrace fields lists",
    MessageId "integer" "" "the id of a message between peers; also bittorrent.msg.type",
    Offset "integer" "bytes" "its first byte in its direction of the stream",
    Length "integer" "bytes" "its length on the wire",
    Summary "text" "" "the message on one line",
    Fields "object" "" "the message's own fields",
    Client "text" "" "the sender's client, once it is known",
    Torrent "hash (hex)" "" "the info hash of the torrent it is about",
    Decrypted "true" "" "it was encrypted on the wire",
    Answers "integer" "" "the number of the message that it answers",
    Latency "number" "s" "the time from that message to this one",
    Notes "list" "" "findings on the message: severity, rule, text",
    Severity "word" "" "the highest severity of its findings: chat, note, warn, error",
    Rule "list" "" "the rules of its findings",
    Bytes "bytes (hex)" "" "its bytes",
    Spans "object" "bytes" "where in its bytes its own fields are: for each the first byte and the one after the last, or a list of these",
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::names::KEYS;

    #[test]
    fn every_key_is_described_in_order() {
        assert!(KEY_CATALOG.iter().map(|entry| entry.key).eq(KEYS.iter().map(|(_, key)| *key)));
    }
}
