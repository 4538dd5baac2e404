//! The names that a filter knows, with their types, for the filter that a page has: it takes and refuses what the command
//! line takes and refuses.

use bittrace_trace::rules::RULES;
use serde_json::{Map, Value, json};

use crate::query::catalog::{field_names, message_names};
use crate::query::filter::field_type;

/// The fields of messages with their types (`number`, `bytes`, `seconds`, `hash`, `hex`, `address`, `end` or `text`), and the
/// names of messages and rules.
pub(crate) fn vocabulary() -> Value {
    let fields: Map<_, _> = field_names().map(|name| (name.to_owned(), json!(field_type(name)))).collect();
    let mut messages: Vec<_> = message_names().collect();
    messages.sort_unstable();
    messages.dedup();
    let rules: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
    json!({ "fields": fields, "messages": messages, "rules": rules })
}
