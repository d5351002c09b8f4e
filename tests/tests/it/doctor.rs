//! A checkup proves what a run relies on, names what is not so, and leaves nothing behind.

use diesel::connection::SimpleConnection;
use diesel::{Connection, MysqlConnection, PgConnection, SqliteConnection};
use migrator::{Check, Checkup, Environment, Migrator, Verdict};
use migrator_tests::Database;
use migrator_tests::servers::{self, Pooler};

use crate::dialects::{Mariadb, Postgres, Sqlite, Subject, applies, as_role};
use crate::folder::Folder;

on_each_dialect!(
    a_sound_stack_passes,
    it_stops_no_run_and_is_stopped_by_none,
    one_session_proves_no_lock,
    another_environment_fails,
    who_may_only_read_fails,
);

fn migrator<C>(url: &str) -> Migrator<C>
where
    C: diesel::connection::LoadConnection<Backend: migrator::Dialect> + 'static,
{
    let url = url.to_owned();
    Migrator::new(&Folder::of_tables(1).set()).reconnect(move || C::establish(&url))
}

fn examine<S: Subject>(database: &S::Database) -> Checkup {
    let checkup = migrator::<S::Connection>(database.url()).doctor(&mut database.connect());
    checkup.unwrap_or_else(|error| panic!("{error}"))
}

fn verdicts(checkup: &Checkup) -> Vec<(&str, Verdict)> {
    checkup.checks.iter().map(|check| (check.name, check.verdict)).collect()
}

fn check<'a>(checkup: &'a Checkup, name: &str) -> &'a Check {
    checkup.check(name).unwrap_or_else(|| panic!("there is no {name}: {checkup}"))
}

fn a_sound_stack_passes<S: Subject>() {
    let database = S::fresh();
    let empty = database.dump();
    let before = examine::<S>(&database);
    assert_eq!(check(&before, "lock").verdict, Verdict::Pass, "{before}");
    assert_eq!(database.dump(), empty, "nothing is left behind");
    assert_eq!(S::texts(&mut database.connect(), S::TABLES), [""; 0]);

    applies::<S>(&database, &Folder::of_tables(1).set());
    let after = examine::<S>(&database);
    assert_eq!(verdicts(&before), verdicts(&after));
    assert_eq!(check(&after, "environment").verdict, Verdict::Warn, "nobody says what it is for: {after}");
    let rest = after.checks.iter().filter(|check| !["environment", "durability"].contains(&check.name));
    assert!(rest.clone().count() >= 3 && rest.clone().all(|check| check.verdict == Verdict::Pass), "{after}");
    assert!(after.checks.iter().all(|check| (check.verdict == Verdict::Pass) == check.help.is_empty()), "{after}");
}

/// On PostgreSQL and MariaDB the lock of a checkup is one of its own; SQLite has only one.
fn it_stops_no_run_and_is_stopped_by_none<S: Subject>() {
    if S::NAME == "sqlite" {
        let database = Sqlite::fresh();
        let mut writer = database.connect();
        writer.batch_execute("BEGIN IMMEDIATE").expect("the write lock");
        let migrator = migrator::<SqliteConnection>(database.url()).lock_timeout(std::time::Duration::ZERO);
        let error = migrator.doctor(&mut database.connect()).expect_err("it could not be tried");
        return assert!(error.is_lock_timeout(), "{error}");
    }
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    let url = database.url().to_owned();
    let migrator = Migrator::new(&folder.set()).code("02_doctor", move |_: &mut S::Connection| {
        let checkup = migrator::<S::Connection>(&url).doctor(&mut S::Connection::establish(&url).expect("connect"));
        checkup
            .map(|checkup| assert_eq!(check(&checkup, "lock").verdict, Verdict::Pass, "{checkup}"))
            .map_err(|e| e.to_string())
    });
    migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
}

fn one_session_proves_no_lock<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    let checkup =
        Migrator::new(&folder.set()).doctor(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(check(&checkup, "lock").verdict, Verdict::Warn);
    assert_eq!(check(&checkup, "privileges").verdict, Verdict::Pass);
}

