//! What a message says, as a JSON object: its content fields, typed, under the protocol's names.

use bittrace_protocol::tracker::http::Reply;
use bittrace_protocol::{Field, Hex, PeerId, Role, Value as FieldValue};
use bittrace_trace::record::{Body, Reason, Record};
use serde_json::{Map, Value, json};

/// The `fields` of a record.
pub(crate) fn fields_of(record: &Record) -> Map<String, Value> {
    match &record.body {
        Body::HttpRequest(..) => {
            let mut map = object(&record.fields());
            add_readable(&mut map);
            map
        }
        Body::HttpResponse(response, reply) => {
            let mut fields = record.fields();
            // A body in chunks or packed is one field of the bytes; what it says is found behind that.
            if let Some(at) = fields.iter().position(|field| field.name == "body") {
                fields.truncate(at);
                fields.extend(response.reply_fields());
            }
            let mut map = object(&fields);
            if let Reply::Announce(reply) = &**reply {
                name_peers(&mut map, reply);
            }
            map
        }
        Body::WebSeedRequest(_, part) | Body::WebSeedResponse(_, part) | Body::WebSeedData(part) => {
            let mut map = object(&record.fields());
            let last = part.bytes.end.saturating_sub(1);
            map.insert("file".to_owned(), json!(part.path.as_ref()));
            map.insert("range".to_owned(), json!(format!("{}-{last}", part.bytes.start)));
            if !part.pieces.is_empty() {
                let last = part.pieces.end - 1;
                map.insert("pieces".to_owned(), json!(format!("{}-{last}", part.pieces.start)));
            }
            map
        }
        Body::HttpSeedRequest(_, wanted) | Body::HttpSeedResponse(_, wanted) | Body::HttpSeedData(wanted) => {
            let mut map = object(&record.fields());
            map.insert("pieces".to_owned(), json!(format!("{0}-{0}", wanted.piece)));
            if !wanted.ranges.is_empty() {
                let ranges = wanted.ranges.iter().map(|range| format!("{}-{}", range.start, range.end - 1));
                map.insert("ranges".to_owned(), json!(ranges.collect::<Vec<_>>().join(",")));
            }
            map
        }
        Body::UdpTracker(_) | Body::Handshake(_) => {
            let mut map = object(&record.fields());
            add_readable(&mut map);
            map
        }
        Body::Opaque(_, reason) => {
            let mut map = object(&record.fields());
            add_reason(&mut map, *reason);
            map
        }
        _ => object(&record.fields()),
    }
}

/// The content of some fields as an object.
pub(crate) fn object(fields: &[Field]) -> Map<String, Value> {
    let mut map = Map::new();
    let has_length = fields.iter().any(|field| field.role == Role::Content && field.name == "length");
    for field in fields.iter().filter(|field| field.role == Role::Content) {
        match &field.value {
            FieldValue::Payload(place) => {
                let name = if has_length { format!("{}_length", field.name) } else { "length".to_owned() };
                insert(&mut map, name, json!(place.len()));
            }
            FieldValue::Flags(bits, _) => {
                insert(&mut map, field.name.to_string(), value(field));
                let digits = 2 * field.span.len();
                insert(&mut map, format!("{}_hex", field.name), json!(format!("{bits:0digits$x}")));
            }
            _ => insert(&mut map, field.name.to_string(), value(field)),
        }
        // The number under which an extension's message was sent stands within the extension's name.
        if !matches!(field.value, FieldValue::Map | FieldValue::List) {
            for part in field.children.iter().filter(|part| part.name == "extended_id") {
                insert(&mut map, part.name.to_string(), value(part));
            }
        }
    }
    map
}

/// Puts a value under a name. A name that stands twice gets a list of its values.
fn insert(map: &mut Map<String, Value>, name: String, value: Value) {
    use serde_json::map::Entry;
    match map.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert(value);
        }
        Entry::Occupied(mut entry) => match entry.get_mut() {
            Value::Array(values) if !values.iter().any(Value::is_array) => values.push(value),
            single => {
                let first = single.take();
                *single = Value::Array(vec![first, value]);
            }
        },
    }
}

