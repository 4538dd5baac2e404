//! How results look: tables of text, JSON and CSV.

pub(crate) mod capture_row;
pub(crate) mod connection_table;
pub(crate) mod csv;
pub(crate) mod hex;
pub(crate) mod json;
pub(crate) mod kept_texts;
pub(crate) mod ladder;
pub(crate) mod lines;
pub(crate) mod message_json;
pub(crate) mod message_table;
pub(crate) mod output;
pub(crate) mod overview;
pub(crate) mod page;
pub(crate) mod perfetto;
pub(crate) mod printable;
pub(crate) mod run_numbers;
pub(crate) mod run_summary;
pub(crate) mod table;
pub(crate) mod units;
pub(crate) mod views;
pub(crate) mod zeek;
