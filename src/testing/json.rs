//! JSON as a person reads it.

use std::fmt::Write;

use serde_json::Value;

/// How many columns a value may take before its parts get lines of their own.
const WIDTH: usize = 110;

/// Objects, each on a line, with their parts indented: for snapshots. What fits into a line stays on one line.
///
/// # Panics
/// When a line is not JSON, or says the same in another way than the writer of `serde_json` does: the indented text would
/// then hide a change.
pub fn indented(lines: &str) -> String {
    let mut text = String::new();
    for line in lines.lines() {
        let value: Value = serde_json::from_str(line).expect("each line is JSON");
        assert_eq!(value.to_string(), line, "the indented text hides how this is written");
        write_value(&value, 0, 0, &mut text);
        text.push('\n');
    }
    text
}

/// Writes a value at some depth, after a name of so many columns.
fn write_value(value: &Value, depth: usize, name: usize, text: &mut String) {
    let line = value.to_string();
    let parts: Vec<(String, &Value)> = match value {
        Value::Array(items) => items.iter().map(|item| (String::new(), item)).collect(),
        Value::Object(entries) => {
            entries.iter().map(|(key, value)| (format!("{}: ", Value::from(key.as_str())), value)).collect()
        }
        _ => Vec::new(),
    };
    if parts.is_empty() || 2 * depth + name + line.chars().count() <= WIDTH {
        text.push_str(&line);
        return;
    }
    let (open, close) = if value.is_array() { ('[', ']') } else { ('{', '}') };
    text.push(open);
    for (number, (name, part)) in parts.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(text, "{comma}\n{:indent$}{name}", "", indent = 2 * (depth + 1));
        write_value(part, depth + 1, name.chars().count(), text);
    }
    let _ = write!(text, "\n{:indent$}{close}", "", indent = 2 * depth);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_values_stay_on_a_line_and_long_ones_get_a_line_for_each_part() {
        let short = r#"{"n":1,"frames":[7,9]}"#;
        assert_eq!(indented(short), format!("{short}\n"));
        let word = "x".repeat(WIDTH);
        let long = format!(r#"{{"n":1,"said":["{word}",2]}}"#);
        let wanted = format!("{{\n  \"n\": 1,\n  \"said\": [\n    \"{word}\",\n    2\n  ]\n}}\n");
        assert_eq!(indented(&long), wanted);
    }

    #[test]
    #[should_panic(expected = "hides")]
    fn another_way_to_write_the_same_is_refused() {
        indented(r#"{"n": 1}"#);
    }
}
