//! MariaDB dies while DDL runs: the catalogue tells whether it took, and the next run goes on by itself.

use diesel::{connection::SimpleConnection, mysql::Mysql};
use migrator_tests::{
    Database,
    servers::{FreshDatabase, Kind, Mariadb, Options},
    wait,
};

use super::{
    server_down::aged,
    sets::{Set, assert_history_is_sound, records, reference, state},
    starter::{Starter, run},
};
use crate::dialects::as_role;

const SETUP: (&str, &str) = (
    "1_first",
    "CREATE TABLE log (entry VARCHAR(20) NOT NULL);
     CREATE TABLE harbour (id INT PRIMARY KEY, name VARCHAR(20), old INT, KEY by_old (old));
     INSERT INTO harbour VALUES (1, 'Skagen', 7);
     CREATE TABLE berth (id INT, harbour INT, KEY (harbour), CONSTRAINT berth_id FOREIGN KEY (id) REFERENCES harbour (id));
     CREATE TABLE spare (id INT);
     INSERT INTO spare VALUES (1);
     CREATE VIEW names AS SELECT name FROM harbour;",
);

/// Of each kind one that the catalogue can be asked about.
const STATEMENTS: [&str; 21] = [
    "CREATE TABLE pier (id INT)",
    "CREATE TABLE IF NOT EXISTS `pier` (id INT)",
    "CREATE TABLE pier LIKE harbour",
    "DROP TABLE spare",
    "RENAME TABLE spare TO store",
    "ALTER TABLE spare RENAME TO store",
    "CREATE UNIQUE INDEX by_name ON harbour (name)",
    "DROP INDEX by_old ON harbour",
    "ALTER TABLE harbour ADD COLUMN depth INT",
    "ALTER TABLE harbour ADD depth INT FIRST, ALGORITHM = COPY",
    "ALTER TABLE harbour ADD COLUMN depth INT, ADD INDEX by_depth (depth), MODIFY old BIGINT",
    "ALTER TABLE harbour DROP COLUMN old",
    "ALTER TABLE harbour ADD INDEX by_name (name)",
    "ALTER TABLE harbour RENAME COLUMN old TO older",
    "ALTER TABLE harbour RENAME INDEX by_old TO by_older",
    "ALTER TABLE harbour MODIFY old BIGINT",
    "ALTER TABLE berth ADD CONSTRAINT berth_harbour FOREIGN KEY (harbour) REFERENCES harbour (id)",
    "ALTER TABLE berth DROP FOREIGN KEY berth_id",
    "CREATE VIEW shown AS SELECT id FROM harbour",
    "CREATE OR REPLACE VIEW names AS SELECT id, name FROM harbour",
    "DROP VIEW names",
];

/// One run that is held up in its second script.
struct Held {
    database: FreshDatabase<Mysql>,
    set: Set,
    starter: Starter,
}

impl Held {
    /// Up to the statement of this number of the second script, which is about to be sent.
    fn at(server: &Mariadb, script: &str, number: usize) -> Held {
        let (database, set) = (server.fresh(), Set::new(&[SETUP, ("2_second", script)]));
        let mut starter = Starter::start(database.url(), set.path(), &["step"]);
        starter.step_to_statement(2, number);
        Held { database, set, starter }
    }

    /// What the next run after the crash does.
    fn goes_on(self, expected: &str, what: &str) {
        let end = self.starter.end();
        assert!(end.is("connection_lost"), "{what}: {:#?}", end.said);
        assert_eq!(run(self.database.url(), self.set.path()), 1, "{what}");
        assert_eq!(state(&self.database), expected, "{what}: {:#?}", records(&self.database));
        assert_history_is_sound(&self.database);
    }
}

/// Keeps all DDL of the server from taking, until the server is gone.
fn hold_ddl(server: &Mariadb) -> diesel::MysqlConnection {
    let mut holder = server.connect();
    holder.batch_execute("BACKUP STAGE START; BACKUP STAGE FLUSH; BACKUP STAGE BLOCK_DDL").expect("hold DDL");
    holder
}

/// Keeps the record of a migration's end from being written, until the server is gone.
fn hold_records(database: &FreshDatabase<Mysql>) -> diesel::MysqlConnection {
    let mut holder = database.connect();
    holder.batch_execute("LOCK TABLES __diesel_schema_migrations READ").expect("hold a table");
    holder
}

/// Until as many sessions wait for a lock.
fn until_waiting(server: &Mariadb, many: usize) {
    let waiting =
        "SELECT CAST(COUNT(*) AS CHAR) AS value FROM information_schema.processlist WHERE state LIKE 'Waiting for%'
                   AND user = 'migrator'";
    wait::until("the statements to wait", || {
        let count = Mysql::texts(&mut server.connect(), waiting).remove(0);
        (count == many.to_string()).then_some(())
    });
}

