//! How a client conducts itself, read off a capture: the policy of a session, never the bytes of a message.

mod have_schedule;
mod infer;

pub use infer::{InferredProfile, NoClient, ProfileEvidence, infer_profile};
