//! Key logs: the keys in encrypted connections, from files that the command line names.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use bittrace_protocol::mse::{MAX_KEYS, MseKey, parse_key_log};
use bittrace_trace::units::{count, size};
use clap::Args;

/// Where the keys in encrypted connections are.
#[derive(Debug, Default, Args)]
pub(crate) struct KeyLogs {
    /// A key log, to decrypt connections; can be repeated. Keys inside captures are found without it
    #[arg(long = "mse-keys", value_name = "FILE", long_help = MSE_KEYS_HELP)]
    files: Vec<PathBuf>,
}

impl KeyLogs {
    /// The files.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The keys of all key logs.
    pub(crate) fn read(&self) -> Result<Vec<MseKey>> {
        let mut keys = Vec::new();
        for path in &self.files {
            keys.append(&mut read(path)?);
            if keys.len() > MAX_KEYS {
                bail!(
                    "{}: more than {} keys in all key logs together",
                    path.display(),
                    count(MAX_KEYS as u64)
                );
            }
        }
        Ok(keys)
    }
}

fn read(path: &Path) -> Result<Vec<MseKey>> {
    let name = path.display();
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow!("{name}: no such file"),
        _ => anyhow!(error).context(format!("{name}: cannot be opened")),
    })?;
    let mut log = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut log).with_context(|| format!("{name}: cannot be read"))?;
    if log.len() as u64 > MAX_FILE {
        bail!("{name}: larger than any key log ({})", size(MAX_FILE));
    }
    parse_key_log(&log).map_err(|error| anyhow!("{name}: {error}"))
}

/// Twice as much as the most keys take.
const MAX_FILE: u64 = 64 << 20;

const MSE_KEYS_HELP: &str = "\
A key log, to decrypt connections with message stream encryption; can be repeated. One line per connection:

  MSE INITIATOR-RESPONDER INFO_HASH SECRET

with the socket addresses of both ends (informational), the torrent's info hash in 40 hexadecimal digits, and the shared Diffie-Hellman secret in 192. Blank lines and lines that start with # are ignored.

Such lines are also read from the capture itself, before the packets of the connection: from a Decryption Secrets Block of pcapng with secrets type 0x4d53454b, and from the comment of a section.";
