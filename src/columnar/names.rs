//! Columns of texts that many rows have: each text stands once in a dictionary, and a row has its key.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, PrimitiveArray};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use arrow_schema::ArrowError;
use foldhash::fast::RandomState;
use rustc_hash::FxHashMap;

/// A text's place in a dictionary.
pub(crate) type Key = i32;

/// A column of texts that captures or their senders chose. A batch has a dictionary of its own, since nothing else bounds
/// how many texts there are.
#[derive(Debug, Default)]
pub(crate) struct NameColumn {
    keys: Keys,
    texts: Vec<Box<str>>,
    places: HashMap<Box<str>, Key, RandomState>,
    bytes: usize,
}

/// A column of words that the program has: few, so that they keep their keys from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct WordColumn {
    keys: Keys,
    words: Vec<&'static str>,
    /// Keys by a word's address and length: a word is looked up without being read.
    places: FxHashMap<(usize, usize), Key>,
}

/// The keys of the rows of a batch.
#[derive(Debug)]
struct Keys {
    keys: Vec<Key>,
    valid: BooleanBufferBuilder,
}

impl NameColumn {
    /// The key of a text, until the batch is finished.
    pub(crate) fn key(&mut self, text: &str) -> Key {
        if let Some(key) = self.places.get(text) {
            return *key;
        }
        let key = self.texts.len() as Key;
        self.texts.push(text.into());
        self.places.insert(text.into(), key);
        self.bytes += text.len();
        key
    }

    /// Appends a text, or nothing.
    pub(crate) fn push(&mut self, text: Option<&str>) {
        let key = text.map(|text| self.key(text));
        self.keys.push(key);
    }

    /// Appends a text by its key, or nothing.
    pub(crate) fn push_key(&mut self, key: Option<Key>) {
        self.keys.push(key);
    }

    /// The bytes of the dictionary.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows of the batch.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        self.places.clear();
        self.bytes = 0;
        self.keys.finish(std::mem::take(&mut self.texts).iter().map(|text| &**text))
    }
}

impl WordColumn {
    /// Appends a word, or nothing.
    pub(crate) fn push(&mut self, word: Option<&'static str>) {
        let key = word.map(|word| self.key(word));
        self.keys.push(key);
    }

    fn key(&mut self, word: &'static str) -> Key {
        *self.places.entry((word.as_ptr().addr(), word.len())).or_insert_with(|| {
            // One word may stand at several addresses.
            let known = self.words.iter().position(|known| *known == word);
            let place = known.unwrap_or(self.words.len());
            if known.is_none() {
                self.words.push(word);
            }
            place as Key
        })
    }

    /// The rows of the batch.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        self.keys.finish(self.words.iter().copied())
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self { keys: Vec::new(), valid: BooleanBufferBuilder::new(0) }
    }
}

impl Keys {
    fn push(&mut self, key: Option<Key>) {
        self.keys.push(key.unwrap_or_default());
        self.valid.append(key.is_some());
    }

    fn finish<'a>(&mut self, texts: impl Iterator<Item = &'a str>) -> Result<ArrayRef, ArrowError> {
        let nulls = NullBuffer::new(self.valid.finish());
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        let keys = PrimitiveArray::<Int32Type>::try_new(std::mem::take(&mut self.keys).into(), nulls)?;
        let mut values = StringBuilder::new();
        texts.for_each(|text| values.append_value(text));
        Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(values.finish()))?))
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;

    use super::*;

    fn texts(array: &ArrayRef) -> (Vec<Option<String>>, usize) {
        let array = array.as_dictionary::<Int32Type>();
        let values = array.downcast_dict::<arrow_array::StringArray>().unwrap();
        let rows = values.into_iter().map(|text| text.map(str::to_owned)).collect();
        (rows, array.values().len())
    }

    #[test]
    fn a_text_stands_once_in_the_dictionary_of_its_batch() {
        let mut column = NameColumn::default();
        let key = column.key("b");
        column.push(Some("a"));
        column.push(None);
        column.push_key(Some(key));
        column.push(Some("a"));
        assert_eq!(column.bytes(), 2);
        let (rows, dictionary) = texts(&column.finish().unwrap());
        assert_eq!(rows, [Some("a"), None, Some("b"), Some("a")].map(|text| text.map(str::to_owned)));
        assert_eq!((dictionary, column.bytes()), (2, 0));
        column.push(Some("c"));
        assert_eq!(texts(&column.finish().unwrap()), (vec![Some("c".to_owned())], 1));
    }

    #[test]
    fn words_keep_their_keys_wherever_they_stand_in_memory() {
        let elsewhere: &'static str = Box::leak("tcp".to_owned().into_boxed_str());
        let mut column = WordColumn::default();
        for word in [Some("tcp"), Some(elsewhere), None] {
            column.push(word);
        }
        let (rows, dictionary) = texts(&column.finish().unwrap());
        assert_eq!((rows.len(), dictionary), (3, 1));
        column.push(Some("udp"));
        assert_eq!(texts(&column.finish().unwrap()), (vec![Some("udp".to_owned())], 2));
        column.push(None);
        assert_eq!(texts(&column.finish().unwrap()).0, [None]);
    }
}
