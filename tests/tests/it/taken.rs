//! Histories of sqlx and refinery, taken over for once, and of tools that are only recognised. `benches/tests` has the real runners.

use std::hash::{Hash, Hasher};

use migrator::{DatabaseState, Migrator, Resolution, State};
use migrator_tests::Database;
use sha2::{Digest, Sha384};
use siphasher::sip::SipHasher13;

use crate::dialects::{Mariadb, Postgres, Sqlite, Subject, applies, names, run, status, tables};
use crate::folder::{Folder, table};
use crate::watch;

on_each_dialect!(
    what_sqlx_applied_is_taken_over,
    what_sqlx_left_half_done_waits_for_a_person,
    what_refinery_applied_is_taken_over,
    an_edit_after_sqlx_applied_it_shows,
    it_is_read_once,
    a_database_of_another_service_is_refused,
    golang_migrate_is_told_what_to_type,
    dbmate_is_told_what_to_type,
    flyway_is_told_what_to_type,
    atlas_is_told_what_to_type,
    goose_is_told_what_to_type,
);

/// What is different in the tables of other tools on each database.
trait Types: Subject {
    const BYTES: &'static str;
    /// Bytes, from their hexadecimal digits.
    fn bytes(hex: &str) -> String {
        format!("X'{hex}'")
    }
}

impl Types for Sqlite {
    const BYTES: &'static str = "BLOB";
}

impl Types for Postgres {
    const BYTES: &'static str = "BYTEA";

    fn bytes(hex: &str) -> String {
        format!("'\\x{hex}'::bytea")
    }
}

impl Types for Mariadb {
    const BYTES: &'static str = "BLOB";
}

/// `1_t1.sql`, `2_t2.sql`, the second with the line endings of Windows, and a third that nobody ran.
fn folder() -> Folder {
    let folder = Folder::of_files(&[]);
    folder.write("1_t1.sql", table(1));
    folder.write("2_t2.sql", table(2).replace('\n', "\r\n"));
    folder.write("10_t10.sql", table(10));
    folder
}

fn sqlx_runs<S: Types>(database: &S::Database, success: [bool; 2]) {
    database.execute(&format!(
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMP NOT NULL DEFAULT \
         CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, checksum {} NOT NULL, execution_time BIGINT NOT NULL)",
        S::BYTES
    ));
    let texts = [table(1), table(2).replace('\n', "\r\n")];
    for ((number, text), success) in (1..).zip(texts).zip(success) {
        let checksum: String = Sha384::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        let checksum = S::bytes(&checksum);
        database.execute(&table(number));
        database.execute(&format!(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES ({number}, 't{number}', \
             {success}, {checksum}, 7)"
        ));
    }
}

fn states<S: Subject>(database: &S::Database, folder: &Folder) -> Vec<State> {
    status::<S>(database, &folder.set()).migrations().iter().map(|row| row.state).collect()
}

fn queries<S: Subject>(database: &S::Database, folder: &Folder) -> usize {
    let mut conn = database.connect();
    let queries = watch::queries(&mut conn);
    Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    queries.take().len()
}

fn what_sqlx_applied_is_taken_over<S: Types>() {
    let (database, folder) = (S::fresh(), folder());
    sqlx_runs::<S>(&database, [true; 2]);
    let seen = status::<S>(&database, &folder.set());
    assert_eq!((seen.state(), seen.applied(), seen.pending()), (DatabaseState::Pending, 2, 1), "{seen}");
    assert!(seen.migrations()[..2].iter().all(|row| row.applied_at.is_some() && !row.unverified), "{seen}");
    let theirs = || {
        database.texts("SELECT CONCAT(version, success, installed_on) AS value FROM _sqlx_migrations ORDER BY version")
    };
    let before = theirs();
    let report = applies::<S>(&database, &folder.set());
    assert_eq!((names(&report), report.skipped()), (vec!["10_t10"], 2));
    assert!(report.warnings()[0].contains("adopted from _sqlx_migrations, with the checksum"), "{report}");
    assert_eq!((theirs(), queries::<S>(&database, &folder)), (before, 1), "sqlx's table is left as it is");
    assert_eq!(states::<S>(&database, &folder), [State::Applied; 3]);
}

