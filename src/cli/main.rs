//! The `bittrace` command.
fn main() {}
