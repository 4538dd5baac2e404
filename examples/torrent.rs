//! Prints the files of a torrent.
//!
//!     cargo run --example torrent captures/multi-file-several-peers.torrent
#![allow(clippy::print_stdout, reason = "an example prints what it finds")]

use std::error::Error;

use bittrace_protocol::Metainfo;

fn main() -> Result<(), Box<dyn Error>> {
    let path =
        std::env::args_os().nth(1).unwrap_or_else(|| "captures/multi-file-several-peers.torrent".into());
    let torrent = Metainfo::decode(&std::fs::read(path)?)?;
    println!(
        "info hash {}, {} bytes in pieces of {}",
        torrent.info_hash,
        torrent.total(),
        torrent.piece_length
    );
    for file in torrent.files.iter().filter(|file| !file.is_padding()) {
        let path: Vec<String> = file.path.iter().map(ToString::to_string).collect();
        // Names come from whoever made the torrent: control characters are not for the terminal.
        println!("{:>12}  {}", file.length, path.join("/").escape_debug());
    }
    Ok(())
}
