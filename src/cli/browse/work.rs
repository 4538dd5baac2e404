//! What the state wants of the temporary file: records for the screen, for a filter and for a search, in steps that leave
//! time for keys.

use std::io;

use super::spool::{Spool, step_of};
use super::state::State;

/// The most records that are looked through in a step.
const STEP: usize = 256;

/// Reads the records that the screen needs.
///
/// # Errors
/// When the temporary file cannot be read, here as in all functions.
pub(super) fn load(state: &mut State, spool: &mut Spool) -> io::Result<()> {
    // A record that was read may move the screen, which asks for others then.
    for _ in 0..3 {
        let missing = state.missing();
        if missing.is_empty() {
            return Ok(());
        }
        for message in missing {
            let record = spool.record(&state.entries[message as usize])?;
            state.provide(message, record);
        }
        state.settle();
    }
    Ok(())
}

/// Lets the filter look at some messages; whether it did.
pub(super) fn scan(state: &mut State, spool: &mut Spool) -> io::Result<bool> {
    if state.list.unscanned() == 0 {
        return Ok(false);
    }
    let entries = &state.entries[state.list.next_to_scan()..];
    let records = spool.records(&entries[..step_of(entries, STEP)])?;
    state.scanned(&records);
    Ok(true)
}

/// Looks at some messages for what is sought; whether it did.
pub(super) fn search(state: &mut State, spool: &mut Spool) -> io::Result<bool> {
    let Some(messages) = state.sought(STEP) else { return Ok(false) };
    let mut records = Vec::with_capacity(messages.len());
    let mut rest = messages.as_slice();
    while let Some(&first) = rest.first() {
        // Messages that follow each other are read together.
        let run = rest.iter().zip(first..).take_while(|(message, next)| **message == *next).count();
        let entries = &state.entries[first as usize..first as usize + run];
        let taken = step_of(entries, run);
        records.extend(spool.records(&entries[..taken])?);
        rest = &rest[taken..];
    }
    state.searched(&records);
    Ok(true)
}
