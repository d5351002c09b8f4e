// What the macro expands to takes no name from the place where it is called.
#![no_implicit_prelude]

#[allow(dead_code)]
enum Option {
    Some,
    None,
}
#[allow(unused_imports)]
use Option::{None, Some};

mod core {}
mod std {}
mod migrator {}

static MIGRATIONS: ::migrator::MigrationSet = ::migrator::embed_migrations!("dirs/prisma");
static STATED: ::migrator::MigrationSet = ::migrator::embed_migrations!("dirs/flat", dialect = "mysql");
static UNKNOWN: ::migrator::MigrationSet = ::migrator::embed_migrations!("dirs/flat");

fn main() {
    ::std::assert_eq!(MIGRATIONS.len() + STATED.len() + UNKNOWN.len(), 7);
}
