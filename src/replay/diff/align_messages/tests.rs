//! Conversations in short: a letter is a kind of message, a number what it names, and what follows a slash a length.

use proptest::prelude::*;

use super::*;
use crate::diff::alignment_key::AlignmentKind;

fn keys(text: &str) -> Vec<AlignmentKey> {
    text.split_whitespace().map(key).collect()
}

fn key(word: &str) -> AlignmentKey {
    let (letter, number) = word.split_at(1);
    let kind = AlignmentKind::of_test(u32::from(letter.as_bytes()[0]));
    let (number, length) = number.split_once('/').unwrap_or((number, ""));
    AlignmentKey { kind, names: [number.parse().unwrap_or(0), 0, length.parse().unwrap_or(0)] }
}

/// The pairs as `reference=candidate`, `~` for one that moved; what has no counterpart as `-` and `+`.
fn aligned(reference: &str, candidate: &str) -> String {
    let (ours, theirs) = (keys(reference), keys(candidate));
    let words: Vec<&str> = reference.split_whitespace().collect();
    let their_words: Vec<&str> = candidate.split_whitespace().collect();
    let alignment = align(&ours, &theirs, |_, _| false);
    let mut said = Vec::new();
    let mut taken = vec![false; theirs.len()];
    for (at, mate) in alignment.mates.iter().enumerate() {
        let Some(mate) = mate.map(|mate| mate as usize) else {
            said.push(format!("-{}", words[at]));
            continue;
        };
        taken[mate] = true;
        let sign = if alignment.moved[at] { "~" } else { "=" };
        said.push(match words[at] == their_words[mate] {
            true => format!("{sign}{}", words[at]),
            false => format!("{}{sign}{}", words[at], their_words[mate]),
        });
    }
    said.extend(
        their_words.iter().zip(taken).filter(|(_, taken)| !taken).map(|(word, _)| format!("+{word}")),
    );
    said.join(" ")
}

#[test]
fn equal_conversations_pair_in_order() {
    assert_eq!(aligned("h i r1 r2 r1", "h i r1 r2 r1"), "=h =i =r1 =r2 =r1");
}

#[test]
fn an_empty_side_pairs_nothing() {
    assert_eq!(aligned("", ""), "");
    assert_eq!(aligned("h i", ""), "-h -i");
    assert_eq!(aligned("", "h i"), "+h +i");
}

#[test]
fn what_names_one_place_with_other_lengths_pairs_wherever_it_stands() {
    assert_eq!(aligned("h r7/17 r0/16 r1/16", "h r0/16 r1/16 r7/16"), "=h r7/17~r7/16 =r0/16 =r1/16");
    // A message of the same length is nearer.
    assert_eq!(aligned("h r7/17 r7/16", "h r7/16"), "=h -r7/17 =r7/16");
    assert_eq!(aligned("h r1/17 x r1/18", "h y r1/19"), "=h r1/17=r1/19 -x -r1/18 +y");
}

#[test]
fn what_names_the_same_pairs_wherever_it_stands() {
    assert_eq!(aligned("h r1 r2 r3 r4", "h r2 r3 r4 r1"), "=h ~r1 =r2 =r3 =r4");
}

#[test]
fn of_messages_in_reverse_all_but_the_last_have_moved() {
    assert_eq!(aligned("r1 r2 r3 r4", "r4 r3 r2 r1"), "~r1 ~r2 ~r3 =r4");
}

#[test]
fn of_two_rows_as_long_as_each_other_the_later_one_stays() {
    assert_eq!(aligned("r1 r2 r3 r4", "r3 r4 r1 r2"), "~r1 ~r2 =r3 =r4");
}

#[test]
fn what_was_said_more_often_on_one_side_leaves_the_rest_over() {
    assert_eq!(aligned("r1 r1 r1", "r1"), "=r1 -r1 -r1");
    assert_eq!(aligned("r1", "r1 r1 r1"), "=r1 +r1 +r1");
}

#[test]
fn the_longest_row_of_increasing_numbers_is_found() {
    let row = |numbers: &[i64]| {
        let numbers: Vec<Option<u32>> = numbers.iter().map(|number| u32::try_from(*number).ok()).collect();
        longest_increasing(&numbers)
    };
    // -1 stands for no number.
    assert_eq!(row(&[]), [0; 0]);
    assert_eq!(row(&[-1, -1]), [0; 0]);
    assert_eq!(row(&[7]), [0]);
    assert_eq!(row(&[5, -1, 1, 2, -1, 9, 3]), [2, 3, 6]);
    assert_eq!(row(&[3, 3, 3]).len(), 1, "equal numbers do not increase");
}

#[test]
fn repeated_messages_pair_the_first_with_the_first() {
    assert_eq!(aligned("u r1 c u r1", "u r1 c u r1"), "=u =r1 =c =u =r1");
    assert_eq!(aligned("u c u c", "u c u c u"), "=u =c =u =c +u");
}

