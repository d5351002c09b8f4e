//! What only PostgreSQL has: sessions that scripts change, schemas, a ladder of lock timeouts, statements that want no
//! transaction.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Once, mpsc};
use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use migrator::{DatabaseState, Event, Interrupt, Migrator, Target};
use migrator_tests::Database;
use migrator_tests::servers::{self, Pooler};

use crate::dialects::{Postgres, Subject, applies, as_role, history, names, run, status, tables};
use crate::folder::{Folder, table};

type Fresh = <Postgres as Subject>::Database;

fn value(conn: &mut PgConnection, expression: &str) -> String {
    Postgres::texts(conn, &format!("SELECT ({expression})::text AS value")).remove(0)
}

#[test]
fn steps_are_counted_over_a_lost_connection() {
    let (database, set) = (Arc::new(Postgres::fresh()), Folder::of_tables(4).set());
    let (url, theirs, once) = (database.url().to_owned(), Arc::clone(&database), Once::new());
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> \
                pg_backend_pid()";
    let migrator = Migrator::new(&set).reconnect(move || PgConnection::establish(&url)).on_event(move |event| {
        if matches!(event, Event::Started { version: "02", .. }) {
            once.call_once(|| theirs.connect().batch_execute(kill).expect("kill"));
        }
    });
    let report = migrator.run_to(&mut database.connect(), Target::Steps(2)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names(&report), ["01_t1", "02_t2"]);
    assert_eq!(status::<Postgres>(&database, &set).pending(), 2);
}

/// Whoever ends a service does not wait for a database that is gone.
#[test]
fn the_wait_for_another_connection_ends_with_an_interrupt() {
    let (database, set, interrupt) = (Postgres::fresh(), Folder::of_tables(1).set(), Interrupt::new());
    let (stopper, tries) = (interrupt.clone(), Arc::new(AtomicU32::new(0)));
    let of_connect = Arc::clone(&tries);
    let migrator = Migrator::new(&set)
        .code("02_lost", |conn: &mut PgConnection| conn.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())"))
        .interrupt(&interrupt)
        .reconnect(move || {
            // The first is asked for before the run, to look for a pooler.
            if of_connect.fetch_add(1, Ordering::SeqCst) == 1 {
                stopper.stop();
            }
            PgConnection::establish("postgres:///nowhere?host=/nowhere")
        });
    let error = migrator.run(&mut database.connect()).expect_err("it is interrupted");
    assert_eq!((error.code(), tries.load(Ordering::SeqCst)), ("interrupted", 2), "{error}");
}

/// Who records does not see what the script's role sees, and need not.
#[test]
fn a_script_takes_the_role_that_may() {
    let database = Postgres::fresh();
    let (owner, login) = (format!("owner_of_{}", database.name()), format!("login_of_{}", database.name()));
    database.execute(&format!(
        "CREATE ROLE {owner}; CREATE SCHEMA app AUTHORIZATION {owner}; CREATE ROLE {login} LOGIN PASSWORD 'letter' NOINHERIT IN ROLE {owner};
         GRANT CREATE, USAGE ON SCHEMA public TO {login}"
    ));
    let folder = Folder::of(&[
        ("01_t", format!("SET ROLE {owner}; CREATE TABLE app.t (a int);")),
        (
            "02_indexes",
            format!(
                "-- migrator: no-transaction\nSET ROLE {owner};\nCREATE INDEX CONCURRENTLY i ON app.t (a);\nCREATE INDEX \
                 CONCURRENTLY j ON app.t (a);"
            ),
        ),
        ("03_named", format!("-- after __migrator_history\nSET ROLE {owner};\nCREATE TABLE app.u (a int);")),
    ]);
    let mut conn = PgConnection::establish(&as_role(database.url(), &login, "letter")).expect("connect");
    let report = Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names(&report), ["01_t", "02_indexes", "03_named"]);
}

