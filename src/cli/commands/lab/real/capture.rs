//! The capture of a run: one listener sees every packet of every host once, between the link up of its sender and the link down of
//! its receiver.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bittrace_trace::{Capture, CapturedPacket, HostName, PacketCopier, Viewpoint};
use tokio::time::{sleep, timeout};

use super::host::{find, last_line};
use super::network::Network;
use crate::os::ProcessTree;

/// A listener at work.
pub(super) struct Listener {
    process: ProcessTree,
    log: PathBuf,
    file: PathBuf,
}

/// A capture that is whole.
#[derive(Debug)]
pub(super) struct Captured {
    pub(super) file: PathBuf,
    /// Packets that the listener lost, where it says so.
    pub(super) lost: Option<u64>,
    /// Whether the listener ended before it was told to, so that the rest of the run is missing.
    pub(super) is_cut: bool,
}

impl Listener {
    /// Begins to capture, and waits until every packet from now on is caught.
    pub(super) async fn start(network: &Network, folder: &Path) -> Result<Self> {
        let (interface, filter) = network.tap();
        let file = folder.join("network.pcapng");
        let log = folder.join("capture.log");
        let to = file.display().to_string();
        let (program, words) = match (find("dumpcap"), find("tcpdump")) {
            (Some(program), _) => {
                (program, vec!["-q", "-n", "-i", interface, "-f", filter, "-B", "64", "-s", "0", "-w", &to])
            }
            // Without this it gives up root, and with it the right to write into the folder.
            (None, Some(program)) => (
                program,
                vec!["-Z", "root", "-i", interface, "-n", "-U", "-B", "65536", "-s", "0", "-w", &to, filter],
            ),
            (None, None) => bail!("neither dumpcap nor tcpdump is installed"),
        };
        let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
        let (program, words) = network.on_bridge(program.into(), words);
        let mut process = ProcessTree::start(&program, &words, File::create(&log)?)
            .context("the capture cannot be started")?;
        let began = Instant::now();
        while !said(&log).lines().any(|line| line.starts_with("File: ") || line.contains("listening on")) {
            if process.try_wait()?.is_some() || began.elapsed() > PATIENCE {
                let said = said(&log);
                let why = last_line(&said).unwrap_or("it takes too long");
                bail!("packets on {interface} cannot be captured: {why}");
            }
            sleep(STEP).await;
        }
        Ok(Self { process, log, file })
    }

    /// Lets the last packets arrive, and ends the capture.
    pub(super) async fn end(mut self) -> Captured {
        sleep(LAST).await;
        let is_cut = !matches!(self.process.try_wait(), Ok(None));
        if !self.process.ask_to_end() || timeout(PATIENCE, self.process.wait()).await.is_err() {
            self.process.kill();
        }
        Captured { lost: lost(&said(&self.log)), file: self.file, is_cut }
    }
}

impl Captured {
    /// Writes the capture with the names of the hosts and a comment. How many packets it has.
    pub(super) fn write(&self, names: &[HostName], comment: &str, to: &mut dyn Write) -> Result<u64> {
        let mut capture = Capture::open(&self.file)?;
        let mut copier = PacketCopier::new(to, comment)?;
        copier.host_names(names)?;
        while let Some(packet) = capture.next_packet()? {
            copier.packet(&CapturedPacket { viewpoint: Viewpoint::BetweenHosts, ..packet })?;
        }
        let packets = copier.packets();
        copier.finish()?;
        Ok(packets)
    }
}

fn said(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&text).replace('\r', "\n")
}

/// How many packets were lost, by what dumpcap or tcpdump says at its end.
fn lost(said: &str) -> Option<u64> {
    said.lines().find_map(|line| {
        if let Some(number) = line.strip_suffix(" packets dropped by kernel") {
            return number.trim().parse().ok();
        }
        // Packets received/dropped on interface 'br0': 2046/0 (pcap:0/dumpcap:0/flushed:0/ps_ifdrop:0) (100.0%)
        let (_, numbers) = line.strip_prefix("Packets received/dropped on interface ")?.rsplit_once("': ")?;
        numbers.split(' ').next()?.split_once('/')?.1.parse().ok()
    })
}

/// How long the listener may take to begin and to end, how often is looked, and how long packets may be on their way.
const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(20);
const LAST: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_read_from_what_the_listener_says() {
        let dumpcap = "Packets captured: 2046\nPackets received/dropped on interface 'br0': 2046/3 (pcap:3/dumpcap:0)\n";
        assert_eq!(lost(dumpcap), Some(3));
        assert_eq!(
            lost("10 packets captured\n12 packets received by filter\n2 packets dropped by kernel\n"),
            Some(2)
        );
        assert_eq!(lost("tcpdump: br0: no such device\n"), None);
    }
}
