//! `bittrace torrent fetch`: the .torrent of a magnet link, from peers.

use std::io::Write;

use anyhow::{Context, Result, bail};
use bittrace_client::{Download, Outcome};
use bittrace_protocol::Metainfo;

use crate::Exit;
use crate::args::{Common, DownloadArguments, TorrentFetch, TorrentFormat};
use crate::commands::download::{
    EndedRun, FurtherSources, RecordTarget, options, read_link, run_with_commentary, warn_of_link,
    what_is_missing, write_link,
};
use crate::file_kind::is_magnet_link;
use crate::interrupt::interrupted;
use crate::page_file::PageFile;
use crate::print::output::Output;

use super::NamedTorrent;

/// Runs the command.
pub(crate) fn fetch(arguments: &TorrentFetch, common: Common, mut output: Output) -> Result<Exit> {
    if !is_magnet_link(&arguments.link) {
        bail!("{}: expected a magnet link", arguments.link);
    }
    let magnet = read_link(&arguments.link)?;
    let download_arguments = download_arguments(arguments)?;
    let target = RecordTarget::of(&download_arguments)?;
    let file = PageFile::create_for("-o", &arguments.output, &[], &output)?;
    // Standard output has one thing alone: the torrent, what the torrent says as JSON, or the recording.
    let is_json = arguments.format == TorrentFormat::Json;
    let is_recorded_there = matches!(target, RecordTarget::StandardOutput);
    match (file.is_output(), is_recorded_there) {
        (true, true) => bail!("--record -: standard output has the torrent; name a file with -o"),
        (true, false) if is_json => {
            bail!("--format json: standard output has the torrent; name a file with -o")
        }
        (false, true) if is_json => {
            bail!("--format json: standard output has the recording; name a file with --record")
        }
        _ => {}
    }
    let mut commentary = match file.is_output() || is_recorded_there || is_json {
        true => Output::on_standard_error(common),
        false => output.clone(),
    };
    if !common.quiet {
        write_link(&magnet, commentary.look, &mut commentary)?;
        commentary.flush()?;
    }
    warn_of_link(&magnet, FurtherSources::of(&download_arguments), common);
    let mut options = options(&download_arguments, magnet.hashes.handshake(), None)?;
    options.record_comment = format!("bittrace {} torrent fetch", env!("CARGO_PKG_VERSION"));
    if !target.open(common, &mut options)? {
        return Ok(Exit::Interrupted);
    }
    let download = Download::of_metadata(magnet.clone(), options);
    let EndedRun { report, wrong_output, .. } =
        run_with_commentary(download, &target, false, common, &mut commentary);
    let report = report?;
    if let Some(error) = wrong_output {
        return Err(error).context("standard output cannot be written");
    }
    let satisfied = target.is_satisfied(report.recording);
    let Some(info) = report.metadata.filter(|_| report.outcome == Outcome::Complete) else {
        if interrupted() {
            return Ok(Exit::Interrupted);
        }
        if !satisfied? {
            return Ok(Exit::Done);
        }
        let metadata = report.status.as_ref().and_then(|status| status.metadata);
        bail!("no peer sent {} of the torrent", metadata.as_ref().map_or("the metadata", what_is_missing));
    };
    let torrent = magnet.torrent_file(&info, &report.piece_layers);
    let is_output = file.is_output();
    file.write(|out| out.write_all(&torrent))?;
    // What was fetched is kept, whatever became of the recording.
    satisfied?;
    if !is_output {
        let told = if is_json { &mut output } else { &mut commentary };
        tell(arguments, torrent, common, told)?;
    }
    Ok(Exit::Done)
}

/// Says what was written.
fn tell(arguments: &TorrentFetch, bytes: Vec<u8>, common: Common, output: &mut Output) -> Result<()> {
    let name = arguments.output.display().to_string();
    let metainfo = Metainfo::decode(&bytes)?;
    match arguments.format {
        TorrentFormat::Json => {
            let file = NamedTorrent { name, bytes, metainfo };
            super::write_json(&file, common.verbose, output)?;
        }
        TorrentFormat::Table if !common.quiet => writeln!(output, "Saved {} to {name}", metainfo.name)?,
        TorrentFormat::Table => {}
    }
    Ok(output.flush()?)
}

/// The arguments of a download that goes as far as the metadata.
fn download_arguments(arguments: &TorrentFetch) -> Result<DownloadArguments> {
    let TorrentFetch { link, output: _, format: _, record, port, listen, encryption, rounds, allow_local } =
        arguments;
    Ok(DownloadArguments {
        record: record.clone(),
        port: *port,
        listen: listen.clone(),
        encryption: *encryption,
        rounds: *rounds,
        allow_local: *allow_local,
        ..DownloadArguments::of(link)?
    })
}