fn what_sqlx_left_half_done_waits_for_a_person<S: Types>() {
    let (database, folder) = (S::fresh(), folder());
    sqlx_runs::<S>(&database, [true, false]);
    assert_eq!(states::<S>(&database, &folder), [State::Applied, State::Failed, State::Pending]);
    let error = run::<S>(&database, &folder.set()).expect_err("nobody knows how much of it took");
    assert_eq!((error.code(), error.version()), ("failed", Some("2")), "{error}");
    let settled = Migrator::new(&folder.set()).resolve(&mut database.connect(), "2", Resolution::Applied);
    settled.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), ["10_t10"]);
}

fn what_refinery_applied_is_taken_over<S: Types>() {
    let (database, folder) = (S::fresh(), Folder::of_files(&[]));
    database.execute(
        "CREATE TABLE refinery_schema_history (version INT PRIMARY KEY, name VARCHAR(255), applied_on VARCHAR(255), checksum VARCHAR(255))",
    );
    for number in 1..=3_i32 {
        let (name, text) = (format!("t_{number}"), table(number.unsigned_abs() as usize));
        folder.write(&format!("V{number}__{name}.sql"), &text);
        let mut hasher = SipHasher13::new();
        name.hash(&mut hasher);
        // As those who chose versions of 64 bits have it.
        if number == 2 {
            i64::from(number).hash(&mut hasher)
        } else {
            number.hash(&mut hasher)
        }
        text.hash(&mut hasher);
        if number < 3 {
            database.execute(&text);
            database.execute(&format!(
                "INSERT INTO refinery_schema_history VALUES ({number}, '{name}', '2024-01-01T00:00:00.123456789Z', '{}')",
                hasher.finish()
            ));
        }
    }
    let report = applies::<S>(&database, &folder.set());
    assert_eq!((names(&report), report.skipped()), (vec!["V3__t_3"], 2), "{report}");
    let seen = status::<S>(&database, &folder.set());
    assert_eq!((seen.state(), seen.problems().len()), (DatabaseState::UpToDate, 0), "{seen}");
    assert_eq!(seen.migrations()[0].applied_at.as_deref(), Some("2024-01-01T00:00:00.123456789Z"));
    assert_eq!(queries::<S>(&database, &folder), 1);
    folder.write("V2__t_2.sql", "CREATE TABLE another (id INTEGER)");
    assert_eq!(states::<S>(&database, &folder), [State::Applied, State::Changed, State::Applied]);
}

fn an_edit_after_sqlx_applied_it_shows<S: Types>() {
    let (database, folder) = (S::fresh(), folder());
    sqlx_runs::<S>(&database, [true; 2]);
    folder.write("1_t1.sql", "CREATE TABLE another (id INTEGER)");
    let error = run::<S>(&database, &folder.set()).expect_err("it is not what ran");
    assert_eq!((error.code(), error.version()), ("changed", Some("1")), "{error}");
    assert!(!database.texts(S::TABLES).iter().any(|table| table.contains("migrator")), "nothing was written");
}

fn it_is_read_once<S: Types>() {
    let (database, folder) = (S::fresh(), folder());
    sqlx_runs::<S>(&database, [true; 2]);
    applies::<S>(&database, &folder.set());
    database.execute("DELETE FROM _sqlx_migrations");
    assert_eq!((states::<S>(&database, &folder), queries::<S>(&database, &folder)), (vec![State::Applied; 3], 1));
}

fn a_database_of_another_service_is_refused<S: Types>() {
    let database = S::fresh();
    sqlx_runs::<S>(&database, [true; 2]);
    let set = Folder::of_files(&[("5_other.sql", &table(5))]).set();
    let error = run::<S>(&database, &set).expect_err("it is another's");
    assert_eq!((error.code(), error.version()), ("missing", Some("1")), "{error}");
    // And a directory of another layout is told which.
    let error = run::<S>(&database, &Folder::of_tables(2).set()).expect_err("it is sqlx's");
    assert_eq!(error.code(), "foreign_history");
    assert!(error.remedy().contains("layout flat"), "{error}");
}

