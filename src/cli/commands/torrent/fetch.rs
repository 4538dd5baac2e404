//! `bittrace torrent fetch`: the .torrent of a magnet link, from peers.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use bittrace_client::{Download, Outcome};
use bittrace_protocol::Metainfo;
use clap::Parser;

use crate::Exit;
use crate::args::{Arguments, Command, Common, DownloadArguments, TorrentFetch, TorrentFormat};
use crate::commands::download::{
    EndedRun, FurtherSources, RecordTarget, options, read_link, run_with_commentary, warn_of_link, write_link,
};
use crate::file_kind::is_magnet_link;
use crate::interrupt::interrupted;
use crate::print::output::Output;

use super::{NamedTorrent, warn_of_faults};

/// Runs the command.
pub(crate) fn fetch(arguments: &TorrentFetch, common: Common, mut output: Output) -> Result<Exit> {
    if !is_magnet_link(&arguments.link) {
        bail!("{}: expected a magnet link", arguments.link);
    }
    let magnet = read_link(&arguments.link)?;
    // Standard output has the torrent, or what the torrent says as JSON, and nothing else.
    let to_standard_output = arguments.output == Path::new("-");
    let is_json = arguments.format == TorrentFormat::Json;
    if to_standard_output && is_json {
        bail!("--format json: standard output has the torrent; name a file with -o");
    }
    let mut commentary = match to_standard_output || is_json {
        true => Output::on_standard_error(common),
        false => output.clone(),
    };
    if !common.quiet {
        write_link(&magnet, commentary.look, &mut commentary)?;
        commentary.flush()?;
    }
    let download_arguments = download_arguments(arguments)?;
    warn_of_link(&magnet, FurtherSources::of(&download_arguments), common);
    let target = RecordTarget::of(&download_arguments)?;
    let mut options = options(&download_arguments, magnet.hashes.handshake())?;
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
    let Some(info) = report.metadata.filter(|_| report.outcome == Outcome::Complete) else {
        if interrupted() {
            return Ok(Exit::Interrupted);
        }
        bail!("no peer sent the metadata of the torrent");
    };
    let file = magnet.torrent_file(&info, &report.piece_layers);
    write_file(&arguments.output, &file, &mut output)?;
    if !to_standard_output {
        tell(arguments, file, common, &mut output)?;
    }
    Ok(Exit::Done)
}

/// Writes the file, which gets its name once it is whole.
fn write_file(path: &Path, bytes: &[u8], output: &mut Output) -> Result<()> {
    if path == Path::new("-") {
        output.write_all(bytes)?;
        return Ok(output.flush()?);
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let wrong = || format!("{}: cannot be written", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(wrong)?;
    file.write_all(bytes).with_context(wrong)?;
    file.persist(path).map_err(|error| error.error).with_context(wrong)?;
    Ok(())
}

/// Says what was written.
fn tell(arguments: &TorrentFetch, bytes: Vec<u8>, common: Common, output: &mut Output) -> Result<()> {
    let name = arguments.output.display().to_string();
    let metainfo = Metainfo::decode(&bytes)?;
    warn_of_faults(&name, &metainfo, common);
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
    let mut line: Vec<std::ffi::OsString> = vec!["bittrace".into(), "download".into()];
    if let Some(path) = &arguments.record {
        line.extend(["--record".into(), path.into()]);
    }
    if let Some(port) = arguments.port {
        line.extend(["--port".into(), port.to_string().into()]);
    }
    for address in &arguments.listen {
        line.extend(["--listen".into(), address.to_string().into()]);
    }
    if let Some(rounds) = arguments.rounds {
        line.extend(["--rounds".into(), rounds.to_string().into()]);
    }
    if arguments.allow_local {
        line.push("--allow-local".into());
    }
    line.extend(["--".into(), (&arguments.link).into()]);
    let mut parsed = match Arguments::try_parse_from(line)?.command {
        Command::Download(parsed) => *parsed,
        _ => bail!("not a download"),
    };
    parsed.encryption = arguments.encryption;
    Ok(parsed)
}
