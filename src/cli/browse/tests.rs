//! The browser as a whole.
