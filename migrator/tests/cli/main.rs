//! The standalone tool as a process.

mod commands;
mod project;
mod signals;
mod terminal;
mod tour;
mod transcripts;