fn another_environment_fails<S: Subject>() {
    let database = S::fresh();
    let staging = migrator::<S::Connection>(database.url()).environment(Environment::Staging);
    staging.mark(&mut database.connect(), Environment::Production).unwrap_or_else(|error| panic!("{error}"));
    let checkup = staging.doctor(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    let environment = check(&checkup, "environment");
    assert_eq!((environment.verdict, checkup.verdict()), (Verdict::Fail, Verdict::Fail));
    assert!(environment.message.contains("production") && environment.message.contains("staging"), "{environment}");
}

fn who_may_only_read_fails<S: Subject>() {
    let database = S::fresh();
    applies::<S>(&database, &Folder::of_tables(1).set());
    let mut reader = S::reader(&database);
    let dump = database.dump();
    let checkup = Migrator::new(&Folder::of_tables(1).set()).doctor(&mut reader);
    let checkup = checkup.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(checkup.verdict(), Verdict::Fail, "{checkup}");
    let privileges = check(&checkup, "privileges");
    assert_eq!(privileges.verdict, Verdict::Fail, "{checkup}");
    assert!(privileges.help.contains(if S::NAME == "sqlite" { "write permission" } else { "GRANT" }), "{privileges}");
    assert_eq!(database.dump(), dump, "nothing is left behind");
}

/// Each right that is missing is found, and what was made for it is gone.
#[test]
fn each_privilege_of_mariadb_is_proved() {
    for (rights, missing) in [
        ("SELECT, DROP, CREATE, INSERT, UPDATE, ALTER", "make indexes"),
        ("SELECT, DROP, CREATE, INSERT, UPDATE, INDEX", "alter tables"),
        ("SELECT, DROP, INSERT, UPDATE, ALTER, INDEX", "make tables"),
        ("SELECT, CREATE, INSERT, UPDATE, ALTER, INDEX", "drop tables"),
    ] {
        let database = Mariadb::fresh();
        let role = format!("some_of_{}", database.name());
        database.execute(&format!(
            "CREATE USER '{role}'@'127.0.0.1' IDENTIFIED BY 'letter'; GRANT {rights} ON {}.* TO '{role}'@'127.0.0.1'",
            database.name()
        ));
        let url = as_role(database.url(), &role, "letter");
        let mut conn = MysqlConnection::establish(&url).expect("connect");
        let checkup = migrator::<MysqlConnection>(&url).doctor(&mut conn).unwrap_or_else(|error| panic!("{error}"));
        let privileges = check(&checkup, "privileges");
        assert_eq!(privileges.verdict, Verdict::Fail, "{rights}: {checkup}");
        assert!(privileges.message.contains(missing), "{rights}: {privileges}");
        assert_eq!(Mariadb::texts(&mut database.connect(), Mariadb::TABLES), [""; 0], "{rights}");
    }
}

/// What a checkup that was killed left behind is no hindrance, neither to the next one nor to a run.
#[test]
fn what_a_killed_checkup_of_mariadb_left_goes() {
    let database = Mariadb::fresh();
    database.execute("CREATE TABLE __migrator_doctor (id INTEGER)");
    applies::<Mariadb>(&database, &Folder::of_tables(1).set());
    assert_eq!(check(&examine::<Mariadb>(&database), "privileges").verdict, Verdict::Pass);
    assert!(!Mariadb::texts(&mut database.connect(), Mariadb::TABLES).contains(&"__migrator_doctor".to_owned()));
}

#[test]
fn a_table_of_another_role_of_postgres_is_named() {
    let database = Postgres::fresh();
    let role = format!("half_of_{}", database.name());
    database.execute(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'letter'; GRANT CREATE, USAGE ON SCHEMA public TO {role}; CREATE TABLE theirs (id integer)"
    ));
    let url = as_role(database.url(), &role, "letter");
    let mut conn = PgConnection::establish(&url).expect("connect");
    let checkup = migrator::<PgConnection>(&url).doctor(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    let owners = check(&checkup, "owners");
    assert_eq!((owners.verdict, owners.message.contains("theirs (of postgres)")), (Verdict::Warn, true), "{checkup}");
    assert_eq!(check(&checkup, "privileges").verdict, Verdict::Pass, "{checkup}");
}

/// A pooler of transactions would give the session of one client to the next, with its lock.
#[test]
fn a_pooler_is_found_and_no_lock_is_left_with_it() {
    let database = Postgres::fresh();
    let pooler = Pooler::start(servers::postgres());
    let url = pooler.url(database.name());
    let mut conn = PgConnection::establish(&url).expect("connect through the pooler");
    let checkup = migrator::<PgConnection>(&url).doctor(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    let sessions = check(&checkup, "sessions");
    assert_eq!(sessions.verdict, Verdict::Fail, "{checkup}");
    assert!(sessions.help.contains("MIGRATION_DATABASE_URL"), "{sessions}");
    assert_eq!(check(&checkup, "lock").verdict, Verdict::Warn);
    let locks = "SELECT count(*)::text AS value FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE l.locktype = 'advisory' \
                 AND d.datname = current_database()";
    assert_eq!(database.texts(locks), ["0"]);
    assert_eq!(check(&examine::<Postgres>(&database), "sessions").verdict, Verdict::Pass, "directly it is sound");
}

#[test]
fn what_may_be_lost_in_a_crash_is_named() {
    let database = Sqlite::fresh();
    let mut conn = database.connect();
    let mut examine = |pragmas: &str| {
        conn.batch_execute(pragmas).expect("set");
        let checkup = migrator::<SqliteConnection>(database.url()).doctor(&mut conn);
        check(&checkup.unwrap_or_else(|error| panic!("{error}")), "durability").clone()
    };
    for (pragmas, verdict) in [
        ("PRAGMA journal_mode = delete; PRAGMA synchronous = full", Verdict::Pass),
        ("PRAGMA synchronous = normal", Verdict::Warn),
        ("PRAGMA journal_mode = wal", Verdict::Pass),
        ("PRAGMA synchronous = off", Verdict::Warn),
        ("PRAGMA journal_mode = memory; PRAGMA synchronous = full", Verdict::Warn),
    ] {
        let durability = examine(pragmas);
        assert_eq!(durability.verdict, verdict, "{pragmas}: {durability}");
    }
    let server = Postgres::fresh();
    let durability = check(&self::examine::<Postgres>(&server), "durability").clone();
    assert!(durability.verdict == Verdict::Warn && durability.message.contains("fsync = off"), "{durability}");
}
