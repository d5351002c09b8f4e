//! Scripts of goose and dbmate: the way up runs, and what is told is told of the file.

use diesel::migration::MigrationSource;
use diesel::sqlite::Sqlite;
use migrator::DatabaseState;
use migrator_tests::Database;

use crate::dialects::{Subject, applies, names, run, status, tables};
use crate::folder::Folder;

on_each_dialect!(the_way_up_runs_and_the_way_down_may_change, an_error_names_the_line_of_the_file);

const HARBOUR: &str = "-- +goose Up\nCREATE TABLE harbour (id INTEGER);\n\n-- +goose Down\nDROP TABLE harbour;\n";
const SHIP: &str =
    "-- migrate:up\nCREATE TABLE ship (id INTEGER);\n-- migrate:down transaction:false\nVACUUM;\nDROP TABLE ship;\n";

fn the_way_up_runs_and_the_way_down_may_change<S: Subject>() {
    let folder = Folder::of_files(&[("00001_harbour.sql", HARBOUR), ("00002_ship.sql", SHIP)]);
    let database = S::fresh();
    assert_eq!(names(&applies::<S>(&database, &folder.set())), ["00001_harbour", "00002_ship"]);
    assert_eq!(tables(&database), ["harbour", "ship"]);

    let (up, _) = HARBOUR.split_once("-- +goose Down").expect("a mark");
    for edited in [HARBOUR.replace("DROP TABLE", "DROP TABLE IF EXISTS"), up.trim_end().to_owned()] {
        folder.write("00001_harbour.sql", edited);
        let set = folder.set();
        assert_eq!(status::<S>(&database, &set).state(), DatabaseState::UpToDate);
        assert!(applies::<S>(&database, &set).applied().is_empty());
    }
    folder.write("00001_harbour.sql", HARBOUR.replace("(id INTEGER)", "(id BIGINT)"));
    assert_eq!(run::<S>(&database, &folder.set()).expect_err("changed").code(), "changed");
}

fn an_error_names_the_line_of_the_file<S: Subject>() {
    let script = "-- A ship.\n\n-- +goose Up\nINSERT INTO harbour VALUES (1);\n\n  INSERT INTO nowhere VALUES (1);\n-- +goose Down\n";
    let folder = Folder::of_files(&[("00001_harbour.sql", HARBOUR), ("00002_ship.sql", script)]);
    let database = S::fresh();
    let error = run::<S>(&database, &folder.set()).expect_err("it fails");
    let place = error.place().expect("a place");
    assert!(place.file.ends_with("/00002_ship.sql"), "{error}");
    assert_eq!((place.line, place.column, place.number), (6, 3, 2), "{error}");
    assert_eq!(tables(&database), ["harbour"]);
}

/// VACUUM runs in no transaction, and only the way down is declared to have none.
#[test]
fn diesels_harness_runs_each_way_in_its_mode() {
    let database = crate::dialects::Sqlite::fresh();
    let set = Folder::of_files(&[("00001_harbour.sql", HARBOUR), ("00002_ship.sql", SHIP)]).set();
    let migrations = MigrationSource::<Sqlite>::migrations(&&set).expect("a source");
    let mut conn = database.connect();
    migrations.iter().for_each(|migration| migration.run(&mut conn).expect("up"));
    assert!(migrations.iter().all(|migration| migration.metadata().run_in_transaction()));
    assert_eq!(tables(&database), ["harbour", "ship"]);
    migrations.iter().rev().for_each(|migration| migration.revert(&mut conn).expect("down"));
    assert!(tables(&database).is_empty());
}