#[test]
fn scripts_do_not_change_what_comes_after_them() {
    let database = Postgres::fresh();
    let role = format!("guest_of_{}", database.name());
    database.execute(&format!("CREATE ROLE {role}; CREATE SCHEMA side; GRANT ALL ON SCHEMA side TO {role}"));
    let note = "INSERT INTO public.seen SELECT concat_ws(' ', current_setting('search_path'), current_user, \
                current_setting('role'), current_setting('work_mem'), current_setting('statement_timeout'));";
    let folder = Folder::of(&[
        ("01_seen", format!("CREATE TABLE seen (value text); {note}")),
        ("02_path", "SET search_path = side; CREATE TABLE in_side (id int);".to_owned()),
        ("03_seen", note.to_owned()),
        ("04_config", "SELECT pg_catalog.set_config('search_path', '', false); SET work_mem = '7MB';".to_owned()),
        ("05_seen", note.to_owned()),
        ("06_role", format!("SET ROLE {role}; SET search_path = side; CREATE TABLE by_guest (id int);")),
        ("07_seen", note.to_owned()),
        ("08_user", format!("SET SESSION AUTHORIZATION {role}; SET LOCAL statement_timeout = '3s'; SELECT 1;")),
        ("09_seen", note.to_owned()),
        (
            "10_outside",
            format!(
                "-- migrator: no-transaction\nSET search_path = side;\nSET ROLE {role};\nCREATE TABLE third (id int);"
            ),
        ),
        ("11_seen", note.to_owned()),
        ("12_fails", format!("SET ROLE {role}; SET search_path = side; SELECT nowhere;")),
    ]);
    let mut conn = database.connect();
    conn.batch_execute("SET work_mem = '5MB'; SET statement_timeout = '77s'").expect("set");
    let error = Migrator::new(&folder.set()).run(&mut conn).expect_err("the last one fails");
    assert_eq!(error.version(), Some("12"), "{error}");
    let seen = database.texts("SELECT DISTINCT value FROM seen");
    assert_eq!(seen, ["\"$user\", public postgres none 5MB 0"], "each began in the same session");
    assert_eq!(database.row_counts()["seen"], 6);
    assert_eq!(history(&database).last().map(String::as_str), Some("failed 12"));
    assert_eq!(
        database
            .texts("SELECT DISTINCT schemaname || '' AS value FROM pg_tables WHERE tablename LIKE '\\_\\_migrator%'"),
        ["public"]
    );
    let settings = "concat_ws(' ', current_user, current_setting('search_path'), current_setting('work_mem'), \
                    current_setting('statement_timeout'), current_setting('lock_timeout'))";
    assert_eq!(value(&mut conn, settings), "postgres \"$user\", public 5MB 77s 0");
}

#[test]
fn settings_that_extensions_and_applications_make_up_survive() {
    let (database, note) = (Postgres::fresh(), "INSERT INTO seen SELECT current_setting('app.tenant', true);");
    let folder =
        Folder::of(&[("01_seen", format!("CREATE TABLE seen (value text); {note}")), ("02_seen", note.into())]);
    let mut conn = database.connect();
    conn.batch_execute("SET app.owner = 'mine'").expect("set");
    Migrator::new(&folder.set()).session("SET app.tenant = 'blue'", ()).run(&mut conn).expect("run");
    assert_eq!(database.texts("SELECT coalesce(value, 'none') AS value FROM seen"), ["blue", "blue"]);
    assert_eq!(value(&mut conn, "current_setting('app.owner', true)"), "mine", "the application's own");
}

/// A connection whose search path is this.
fn in_path(database: &Fresh, path: &str) -> PgConnection {
    let mut conn = database.connect();
    conn.batch_execute(&format!("SET search_path = {path}")).expect("set");
    conn
}

