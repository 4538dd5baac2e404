//! Whole swarms of sessions under one pretend clock and one pretend network. A [`Scenario`] says who is there; a [`World`] runs
//! it; the capture of the run has every byte of every host.
//!
//! There is no socket, clock, thread or chance of its own in here: the same scenario and seed give the same capture, byte for
//! byte.
//!
//! ```
//! use bittrace_lab::{Scenario, World, WorldOptions, scenario::Role};
//!
//! let scenario = Scenario::parse(
//!     "torrent = { size = '1 MiB', piece = '64 KiB' }
//!     [[peers]]
//!     role = 'seed'
//!     up = '100 kB/s'
//!     [[peers]]
//!     count = 2
//!     up = '50 kB/s'",
//! )?;
//! let run = World::new(&scenario, WorldOptions::default())?.run()?;
//! let leechers = run.hosts.iter().filter(|host| host.role == Role::Leecher);
//! assert!(leechers.map(|host| host.done_at).all(|done_at| done_at.is_some()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chance;
mod clients;
mod content;
mod disk;
mod error;
mod figures;
mod link;
mod measure;
mod network;
mod plan;
pub mod scenario;
mod summary;
#[cfg(test)]
mod testing;
mod theory;
mod tracker;
mod world;

pub use clients::{ClientCommand, ClientJob};
pub use content::Content;
pub use error::LabError;
pub use figures::{Case, Figure, Finding, Outcome};
pub use measure::{MessageTotals, Sample, Samples};
pub use plan::HostPlan;
pub use scenario::Scenario;
pub use summary::{GroupSummary, Quantiles, Summary, Verdict};
pub use theory::{Fluid, fluid, lower_bound};
pub use tracker::Tracker;
pub use world::{HostReport, Run, Snap, World, WorldOptions};