/// What the refusal of a database says to type.
fn told<S: Subject>(database: &S::Database, tool: &str) -> String {
    let before = tables(database);
    let error = run::<S>(database, &folder().set()).expect_err("its history is not read");
    assert_eq!(error.code(), "foreign_history", "{error}");
    assert!(error.message().contains(tool), "{error}");
    assert_eq!(tables(database), before, "nothing was written");
    error.remedy().to_owned()
}

fn golang_migrate_is_told_what_to_type<S: Types>() {
    let database = S::fresh();
    database.execute("CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, dirty BOOLEAN NOT NULL)");
    database.execute("INSERT INTO schema_migrations VALUES (20240101120000, false)");
    assert!(told::<S>(&database, "golang-migrate").ends_with("migrator baseline 20240101120000"));
    database.execute("UPDATE schema_migrations SET dirty = true");
    let told = told::<S>(&database, "golang-migrate");
    assert!(
        told.contains("20240101120000 failed: settle it there first") && told.contains("migrator baseline V"),
        "{told}"
    );
}

fn dbmate_is_told_what_to_type<S: Types>() {
    let database = S::fresh();
    database.execute("CREATE TABLE schema_migrations (version VARCHAR(128) PRIMARY KEY)");
    database.execute("INSERT INTO schema_migrations VALUES ('20240101120000'), ('20240301120000'), ('20240201120000')");
    assert!(told::<S>(&database, "dbmate").ends_with("migrator baseline 20240301120000"));
}

fn flyway_is_told_what_to_type<S: Types>() {
    let database = S::fresh();
    database.execute(
        "CREATE TABLE flyway_schema_history (installed_rank INT NOT NULL PRIMARY KEY, version VARCHAR(50), description VARCHAR(200), \
         type VARCHAR(20), script VARCHAR(1000), checksum INT, installed_by VARCHAR(100), installed_on TIMESTAMP, execution_time INT, \
         success BOOLEAN NOT NULL)",
    );
    database.execute(
        "INSERT INTO flyway_schema_history (installed_rank, version, success) VALUES (1, '1', true), (2, '1.9', true), (3, '1.10', true), \
         (4, NULL, true)",
    );
    assert!(told::<S>(&database, "Flyway").ends_with("migrator baseline 1.10"), "the last that was installed");
    database.execute("UPDATE flyway_schema_history SET success = false WHERE installed_rank = 3");
    assert!(told::<S>(&database, "Flyway").contains("1.10 failed"));
}

fn atlas_is_told_what_to_type<S: Types>() {
    let database = S::fresh();
    database.execute(
        "CREATE TABLE atlas_schema_revisions (version VARCHAR(255) NOT NULL PRIMARY KEY, description VARCHAR(255), type BIGINT, applied \
         BIGINT NOT NULL, total BIGINT NOT NULL)",
    );
    database.execute(
        "INSERT INTO atlas_schema_revisions VALUES ('20240101120000', 'a', 2, 3, 3), ('20240201120000', 'b', 2, 2, 2)",
    );
    assert!(told::<S>(&database, "Atlas").ends_with("migrator baseline 20240201120000"));
    database.execute("UPDATE atlas_schema_revisions SET applied = 1 WHERE version = '20240201120000'");
    assert!(told::<S>(&database, "Atlas").contains("20240201120000 failed"));
}

fn goose_is_told_what_to_type<S: Types>() {
    let database = S::fresh();
    database.execute("CREATE TABLE goose_db_version (id INT NOT NULL PRIMARY KEY, version_id BIGINT NOT NULL, is_applied BOOLEAN NOT NULL)");
    database.execute("INSERT INTO goose_db_version VALUES (1, 0, true), (2, 3, true), (3, 5, true), (4, 5, false)");
    assert!(told::<S>(&database, "goose").ends_with("migrator baseline 3"), "5 was undone");
}
