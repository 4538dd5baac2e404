//! `bittrace browse`: captures in the terminal: a list of messages with their fields and bytes, and tables that lead to them.
//!
//! [`state`] is all of it without input or output, [`view`] draws it, [`driver`] has the terminal, the temporary file and the
//! thread that reads.

mod copied;
mod detail;
mod driver;
mod find;
mod index;
mod layout;
mod list;
mod pictures;
mod prompt;
mod reader;
mod save;
mod screens;
mod spool;
mod state;
mod strip;
mod tables;
#[cfg(test)]
mod tests;
mod update;
mod view;
mod work;

pub(crate) use driver::run;
