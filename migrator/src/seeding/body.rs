//! What a seed runs.

use diesel::connection::LoadConnection;

use super::failure::Failure;
use crate::dialect::Dialect;
use crate::seed::{Body, Seed};

/// Runs it, and returns how many rows it touched.
pub(super) fn run<C: LoadConnection<Backend: Dialect>>(conn: &mut C, seed: &Seed<C>) -> Result<u64, Failure> {
    match seed.body {
        Body::Call(call) => Ok(call(conn)?),
    }
}

/// Whether what a file promises is there.
pub(super) fn holds<C: LoadConnection<Backend: Dialect>>(_conn: &mut C, seed: &Seed<C>) -> Result<bool, Failure> {
    match seed.body {
        Body::Call(_) => Ok(true),
    }
}
