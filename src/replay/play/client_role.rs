//! Which role a reference's client had, and so the client under test: it downloads from the recorded peers, or seeds to them.

use bittrace_trace::Side;

use crate::model::transcript::Transcript;

/// The role of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientRole {
    /// It begins with nothing, and the recorded peers have the content.
    Downloader,
    /// It begins with the whole content, and the recorded peers ask for it.
    Seeder,
}

impl ClientRole {
    /// The role of the client of `reference`: that of a seeder where it sent more blocks than its peers did. A client that asked
    /// for the metadata had nothing to begin with, however much it passed on.
    pub fn of(reference: &Transcript) -> Self {
        if reference.asks_for_metadata() {
            return Self::Downloader;
        }
        let blocks = |side| {
            let messages = reference.peers().flat_map(|one| &one.direction(side).messages);
            messages.filter(|message| message.message() == "piece").count()
        };
        if blocks(Side::Local) > blocks(Side::Remote) { Self::Seeder } else { Self::Downloader }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use bittrace_trace::TraceOptions;

    use super::*;

    #[test]
    fn who_gave_more_blocks_is_the_seeder() {
        for (capture, role) in [
            ("seeding-aria2.pcap", ClientRole::Seeder),
            ("seeding-transmission.pcap", ClientRole::Seeder),
            ("download-rtorrent.pcap", ClientRole::Downloader),
            ("dht-get-peers.pcap", ClientRole::Downloader),
        ] {
            let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../captures"].iter().collect();
            let reference = Transcript::open(&folder.join(capture), TraceOptions::default());
            assert_eq!(ClientRole::of(&reference.expect("a capture can be read")), role, "{capture}");
        }
    }
}
