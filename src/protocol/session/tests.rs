//! Conversations with a session under a pretend clock. The far ends say raw bytes, which none of our encoders made.

mod happy;
mod support;
