//! What can be copied of the message that is chosen: its row, a field, and the command that shows it.

use super::state::State;
use crate::print::printable::undisguised;

/// The row of the message that is chosen, as one line.
pub(super) fn row_of(state: &State) -> Option<String> {
    let row = state.row(state.list.selected()?)?;
    let record = row.record;
    let line = format!(
        "{} {:.6} {} → {} {}",
        row.number(),
        row.elapsed(),
        record.source,
        record.destination,
        row.summary()
    );
    Some(undisguised(&line).into_owned())
}

/// The line that is chosen among the fields.
pub(super) fn field_of(state: &State) -> Option<String> {
    let line = state.detail.lines.get(state.detail.line)?;
    Some(undisguised(line.text.trim()).into_owned())
}

/// The command that shows the message that is chosen, with its bytes.
pub(super) fn command_of(state: &State) -> Option<String> {
    let row = state.row(state.list.selected()?)?;
    let paths: Vec<String> = state.paths.iter().map(|path| quoted(&path.display().to_string())).collect();
    Some(format!("bittrace analyze {} --filter 'n == {}' --hex", paths.join(" "), row.number()))
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '_' | '-' | '+' | ',' | ':' | '@');
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", undisguised(word).replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_to_a_shell() {
        assert_eq!(quoted("captures/a.pcap"), "captures/a.pcap");
        assert_eq!(quoted("it's here;rm -rf"), "'it'\\''s here;rm -rf'");
        assert_eq!(quoted(""), "''");
    }
}
