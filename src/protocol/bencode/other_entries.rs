//! What a dictionary has beside the fields of the type that it was decoded to.

use std::collections::{BTreeMap, btree_map};

use super::{DictionaryWriter, EntryView, View, Writer, dictionary, scan};

/// How a dictionary differs from the one that the fields of its decoded type write: entries under keys that the type has
/// no field for, entries whose value the field does not give back (text that is not UTF-8, a number out of range), and
/// keys that the type would write but the dictionary lacks.
///
/// A decoded type that keeps these encodes to the bytes that it was decoded from, unless the keys of the dictionary
/// were out of order or twice, or had lengths with leading zeros. An entry that is kept here wins over the field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtherEntries(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl<'a> IntoIterator for &'a OtherEntries {
    type Item = (&'a Vec<u8>, &'a Option<Vec<u8>>);
    type IntoIter = btree_map::Iter<'a, Vec<u8>, Option<Vec<u8>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl OtherEntries {
    /// How `source` differs from the dictionary that `fields` writes: what the decoded type makes of its fields alone.
    pub(crate) fn between(source: View<'_>, fields: impl FnOnce(&mut DictionaryWriter<'_>)) -> Self {
        let fields = dictionary(fields);
        if source.raw() == fields {
            return Self::default();
        }
        let document = scan(&fields).expect("what is written of decoded fields is bencoding");
        let mut others = Self::default();
        for entry in source.entries().into_iter().flatten() {
            others.keep(entry);
        }
        for field in document.root().entries().into_iter().flatten() {
            match others.0.get(field.key) {
                Some(Some(had)) if had == field.value.raw() => drop(others.0.remove(field.key)),
                Some(_) => {}
                None => others.omit(field.key),
            }
        }
        others
    }

    /// Keeps an entry that no field gives back. The first of two entries under one key is the one that decoders read.
    pub(crate) fn keep(&mut self, entry: EntryView<'_>) {
        self.0.entry(entry.key.to_vec()).or_insert_with(|| Some(entry.value.raw().to_vec()));
    }

    /// The dictionary that `fields` writes, with these differences. The keys of both are in order.
    pub(crate) fn dictionary(&self, fields: impl FnOnce(&mut DictionaryWriter<'_>)) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.dictionary_with(self, fields);
        writer.into_bytes()
    }

    /// Whether the fields say all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value that is kept under `key`, bencoded.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.0.get(key)?.as_deref()
    }

    /// The keys in order, each with its bencoded value; `None` for a key that the type would write and that is left out.
    pub fn iter(&self) -> btree_map::Iter<'_, Vec<u8>, Option<Vec<u8>>> {
        self.0.iter()
    }

    /// Writes this value, which is bencoded already, under `key`, whatever the fields say. The caller answers for its
    /// syntax.
    pub fn set(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.0.insert(key.into(), Some(value.into()));
    }

    /// Leaves `key` out, whatever the fields say.
    pub fn omit(&mut self, key: impl Into<Vec<u8>>) {
        self.0.insert(key.into(), None);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The fields of a type that knows two keys.
    fn fields(out: &mut DictionaryWriter<'_>) {
        out.integer("b", 1);
        out.bytes("d", "x");
    }

    fn others(source: &[u8]) -> OtherEntries {
        OtherEntries::between(scan(source).unwrap().root(), fields)
    }

    #[test]
    fn what_the_fields_say_is_not_kept() {
        assert!(others(b"d1:bi1e1:d1:xe").is_empty());
    }

    #[test]
    fn keeps_unknown_keys_other_values_and_missing_keys() {
        let others = others(b"d1:ai0e1:bi2e1:cle1:ede1:fi3ee");
        assert_eq!(others.get(b"a"), Some(b"i0e".as_slice()));
        assert_eq!(others.get(b"b"), Some(b"i2e".as_slice()), "the value is another");
        assert_eq!(others.iter().filter(|(_, value)| value.is_none()).count(), 1, "d is missing");
        assert_eq!(others.dictionary(fields), b"d1:ai0e1:bi2e1:cle1:ede1:fi3ee");
    }

    #[test]
    fn a_caller_adds_changes_and_leaves_out_entries() {
        let mut others = OtherEntries::default();
        others.set("c", "le");
        others.set("d", "i7e");
        others.omit("b");
        assert_eq!(others.dictionary(fields), b"d1:cle1:di7ee");
    }

    #[test]
    fn puts_irregular_keys_in_order_and_keeps_the_first_of_two() {
        assert_eq!(others(b"d1:ei1e1:bi2e1:bi3ee").dictionary(fields), b"d1:bi2e1:ei1ee");
    }

    proptest! {
        #[test]
        fn every_regular_dictionary_is_given_back(
            entries in prop::collection::btree_map("[a-f]{0,2}", -2i64..3, 0..8),
        ) {
            let source = dictionary(|out| entries.iter().for_each(|(key, value)| out.integer(key, *value)));
            prop_assert_eq!(others(&source).dictionary(fields), source);
        }
    }
}
