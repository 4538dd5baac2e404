//! Conversations with a session under a pretend clock. The far ends say raw bytes, which none of our encoders made.

mod both_hashes;
mod crowding;
mod dropped;
mod encryption;
mod failures;
mod floods;
mod happy;
mod hashes;
mod hostile;
mod leaves;
mod metadata;
mod noise;
mod observer;
mod pex;
mod places;
mod policies;
mod selection;
mod serving;
mod sharing;
mod sources;
mod support;
mod swarm;
mod timers;
mod trackers;
mod trees;
mod web_seeds;
