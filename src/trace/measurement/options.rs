//! The options of a TCP header (RFC 9293, section 3.1) that measuring needs.

/// What the options of a segment say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TcpOptions {
    /// The most bytes that the sender of the segment takes in one segment (kind 2).
    pub(crate) largest_segment: Option<u16>,
    /// By how many bits the sender of the segment shifts its windows (kind 3; RFC 7323, section 2), 14 at most.
    pub(crate) window_scale: Option<u8>,
    /// The clock of the sender, and the clock of the receiver that it echoes (kind 8; RFC 7323, section 3).
    pub(crate) time_stamps: Option<(u32, u32)>,
    /// The first block that was received behind a hole, or twice (kind 5; RFC 2018, RFC 2883).
    pub(crate) selective: Option<(u32, u32)>,
}

impl TcpOptions {
    /// The time stamps alone.
    #[inline(always)]
    pub(crate) fn time_stamps_of(bytes: &[u8]) -> Option<(u32, u32)> {
        match Self::usual_time_stamps(bytes) {
            Some(usual) => Some(usual),
            None if bytes.is_empty() => None,
            None => Self::read(bytes).time_stamps,
        }
    }

    /// The time stamps where they are all that there is, put as RFC 7323, appendix A recommends: nearly every segment has them so.
    #[inline(always)]
    pub(crate) fn usual_time_stamps(bytes: &[u8]) -> Option<(u32, u32)> {
        let ([head, stamps @ ..], []) = bytes.as_chunks::<4>() else { return None };
        match stamps {
            [clock, echo] if *head == [NO_OPERATION, NO_OPERATION, TIME_STAMPS, 10] => {
                Some((u32::from_be_bytes(*clock), u32::from_be_bytes(*echo)))
            }
            _ => None,
        }
    }

    /// The selective acknowledgement alone.
    #[inline]
    pub(crate) fn selective_of(bytes: &[u8]) -> Option<(u32, u32)> {
        // With these no other option has room.
        if Self::usual_time_stamps(bytes).is_some() || bytes.is_empty() {
            return None;
        }
        Self::read(bytes).selective
    }

    /// Reads the options' bytes. What is malformed ends them.
    pub(crate) fn read(mut bytes: &[u8]) -> Self {
        let mut options = Self::default();
        while let Some((&kind, rest)) = bytes.split_first() {
            match kind {
                END => break,
                NO_OPERATION => {
                    bytes = rest;
                    continue;
                }
                _ => {}
            }
            let Some(length) = rest.first().map(|&length| usize::from(length)).filter(|&length| length >= 2)
            else {
                break;
            };
            let Some((option, behind)) = bytes.split_at_checked(length) else { break };
            bytes = behind;
            let number = |at: usize| -> Option<u32> {
                option.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
            };
            match (kind, &option[2..]) {
                (LARGEST_SEGMENT, &[high, low]) => {
                    options.largest_segment = Some(u16::from_be_bytes([high, low]));
                }
                (WINDOW_SCALE, &[shift]) => options.window_scale = Some(shift.min(LARGEST_SHIFT)),
                (TIME_STAMPS, _) if length == 10 => options.time_stamps = number(2).zip(number(6)),
                (SELECTIVE, _) => options.selective = number(2).zip(number(6)),
                _ => {}
            }
        }
        options
    }
}

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const LARGEST_SEGMENT: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SELECTIVE: u8 = 5;
const TIME_STAMPS: u8 = 8;
/// RFC 7323, section 2.3: a larger shift counts as this.
const LARGEST_SHIFT: u8 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_options_of_a_syn() {
        // MSS 1460, SACK permitted, time stamps 7 and 0, no operation, window scale 7
        let bytes = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 0, 1, 3, 3, 7];
        let expected = TcpOptions {
            largest_segment: Some(1460),
            window_scale: Some(7),
            time_stamps: Some((7, 0)),
            selective: None,
        };
        assert_eq!(TcpOptions::read(&bytes), expected);
    }

    #[test]
    fn reads_selective_acknowledgements_behind_time_stamps() {
        let mut bytes = vec![1, 1, 8, 10, 0, 0, 1, 0, 0, 0, 2, 0];
        assert_eq!(TcpOptions::read(&bytes).time_stamps, Some((256, 512)));
        bytes.extend([1, 1, 5, 10, 0, 0, 0, 9, 0, 0, 0, 12]);
        let options = TcpOptions::read(&bytes);
        assert_eq!((options.time_stamps, options.selective), (Some((256, 512)), Some((9, 12))));
    }

    #[test]
    fn malformed_options_end_the_options() {
        for bytes in [&[2u8][..], &[2, 0, 3, 3, 7], &[2, 1], &[8, 10, 0, 0], &[0, 3, 3, 7], &[200, 9, 1]] {
            assert_eq!(TcpOptions::read(bytes), TcpOptions::default(), "{bytes:?}");
        }
        assert_eq!(TcpOptions::read(&[3, 3, 200]).window_scale, Some(14));
        assert_eq!(TcpOptions::read(&[3, 2, 5, 4, 1, 1]).window_scale, None);
    }
}
