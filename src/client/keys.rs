//! The keys of encrypted connections: into the recording, before the bytes that need them, and into a key log.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use bittrace_protocol::Timestamp;
use bittrace_protocol::mse::{MAX_KEYS, MseKey};

use crate::Error;
use crate::os::append_to;
use crate::record::Tap;

/// Where keys are kept.
#[derive(Debug)]
pub(crate) struct KeyKeeper {
    tap: Tap,
    log: Option<(PathBuf, File)>,
    count: usize,
    /// Whether no more keys are kept.
    failed: bool,
}

/// The addresses of a stream to a peer, as far as they are known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StreamEnds {
    /// Who opened the stream.
    pub(crate) initiator: Option<SocketAddr>,
    pub(crate) responder: Option<SocketAddr>,
}

impl KeyKeeper {
    /// Keeps keys in the recording, and appends them to this file.
    pub(crate) fn open(log: Option<&Path>, tap: Tap) -> Result<Self, Error> {
        let open = |path: &Path| match append_to(path) {
            Ok(file) => Ok((path.to_owned(), file)),
            Err(source) => Err(Error::KeyLog { path: path.to_owned(), source }),
        };
        Ok(Self { tap, log: log.map(open).transpose()?, count: 0, failed: false })
    }

    /// Keeps a key.
    ///
    /// # Errors
    /// Once, where the file cannot be written, or there are more keys than a reader takes. After that no key is kept.
    pub(crate) fn keep(&mut self, now: Timestamp, key: &MseKey, ends: StreamEnds) -> Result<(), Error> {
        let nobody_reads = self.log.is_none() && !self.tap.is_open();
        if self.failed || nobody_reads {
            return Ok(());
        }
        let kept = self.write(now, key, ends);
        self.failed = kept.is_err();
        kept
    }

    fn write(&mut self, now: Timestamp, key: &MseKey, ends: StreamEnds) -> Result<(), Error> {
        if self.count == MAX_KEYS {
            return Err(Error::TooManyKeys { limit: MAX_KEYS });
        }
        self.count += 1;
        let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let [initiator, responder] =
            [ends.initiator, ends.responder].map(|end| canonical(end.unwrap_or(unknown)));
        self.tap.mse_key(now, key, initiator, responder);
        let Some((path, file)) = &mut self.log else { return Ok(()) };
        let line = format!("{}\n", key.to_line(initiator, responder));
        file.write_all(line.as_bytes()).map_err(|source| Error::KeyLog { path: path.clone(), source })
    }
}

/// An address as people write it: an IPv4-mapped one as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use bittrace_protocol::InfoHash;
    use bittrace_protocol::mse::parse_key_log;

    use super::*;

    fn key(number: u8) -> MseKey {
        MseKey { info_hash: InfoHash([number; 20]), secret: [number; 96] }
    }

    #[test]
    fn keys_are_appended_to_what_a_file_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        for number in [1, 2] {
            let mut keeper = KeyKeeper::open(Some(&path), Tap::default()).unwrap();
            let ends = StreamEnds { initiator: "[::ffff:10.0.0.1]:5".parse().ok(), responder: None };
            keeper.keep(Timestamp::EPOCH, &key(number), ends).unwrap();
        }
        let log = std::fs::read(&path).unwrap();
        assert_eq!(parse_key_log(&log), Ok(vec![key(1), key(2)]));
        assert!(log.starts_with(b"MSE 10.0.0.1:5-0.0.0.0:0 0101"));
    }

    #[test]
    fn there_are_no_more_keys_than_a_reader_takes_and_that_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let mut keeper = KeyKeeper::open(Some(&path), Tap::default()).unwrap();
        let kept = |keeper: &mut KeyKeeper| keeper.keep(Timestamp::EPOCH, &key(1), StreamEnds::default());
        (0..MAX_KEYS).for_each(|_| kept(&mut keeper).unwrap());
        assert!(matches!(kept(&mut keeper), Err(Error::TooManyKeys { limit: MAX_KEYS })));
        assert!(kept(&mut keeper).is_ok());
        assert_eq!(parse_key_log(&std::fs::read(&path).unwrap()).unwrap().len(), MAX_KEYS);
    }

    #[test]
    fn a_key_log_that_cannot_be_made_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = KeyKeeper::open(Some(folder.path()), Tap::default()).unwrap_err();
        assert!(matches!(error, Error::KeyLog { .. }), "{error}");
    }
}