#[test]
fn tenants_do_not_see_each_other() {
    let (database, folder) = (Postgres::fresh(), Folder::of_tables(2));
    database.execute("CREATE SCHEMA blue; CREATE SCHEMA \"Red one\"; CREATE SCHEMA green");
    let set = folder.set();
    let migrator = Migrator::<PgConnection>::new(&set);
    for (at, path) in ["public", "blue, public", "\"Red one\", blue, public"].into_iter().enumerate() {
        let mut conn = in_path(&database, path);
        let seen = migrator.status(&mut conn).expect("status");
        assert_eq!(seen.state(), DatabaseState::Uninitialized, "{path}");
        assert_eq!(migrator.run(&mut conn).unwrap_or_else(|error| panic!("{error}")).applied().len(), 2, "{path}");
        assert_eq!(migrator.run(&mut conn).expect("run").skipped(), 2);
        let schemas = "SELECT count(*)::text AS value FROM pg_tables WHERE tablename = '__migrator_history'";
        assert_eq!(database.texts(schemas), [(at + 1).to_string()]);
    }
    assert_eq!(tables(&database), ["Red one.t1", "Red one.t2", "blue.t1", "blue.t2", "t1", "t2"]);

    // By the option, whatever the path; the scripts follow the path.
    let green = Migrator::<PgConnection>::new(&set).schema("green");
    assert_eq!(green.status(&mut database.connect()).expect("status").state(), DatabaseState::Uninitialized);
    let error = green.run(&mut database.connect()).expect_err("t1 is in public already");
    assert_eq!((error.code(), error.version()), ("statement_failed", Some("01")));
    green.run(&mut in_path(&database, "green")).expect("run");
    assert_eq!(green.run(&mut in_path(&database, "blue")).expect("run").skipped(), 2);
    let blue = Migrator::<PgConnection>::new(&set).schema("blue");
    assert_eq!(blue.run(&mut in_path(&database, "green")).expect("run").skipped(), 2);

    // One tenant's history is nobody else's to break.
    database.execute("DROP TABLE blue.__migrator_history");
    assert_eq!(blue.status(&mut database.connect()).expect_err("refused").code(), "history_tampered");
    assert_eq!(migrator.status(&mut database.connect()).expect("status").state(), DatabaseState::UpToDate);
}

#[test]
fn a_lock_that_is_held_for_a_while_is_tried_again() {
    let (database, folder) = (Postgres::fresh(), Folder::of_tables(1));
    applies::<Postgres>(&database, &folder.set());
    folder.write("02_alter/up.sql", "CREATE TABLE t2 (id int); ALTER TABLE t1 ADD COLUMN name text;");
    let mut holder = database.connect();
    holder.batch_execute("BEGIN; SELECT * FROM t1").expect("hold");
    let (retrying, retries) = mpsc::channel();
    let migrator =
        Migrator::new(&folder.set()).statement_lock_timeout(Duration::from_millis(40)).on_event(move |event| {
            if matches!(event, Event::Retrying { attempt: 2, .. }) {
                retrying.send(()).expect("the holder waits");
            }
        });
    let holding = thread::spawn(move || {
        retries.recv().expect("the run tries again");
        holder.batch_execute("COMMIT").expect("let go");
    });
    let report = migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    holding.join().expect("no panic");
    assert_eq!((names(&report), tables(&database)), (vec!["02_alter"], vec!["t1".to_owned(), "t2".to_owned()]));
}

#[test]
fn a_lock_that_is_held_for_ever_is_an_error_and_nothing_is_half_applied() {
    // No time at all is not PostgreSQL's 0, which is for ever.
    [Duration::from_millis(10), Duration::ZERO].into_iter().for_each(is_held_for_ever);
}

fn is_held_for_ever(timeout: Duration) {
    let (database, folder) = (Postgres::fresh(), Folder::of_tables(1));
    applies::<Postgres>(&database, &folder.set());
    folder.write("02_alter/up.sql", "CREATE TABLE t2 (id int); ALTER TABLE t1 ADD COLUMN name text;");
    let mut holder = database.connect();
    holder.batch_execute("BEGIN; SELECT * FROM t1").expect("hold");
    let migrator = Migrator::new(&folder.set()).statement_lock_timeout(timeout);
    let (migrator, events) = crate::watch::events(migrator);
    let error = migrator.run(&mut database.connect()).expect_err("it takes too long");
    assert_eq!((error.code(), error.place().expect("a place").number), ("statement_failed", 2), "{error}");
    assert!(error.to_string().contains("lock timeout") && error.remedy().contains("run again"), "{error}");
    assert_eq!(events.take().iter().filter(|event| event.starts_with("Retrying")).count(), 4, "five tries");
    assert_eq!(tables(&database), ["t1"]);
    holder.batch_execute("COMMIT").expect("let go");
    assert_eq!(names(&run::<Postgres>(&database, &folder.set()).expect("run")), ["02_alter"]);
}

