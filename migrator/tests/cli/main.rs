//! The standalone tool as a process.

mod commands;
mod copies;
mod directory;
mod examined;
mod project;
mod reset;
mod signals;
mod terminal;
mod tour;
mod transcripts;
