//! The nodes of the DHT that the next run begins with, in a small file. It is written whole and then renamed, so that a run
//! that ends in the middle leaves the earlier one.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use bittrace_protocol::dht::SavedNodes;

use crate::Error;

/// Reads the nodes of an earlier run; none where there is no file.
pub(crate) fn read(path: &Path) -> Result<SavedNodes, Error> {
    let unreadable = |source| Error::DhtState { action: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(SavedNodes::default()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).map_err(unreadable)?;
    SavedNodes::decode(&bytes).map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error)))
}

/// Writes nodes for the next run, in place of those that are there.
pub(crate) fn write(path: &Path, nodes: &SavedNodes) -> Result<(), Error> {
    let written = || {
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".dht-").tempfile_in(folder)?;
        file.write_all(&nodes.encode())?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    written().map_err(|source| Error::DhtState { action: "write", path: path.to_owned(), source })
}

/// More bytes than the most nodes come to.
const LARGEST: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_as_they_were_written_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deeper/dht.dat");
        assert!(read(&path).expect("no file").is_empty());
        let bytes =
            b"d2:id20:aaaaaaaaaaaaaaaaaaaa5:nodes26:bbbbbbbbbbbbbbbbbbbb\x0b\0\0\x01\x1a\xe16:nodes60:e";
        let saved = SavedNodes::decode(bytes).expect("nodes");
        write(&path, &SavedNodes::default()).expect("room");
        write(&path, &saved).expect("room");
        assert_eq!(read(&path).expect("a file"), saved);
        assert_eq!(fs::read_dir(folder.path().join("deeper")).expect("a folder").count(), 1);
    }

    #[test]
    fn a_file_that_is_something_else_is_told_of() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("dht.dat");
        fs::write(&path, b"something else").expect("room");
        let error = read(&path).expect_err("not a state");
        assert!(error.to_string().contains("cannot read the nodes of the DHT"), "{error}");
        // A folder cannot be replaced by a file.
        assert!(write(folder.path(), &SavedNodes::default()).is_err());
    }
}
