//! The behaviour of a client, learnt from a capture: the policy of a session, never the bytes of a message.

mod announce_over_http;
mod announce_over_udp;
mod encryption;
mod have_schedule;
mod infer;
mod observed_conversation;
mod transport;

pub use infer::{InferredProfile, NoClient, ProfileEvidence, infer_profile};
