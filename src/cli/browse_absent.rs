//! `bittrace browse` in a program that was built without the terminal browser.

use anyhow::{Result, bail};

use crate::Exit;
use crate::args::{BrowseArguments, Common};

/// Says what to do.
///
/// # Errors
/// Always.
pub(crate) fn run(_: &BrowseArguments, _: Common) -> Result<Exit> {
    bail!(
        "this bittrace was built without its terminal browser: build it with --features browse, or use bittrace analyze"
    )
}
