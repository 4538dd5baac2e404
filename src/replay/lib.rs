//! A trace against a trace, and a trace against a session.
