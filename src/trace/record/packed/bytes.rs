//! Numbers and texts of a packed record: numbers take seven bits a byte, the lowest first, texts stand after their length.

use bytes::Bytes;

/// Appends values.
pub(crate) trait Pack {
    fn number(&mut self, number: u64);
    fn signed(&mut self, number: i64);
    fn optional(&mut self, number: Option<u64>);
    fn text(&mut self, text: &str);
    fn optional_text(&mut self, text: Option<&str>);
}

impl Pack for Vec<u8> {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.push(number as u8);
    }

    /// Small numbers of either sign are short.
    fn signed(&mut self, number: i64) {
        self.number((number << 1 ^ number >> 63) as u64);
    }

    fn optional(&mut self, number: Option<u64>) {
        self.push(u8::from(number.is_some()));
        if let Some(number) = number {
            self.number(number);
        }
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.extend_from_slice(text.as_bytes());
    }

    fn optional_text(&mut self, text: Option<&str>) {
        self.push(u8::from(text.is_some()));
        if let Some(text) = text {
            self.text(text);
        }
    }
}

/// Takes values, in the order in which they were appended. `None` is what is not whole.
#[derive(Debug)]
pub(crate) struct Unpack<'a> {
    packed: &'a Bytes,
    at: usize,
}

impl<'a> Unpack<'a> {
    pub(crate) const fn new(packed: &'a Bytes) -> Self {
        Self { packed, at: 0 }
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let byte = *self.packed.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let array = *self.packed.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(array)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub(crate) fn optional(&mut self) -> Option<Option<u64>> {
        match self.byte()? {
            0 => Some(None),
            _ => Some(Some(self.number()?)),
        }
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        let end = self.at.checked_add(length)?;
        let text = std::str::from_utf8(self.packed.get(self.at..end)?).ok()?.to_owned();
        self.at = end;
        Some(text)
    }

    pub(crate) fn optional_text(&mut self) -> Option<Option<String>> {
        match self.byte()? {
            0 => Some(None),
            _ => Some(Some(self.text()?)),
        }
    }

    /// All that comes after, without a copy.
    pub(crate) fn rest(&self) -> Bytes {
        self.packed.slice(self.at.min(self.packed.len())..)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_come_out_as_they_went_in(
            number in any::<u64>(),
            signed in any::<i64>(),
            optional in any::<Option<u64>>(),
            text in ".{0,40}",
        ) {
            let mut out = Vec::new();
            out.number(number);
            out.signed(signed);
            out.optional(optional);
            out.optional_text(Some(&text));
            out.optional_text(None);
            let packed = Bytes::from(out);
            let mut from = Unpack::new(&packed);
            prop_assert_eq!(from.number(), Some(number));
            prop_assert_eq!(from.signed(), Some(signed));
            prop_assert_eq!(from.optional(), Some(optional));
            prop_assert_eq!(from.optional_text(), Some(Some(text)));
            prop_assert_eq!(from.optional_text(), Some(None));
            prop_assert!(from.rest().is_empty());
        }
    }
}
