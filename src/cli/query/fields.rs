//! What a message says, as a JSON object: its content fields, typed, under the protocol's names.

use bittrace_protocol::{Field, Hex, Role, Value as FieldValue};
use bittrace_trace::Record;
use serde_json::{Map, Value, json};

/// The `fields` of a record.
pub(crate) fn fields_of(record: &Record) -> Map<String, Value> {
    object(&record.content())
}

/// Where in its bytes a record has its fields: under each name of `fields`, which are its [`fields_of`], the first byte and
/// the one after the last. A name that stands twice gets a list of both. Left out is what has no bytes of its own: what is
/// joined from chunks, unpacked, or follows from other fields.
pub(crate) fn spans_of(record: &Record, fields: &Map<String, Value>) -> Map<String, Value> {
    let mut spans: Map<String, Value> = Map::new();
    each_entry(&record.fields(), |name, field, _| {
        if !fields.contains_key(&name) {
            return;
        }
        let span = json!([field.span.start, field.span.end]);
        match spans.get_mut(&name) {
            Some(Value::Array(several)) if several.iter().any(Value::is_array) => several.push(span),
            Some(single) => *single = Value::Array(vec![single.take(), span]),
            None => drop(spans.insert(name, span)),
        }
    });
    spans
}

/// The content of some fields as an object.
pub(crate) fn object(fields: &[Field]) -> Map<String, Value> {
    let mut map = Map::new();
    each_entry(fields, |name, field, aspect| {
        let value = match (aspect, &field.value) {
            (Aspect::Length, FieldValue::Payload(place)) => json!(place.len()),
            (Aspect::Bits, FieldValue::Flags(bits, _)) => {
                let digits = 2 * field.span.len();
                json!(format!("{bits:0digits$x}"))
            }
            _ => value(field),
        };
        insert(&mut map, name, value);
    });
    map
}

/// What of a field stands under a name.
#[derive(Debug, Clone, Copy)]
enum Aspect {
    Value,
    /// The length of a payload.
    Length,
    /// The bits of flags.
    Bits,
}

/// Calls `entry` with each name of an object of fields, and the field.
fn each_entry<'f>(fields: &'f [Field], mut entry: impl FnMut(String, &'f Field, Aspect)) {
    let has_length = fields.iter().any(|field| field.role == Role::Content && field.name == "length");
    for field in fields.iter().filter(|field| field.role == Role::Content) {
        match &field.value {
            FieldValue::Payload(_) => {
                let name = if has_length { format!("{}_length", field.name) } else { "length".to_owned() };
                entry(name, field, Aspect::Length);
            }
            FieldValue::Flags(..) => {
                entry(field.name.to_string(), field, Aspect::Value);
                entry(format!("{}_hex", field.name), field, Aspect::Bits);
            }
            _ => entry(field.name.to_string(), field, Aspect::Value),
        }
        // The number under which an extension's message was sent stands within the extension's name.
        if !matches!(field.value, FieldValue::Map | FieldValue::List) {
            for part in field.children.iter().filter(|part| part.name == "extended_id") {
                entry(part.name.to_string(), part, Aspect::Value);
            }
        }
    }
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
