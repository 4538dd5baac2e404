//! `bittrace extcap`: interfaces of Wireshark and tshark. Wireshark starts this program to ask which interfaces and options there
//! are, and once more for each capture, which goes into a pipe of Wireshark's.

mod install;
mod interfaces;
mod play;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::Exit;
use crate::args::{Common, DownloadArguments, ExtcapArguments, InterfaceSettings};
use crate::commands::download::{self, RecordTarget};
use crate::print::output::Output;
use interfaces::Interface;

/// Runs the command.
pub(crate) fn run(arguments: &ExtcapArguments, common: Common, mut output: Output) -> Result<Exit> {
    let asked = &arguments.asked;
    if arguments.install || arguments.uninstall {
        let folder = arguments.folder.as_deref();
        match arguments.install {
            true => install::install(folder, &mut output)?,
            false => install::uninstall(folder, &mut output)?,
        }
    } else if asked.extcap_interfaces {
        output.write_all(interfaces::list().as_bytes())?;
    } else if let Some(name) = &asked.extcap_interface {
        let interface = Interface::of(name)?;
        let filter = asked.extcap_capture_filter.as_deref().unwrap_or_default().trim();
        if asked.capture {
            if !filter.is_empty() {
                bail!("{name}: {NO_CAPTURE_FILTER}");
            }
            let fifo = asked.fifo.as_ref().context("--capture needs --fifo, the pipe to write to")?;
            return capture(interface, &arguments.settings, Path::new(fifo), common, output);
        }
        if asked.extcap_dlts {
            output.write_all(interface.link_types().as_bytes())?;
        } else if asked.extcap_config {
            output.write_all(interface.options().as_bytes())?;
        } else if !filter.is_empty() {
            // Wireshark takes what is written here for what is wrong with the filter.
            writeln!(output, "{NO_CAPTURE_FILTER}")?;
        }
    } else {
        bail!(
            "Wireshark and tshark start this command: make it known to them with bittrace extcap --install, then choose the interface {} or {}",
            Interface::Download.name(),
            Interface::File.name()
        );
    }
    output.flush()?;
    Ok(Exit::Done)
}

/// Writes packets to the pipe until there are no more, or until nobody reads them.
fn capture(
    interface: Interface,
    settings: &InterfaceSettings,
    fifo: &Path,
    common: Common,
    output: Output,
) -> Result<Exit> {
    match interface {
        Interface::Download => {
            // Wireshark shows what stands on standard error as a failure.
            let common = Common { quiet: true, verbose: false, ..common };
            let target = RecordTarget::ReadersPipe(fifo.to_owned());
            download::run_recorded(&download_arguments(settings)?, &target, common, output)
        }
        Interface::File => {
            let file = settings.file.as_deref().context("no capture file was chosen (--file)")?;
            play::play(file, settings.speed.unwrap_or(1.0), fifo)
        }
    }
}

/// The arguments of the download, as of a command line.
fn download_arguments(settings: &InterfaceSettings) -> Result<DownloadArguments> {
    let torrent = settings.torrent.as_deref().context("no torrent was chosen (--torrent)")?;
    let folder: PathBuf = match &settings.output {
        Some(folder) => folder.clone(),
        None => bail!("no folder for the files was chosen (--output)"),
    };
    // Wireshark hands on a field that was left empty.
    let listen = settings.listen.as_deref().filter(|address| !address.is_empty());
    let listen = listen.map(|address| address.parse().with_context(|| format!("--listen {address}")));
    Ok(DownloadArguments {
        output: folder,
        port: Some(settings.port.unwrap_or(0)),
        listen: listen.transpose()?.into_iter().collect(),
        single_peer: settings.single_peer,
        ..DownloadArguments::of(torrent)?
    })
}

const NO_CAPTURE_FILTER: &str = "this interface has no capture filters: use a display filter";