#[test]
fn what_one_side_lacks_is_left_over() {
    assert_eq!(aligned("h a1 a2 i r1", "h i r1"), "=h -a1 -a2 =i =r1");
    assert_eq!(aligned("h i r1", "h b i r1 b"), "=h =i =r1 +b +b");
}

#[test]
fn a_changed_name_is_a_changed_message() {
    assert_eq!(aligned("h r1 r2 r3", "h r1 r9 r3"), "=h =r1 r2=r9 =r3");
}

#[test]
fn a_name_changed_to_that_of_a_later_message_is_still_the_one_that_changed() {
    assert_eq!(aligned("h r2 r4 r6 r8", "h r6 r4 r6 r8"), "=h r2=r6 =r4 =r6 =r8");
    assert_eq!(aligned("h r2 r4 r8", "h r4 r4 r8"), "=h r2=r4 =r4 =r8");
    assert_eq!(aligned("h r2 r4 r8", "h r2 r2 r8"), "=h =r2 r4=r2 =r8");
}

#[test]
fn a_message_said_once_more_and_moved_is_no_change() {
    assert_eq!(aligned("h r1 r2 r3 r1", "h r3 r1 r2"), "=h -r1 ~r2 =r3 =r1");
}

#[test]
fn different_kinds_do_not_pair() {
    assert_eq!(aligned("h n i", "h b i"), "=h -n =i +b");
}

#[test]
fn a_message_whose_kind_was_damaged_pairs_where_it_alone_is_left() {
    let alignment = align(&keys("h u i"), &keys("h c i"), |_, _| true);
    assert_eq!(alignment.mates, [Some(0), Some(1), Some(2)]);
    assert_eq!(alignment.moved, [false; 3]);
}

#[test]
fn what_a_capture_lost_pairs_with_nothing_but_its_equal() {
    let loss = |length| AlignmentKey { kind: AlignmentKind::Loss, names: [0, length, 0] };
    let (h, i) = (key("h"), key("i"));
    let alignment = align(&[h, loss(5), i], &[h, loss(6), i], |_, _| false);
    assert_eq!(alignment.mates, [Some(0), None, Some(2)]);
    let alignment = align(&[h, loss(5), i], &[h, loss(5), i], |_, _| false);
    assert_eq!(alignment.mates, [Some(0), Some(1), Some(2)]);
}

#[test]
fn a_hundred_thousand_messages_in_another_order_take_no_time() {
    let ours: Vec<AlignmentKey> = (0..100_000_u32).map(|n| key(&format!("r{n}"))).collect();
    let mut theirs = ours.clone();
    theirs.sort_by_key(|key| key.names[0].wrapping_mul(0x9e37_79b1));
    theirs.truncate(90_000);
    let alignment = align(&ours, &theirs, |_, _| false);
    assert_eq!(alignment.mates.iter().flatten().count(), 90_000);
}

fn conversation() -> impl Strategy<Value = Vec<AlignmentKey>> {
    let message = (0..4_u32, 0..5_u32);
    let key = message
        .prop_map(|(kind, name)| AlignmentKey { kind: AlignmentKind::of_test(kind), names: [name, 0, 0] });
    prop::collection::vec(key, 0..40)
}

proptest! {
    #[test]
    fn every_message_is_in_one_pair_at_most(ours in conversation(), theirs in conversation()) {
        let alignment = align(&ours, &theirs, |one, other| (one + other) % 3 == 0);
        prop_assert_eq!(alignment.mates.len(), ours.len());
        prop_assert_eq!(alignment.moved.len(), ours.len());
        let mut taken = vec![false; theirs.len()];
        for mate in alignment.mates.iter().flatten() {
            prop_assert!(!std::mem::replace(&mut taken[*mate as usize], true));
        }
        // What is not said to have moved can be drawn side by side.
        let in_order = alignment.mates.iter().zip(&alignment.moved);
        let in_order: Vec<_> = in_order.filter(|(_, moved)| !**moved).filter_map(|(mate, _)| *mate).collect();
        prop_assert!(in_order.is_sorted());
    }

    #[test]
    fn what_both_have_is_paired(ours in conversation(), theirs in conversation()) {
        let alignment = align(&ours, &theirs, |_, _| false);
        let left = |key: &AlignmentKey| {
            let of_ours = ours.iter().zip(&alignment.mates).any(|(our, mate)| our == key && mate.is_none());
            let taken: Vec<_> = alignment.mates.iter().flatten().collect();
            let of_theirs =
                theirs.iter().enumerate().any(|(at, their)| their == key && !taken.contains(&&(at as u32)));
            key.kind.is_message() && of_ours && of_theirs
        };
        prop_assert!(!ours.iter().any(left));
    }

    #[test]
    fn a_conversation_is_its_own_counterpart(ours in conversation()) {
        let alignment = align(&ours, &ours, |_, _| false);
        prop_assert_eq!(alignment.mates, (0..ours.len() as u32).map(Some).collect::<Vec<_>>());
        prop_assert!(!alignment.moved.contains(&true));
    }
}