#[test]
fn mariadb_dies_while_ddl_of_every_kind_runs() {
    let mut server = Mariadb::start(Options::default().durable());
    let expected = STATEMENTS.map(|statement| reference(&server.fresh(), &Set::new(&[SETUP, ("2_second", statement)])));
    for took in [false, true] {
        aged(&server);
        let mut held = STATEMENTS.map(|statement| Held::at(&server, statement, 1));
        let holders: Vec<_> = match took {
            false => vec![hold_ddl(&server)],
            true => held.iter().map(|held| hold_records(&held.database)).collect(),
        };
        held.iter_mut().for_each(|held| held.starter.go_on());
        until_waiting(&server, held.len());
        server.kill();
        drop(holders);
        server.restart();
        for ((held, statement), expected) in held.into_iter().zip(STATEMENTS).zip(&expected) {
            let before = format!("{statement}, which {}", if took { "took" } else { "did not take" });
            assert_eq!(expected.starts_with(&held.database.dump()), took, "{before}");
            held.goes_on(expected, &before);
        }
    }
    println!("MariaDB: the server died during 2 × {} kinds of DDL; all went on by themselves", STATEMENTS.len());
}

#[test]
fn what_the_catalogue_does_not_tell_surely_is_for_a_person() {
    let mut server = Mariadb::start(Options::default().durable());
    server.connect().batch_execute("CREATE DATABASE another").expect("a database");
    aged(&server);
    // Columns in parentheses; a table that may be the session's own; one in another database; one whose text will be another.
    let cases = [
        ("ALTER TABLE harbour ADD (a INT, b INT)", 1, None),
        ("CREATE TEMPORARY TABLE mine (id INT); CREATE TABLE pier (id INT)", 2, None),
        ("USE another; CREATE TABLE pier (id INT)", 2, None),
        ("CREATE TABLE pier (id INT)", 1, Some("CREATE TABLE pier (id BIGINT)")),
    ];
    let mut held = cases.map(|(script, number, _)| Held::at(&server, script, number));
    // Not ours: there before, so it says nothing of this statement, which was never sent.
    let mut foreign = Held::at(&server, "INSERT INTO log VALUES ('2.1'); CREATE TABLE spare (id INT)", 2);
    let holder = hold_ddl(&server);
    held.iter_mut().for_each(|held| held.starter.go_on());
    until_waiting(&server, held.len());
    server.kill();
    foreign.starter.go_on();
    drop(holder);
    server.restart();
    for (Held { database, set, starter }, (script, number, edited)) in held.into_iter().zip(cases) {
        assert!(starter.end().is("connection_lost"), "{script}");
        if let Some(edited) = edited {
            set.write("2_second", edited);
        }
        let next = Starter::start(database.url(), set.path(), &[]).end();
        let stops = next.is("failed") && next.has(&format!("statement {number} was started and nobody knows"));
        assert!(stops, "{script}: {:#?}", next.said);
    }
    assert!(foreign.starter.end().is("connection_lost"));
    let next = Starter::start(foreign.database.url(), foreign.set.path(), &[]).end();
    assert!(next.is("statement_failed") && next.has("already exists"), "{:#?}", next.said);
    assert_eq!(foreign.database.row_counts()["spare"], 1);
}

/// What one has no privilege on, the catalogue calls absent.
#[test]
fn another_who_asks_the_catalogue_is_told_nothing_sure() {
    let mut server = Mariadb::start(Options::default().durable());
    let expected = reference(&server.fresh(), &Set::new(&[SETUP, ("2_second", "CREATE TABLE pier (id INT)")]));
    aged(&server);
    let mut held = Held::at(&server, "CREATE TABLE pier (id INT)", 1);
    let holder = hold_records(&held.database);
    held.starter.go_on();
    until_waiting(&server, 1);
    server.kill();
    drop(holder);
    server.restart();
    let (name, role) = (held.database.name(), "'letter'@'127.0.0.1'");
    let tables = held
        .database
        .texts("SELECT TABLE_NAME AS value FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()");
    let others = tables.iter().filter(|table| *table != "pier");
    let grants: String = others.map(|table| format!("GRANT ALL ON {name}.{table} TO {role};")).collect();
    held.database.execute(&format!("CREATE USER {role} IDENTIFIED BY 'letter'; {grants}"));
    let url = as_role(held.database.url(), "letter", "letter");
    let next = Starter::start(&url, held.set.path(), &[]).end();
    assert!(next.is("failed") && next.has("statement 1 was started and nobody knows"), "{:#?}", next.said);
    held.goes_on(&expected, "by who began it");
}

#[test]
fn what_the_catalogue_told_is_recorded() {
    let mut server = Mariadb::start(Options::default().durable());
    let script = "CREATE TABLE pier (id INT); CREATE TABLE mole (id INT); CREATE TABLE quay (id INT)";
    let expected = reference(&server.fresh(), &Set::new(&[SETUP, ("2_second", script)]));
    aged(&server);
    let mut held = Held::at(&server, script, 2);
    let mut holder = held.database.connect();
    holder.batch_execute("LOCK TABLES __migrator_history READ").expect("hold a table");
    held.starter.go_on();
    until_waiting(&server, 1);
    server.kill();
    server.restart();
    aged(&server);
    // The second statement took, so it goes on at the third; what dies there is in doubt about the third alone.
    let mut starter = Starter::start(held.database.url(), held.set.path(), &["step"]);
    starter.step_to(|event| event.starts_with("Statement { number: 3,")).expect("the third statement");
    let holder = hold_records(&held.database);
    starter.go_on();
    until_waiting(&server, 1);
    server.kill();
    drop(holder);
    assert!(starter.end().is("connection_lost"));
    server.restart();
    held.goes_on(&expected, script);
}
