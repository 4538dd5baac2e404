//! A trace against a trace, and a trace against a session.

mod learn;
mod reference;

pub use learn::{Evidence, Learnt, learn};
pub use reference::{Connection, Reference, ReferenceError};
