//! What the tests of several crates share: reference captures, torrents, peers and trackers on loopback that write raw
//! bytes, real clients, the command itself. Only tests depend on this crate; what fails in it panics, and so fails the
//! test.

pub mod browser;
pub mod captures;
pub mod clients;
pub mod command;
pub mod events;
pub mod hostile;
pub mod hosts;
pub mod html_page;
pub mod json;
pub mod peer;
pub mod programs;
pub mod sequence;
pub mod swarm;
pub mod torrent;
mod torrent_trees;
pub mod tracker;
pub mod tshark;
pub mod web_server;
