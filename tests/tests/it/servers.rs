//! The test support itself.

mod cleanup;
mod databases;
mod faults;
mod proxy;
