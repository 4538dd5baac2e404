//! What can be copied of the message that is chosen: its row, a field, and the command that shows it.

use std::path::PathBuf;

use bittrace_report::CommandLine;

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
    Some(analyze(&state.paths).with(&format!("--filter 'n == {}' --hex", row.number())))
}

/// `bittrace analyze` of these captures.
fn analyze(paths: &[PathBuf]) -> CommandLine {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let paths: Vec<_> = paths.iter().map(|path| undisguised(path)).collect();
    CommandLine::new(["bittrace", "analyze"].into_iter().chain(paths.iter().map(|path| &**path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_to_a_shell() {
        let words = |name: &str| analyze(&[name.into()]).words;
        assert_eq!(words("captures/a.pcap"), "bittrace analyze captures/a.pcap");
        assert_eq!(words("it's here;rm -rf"), "bittrace analyze 'it'\\''s here;rm -rf'");
        assert_eq!(words(""), "bittrace analyze ''");
    }
}
