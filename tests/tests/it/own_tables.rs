//! Scripts that drop, rename, lock or empty the tables of the history, or take away everything around them: the run says so, and a
//! history that is gone is never taken for one that begins.

use diesel::Connection;
use migrator::{Error, Migrator};
use migrator_tests::Database;

use crate::dialects::{Mariadb, Postgres, Subject, applies, history, names, run, tables};
use crate::folder::{Folder, table};

on_each_dialect!(
    what_a_script_does_to_the_history_is_undone,
    what_cannot_be_undone_is_told_by_every_run_from_then_on,
    a_script_may_look_into_the_history
);

const NO_TRANSACTION: &str = "-- migrator: no-transaction\n";

/// A database with one migration, and a folder in which the second one does this.
fn with_second<S: Subject>(script: &str) -> (S::Database, Folder) {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    applies::<S>(&database, &folder.set());
    folder.write("02_harm/up.sql", script.replace("HERE", database.name()));
    folder.write("03_t3/up.sql", table(3));
    (database, folder)
}

/// What the error of the run that does it says.
fn says(error: &Error) {
    assert!(error.code() == "history_tampered" && error.is_blocked(), "{error}");
    assert_eq!(error.version(), Some("02"), "{error}");
    assert!(error.message().contains("02_harm changed the history"), "{error}");
    assert!(error.remedy().contains("take that out of the script"), "{error}");
}

/// Every database takes back rows that were deleted, SQLite and PostgreSQL also what became of tables.
fn what_a_script_does_to_the_history_is_undone<S: Subject>() {
    let rows = [
        "DELETE FROM __migrator_history;",
        "DELETE FROM __migrator_meta;",
        "DELETE FROM __migrator_history; DELETE FROM __migrator_meta;",
        "UPDATE __migrator_history SET checksum = NULL;",
        "UPDATE __migrator_meta SET sequence = 7;",
    ];
    let whole = [
        "DROP TABLE __migrator_history;",
        "DROP TABLE \"__MIGRATOR_META\"; DROP TABLE __migrator_history;",
        "DROP TABLE __migrator_meta; DROP TABLE __migrator_history;",
        "ALTER TABLE __migrator_history RENAME TO elsewhere;",
    ];
    let whole = whole.into_iter().filter(|script| S::UNDOES_DDL && (S::NAME == "sqlite" || !script.contains("META")));
    for script in rows.into_iter().chain(whole) {
        let (database, folder) = with_second::<S>(&format!("INSERT INTO t1 VALUES (2);\n{script}"));
        for _ in 0..2 {
            let error = run::<S>(&database, &folder.set()).expect_err(script);
            says(&error);
            assert!(error.message().contains("was undone"), "{script}: {error}");
            assert_eq!((tables(&database), database.row_counts()["t1"]), (vec!["t1".to_owned()], 1), "{script}");
        }
        assert!(history(&database).ends_with(&["applied 01", "failed 02", "failed 02"].map(str::to_owned)), "{script}");
        folder.write("02_harm/up.sql", "INSERT INTO t1 VALUES (2);");
        assert_eq!(names(&applies::<S>(&database, &folder.set())), ["02_harm", "03_t3"], "{script}");
    }
}

