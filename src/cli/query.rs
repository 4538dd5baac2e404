//! Which messages are chosen and which of their fields are shown: names, filters, and the values under each name.

pub(crate) mod catalog;
pub(crate) mod cell_value;
pub(crate) mod fields;
pub(crate) mod filter;
pub(crate) mod names;
pub(crate) mod row;
pub(crate) mod vocabulary;
