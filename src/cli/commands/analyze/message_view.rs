//! How messages are shown to people: as a table, as a ladder, or a stream as a conversation.

use std::io::{self, Write};
use std::net::IpAddr;

use crate::print::ladder::Ladder;
use crate::print::message_table::MessageTable;
use crate::print::views::Follower;
use crate::query::row::Row;

/// Writes messages one after another.
pub(super) enum MessageView {
    Table(MessageTable),
    Ladder(Ladder),
    Conversation(Follower),
}

impl MessageView {
    /// Takes in a message; it may wait for the next. `local` is the host the capture is about.
    pub(super) fn row(
        &mut self,
        row: &Row<'_>,
        local: Option<IpAddr>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        match self {
            Self::Table(table) => table.row(row, local, out),
            Self::Ladder(ladder) => ladder.row(row, local, out),
            Self::Conversation(follower) => follower.tell(row, out),
        }
    }

    /// Writes what waits.
    pub(super) fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Table(table) => table.finish(out),
            Self::Ladder(ladder) => ladder.finish(out),
            Self::Conversation(follower) => follower.finish(out),
        }
    }
}
