//! Writes bencoded values (BEP 3). A list or a dictionary is written by a closure, and a key only together with its
//! value, so that what is written is always balanced.

use std::collections::btree_map;
use std::io::Write;
use std::iter::Peekable;

use super::OtherEntries;

/// Writes values one after the other, each of them whole. A message has one value: mostly a dictionary, see
/// [`dictionary`].
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// Writes an integer: any type of up to 64 bits.
    pub fn integer(&mut self, number: impl Into<i128>) {
        let number: i128 = number.into();
        // Memory takes whatever is written.
        let _ = write!(self.out, "i{number}e");
    }

    /// Writes a string: its length in decimal, a colon, its bytes.
    pub fn bytes(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let _ = write!(self.out, "{}:", bytes.len());
        self.out.extend_from_slice(bytes);
    }

    /// Writes a value that is bencoded already, such as [`View::raw`](super::View::raw) gives. The caller answers for
    /// its syntax.
    pub fn raw(&mut self, value: &[u8]) {
        self.out.extend_from_slice(value);
    }

    /// Writes a list: the values that `items` writes.
    pub fn list(&mut self, items: impl FnOnce(&mut Self)) {
        self.out.push(b'l');
        items(self);
        self.out.push(b'e');
    }

    /// Writes a dictionary: the entries that `entries` writes.
    pub fn dictionary(&mut self, entries: impl FnOnce(&mut DictionaryWriter<'_>)) {
        self.out.push(b'd');
        entries(&mut DictionaryWriter { values: self, others: None });
        self.out.push(b'e');
    }

    /// Writes a dictionary: the entries that `entries` writes in order of their keys, changed as `others` says.
    pub(crate) fn dictionary_with(
        &mut self,
        others: &OtherEntries,
        entries: impl FnOnce(&mut DictionaryWriter<'_>),
    ) {
        self.out.push(b'd');
        let mut writer = DictionaryWriter { values: self, others: Some(others.iter().peekable()) };
        entries(&mut writer);
        writer.others_before(None);
        self.out.push(b'e');
    }

    /// All that was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }
}

/// Most messages fit into so many bytes, or into twice as many.
const FIRST_ROOM: usize = 128;

/// Writes the entries of one dictionary, in the order of the calls. BEP 3 wants them sorted by key, as bytes; the
/// writer does not sort, since some clients do not either.
pub struct DictionaryWriter<'a> {
    values: &'a mut Writer,
    /// What is to stand among the entries, or in place of them.
    others: Option<Peekable<Others<'a>>>,
}

type Others<'a> = btree_map::Iter<'a, Vec<u8>, Option<Vec<u8>>>;

impl DictionaryWriter<'_> {
    /// Writes an entry whose value is an integer: any type of up to 64 bits.
    pub fn integer(&mut self, key: impl AsRef<[u8]>, number: impl Into<i128>) {
        self.entry(key.as_ref(), |value| value.integer(number));
    }

    /// Writes an entry whose value is a string.
    pub fn bytes(&mut self, key: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) {
        self.entry(key.as_ref(), |value| value.bytes(bytes));
    }

    /// Writes an entry whose value is bencoded already. The caller answers for its syntax.
    pub fn raw(&mut self, key: impl AsRef<[u8]>, value: &[u8]) {
        self.entry(key.as_ref(), |writer| writer.raw(value));
    }

    /// Writes an entry whose value is a list: the values that `items` writes.
    pub fn list(&mut self, key: impl AsRef<[u8]>, items: impl FnOnce(&mut Writer)) {
        self.entry(key.as_ref(), |value| value.list(items));
    }

    /// Writes an entry whose value is a dictionary: the entries that `entries` writes.
    pub fn dictionary(&mut self, key: impl AsRef<[u8]>, entries: impl FnOnce(&mut DictionaryWriter<'_>)) {
        self.entry(key.as_ref(), |value| value.dictionary(entries));
    }

    fn entry(&mut self, key: &[u8], value: impl FnOnce(&mut Writer)) {
        self.others_before(Some(key));
        let other = self.others.as_mut().and_then(|others| others.next_if(|(other, _)| *other == key));
        match other {
            None => {
                self.values.bytes(key);
                value(self.values);
            }
            Some((_, Some(instead))) => {
                self.values.bytes(key);
                self.values.raw(instead);
            }
            Some((_, None)) => {}
        }
    }

    /// Writes the other entries that sort before `key`, or all of them.
    fn others_before(&mut self, key: Option<&[u8]>) {
        let Some(others) = &mut self.others else { return };
        while let Some((other, value)) =
            others.next_if(|(other, _)| key.is_none_or(|key| other.as_slice() < key))
        {
            if let Some(value) = value {
                self.values.bytes(other);
                self.values.raw(value);
            }
        }
    }
}

/// The bytes of one dictionary: the entries that `entries` writes.
///
/// ```
/// use bittrace_protocol::bencode::dictionary;
///
/// let bytes = dictionary(|entries| {
///     entries.integer("msg_type", 0);
///     entries.list("peers", |peers| peers.bytes("10.0.0.2"));
/// });
/// assert_eq!(bytes, b"d8:msg_typei0e5:peersl8:10.0.0.2ee");
/// ```
pub fn dictionary(entries: impl FnOnce(&mut DictionaryWriter<'_>)) -> Vec<u8> {
    let mut writer = Writer { out: Vec::with_capacity(FIRST_ROOM) };
    writer.dictionary(entries);
    writer.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_each_kind_of_value() {
        let bytes = dictionary(|entries| {
            entries.bytes("cow", "moo");
            entries.list("l", |items| {
                items.integer(-42);
                items.integer(u64::MAX);
                items.list(|_| {});
                items.dictionary(|inner| inner.raw(b"\xff", b"i1e"));
            });
            entries.dictionary("m", |inner| inner.integer("ut_pex", 1u8));
        });
        let wanted =
            b"d 3:cow 3:moo 1:l l i-42e i18446744073709551615e le d 1:\xff i1e e e 1:m d 6:ut_pex i1e e e";
        let wanted: Vec<u8> = wanted.iter().copied().filter(|&byte| byte != b' ').collect();
        assert_eq!(bytes.escape_ascii().to_string(), wanted.escape_ascii().to_string());
    }

    #[test]
    fn entries_stand_in_the_order_of_the_calls() {
        let bytes = dictionary(|entries| {
            entries.integer("b", 1);
            entries.integer("a", 2);
        });
        assert_eq!(bytes, b"d1:bi1e1:ai2ee");
    }
}
