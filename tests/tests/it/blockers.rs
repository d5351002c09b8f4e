//! A migration that waits for a lock in vain: who may hold it is named, and the command that ends them works.

use std::time::Duration;

use diesel::connection::{LoadConnection, SimpleConnection};
use diesel::{Connection, MysqlConnection};
use migrator::{Dialect, Error, Migrator};
use migrator_tests::Database;
use migrator_tests::servers::{mariadb, postgres};

use crate::dialects::as_role;
use crate::folder::Folder;

/// A database with the table, and a migration that alters it.
fn altering<D: Database>(database: &D) -> Folder
where
    D::Connection: LoadConnection<Backend: Dialect>,
{
    let folder = Folder::of(&[("1_harbour", "CREATE TABLE harbour (id INT); INSERT INTO harbour VALUES (1);")]);
    Migrator::new(&folder.set()).run(&mut database.connect()).expect("a table");
    folder.write("2_depth/up.sql", "ALTER TABLE harbour ADD COLUMN depth INT;");
    folder
}

fn in_vain<C: LoadConnection<Backend: Dialect>>(conn: &mut C, folder: &Folder, timeout: Duration) -> Error {
    let set = folder.set();
    let error = Migrator::new(&set).statement_lock_timeout(timeout).run(conn).expect_err("somebody holds the table");
    assert!(error.is_statement_failed() && error.remedy().contains("run again when they are done"), "{error}");
    error
}

/// Types the command that the remedy names.
fn ends<D: Database>(database: &D, error: &Error, command: &str) {
    let typed = error.remedy().split(", which ").nth(1).and_then(|rest| rest.split(" ends").next());
    assert_eq!(typed, Some(command), "{error}");
    database.execute(command);
}

#[test]
fn postgres_names_the_session_that_reads_the_table() {
    let database = postgres().fresh();
    let folder = altering(&database);
    let [mut reader, mut other] = [(); 2].map(|()| database.connect());
    // Older, and of another table.
    other.batch_execute("CREATE TABLE elsewhere (id INT); BEGIN; SELECT FROM elsewhere").expect("read");
    let read = "SET application_name = 'report'; BEGIN; SELECT 'hidden' FROM harbour";
    reader.batch_execute(read).expect("read");
    let pid = database
        .texts("SELECT pid::text AS value FROM pg_stat_activity WHERE application_name = 'report' AND datname = current_database()")
        .remove(0);
    let error = in_vain(&mut database.connect(), &folder, Duration::from_millis(40));
    let said = format!("it may be held by session {pid} (report, holds harbour, idle in transaction for ");
    assert!(error.remedy().contains(&said), "{error}");
    assert!(!error.to_string().contains("hidden"), "{error}");
    ends(&database, &error, &format!("SELECT pg_terminate_backend({pid})"));
    Migrator::new(&folder.set()).run(&mut database.connect()).expect("the table is free");
}

#[test]
fn mariadb_names_the_connection_that_reads_the_table() {
    let database = mariadb().fresh();
    let folder = altering(&database);
    let mut reader = database.connect();
    reader.batch_execute("BEGIN; SELECT 'hidden' FROM harbour").expect("read");
    let id = database
        .texts("SELECT CAST(id AS CHAR) AS value FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
        .remove(0);
    let name = database.name();
    let user = format!("reader_{name}");
    database.execute(&format!(
        "CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY 'letter'; GRANT ALL ON {name}.* TO '{user}'@'127.0.0.1'"
    ));
    // Without the privilege PROCESS the failure is the same, and nobody is named.
    let mut unprivileged = MysqlConnection::establish(&as_role(database.url(), &user, "letter")).expect("connect");
    let error = in_vain(&mut unprivileged, &folder, Duration::from_secs(1));
    assert!(!error.remedy().contains("held by"), "{error}");
    let error = in_vain(&mut database.connect(), &folder, Duration::from_secs(1));
    let said = format!("it may be held by connection {id} (idle in a transaction for ");
    assert!(error.remedy().contains(&said), "{error}");
    assert!(!error.to_string().contains("hidden"), "{error}");
    ends(&database, &error, &format!("KILL {id}"));
    Migrator::new(&folder.set()).run(&mut database.connect()).expect("the table is free");
}
