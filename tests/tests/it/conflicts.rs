//! Deadlocks and serialization failures, for real: traffic of an application takes the same tables in the other order.
//!
//! The database ends one of the two, here always the run, which tries again what was undone whole; the words of the failure may be
//! in any language that the server speaks.

use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel::{Connection, PgConnection};
use migrator::{Error, Event, Migrator, Report};
use migrator_tests::servers::FreshDatabase;
use migrator_tests::{Database, servers, wait};

use crate::cold;
use crate::dialects::{Mariadb, Postgres, Subject, applies, as_role, history, names};
use crate::folder::{Folder, table};
use crate::watch::{self, Notes};

/// The run changes `near`, then `far`; the traffic changes `far`, then `near`, by ten.
const TABLES: &str =
    "CREATE TABLE near (n INT); CREATE TABLE far (n INT); INSERT INTO near VALUES (0); INSERT INTO far VALUES (0)";
const SCRIPT: &str = "UPDATE near SET n = n + 1;\nUPDATE far SET n = n + 1;\n";
const WANTS: &str = "UPDATE near SET n = n + 10";

/// Makes a session the one that is not ended: on PostgreSQL it never looks for a deadlock, on MariaDB it has done the most.
fn spared<S: Subject>() -> &'static str {
    match S::NAME {
        "postgres" => "SET deadlock_timeout = '1h'; BEGIN;",
        _ => "BEGIN; INSERT INTO heavy SELECT seq FROM seq_1_to_1000;",
    }
}

/// A query with a row for each session that waits for a row of somebody else in this statement; it begins what was sent.
fn waiting<S: Subject>(statement: &str) -> String {
    match S::NAME {
        "postgres" => format!(
            "SELECT 'waits' AS value FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
             AND query LIKE '{statement}%'"
        ),
        _ => format!(
            "SELECT 'waits' AS value FROM information_schema.processlist WHERE db = DATABASE() AND state = 'Updating'
             AND info LIKE '%{statement}%'"
        ),
    }
}

fn waits<S: Subject>(url: &str, statement: &str) {
    let mut conn = connect::<S>(url);
    wait::until(statement, || S::texts(&mut conn, &waiting::<S>(statement)).pop());
}

fn connect<S: Subject>(url: &str) -> S::Connection {
    S::Connection::establish(url).unwrap_or_else(|error| panic!("{error}"))
}

/// An application that takes both tables during a try of the script, so many times.
struct Traffic<S: Subject> {
    url: String,
    times: usize,
    /// With the first table taken.
    conn: Option<S::Connection>,
    /// Waits for the second one, and commits.
    at_work: Option<JoinHandle<()>>,
}

impl<S: Subject> Traffic<S> {
    fn meets(&mut self, event: &Event<'_>) {
        match event {
            Event::Statement { number: 1, of: 2 } if self.times > 0 => {
                self.times -= 1;
                self.at_work.take().into_iter().for_each(|before| before.join().expect("it commits"));
                let mut conn = connect::<S>(&self.url);
                let hold = format!("{}UPDATE far SET n = n + 10", spared::<S>());
                conn.batch_execute(&hold).expect("it takes its first table");
                self.conn = Some(conn);
            }
            Event::Statement { number: 2, of: 2 } => {
                let Some(mut conn) = self.conn.take() else { return };
                let commits = move || {
                    conn.batch_execute(&format!("{WANTS};"))
                        .and_then(|()| conn.batch_execute("COMMIT"))
                        .expect("it commits");
                };
                self.at_work = Some(thread::spawn(commits));
                waits::<S>(&self.url, WANTS);
            }
            _ => {}
        }
    }
}

/// A database with the tables, and a folder whose second migration is the script.
fn ready<S: Subject>(database: &S::Database, script: &str) -> Folder {
    let folder = Folder::of(&[("01_tables", TABLES)]);
    if S::NAME == "mysql" {
        folder.write("01_tables/up.sql", format!("{TABLES}; CREATE TABLE heavy (n INT)"));
    }
    applies::<S>(database, &folder.set());
    folder.write("02_both/up.sql", script);
    folder
}

/// The connection of a run: PostgreSQL looks for a deadlock soon.
fn soon<S: Subject>(url: &str) -> S::Connection {
    let mut conn = connect::<S>(url);
    if S::NAME == "postgres" {
        conn.batch_execute("SET deadlock_timeout = '50ms'").expect("set");
    }
    conn
}

