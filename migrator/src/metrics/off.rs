//! Without the feature `metrics`: nothing is counted.

use crate::error::Error;
use crate::event::Event;
#[cfg(feature = "http")]
use crate::provider_state::{MissingSeed, ProviderState};
use crate::report::Report;

pub(crate) fn event(_: &Event<'_>) {}

pub(crate) fn run(_: &Result<(), Error>, _: &Report, _: Option<usize>) {}

#[cfg(feature = "http")]
pub(crate) fn migrations(_: usize, _: usize, _: bool) {}

#[cfg(feature = "http")]
pub(crate) fn standing(_: &ProviderState, _: &[MissingSeed]) {}

#[cfg(feature = "http")]
pub(crate) fn pool(_: u32, _: u32, _: u32) {}

#[cfg(feature = "http")]
pub(crate) fn page() -> Option<String> {
    None
}
