//! What the macro and the runtime of `migrator` must do the same way.
//!
//! This crate is an implementation detail of `migrator`; its interface changes without notice.
//!
//! A folder goes through four rooms: [`layout`] turns files into entries, [`checksum`] normalises and digests their
//! text, [`sql`] splits a script into statements and finds what would hurt later, and [`pack`] lays the result out as
//! the few flat blobs that a binary carries. [`seal`] says which of them are final; [`data`] reads what a seed takes from a
//! file.

pub mod checksum;
pub mod data;
pub mod fault;
pub mod layout;
pub mod pack;
pub mod seal;
mod sha_256;
pub mod sql;
