//! Sets that are in the binary: by our macro, by `include_dir!`, and under diesel's own harness.

use include_dir::{Dir, include_dir};
use migrator::{DatabaseState, MigrationSet, Migrator, embed_migrations};
use migrator_tests::Database;

use crate::dialects::{Mariadb, Postgres, Sqlite, Subject, applies, names, status, tables};
use crate::folder::Folder;
use crate::watch;

static MIGRATIONS: MigrationSet = embed_migrations!("migrations");
static DIR: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/migrations");

const NAMES: [&str; 3] = ["20240101000000_harbour", "20240102000000_ship", "20240103000000_crew"];

on_each_dialect!(runs, is_the_same_however_it_was_read);

fn runs<S: Subject>() {
    let database = S::fresh();
    assert_eq!(names(&applies::<S>(&database, &MIGRATIONS)), NAMES);
    assert_eq!(
        (tables(&database), database.row_counts()["ship"]),
        (["crew", "harbour", "ship"].map(str::to_owned).to_vec(), 2)
    );
    assert_eq!(database.texts("SELECT name AS value FROM harbour ORDER BY id"), ["Kiel; Förde", "Split's"]);
    let mut conn = database.connect();
    let queries = watch::queries(&mut conn);
    Migrator::new(&MIGRATIONS).run(&mut conn).expect("run");
    assert_eq!(queries.take().len(), 1);
    assert_eq!(status::<S>(&database, &MIGRATIONS).state(), DatabaseState::UpToDate);
}

/// Applied from one, nothing is pending for the others.
fn is_the_same_however_it_was_read<S: Subject>() {
    let folder = MigrationSet::from_path(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).expect("read");
    let dir = MigrationSet::from_dir(&DIR).expect("read");
    let database = S::fresh();
    assert_eq!(applies::<S>(&database, &dir).applied().len(), 3);
    for set in [&MIGRATIONS, &folder] {
        assert_eq!((applies::<S>(&database, set).skipped(), set.fingerprint()), (3, dir.fingerprint()));
    }
}

#[test]
fn it_matches_its_folder() {
    MIGRATIONS.matches("migrations").unwrap_or_else(|error| panic!("{error}"));
    MigrationSet::from_dir(&DIR).expect("read").matches("migrations").unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn it_says_what_does_not_match() {
    let texts: Vec<(&str, &str)> = MIGRATIONS.iter().map(|migration| (migration.name(), migration.up())).collect();
    let differs = |change: &dyn Fn(&Folder), told: &str| {
        let folder = Folder::of(&texts);
        MIGRATIONS.matches(folder.path()).expect("a copy is the same");
        change(&folder);
        let error = MIGRATIONS.matches(folder.path()).expect_err(told);
        assert_eq!((error.code(), error.message()), ("stale", told));
        assert!(error.remedy().contains("build again"), "{error}");
    };
    differs(
        &|folder| folder.write(&format!("{}/up.sql", NAMES[1]), "SELECT 1;"),
        "20240102000000_ship has another text in the directory",
    );
    differs(
        &|folder| folder.write("20240104000000_new/up.sql", "SELECT 1;"),
        "20240104000000_new is in the directory and not in the binary",
    );
    differs(
        &|folder| folder.write("20240101500000_new/up.sql", "SELECT 1;"),
        "20240101500000_new is in the directory and not in the binary",
    );
    differs(&|folder| folder.remove(NAMES[2]), "20240103000000_crew is in the binary and not in the directory");
    differs(
        &|folder| folder.remove(NAMES[0]),
        "20240101000000_harbour is in the binary and not at this place in the directory",
    );
    assert_eq!(MIGRATIONS.matches("no/such/folder").expect_err("it is not there").code(), "folder");
}

/// diesel's harness over a set of ours; its bounds are met by concrete connections only.
macro_rules! under_the_harness_of_diesel {
    ($($test:ident: $subject:ty),*) => {$(
        #[test]
        fn $test() {
            use diesel_migrations::MigrationHarness;

            let database = <$subject as Subject>::fresh();
            let mut conn = database.connect();
            let applied = conn.run_pending_migrations(&MIGRATIONS).expect("run").iter().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(applied, ["20240101000000", "20240102000000", "20240103000000"]);
            assert_eq!(database.row_counts()["ship"], 2);
            assert!(!conn.has_pending_migration(&MIGRATIONS).expect("ask"));
            conn.revert_last_migration(&MIGRATIONS).expect("revert");
            assert_eq!(tables(&database), ["harbour", "ship"]);
            conn.revert_last_migration(&MIGRATIONS).expect("revert");
            assert_eq!(tables(&database), ["harbour"]);
            conn.revert_last_migration(&MIGRATIONS).expect("revert");
            assert!(tables(&database).is_empty());

            // What diesel sends for a comment alone is an error on PostgreSQL and a crash on MySQL.
            let comments = Folder::of_files(&[("01_none/up.sql", "-- nothing\n"), ("01_none/down.sql", "-- nothing\n")]);
            let comments = comments.set();
            conn.run_pending_migrations(&comments).expect("nothing is sent");
            let refused = conn.revert_last_migration(&comments).expect_err("a comment is no down script");
            assert!(refused.to_string().contains("01_none"), "{refused}");
        }
    )*};
}

under_the_harness_of_diesel!(
    sqlite_under_the_harness_of_diesel: Sqlite,
    postgres_under_the_harness_of_diesel: Postgres,
    mariadb_under_the_harness_of_diesel: Mariadb
);
