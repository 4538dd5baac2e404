//! The manifest of a result folder: which run made it, and what its parts hold. A folder without one is not a result.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{MessageOptions, SCHEMA_VERSION, TABLES};

/// What a run reads and how: the same run gives the same parts, on any machine.
#[derive(Debug, Clone)]
pub struct Run {
    /// The name and size in bytes of each file that is read, in their order.
    pub files: Vec<(String, u64)>,
    /// The options that decide what the rows are.
    pub options: Vec<String>,
    /// Which columns of messages there are.
    pub columns: MessageOptions,
    /// The version of the program.
    pub version: String,
    /// Which share of the captures this process reads; `None` when it reads all.
    pub shard: Option<Shard>,
}

/// A share of the captures of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Its number, from 1.
    pub number: u32,
    /// How many shards there are.
    pub of: u32,
}

/// What stands in `_manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The run: a hash of what it reads, of its options and of the number of shards.
    pub run: String,
    /// The version of the program.
    pub version: String,
    /// The version of the tables.
    pub schema: String,
    /// Which shard of the run the parts are; a run is whole when all its shards have a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// The columns of each table.
    pub tables: BTreeMap<String, Vec<ManifestColumn>>,
    /// The parts, in their order.
    pub parts: Vec<ManifestPart>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestColumn {
    /// Its name.
    pub name: String,
    /// Its type in Arrow.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether a value may be missing.
    pub null: bool,
}

/// A part: a file of each table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestPart {
    /// The name of its files, without folder and ending.
    pub part: String,
    /// The captures in it, in their order.
    pub captures: Vec<String>,
    /// Its file of each table.
    pub tables: BTreeMap<String, TableSize>,
}

/// How much a file of a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSize {
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
}

impl Run {
    /// The run's name: the first 32 hexadecimal digits of SHA-256.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        add(&self.version);
        add(SCHEMA_VERSION);
        add(&self.columns.left_out().join(","));
        add(&self.shard.map_or(0, |shard| shard.of).to_string());
        add(&self.files.len().to_string());
        for (name, size) in &self.files {
            add(name);
            add(&size.to_string());
        }
        self.options.iter().for_each(|option| add(option));
        hash.finalize().iter().take(16).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The manifest of the run with these parts.
    pub(crate) fn manifest(&self, parts: Vec<ManifestPart>) -> Manifest {
        let left_out = self.columns.left_out();
        let tables = TABLES.map(|table| {
            let columns = table.columns.iter().filter(|column| !left_out.contains(&column.name));
            let columns = columns.map(|column| ManifestColumn {
                name: column.name.to_owned(),
                kind: column.kind.name(),
                null: column.null,
            });
            (table.name.to_owned(), columns.collect())
        });
        Manifest {
            run: self.id(),
            version: self.version.clone(),
            schema: SCHEMA_VERSION.to_owned(),
            shard: self.shard,
            tables: tables.into_iter().collect(),
            parts,
        }
    }
}

impl Shard {
    /// What its manifest and its parts have in their names.
    pub(crate) fn infix(self) -> String {
        format!("{:05}-of-{:05}", self.number, self.of)
    }
}