/// A run beside so much traffic, its events, and both numbers when everybody is done.
fn beside<S: Subject>(
    url: &str,
    folder: &Folder,
    conn: &mut S::Connection,
    times: usize,
) -> (Result<Report, Error>, Notes, [String; 2]) {
    let traffic = Traffic::<S> { url: url.to_owned(), times, conn: None, at_work: None };
    let (traffic, notes) = (Arc::new(Mutex::new(traffic)), Notes::default());
    let (theirs, kept) = (Arc::clone(&traffic), notes.clone());
    let run = Migrator::new(&folder.set())
        .on_event(move |event| {
            kept.add(format!("{event:?}"));
            theirs.lock().expect("no panic").meets(&event);
        })
        .run(conn);
    let at_work = traffic.lock().expect("no panic").at_work.take();
    at_work.into_iter().for_each(|last| last.join().expect("it commits"));
    let sum = |table: &str| {
        S::texts(&mut connect::<S>(url), &format!("SELECT TRIM(CAST(n AS CHAR(9))) AS value FROM {table}")).remove(0)
    };
    (run, notes, [sum("near"), sum("far")])
}

/// The tries that came after a conflict.
fn retries(notes: &Notes) -> usize {
    let is_retry = |event: &&String| event.starts_with("Retrying") && event.contains("class: \"conflict\"");
    notes.take().iter().filter(is_retry).count()
}

on_each_server!(is_tried_again_until_it_takes, is_not_tried_for_ever);

fn is_tried_again_until_it_takes<S: Subject>() {
    let database = S::fresh();
    let folder = ready::<S>(&database, SCRIPT);
    let (run, notes, sums) = beside::<S>(database.url(), &folder, &mut soon::<S>(database.url()), 2);
    assert_eq!(names(&run.unwrap_or_else(|error| panic!("{error}"))), ["02_both"]);
    assert_eq!((retries(&notes), sums), (2, ["21", "21"].map(str::to_owned)), "once, and beside it the traffic");
    assert_eq!(history(&database).last().map(String::as_str), Some("applied 02"));
}

fn is_not_tried_for_ever<S: Subject>() {
    let database = S::fresh();
    let folder = ready::<S>(&database, SCRIPT);
    let (run, notes, sums) = beside::<S>(database.url(), &folder, &mut soon::<S>(database.url()), usize::MAX);
    let error = run.expect_err("it never takes");
    assert!(error.is_statement_failed() && error.place().is_some_and(|place| place.number == 2), "{error}");
    assert!(error.database_words().is_some_and(|words| words.to_lowercase().contains("deadlock")), "{error}");
    assert!(error.remedy().contains("others hold what it needs: run again"), "{error}");
    assert_eq!((retries(&notes), sums), (4, ["50", "50"].map(str::to_owned)), "of five tries nothing is left");
    assert_eq!(history(&database).last().map(String::as_str), Some("failed 02"));
    let (run, _, sums) = beside::<S>(database.url(), &folder, &mut database.connect(), 0);
    assert_eq!(names(&run.unwrap_or_else(|error| panic!("{error}"))), ["02_both"]);
    assert_eq!(sums, ["51", "51"]);
}

/// The traffic commits between the snapshot and the change.
#[test]
fn what_cannot_be_serialized_is_tried_again() {
    for level in ["repeatable read", "serializable"] {
        let database = Postgres::fresh();
        let folder = ready::<Postgres>(&database, "SELECT n FROM near;\nUPDATE near SET n = n + 1;\n");
        let (url, tries) = (database.url().to_owned(), Mutex::new(0));
        let (migrator, notes) = watch::events(Migrator::new(&folder.set()));
        let kept = notes.clone();
        let migrator = migrator.on_event(move |event| {
            kept.add(format!("{event:?}"));
            let mut tries = tries.lock().expect("no panic");
            if matches!(event, Event::Statement { number: 2, .. }) && *tries < 2 {
                *tries += 1;
                connect::<Postgres>(&url).batch_execute(WANTS).expect("it commits");
            }
        });
        let mut conn = database.connect();
        conn.batch_execute(&format!("SET default_transaction_isolation = '{level}'")).expect("set");
        let report = migrator.run(&mut conn).unwrap_or_else(|error| panic!("{level}: {error}"));
        assert_eq!((names(&report), retries(&notes)), (vec!["02_both"], 2), "{level}");
        assert_eq!(database.texts("SELECT n::text AS value FROM near"), ["21"], "{level}");
    }
}

