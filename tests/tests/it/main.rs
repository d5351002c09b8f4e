//! The integration tests: one binary, so that its servers are started once.
//!
//! A dialect is what passes the shared suite. A test is a function over a [`Subject`](dialects::Subject); `on_each_dialect!` makes
//! three of it. What differs between the databases is listed in `dialects`; what only one of them has is in a module named
//! after it.

mod accounts;
mod asynchronous;
mod axum_service;
mod crash;
#[macro_use]
mod dialects;
mod folder;
mod servers;
mod watch;

mod accept;
mod ahead;
mod backup;
mod baseline;
mod blockers;
mod code;
mod cold;
mod conflicts;
mod connections;
mod convoy;
mod doctor;
mod embedded;
mod events;
mod failures;
mod foreign;
mod guard;
mod guards;
mod health;
mod history;
mod large;
mod mariadb;
mod messages;
mod names;
mod neighbours;
mod origins;
mod outcome;
mod own_tables;
mod page;
mod panics;
mod poolers;
mod postgres;
mod prisma;
mod provider;
mod refusals;
mod reset;
mod revert;
mod runs;
mod sections;
mod seeds;
mod session;
mod sharing;
mod sqlite;
mod sqlite_locks;
mod standby;
mod states;
mod taken;
mod testing;
mod turns;
mod unchanged;
mod used_up;
mod values;
mod verify;