fn value(field: &Field) -> Value {
    match &field.value {
        FieldValue::None => Value::Null,
        FieldValue::Unsigned(number) => json!(number),
        FieldValue::Signed(number) => json!(number),
        FieldValue::Number(digits) => json!(digits),
        FieldValue::Text(text) => json!(text),
        FieldValue::Bytes(bytes) => json!(Hex(bytes).to_string()),
        FieldValue::Payload(place) => json!({ "length": place.len() }),
        FieldValue::Address(address) => json!(address.to_string()),
        FieldValue::Endpoints(endpoints) => endpoints.iter().map(|peer| json!(peer.to_string())).collect(),
        FieldValue::Flags(_, names) => json!(names),
        FieldValue::List => {
            field.children.iter().filter(|child| child.role == Role::Content).map(value).collect()
        }
        FieldValue::Map => Value::Object(object(&field.children)),
    }
}

/// The peers of an answer, whatever form they were sent in: `peers` always is the list of all, as `address:port`. Those
/// of IPv6 stand under the key they were sent under as well, the ids of the long form beside it.
fn name_peers(map: &mut Map<String, Value>, reply: &bittrace_protocol::tracker::http::AnnounceReply) {
    if reply.peers.is_empty() {
        return;
    }
    map.insert("peers".to_owned(), reply.peers.iter().map(|peer| json!(peer.to_string())).collect());
    let ids: Vec<_> =
        reply.peers.iter().filter_map(|peer| peer.peer_id).map(|id| json!(id.to_string())).collect();
    if !ids.is_empty() {
        map.insert("peer_ids".to_owned(), Value::Array(ids));
    }
}

/// A peer id's readable form behind its hex.
fn add_readable(map: &mut Map<String, Value>) {
    let Some(hex) = map.get("peer_id").and_then(Value::as_str) else { return };
    if let Some(id) = peer_id(hex) {
        map.insert("peer_id_text".to_owned(), json!(id.readable()));
    }
}

fn peer_id(hex: &str) -> Option<PeerId> {
    let mut id = [0; 20];
    if hex.len() != 40 {
        return None;
    }
    for (at, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(PeerId(id))
}

fn add_reason(map: &mut Map<String, Value>, reason: Reason) {
    let name = match reason {
        Reason::Fragment(_) => "fragment",
        Reason::BeforeBoundary => "before-boundary",
        Reason::Damaged => "damaged",
        Reason::OrdinaryHttp => "ordinary-http",
        Reason::Unfinished => "unfinished",
    };
    map.insert("reason".to_owned(), json!(name));
    let Reason::Fragment(fragment) = reason else { return };
    map.insert("of".to_owned(), json!(fragment.name()));
    if let Some((index, begin)) = fragment.block {
        map.insert("index".to_owned(), json!(index.0));
        map.insert("begin".to_owned(), json!(begin));
    }
    map.insert("from".to_owned(), json!(fragment.from));
    map.insert("total".to_owned(), json!(fragment.total));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(name: &'static str, value: FieldValue) -> Field {
        Field::content(name, 0..8, value)
    }

    #[test]
    fn a_payload_is_its_length_beside_no_other_length() {
        let block = content("block", FieldValue::Payload(13..29));
        assert_eq!(Value::Object(object(std::slice::from_ref(&block))), json!({"length": 16}));
        let fields = [content("length", FieldValue::Unsigned(2)), block];
        assert_eq!(Value::Object(object(&fields)), json!({"length": 2, "block_length": 16}));
    }

    #[test]
    fn a_key_that_stands_twice_loses_nothing() {
        let fields = [1, 2, 3].map(|number| content("seeders", FieldValue::Unsigned(number)));
        assert_eq!(Value::Object(object(&fields)), json!({"seeders": [1, 2, 3]}));
    }

    #[test]
    fn flags_have_names_and_bits() {
        let fields = [content("reserved", FieldValue::Flags(0x10_0004, vec!["extended", "fast"]))];
        let expected = json!({"reserved": ["extended", "fast"], "reserved_hex": "0000000000100004"});
        assert_eq!(Value::Object(object(&fields)), expected);
    }

    #[test]
    fn maps_and_lists_nest_without_their_delimiters() {
        let inner = vec![
            Field::framing("open", 0..1, FieldValue::None),
            content("ut_pex", FieldValue::Unsigned(1)),
            Field::framing("close", 7..8, FieldValue::None),
        ];
        let fields = [content("m", FieldValue::Map).with_children(inner)];
        assert_eq!(Value::Object(object(&fields)), json!({"m": {"ut_pex": 1}}));
    }
}