#[test]
fn a_new_value_of_a_type_is_used_by_the_next_migration() {
    let folder = Folder::of(&[
        ("01_mood", "CREATE TYPE mood AS ENUM ('good'); CREATE TABLE person (mood mood);"),
        ("02_value", "ALTER TYPE mood ADD VALUE 'bad';"),
        ("03_use", "INSERT INTO person VALUES ('bad');"),
        ("04_do", "DO $body$ BEGIN IF true THEN INSERT INTO person VALUES ('good'); END IF; END $body$;"),
    ]);
    let database = Postgres::fresh();
    assert_eq!(applies::<Postgres>(&database, &folder.set()).applied().len(), 4);
    assert_eq!(database.row_counts()["person"], 2);
}

#[test]
fn an_index_is_built_concurrently() {
    let (database, folder) = (Postgres::fresh(), Folder::of_tables(2));
    folder.write("03_index/up.sql", "CREATE INDEX CONCURRENTLY by_id ON t1 (id)");
    let plan = Migrator::new(&folder.set()).plan(&mut database.connect(), Target::Latest).expect("plan");
    assert_eq!(plan.steps().iter().map(|step| step.transaction).collect::<Vec<_>>(), [true, true, false]);
    applies::<Postgres>(&database, &folder.set());
    let valid = "SELECT indisvalid::text AS value FROM pg_index WHERE indexrelid = 'by_id'::regclass";
    assert_eq!(database.texts(valid), ["true"]);
}

#[test]
fn without_a_transaction_it_goes_on_at_the_index_that_failed() {
    let script = "-- migrator: no-transaction
SET maintenance_work_mem = '3MB';
ALTER TABLE t1 ADD COLUMN name text;
CREATE UNIQUE INDEX CONCURRENTLY by_name ON t1 (name);
VACUUM t1;
";
    let (database, folder) = (Postgres::fresh(), Folder::of_tables(1));
    folder.write("01_t1/up.sql", "CREATE TABLE t1 (id int);");
    applies::<Postgres>(&database, &folder.set());
    let twice = "INSERT INTO t1 VALUES (1, 'a'), (1, 'a');";
    folder.write("02_index/up.sql", script.replace("CREATE", &format!("{twice}\nCREATE")));
    let error = run::<Postgres>(&database, &folder.set()).expect_err("it fails");
    let place = error.place().expect("a place");
    assert_eq!((error.code(), place.number, place.line), ("statement_failed", 4, 5), "{error}");
    assert_eq!(status::<Postgres>(&database, &folder.set()).state(), DatabaseState::Blocked);
    database.execute("DROP INDEX by_name; UPDATE t1 SET name = ctid::text");
    assert_eq!(names(&applies::<Postgres>(&database, &folder.set())), ["02_index"]);
    assert_eq!(database.row_counts()["t1"], 2, "what took before was not done again");
    assert_eq!(status::<Postgres>(&database, &folder.set()).state(), DatabaseState::UpToDate);
}

#[test]
fn tables_of_extensions_do_not_count() {
    let (database, set) = (Postgres::fresh(), Folder::of_tables(1).set());
    database.execute("CREATE TABLE spatial_ref_sys (id int); ALTER EXTENSION plpgsql ADD TABLE spatial_ref_sys");
    assert_eq!(applies::<Postgres>(&database, &set).applied().len(), 1);
}

#[test]
fn a_database_that_only_reads() {
    let (database, folder) = (Postgres::fresh(), Folder::of_tables(1));
    applies::<Postgres>(&database, &folder.set());
    database.execute(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name()));
    assert_eq!(run::<Postgres>(&database, &folder.set()).expect("nothing is pending").skipped(), 1);
    assert_eq!(status::<Postgres>(&database, &folder.set()).state(), DatabaseState::UpToDate);
    folder.write("02_t2/up.sql", table(2));
    let error = run::<Postgres>(&database, &folder.set()).expect_err("refused");
    assert_eq!(error.code(), "read_only", "{error}");
    assert!(error.message().starts_with("1 migration to apply") && error.remedy().contains("primary"), "{error}");
    assert_eq!(history(&database), ["applied 01"]);
}