/// Of eight migrations in one message the third comes into a deadlock: those before it are committed, and it goes alone.
#[test]
fn in_a_message_of_several_migrations() {
    let database = Postgres::fresh();
    database.execute("CREATE SCHEMA gates; CREATE TABLE gates.gate (n INT)");
    let folder = ready::<Postgres>(&database, "CREATE TABLE t2 (id INT)");
    for number in [3, 5, 6, 7, 8, 9] {
        folder.write(&format!("0{number}_t{number}/up.sql"), format!("CREATE TABLE t{number} (id INT)"));
    }
    folder.write(
        "04_both/up.sql",
        "UPDATE near SET n = n + 1; INSERT INTO gates.gate VALUES (1); UPDATE far SET n = n + 1;",
    );
    let (mut gate, mut traffic) = (database.connect(), database.connect());
    gate.batch_execute("BEGIN; LOCK TABLE gates.gate").expect("close the gate");
    traffic.batch_execute(&format!("{}UPDATE far SET n = n + 10", spared::<Postgres>())).expect("its first table");
    let (set, url) = (folder.set(), database.url());
    let (migrator, events) = watch::events(Migrator::new(&set));
    let report = thread::scope(|scope| {
        let run = scope.spawn(|| migrator.run(&mut soon::<Postgres>(url)));
        waits::<Postgres>(url, "");
        let traffic = scope.spawn(move || traffic.batch_execute(WANTS).and_then(|()| traffic.batch_execute("COMMIT")));
        waits::<Postgres>(url, WANTS);
        gate.batch_execute("COMMIT").expect("open the gate");
        traffic.join().expect("no panic").expect("the traffic is not the one that is ended");
        run.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"))
    });
    assert_eq!(report.applied().len(), 8);
    let events = events.take();
    let count = |word: &str| events.iter().filter(|event| event.starts_with(word)).count();
    assert_eq!((count("Together"), count("Started"), count("Failed")), (2, 1, 0), "the third alone: {events:#?}");
    assert_eq!(database.texts("SELECT n::text AS value FROM near UNION ALL SELECT n::text FROM far"), ["11", "11"]);
    assert_eq!(database.row_counts()["gates.gate"], 1);
    let expected: Vec<String> = (1..=9).map(|number| format!("applied 0{number}")).collect();
    assert_eq!(history(&database), expected);
}

/// A script with DDL that failed once goes on at its third statement, and that one comes into a deadlock within itself.
#[test]
fn in_a_script_of_mariadb_that_is_resumed() {
    let database = Mariadb::fresh();
    let folder = ready::<Mariadb>(
        &database,
        "CREATE TABLE made (n INT);\nINSERT INTO made VALUES (1);\nUPDATE nowhere SET n = 1;",
    );
    let failed = crate::dialects::run::<Mariadb>(&database, &folder.set()).expect_err("no such table");
    assert_eq!(failed.place().map(|place| place.number), Some(3), "{failed}");
    database.execute("CREATE TABLE queue (id INT PRIMARY KEY, n INT); INSERT INTO queue VALUES (1, 0), (2, 0), (3, 0)");
    let change = "UPDATE queue SET n = n + 1 WHERE id > 0";
    folder.write(
        "02_both/up.sql",
        format!("CREATE TABLE made (n INT);\nINSERT INTO made VALUES (1);\n{change};\nCREATE TABLE also (n INT);"),
    );
    // The run has the first row and waits for the second; the traffic has the third and waits for the first.
    let (mut gate, mut traffic) = (database.connect(), database.connect());
    gate.batch_execute("BEGIN; UPDATE queue SET n = 0 WHERE id = 2").expect("hold the second row");
    traffic
        .batch_execute(&format!("{}UPDATE queue SET n = 10 WHERE id = 3", spared::<Mariadb>()))
        .expect("hold the third");
    let (set, url) = (folder.set(), database.url());
    let (migrator, events) = watch::events(Migrator::new(&set));
    let report = thread::scope(|scope| {
        let run = scope.spawn(|| migrator.run(&mut database.connect()));
        waits::<Mariadb>(url, "UPDATE queue SET n = n + 1");
        let wants = "UPDATE queue SET n = 10 WHERE id = 1";
        let traffic = scope.spawn(move || traffic.batch_execute(wants).and_then(|()| traffic.batch_execute("COMMIT")));
        waits::<Mariadb>(url, wants);
        gate.batch_execute("COMMIT").expect("let the second row go");
        traffic.join().expect("no panic").expect("the traffic is not the one that is ended");
        run.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"))
    });
    assert_eq!((names(&report), retries(&events)), (vec!["02_both"], 1));
    let rows = database.texts("SELECT CAST(n AS CHAR) AS value FROM queue ORDER BY id");
    assert_eq!(rows, ["11", "1", "11"], "once, and beside it the traffic");
    assert_eq!(database.row_counts()["made"], 1, "what took before did not take again");
}

