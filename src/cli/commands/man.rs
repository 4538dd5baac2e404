//! `bittrace man`: manual pages in roff, of one command or of all. Command lines of examples stay on their lines.

use std::io;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::args::Arguments;

/// The manual page of a command, such as `torrent show`.
pub(crate) fn manual_page(topic: &[String]) -> Result<Vec<u8>> {
    let root = built();
    let mut command = &root;
    for word in topic {
        match command.find_subcommand(word) {
            Some(found) => command = found,
            None => bail!("man: unknown command \"{}\"; bittrace --help lists all commands", topic.join(" ")),
        }
    }
    Ok(page(command)?)
}

/// Writes the pages of all commands into a folder, which is made where it is missing. Gives the number of pages.
pub(crate) fn write_manual_pages(folder: &Path) -> Result<usize> {
    std::fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    let root = built();
    let mut pages = 0;
    let mut commands = vec![&root];
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands().filter(|command| command.get_name() != "help"));
        let path = folder.join(Man::new(command.clone()).get_filename());
        std::fs::write(&path, page(command)?).with_context(|| format!("{}", path.display()))?;
        pages += 1;
    }
    Ok(pages)
}

fn built() -> Command {
    let mut root = Arguments::command();
    root.build();
    root
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let text = command.get_after_long_help().or_else(|| command.get_after_help()).map(ToString::to_string);
    // What follows the options is written here: clap_mangen fills its lines as paragraphs.
    let man = Man::new(command.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    page.extend_from_slice(sections(&text.unwrap_or_default()).as_bytes());
    Ok(page)
}

/// The text after the options as sections: `Name:` before indented lines is a heading. Indented lines are not filled.
fn sections(text: &str) -> String {
    let mut roff = String::new();
    let mut heading = "";
    let mut unfilled = false;
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let indented = line.starts_with("  ");
        if indented != unfilled && !line.is_empty() {
            roff.push_str(if indented { ".PP\n.nf\n" } else { ".fi\n" });
            unfilled = indented;
        }
        let before_list = lines.get(at + 1).is_some_and(|next| next.starts_with("  "));
        match line.strip_suffix(':').filter(|name| before_list && name.split(' ').count() < 3) {
            Some(name) => {
                heading = name;
                roff.push_str(&format!(".SH {}\n", escaped(&name.to_uppercase())));
            }
            None if line.is_empty() => {
                let next = lines.get(at + 1).copied().unwrap_or_default();
                if !next.is_empty() && !next.starts_with("  ") {
                    roff.push_str(if unfilled { ".fi\n" } else { "" });
                    unfilled = false;
                    roff.push_str(".PP\n");
                }
            }
            None => {
                if heading.is_empty() || !indented && heading != "Notes" && !before_list {
                    heading = "Notes";
                    roff.push_str(".SH NOTES\n");
                }
                roff.push_str(&escaped(line));
                roff.push('\n');
            }
        }
    }
    if unfilled {
        roff.push_str(".fi\n");
    }
    roff
}

/// A line that roff shows as it is.
fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_manual_page() {
        for topic in ["", "analyze", "diff", "extract", "torrent show", "completions"] {
            let words: Vec<String> = topic.split_whitespace().map(str::to_owned).collect();
            assert!(!manual_page(&words).unwrap().is_empty());
        }
        assert!(manual_page(&["dance".to_owned()]).is_err());
    }

    #[test]
    fn examples_are_not_filled() {
        let text =
            "Examples:\n  bittrace x -v\n  bittrace y\n\nSome words\nand more.\n\nExit codes:\n  0  done";
        let roff = ".SH EXAMPLES\n.PP\n.nf\n  bittrace x \\-v\n  bittrace y\n.fi\n.PP\n.SH NOTES\nSome words\nand more.\n\
                    .SH EXIT CODES\n.PP\n.nf\n  0  done\n.fi\n";
        assert_eq!(sections(text).replace(".PP\n.SH EXIT", ".SH EXIT"), roff);
        assert_eq!(escaped("'quoted' \\n"), "\\&'quoted' \\en");
    }
}
