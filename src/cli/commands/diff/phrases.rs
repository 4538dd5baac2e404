//! How conversations and message numbers are written in a comparison.

use bittrace_replay::Conversation;
use bittrace_trace::units::counted;

/// Where a conversation is in its capture, and with whom.
pub(super) fn place(conversation: &Conversation) -> String {
    let arrow = if conversation.is_outgoing() { "→" } else { "←" };
    format!("{} {arrow} {}", conversation.stream.0, conversation.far())
}

/// The heading of a compared conversation, whose number in the report is given.
pub(super) fn heading(
    number: usize,
    reference: Option<&Conversation>,
    candidate: Option<&Conversation>,
) -> String {
    let what = |one: &Conversation| format!("{} {}, stream {}", one.role.name(), one.far(), one.stream.0);
    let which = match (reference, candidate) {
        (Some(one), Some(other)) => format!("{} (candidate: stream {})", what(one), other.stream.0),
        (Some(one), None) => format!("{}, only in the reference", what(one)),
        (None, Some(other)) => format!("{}, only in the candidate", what(other)),
        (None, None) => String::new(),
    };
    format!("conversation {number}: {which}")
}

/// `message 12`, `messages 12 to 20, 31`.
pub(super) fn messages(numbers: &[u64]) -> String {
    let noun = if numbers.len() == 1 { "message" } else { "messages" };
    format!("{noun} {}", ranges(numbers))
}

/// Numbers in their order, rows of three and more by their ends, and no more than can be read.
pub(super) fn ranges(numbers: &[u64]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut left = numbers;
    while let Some(&first) = left.first() {
        if parts.len() == RANGES {
            parts.push(format!("… {}", counted(left.len() as u64, "other")));
            break;
        }
        let length = left.iter().zip(first..).take_while(|(number, wanted)| **number == *wanted).count();
        match length {
            0..3 => parts.push(first.to_string()),
            _ => parts.push(format!("{first} to {}", first + length as u64 - 1)),
        }
        left = &left[if length < 3 { 1 } else { length }..];
    }
    parts.join(", ")
}

const RANGES: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_numbers_are_told_by_their_ends() {
        assert_eq!(messages(&[4]), "message 4");
        assert_eq!(messages(&[4, 5]), "messages 4, 5");
        assert_eq!(messages(&[7, 1, 2, 3, 4, 9]), "messages 7, 1 to 4, 9");
        assert!(ranges(&(0..99).map(|n| n * 2).collect::<Vec<_>>()).ends_with("… 75 others"));
    }
}
