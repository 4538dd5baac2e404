//! The subcommands, a file each: what they read, in which order, and their exit codes.

pub(crate) mod analyze;
pub(crate) mod annotate;
pub(crate) mod clear;
pub(crate) mod completions;
pub(crate) mod diagnose;
pub(crate) mod diff;
pub(crate) mod download;
pub(crate) mod expected;
pub(crate) mod explain;
pub(crate) mod extcap;
pub(crate) mod extract;
pub(crate) mod fields;
pub(crate) mod lab;
pub(crate) mod man;
pub(crate) mod profile;
pub(crate) mod replay;
pub(crate) mod schema;
pub(crate) mod torrent;
