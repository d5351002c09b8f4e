//! The standalone tool as a process.

/// Makes a test of each function, for each database.
macro_rules! on_each_database {
    ($($test:ident),* $(,)?) => {
        mod on_sqlite { $(#[test] fn $test() { super::$test(&migrator_tests::sqlite::fresh()); })* }
        mod on_postgres { $(#[test] fn $test() { super::$test(&migrator_tests::servers::postgres().fresh()); })* }
        mod on_mariadb { $(#[test] fn $test() { super::$test(&migrator_tests::servers::mariadb().fresh()); })* }
    };
}

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
