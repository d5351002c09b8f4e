//! Stands in for a database whose feature is off.

use std::path::Path;

use super::place::Place;
use super::restore::Bringing;
use super::{Copied, Source, Tick};
use crate::error::Error;

pub(super) const ENDING: &str = "";

pub(super) fn copy(_source: &Source<'_>, _to: &Path, _tick: &mut Tick<'_>) -> Result<Copied, Error> {
    Err(not_built())
}

pub(super) fn check(_file: &Path, _programs: Option<&Path>) -> Result<(), Error> {
    Err(not_built())
}

pub(super) fn restore(_bringing: &mut Bringing<'_>) -> Result<Vec<String>, Error> {
    Err(not_built())
}

pub(super) fn marks(_place: &Place) -> Result<Option<Vec<String>>, Error> {
    Err(not_built())
}

fn not_built() -> Error {
    Error::new(
        "dialect_not_built",
        "this build does not speak the backup's database",
        "build with the feature sqlite, postgres or mysql that it needs",
    )
}