/// In a script without a transaction, or of MariaDB with DDL.
fn what_cannot_be_undone_is_told_by_every_run_from_then_on<S: Subject>() {
    let mut scripts = vec![
        "DELETE FROM __migrator_history;",
        "DELETE FROM __migrator_meta;",
        "DELETE FROM __migrator_history; DELETE FROM __migrator_meta;",
    ];
    if S::NAME == "mysql" {
        scripts.extend([
            "TRUNCATE __migrator_history; TRUNCATE __migrator_meta;",
            "DROP TABLE __migrator_history;",
            "DROP TABLE __migrator_meta;",
            "DROP TABLE __migrator_history, __migrator_meta;",
            "DROP TABLE __migrator_history, __migrator_meta, __diesel_schema_migrations;",
            "RENAME TABLE __migrator_meta TO elsewhere;",
        ]);
    }
    for script in scripts {
        let (database, folder) = with_second::<S>(&format!("{NO_TRANSACTION}{script}"));
        let set = folder.set();
        let error = run::<S>(&database, &set).expect_err(script);
        assert!(error.code() == "history_tampered" && error.is_blocked(), "{script}: {error}");
        assert!(error.remedy().contains("from a backup"), "{script}: {error}");
        let next = run::<S>(&database, &set).expect_err(script);
        // All that told is gone, but for the tables that the migrations made.
        let code = if script.contains("__diesel") { "not_empty" } else { "history_tampered" };
        assert_eq!(next.code(), code, "{script}: {next}");
        assert!(!tables(&database).contains(&"t3".to_owned()), "{script}: nothing is applied any more");
        assert_eq!(database.row_counts()["t1"], 1, "{script}: and nothing again");
    }
}

fn a_script_may_look_into_the_history<S: Subject>() {
    let copies = "CREATE TABLE seen (version VARCHAR(50)); INSERT INTO seen SELECT version FROM __migrator_history;";
    for alone in ["", NO_TRANSACTION] {
        let (database, folder) = with_second::<S>(&format!("{alone}{copies}"));
        assert_eq!(names(&applies::<S>(&database, &folder.set())), ["02_harm", "03_t3"]);
        assert!(database.texts("SELECT version AS value FROM seen").contains(&"01".to_owned()));
        if S::NAME == "postgres" {
            folder.write("04_lock/up.sql", "LOCK TABLE __migrator_history, __migrator_meta;");
            assert_eq!(names(&applies::<S>(&database, &folder.set())), ["04_lock"], "it is its own lock");
        }
    }
}

/// The schema with everything in it, as one of several migrations in a message too.
#[test]
fn a_schema_of_postgres_that_is_dropped_is_there_again() {
    for more in ["", "CREATE SCHEMA public;", "CREATE SCHEMA public; CREATE TABLE public.anew (id INT);"] {
        let (database, folder) = with_second::<Postgres>(&format!("DROP SCHEMA public CASCADE; {more}"));
        (4..10).for_each(|number| folder.write(&format!("0{number}_t{number}/up.sql"), table(number)));
        for _ in 0..2 {
            let error = run::<Postgres>(&database, &folder.set()).expect_err("refused");
            assert_eq!((error.version(), error.code()), (Some("02"), "database"), "{error}");
            assert!(error.database_words().is_some_and(|words| words.contains("__migrator_history")), "{error}");
            assert_eq!(tables(&database), ["t1"]);
        }
        assert_eq!(history(&database), ["applied 01", "failed 02", "failed 02"]);
    }
}

/// What MariaDB drops is gone. What the script would make behind it is not made, and the next run does not begin anew beside what is
/// there.
#[test]
fn a_database_of_mariadb_that_is_dropped() {
    let script = "DROP DATABASE HERE; CREATE DATABASE HERE; USE HERE; CREATE TABLE anew (id INT);";
    let (database, folder) = with_second::<Mariadb>(script);
    let error = run::<Mariadb>(&database, &folder.set()).expect_err("refused");
    says(&error);
    assert!(error.remedy().contains("from a backup"), "{error}");
    let gone = <Mariadb as Subject>::Connection::establish(database.url()).err().expect("it is gone").to_string();
    assert!(gone.contains("Unknown database"), "{gone}");

    let home = Mariadb::fresh();
    home.execute(&format!("CREATE DATABASE {}", database.name()));
    database.execute("CREATE TABLE anew (id INT)");
    let error = Migrator::new(&folder.set()).run(&mut database.connect()).expect_err("refused");
    assert_eq!((error.code(), tables(&database)), ("not_empty", vec!["anew".to_owned()]), "{error}");
}
