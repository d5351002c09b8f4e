//! Starters that seed, many at once and killed: each seed's effect is there exactly once, or not at all.

use std::path::Path;

use diesel::connection::SimpleConnection;
use migrator_tests::{
    Database,
    servers::{mariadb, postgres},
    sqlite, wait,
};

use super::{
    sets::Set,
    starter::{End, Starter},
};
use crate::folder::Folder;

const TABLES: [(&str, &str); 1] = [(
    "1_tables",
    "CREATE TABLE log (entry VARCHAR(20) NOT NULL);
     CREATE TABLE harbour (name VARCHAR(20) NOT NULL, depth INTEGER);",
)];

/// Files of which no statement can run twice without showing.
const SEEDS: [(&str, &str); 3] = [
    ("1_first.sql", "INSERT INTO log VALUES ('1.1');\nINSERT INTO log VALUES ('1.2');\n"),
    ("2_harbour.csv", "name,depth\nSkagen,7\nBergen,12\n"),
    ("3_last.sql", "INSERT INTO log SELECT name FROM harbour;\nINSERT INTO log VALUES ('3.2');\n"),
];

const LOG: [&str; 5] = ["1.1", "1.2", "3.2", "Bergen", "Skagen"];

fn start(url: &str, set: &Set, seeds: &Path, words: &[&str]) -> Starter {
    let seeds = format!("seeds={}", seeds.display());
    let words: Vec<&str> = words.iter().copied().chain([seeds.as_str()]).collect();
    Starter::start(url, set.path(), &words)
}

fn assert_seeded(database: &impl Database, point: &str) {
    assert_eq!(database.texts("SELECT entry AS value FROM log ORDER BY entry"), LOG, "{point}");
    assert_eq!(database.texts("SELECT name AS value FROM harbour ORDER BY name"), ["Bergen", "Skagen"], "{point}");
    assert_eq!(
        database.texts("SELECT outcome AS value FROM __migrator_seeds ORDER BY name"),
        ["applied"; 3],
        "{point}"
    );
}

#[test]
fn together_on_sqlite() {
    together(&sqlite::fresh());
}

#[test]
fn together_on_postgres() {
    together(&postgres().fresh());
}

#[test]
fn together_on_mariadb() {
    together(&mariadb().fresh());
}

/// Processes that migrate and seed an empty database at the same moment.
fn together(database: &impl Database) {
    let (set, seeds) = (Set::new(&TABLES), Folder::of_files(&SEEDS));
    let mut starters: Vec<Starter> = (0..6).map(|_| start(database.url(), &set, seeds.path(), &["barrier"])).collect();
    starters.iter_mut().for_each(|starter| drop(starter.until("ready")));
    starters.iter_mut().for_each(Starter::go);
    let ends: Vec<End> = starters.into_iter().map(Starter::end).collect();
    let applied = |name: &str| {
        let ended = format!("event SeedEnded {{ name: \"{name}\", outcome: Applied");
        ends.iter().filter(|end| end.said.iter().any(|line| line.starts_with(&ended))).count()
    };
    assert_eq!(["first", "harbour", "last"].map(applied), [1, 1, 1], "{ends:#?}");
    ends.into_iter().for_each(|end| assert!(end.succeeded() <= TABLES.len()));
    assert_seeded(database, "together");
}

#[test]
fn killed_at_each_event_on_sqlite() {
    killed_at_each_event(sqlite::fresh);
}

#[test]
fn killed_at_each_event_on_postgres() {
    killed_at_each_event(|| postgres().fresh());
}

#[test]
fn killed_at_each_event_on_mariadb() {
    killed_at_each_event(|| mariadb().fresh());
}

fn killed_at_each_event<D: Database>(fresh: impl Fn() -> D) {
    let (set, seeds) = (Set::new(&TABLES), Folder::of_files(&SEEDS));
    let mut points = 0;
    loop {
        let database = fresh();
        let mut starter = start(database.url(), &set, seeds.path(), &["step"]);
        let mut passed = 0;
        let reached = starter.step_to(|event| {
            passed += usize::from(event.starts_with("Seed"));
            passed > points
        });
        let Some(event) = reached else {
            starter.end().succeeded();
            break;
        };
        starter.kill();
        points += 1;
        start(database.url(), &set, seeds.path(), &[]).end().succeeded();
        assert_seeded(&database, &event);
    }
    assert_eq!(points, 6, "each seed starts and ends");
}

#[test]
fn killed_while_a_statement_runs_on_postgres() {
    let blocked = "SELECT 'blocked' AS value FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    killed_while_a_statement_runs(&postgres().fresh(), "BEGIN; LOCK TABLE harbour", "ROLLBACK", blocked);
}

#[test]
fn killed_while_a_statement_runs_on_mariadb() {
    let blocked = "SELECT 'blocked' AS value FROM information_schema.processlist WHERE state LIKE 'Waiting for table%' AND db = DATABASE()";
    killed_while_a_statement_runs(&mariadb().fresh(), "LOCK TABLES harbour WRITE", "UNLOCK TABLES", blocked);
}

/// The third seed waits for a table that the test holds, after it wrote a row: then it is killed.
fn killed_while_a_statement_runs<D>(database: &D, lock: &str, unlock: &str, blocked: &str)
where
    D: Database<Connection: SimpleConnection>,
{
    let (set, seeds) = (Set::new(&TABLES), Folder::of_files(&SEEDS));
    seeds.write("3_last.sql", "INSERT INTO log VALUES ('3.2');\nINSERT INTO log SELECT name FROM harbour;\n");
    for point in 1..=3 {
        let mut starter = start(database.url(), &set, seeds.path(), &["step"]);
        starter.step_to(|event| event.starts_with("SeedStarted { name: \"last\"")).expect("the third seed starts");
        let mut holder = database.connect();
        holder.batch_execute(lock).expect("hold the table");
        starter.go();
        wait::until("the statement to wait for the table", || (!database.texts(blocked).is_empty()).then_some(()));
        starter.kill();
        holder.batch_execute(unlock).expect("let go");
        let log = database.texts("SELECT entry AS value FROM log ORDER BY entry");
        assert_eq!(log, ["1.1", "1.2"], "kill {point}: nothing of the third seed is there");
    }
    start(database.url(), &set, seeds.path(), &[]).end().succeeded();
    assert_seeded(database, "killed while a statement ran");
}

#[test]
fn killed_between_statements_on_sqlite() {
    let (database, set, seeds) = (sqlite::fresh(), Set::new(&TABLES), Folder::of_files(&SEEDS));
    let slow = "INSERT INTO log VALUES ('3.2');\nINSERT INTO log SELECT name FROM harbour;\n\
                DELETE FROM log WHERE entry = 'n';\n\
                INSERT INTO log WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) \
                SELECT 'n' FROM n WHERE i = 0;\n";
    seeds.write("3_last.sql", slow);
    for point in 1..=3 {
        let mut starter = start(database.url(), &set, seeds.path(), &["step"]);
        starter.step_to(|event| event.starts_with("SeedStarted { name: \"last\"")).expect("the third seed starts");
        let before = super::killed::ticks(starter.pid());
        starter.go();
        wait::until("the statement to compute", || (super::killed::ticks(starter.pid()) > before + 1).then_some(()));
        starter.kill();
        let log = database.texts("SELECT entry AS value FROM log ORDER BY entry");
        assert_eq!(log, ["1.1", "1.2"], "kill {point}: nothing of the third seed is there");
    }
    start(database.url(), &set, seeds.path(), &[]).end().succeeded();
    assert_seeded(&database, "killed while a statement computed");
}