#[test]
fn an_owner_without_administration_rights_migrates() {
    let (database, folder) = (Postgres::fresh(), Folder::of_tables(3));
    folder.write("04_path/up.sql", "SET search_path = pg_catalog; SET ROLE NONE; SET lock_timeout = '1s';");
    let (name, role) = (database.name(), format!("owner_of_{}", database.name()));
    database.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'letter'; ALTER DATABASE {name} OWNER TO {role}"));
    let mut conn = PgConnection::establish(&as_role(database.url(), &role, "letter")).expect("connect");
    let report = Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.applied().len(), 4);
    database.execute(&format!("ALTER DATABASE {name} OWNER TO postgres"));
}

#[test]
fn a_connection_without_a_schema_is_told_so() {
    let (database, set) = (Postgres::fresh(), Folder::of_tables(1).set());
    let error = Migrator::new(&set).run(&mut in_path(&database, "nowhere")).expect_err("refused");
    assert_eq!(error.code(), "no_schema");
    assert!(error.remedy().contains("Migrator::schema") && tables(&database).is_empty(), "{error}");
}

#[test]
fn what_fails_at_the_commit_is_undone_and_said() {
    let (database, folder) = (Postgres::fresh(), Folder::of_tables(2));
    let script =
        "CREATE TABLE crew (ship int REFERENCES t1 DEFERRABLE INITIALLY DEFERRED); INSERT INTO crew VALUES (9);";
    folder.write("02_t2/up.sql", script);
    let mut conn = database.connect();
    let error = Migrator::new(&folder.set()).run(&mut conn).expect_err("it fails");
    assert_eq!((error.code(), error.version()), ("database", Some("02")), "{error}");
    assert!(error.to_string().contains("foreign key") && error.message().contains("02_t2"), "{error}");
    assert_eq!(
        (tables(&database), history(&database)),
        (vec!["t1".to_owned()], vec!["applied 01".into(), "failed 02".into()])
    );
    folder.write("02_t2/up.sql", script.replace('9', "1"));
    let report = Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names(&report), ["02_t2"], "on the same connection");
}

#[test]
fn a_schema_that_is_named_is_one_query_too() {
    let (database, set) = (Postgres::fresh(), Folder::of_tables(2).set());
    database.execute("CREATE SCHEMA blue");
    let migrator = Migrator::<PgConnection>::new(&set).schema("blue");
    let mut conn = in_path(&database, "public");
    migrator.run(&mut conn).expect("run");
    assert_eq!(
        database.texts("SELECT schemaname || '' AS value FROM pg_tables WHERE tablename = '__migrator_meta'"),
        ["blue"]
    );
    let queries = crate::watch::queries(&mut conn);
    migrator.run(&mut conn).expect("run");
    assert_eq!(queries.take().len(), 1);
}

/// A pooler that gives a client its own session until it goes: the lock holds, two runs do the work of one, and the session that the
/// next client is given is as it was.
#[test]
fn a_pooler_of_sessions_is_as_good_as_none() {
    let database = Postgres::fresh();
    let pooler = Pooler::of_sessions(servers::postgres());
    let url = pooler.url(database.name());
    let connect = || PgConnection::establish(&url).expect("connect through the pooler");
    let settings = "concat_ws(' ', current_setting('search_path'), current_setting('lock_timeout'), \
                    current_setting('statement_timeout'), current_user)";
    let before = value(&mut connect(), settings);
    let folder = Folder::of_tables(6);
    folder.write("07_index/up.sql", "-- migrator: no-transaction\nCREATE INDEX CONCURRENTLY by_id ON t1 (id);");
    let set = folder.set();
    let run = || {
        let url = url.clone();
        // With a second connection to look for a pooler that shares sessions.
        Migrator::new(&set).reconnect(move || PgConnection::establish(&url)).run(&mut connect())
    };
    let mut applied = thread::scope(|scope| {
        let runs = [(); 3].map(|()| scope.spawn(run));
        runs.map(|run| run.join().expect("no panic").unwrap_or_else(|error| panic!("{error}")).applied().len())
    });
    applied.sort_unstable();
    assert_eq!(applied, [0, 0, 7]);
    let mut next = connect();
    assert_eq!(value(&mut next, settings), before);
    let locks = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE l.locktype = 'advisory' AND d.datname = \
                 current_database()";
    assert_eq!(value(&mut next, locks), "0");
    assert_eq!(status::<Postgres>(&database, &set).state(), DatabaseState::UpToDate);
}
