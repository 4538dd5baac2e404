//! Captures as users name them: files, pipes, or standard input.

use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use bittrace_trace::{Trace, TraceOptions};

use crate::interrupt::Feed;
use crate::print::output::Output;

/// Opens a capture; `-` is standard input. Whoever waits for a pipe sees what is known put out before.
pub(crate) fn open(path: &Path, options: TraceOptions, output: &Output) -> Result<Trace> {
    if path == Path::new("-") {
        let feed = Feed::new(io::stdin(), output.clone());
        return Ok(Trace::from_reader("standard input".to_owned(), feed, options)?);
    }
    // A pipe may be written while it is read.
    let waits = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
    if waits {
        let file = File::open(path).with_context(|| format!("{}: cannot be opened", path.display()))?;
        let feed = Feed::new(file, output.clone());
        return Ok(Trace::from_reader(path.display().to_string(), feed, options)?);
    }
    Ok(Trace::open(path, options)?)
}
