//! The integration tests: one binary, so that its servers are started once.

mod crash;
mod servers;
