//! What a negotiation draws at random, from a secret of the run: other runs with that secret draw the same.

use super::MAX_PADDING;
use crate::secret_stream::SecretStream;

/// Bytes that look random to everybody who does not have the secret. Each number has bytes of its own.
#[derive(Debug, Clone)]
pub struct MseDraw {
    stream: SecretStream,
    lengths: Option<MseLengths>,
}

/// The lengths of what an end of a negotiation sends as padding, each up to 512 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MseLengths {
    /// After its public key: PadA or PadB.
    pub padding: u16,
    /// In its terms: PadC or PadD.
    pub terms: u16,
}

impl MseDraw {
    /// The bytes for one negotiation: `number` tells the negotiations of a run apart.
    pub const fn new(secret: [u8; 32], number: u32) -> Self {
        Self { stream: SecretStream::new(secret, "message stream encryption", number), lengths: None }
    }

    /// The same bytes, and paddings of these lengths, which are not drawn.
    pub fn with_lengths(self, lengths: Option<MseLengths>) -> Self {
        Self { lengths, ..self }
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        self.stream.array()
    }

    /// Padding: of any length up to `most` bytes, each as likely as the others but for one part in 65,536.
    pub(super) fn padding(&mut self, most: usize) -> Vec<u8> {
        let drawn = usize::from(u16::from_be_bytes(self.array())) % (most + 1);
        let length = self.lengths.map_or(drawn, |lengths| usize::from(lengths.padding).min(MAX_PADDING));
        (0..length).map(|_| self.stream.byte()).collect()
    }

    /// The padding in the terms: none, unless its length is given.
    pub(super) fn terms_padding(&mut self) -> Vec<u8> {
        let length = self.lengths.map_or(0, |lengths| usize::from(lengths.terms).min(MAX_PADDING));
        (0..length).map(|_| self.stream.byte()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_and_a_number_draw_the_same_again_and_others_draw_other_bytes() {
        let drawn = |secret, number| MseDraw::new([secret; 32], number).array::<80>();
        assert_eq!(drawn(1, 1), drawn(1, 1));
        assert_ne!(drawn(1, 1), drawn(1, 2));
        assert_ne!(drawn(1, 1), drawn(2, 1));
        let bytes = drawn(1, 1);
        assert_ne!(bytes[..32], bytes[32..64]);
    }

    #[test]
    fn padding_has_any_length_up_to_the_most() {
        let mut draw = MseDraw::new([3; 32], 0);
        let lengths: std::collections::BTreeSet<_> = (0..500).map(|_| draw.padding(7).len()).collect();
        assert_eq!(lengths.into_iter().collect::<Vec<_>>(), (0..=7).collect::<Vec<_>>());
        assert!((0..50).all(|_| draw.padding(0).is_empty()));
    }

    #[test]
    fn lengths_that_are_given_are_not_drawn_and_no_longer_than_there_may_be() {
        let lengths = |padding, terms| Some(MseLengths { padding, terms });
        let mut draw = MseDraw::new([3; 32], 0).with_lengths(lengths(198, 424));
        assert_eq!((draw.padding(0).len(), draw.terms_padding().len()), (198, 424));
        let mut draw = MseDraw::new([3; 32], 0).with_lengths(lengths(u16::MAX, 513));
        assert_eq!((draw.padding(7).len(), draw.terms_padding().len()), (MAX_PADDING, MAX_PADDING));
        assert!(MseDraw::new([3; 32], 0).terms_padding().is_empty());
    }

    #[test]
    fn a_secret_is_not_told() {
        assert!(!format!("{:?}", MseDraw::new([77; 32], 1)).contains("77"));
    }
}
