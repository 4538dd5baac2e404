//! The script that Wireshark starts: a line that starts this program. It stands in the folder that Wireshark searches for such
//! programs.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::os::{SCRIPT_NAME, default_extcap_folder, interface_script, tshark_programs, write_script};
use crate::print::output::Output;
use crate::print::printable::printable;

/// Writes the script into this folder, or into the one that Wireshark searches.
///
/// # Errors
/// When there is no such folder, when something else has the script's name, or when the script cannot be written.
pub(super) fn install(folder: Option<&Path>, output: &mut Output) -> Result<()> {
    let folder = extcap_folder(folder)?;
    let program = env::current_exe().context("this program's own path is unknown")?;
    let path = folder.join(SCRIPT_NAME);
    refuse_other_file(&path)?;
    let written = fs::create_dir_all(&folder).and_then(|()| write_script(&path, &interface_script(&program)));
    written.with_context(|| hint_of_rights(&path))?;
    let (path, program) = (path.display().to_string(), program.display().to_string());
    writeln!(output, "{} starts {} extcap", printable(&path), printable(&program))?;
    writeln!(output, "Wireshark and tshark show its interfaces after their next start: tshark -D")?;
    Ok(())
}

/// Removes the script from this folder, or from the one that Wireshark searches.
///
/// # Errors
/// When it is not there, is not ours, or cannot be removed.
pub(super) fn uninstall(folder: Option<&Path>, output: &mut Output) -> Result<()> {
    let path = extcap_folder(folder)?.join(SCRIPT_NAME);
    refuse_other_file(&path)?;
    fs::remove_file(&path).with_context(|| hint_of_rights(&path))?;
    writeln!(output, "{} is removed", printable(&path.display().to_string()))?;
    Ok(())
}

fn hint_of_rights(path: &Path) -> String {
    format!("{} (--folder DIR chooses another folder)", path.display())
}

/// Refuses to take away a file that `install` has not written.
fn refuse_other_file(path: &Path) -> Result<()> {
    match fs::read(path) {
        Ok(found) if !found.windows(MARK.len()).any(|bytes| bytes == MARK) => {
            bail!("{}: this file is not a script of bittrace extcap --install", path.display())
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// The folder that was chosen, or the one that Wireshark searches: the user's own, where this version has one.
fn extcap_folder(chosen: Option<&Path>) -> Result<PathBuf> {
    if let Some(folder) = chosen {
        return Ok(folder.to_owned());
    }
    for program in tshark_programs() {
        if let Ok(told) = Command::new(program).args(["-G", "folders"]).output()
            && let Some(folder) = folder_in(&String::from_utf8_lossy(&told.stdout))
        {
            return Ok(folder);
        }
    }
    default_extcap_folder().context(
        "no tshark names Wireshark's folders, and there is no home folder: choose one with --folder DIR",
    )
}

/// The folder for extcap programs in what `tshark -G folders` says. Before version 4.2 there is only the one of all users.
fn folder_in(folders: &str) -> Option<PathBuf> {
    let named = |name: &str| {
        folders.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            let value = value.trim();
            (key.trim().eq_ignore_ascii_case(name) && !value.is_empty()).then(|| PathBuf::from(value))
        })
    };
    ["personal extcap path", "extcap path", "global extcap path"].into_iter().find_map(named)
}

/// What only our scripts have.
const MARK: &[u8] = b"bittrace extcap --install";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_the_user_comes_first() {
        let old = "Program:             \t/usr/bin\nExtcap path:         \t/usr/lib/wireshark/extcap\nMaxMind database path:\t/usr/share/GeoIP\n";
        assert_eq!(folder_in(old), Some("/usr/lib/wireshark/extcap".into()));
        let new = "Global Extcap path:  \t/usr/lib/wireshark/extcap\nPersonal Extcap path:\t/home/user/.local/lib/wireshark/extcap\n";
        assert_eq!(folder_in(new), Some("/home/user/.local/lib/wireshark/extcap".into()));
        let windows = "Personal Extcap path:\tC:\\Users\\user\\AppData\\Roaming\\Wireshark\\extcap\n";
        assert_eq!(folder_in(windows), Some(r"C:\Users\user\AppData\Roaming\Wireshark\extcap".into()));
        assert_eq!(folder_in("Extcap path:\t\n"), None);
    }

    #[test]
    fn a_script_names_the_program_and_is_known_again() {
        let script = interface_script(Path::new("/opt/a program's/bittrace"));
        assert!(script.windows(MARK.len()).any(|bytes| bytes == MARK));
        let text = String::from_utf8(script).unwrap();
        assert!(text.contains("extcap") && text.contains("a program"), "{text}");
    }
}
