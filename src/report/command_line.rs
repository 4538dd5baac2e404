//! The command that shows what a page leaves out.

/// A command of the program, to which options can be added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// The program, the command, the captures and the options that choose what is compared.
    pub words: String,
    /// What stands after all options: a client with its arguments, or nothing.
    pub rest: String,
}

impl CommandLine {
    /// A command that is these words.
    pub fn new<'w>(words: impl IntoIterator<Item = &'w str>) -> Self {
        Self { words: quoted(words), rest: String::new() }
    }

    /// The same command, with these words after `--`.
    #[must_use]
    pub fn followed_by<'w>(self, words: impl IntoIterator<Item = &'w str>) -> Self {
        let words = quoted(words);
        Self { rest: if words.is_empty() { words } else { format!(" -- {words}") }, ..self }
    }

    /// The command with more options, as a shell takes it.
    pub fn with(&self, options: &str) -> String {
        format!("{} {options}{}", self.words, self.rest)
    }
}

/// Words as a shell reads them.
fn quoted<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let word = |word: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
        match !word.is_empty() && word.chars().all(is_plain) {
            true => word.to_owned(),
            false => format!("'{}'", word.replace('\'', "'\\''")),
        }
    };
    words.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_obey_them() {
        let command = CommandLine::new(["bittrace", "diff", "a.pcap", "it's; $b.pcap"]);
        assert_eq!(command.with("--hex"), r"bittrace diff a.pcap 'it'\''s; $b.pcap' --hex");
        assert_eq!(CommandLine::new(["", "a b"]).words, "'' 'a b'");
    }

    #[test]
    fn options_stand_before_a_client() {
        let command = CommandLine::new(["bittrace", "replay", "a.pcap"]).followed_by(["aria2c", "{torrent}"]);
        assert_eq!(
            command.with("--format json"),
            "bittrace replay a.pcap --format json -- aria2c '{torrent}'"
        );
        assert_eq!(CommandLine::new(["a"]).followed_by([]).with("b"), "a b");
    }
}
