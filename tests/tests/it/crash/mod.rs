//! Many starters, and starters that die: whatever happens, each statement takes effect exactly once.
//!
//! A starter is a process of its own, `src/bin/starter.rs`. The tests wait for its events, never for a time. Each test
//! prints how many points it tried.

mod catalogue;
mod concurrently;
mod convoy;
mod faulty_disk;
mod killed;
mod locked;
mod meanwhile;
mod messages;
mod prisma;
mod reverting;
mod seeding;
mod server_down;
mod sets;
pub(crate) mod starter;
mod together;
mod wire;

pub(crate) use faulty_disk::system_calls;