/// A deadlock, and a wait that comes to its end.
#[test]
fn a_mariadb_that_speaks_german_is_understood() {
    let database = Mariadb::fresh();
    let folder = ready::<Mariadb>(&database, SCRIPT);
    let mut conn = soon::<Mariadb>(database.url());
    conn.batch_execute("SET lc_messages = 'de_DE'").expect("set");
    let german = conn.batch_execute("SELECT * FROM nowhere").expect_err("no such table").to_string();
    assert!(german.contains("existiert nicht"), "{german}");
    let (run, notes, sums) = beside::<Mariadb>(database.url(), &folder, &mut conn, 1);
    assert_eq!(names(&run.unwrap_or_else(|error| panic!("{error}"))), ["02_both"]);
    assert_eq!((retries(&notes), sums), (1, ["11", "11"].map(str::to_owned)));

    folder.write("03_near/up.sql", "UPDATE near SET n = n + 1;");
    let holder = Mutex::new(database.connect());
    holder.lock().expect("no panic").batch_execute("BEGIN; UPDATE near SET n = n + 10").expect("hold it");
    let busy = Notes::default();
    let noted = busy.clone();
    let waits = Migrator::new(&folder.set()).statement_lock_timeout(Duration::from_secs(1)).on_event(move |event| {
        if let Event::Retrying { class, .. } = event {
            noted.add(class.to_owned());
            holder.lock().expect("no panic").batch_execute("COMMIT").expect("let it go");
        }
    });
    waits.run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(busy.take(), ["busy"]);
    let again = conn.batch_execute("SELECT * FROM nowhere").expect_err("no such table").to_string();
    assert_eq!(again, german, "the session is left as it was");
}

const GERMAN: &str = "Relation »nowhere« existiert nicht";

fn german() -> servers::Postgres {
    servers::Postgres::start(servers::Options::default().set("lc_messages", "C.UTF-8").environment("LANGUAGE", "de"))
}

/// The address for a role `r` that may write, and what this SQL lets it; without any, for the superuser.
fn by_role(database: &FreshDatabase<Pg>, lets: &str) -> String {
    if lets.is_empty() {
        return database.url().to_owned();
    }
    let name = format!("role_of_{}", database.name());
    let may = format!(
        "GRANT pg_write_all_data, pg_read_all_data TO {name}; GRANT SET ON PARAMETER deadlock_timeout TO {name}; GRANT CREATE ON SCHEMA \
         public TO {name}"
    );
    let lets = lets.replace(" r", &format!(" {name}"));
    database.execute(&format!("CREATE ROLE {name} LOGIN PASSWORD 'letter'; {may}; {lets}"));
    as_role(database.url(), &name, "letter")
}

/// How the server says that there is no such table.
fn words(conn: &mut PgConnection) -> String {
    conn.batch_execute("SELECT * FROM nowhere").expect_err("no table").to_string()
}

/// Only who may set the language can be understood: a superuser, and a role that a superuser lets.
#[test]
fn a_postgres_that_speaks_german_is_understood() {
    let server = german();
    for role in ["", "ALTER ROLE r SET lc_messages = 'C'", "GRANT SET ON PARAMETER lc_messages TO r", "SELECT 1"] {
        let database = server.fresh();
        let folder = ready::<Postgres>(&database, SCRIPT);
        let mut conn = soon::<Postgres>(&by_role(&database, role));
        let before = words(&mut conn);
        assert_eq!(
            before.contains(GERMAN),
            !role.starts_with("ALTER"),
            "{before}; the server's translations are not here"
        );
        let (run, notes, sums) = beside::<Postgres>(database.url(), &folder, &mut conn, 1);
        if role == "SELECT 1" {
            let error = run.expect_err("nobody knows that it can pass");
            assert!(error.is_statement_failed() && error.to_string().contains("Verklemmung"), "{error}");
            continue;
        }
        assert_eq!(names(&run.unwrap_or_else(|error| panic!("{role}: {error}"))), ["02_both"]);
        assert_eq!((retries(&notes), sums), (1, ["11", "11"].map(str::to_owned)), "{role}");
        assert_eq!(words(&mut conn), before, "the session is left as it was");
    }
}

/// Many migrations that change nothing of the session have it set up in another way.
#[test]
fn a_postgres_that_speaks_german_is_understood_by_many_migrations() {
    let server = german();
    for role in ["", "GRANT SET ON PARAMETER lc_messages TO r", "SELECT 1"] {
        let (database, folder) = (server.fresh(), cold::flat(5));
        let mut conn = connect::<Postgres>(&by_role(&database, role));
        let before = words(&mut conn);
        assert!(before.contains(GERMAN), "{before}; the server's translations are not here");
        let report = Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{role}: {error}"));
        assert_eq!((report.applied().len(), words(&mut conn)), (5, before.clone()), "{role}");

        (6..=10).for_each(|number| folder.write(&format!("{number:02}_t{number}.sql"), table(number)));
        folder.write("08_t8.sql", "INSERT INTO nowhere VALUES (1);");
        let error = Migrator::new(&folder.set()).run(&mut conn).expect_err("it fails");
        let told = if role == "SELECT 1" { GERMAN } else { "relation \"nowhere\" does not exist" };
        assert!(error.to_string().contains(told), "{role}: {error}");
        assert_eq!(words(&mut conn), before, "{role}");
    }
}
