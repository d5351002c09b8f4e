//! Servers that are killed, stopped and paused, and come back.

use std::{sync::mpsc, thread, time::Duration};

use diesel::{Connection, connection::SimpleConnection};
use migrator_tests::{
    Database,
    servers::{Kind, Mariadb, Options, Postgres, Server, Stop, is_running},
};

#[test]
fn postgres_comes_back_with_its_data_after_each_kind_of_end() {
    comes_back::<diesel::pg::Pg>("log_connections", "on");
}

#[test]
fn mariadb_comes_back_with_its_data_after_each_kind_of_end() {
    comes_back::<diesel::mysql::Mysql>("long_query_time", "5");
}

/// `setting` is one that a test may want to change.
fn comes_back<K: Kind>(setting: &str, value: &str) {
    let mut server = Server::<K>::start(Options::default().durable().set(setting, value));
    let database = server.fresh();
    database.execute("CREATE TABLE tide (height int)");
    let ends: [fn(&mut Server<K>); 3] =
        [|server| server.stop(Stop::Fast), |server| server.stop(Stop::Immediate), Server::kill];
    for (rows, end) in (1..).zip(ends) {
        database.execute("INSERT INTO tide VALUES (1)");
        let (pid, port) = (server.pid().expect("the server runs"), server.port());
        let mut open = database.connect();
        end(&mut server);
        assert!(!is_running(pid) && server.pid().is_none());
        open.batch_execute("SELECT 1").expect_err("the connection ended with the server");
        assert!(K::Connection::establish(database.url()).is_err(), "something answers for a server that is down");
        server.restart();
        assert_eq!(server.port(), port, "the URL is as good as before");
        assert_eq!(database.row_counts()["tide"], rows);
    }
    let folder = server.folder().to_owned();
    drop(server);
    assert!(!folder.exists(), "{} is left", folder.display());
}

#[test]
fn a_paused_postgres_answers_when_it_goes_on() {
    answers_when_it_goes_on(Postgres::start(Options::default()));
}

#[test]
fn a_paused_mariadb_answers_when_it_goes_on() {
    answers_when_it_goes_on(Mariadb::start(Options::default()));
}

fn answers_when_it_goes_on<K: Kind>(mut server: Server<K>) {
    let database = server.fresh();
    let mut connection = database.connect();
    server.pause();
    let (sender, answers) = mpsc::channel();
    let asking = thread::spawn({
        let url = database.url().to_owned();
        move || {
            let open = connection.batch_execute("SELECT 1").is_ok();
            let new = K::Connection::establish(&url).is_ok();
            sender.send((open, new)).expect("the test waits");
        }
    });
    // Too short a wait would only fail to notice that a server which is not paused answers.
    let early = answers.recv_timeout(Duration::from_millis(300));
    early.expect_err("a paused server answered");
    server.resume();
    assert_eq!(answers.recv().expect("an answer"), (true, true), "the open connection and a new one");
    asking.join().expect("no panic");

    // Frozen and given up: its folder goes away all the same.
    server.pause();
    let (pid, folder) = (server.pid().expect("the server runs"), server.folder().to_owned());
    drop(server);
    assert!(!is_running(pid) && !folder.exists());
}

#[test]
fn postgres_logs_statements() {
    logs_statements(Postgres::start(Options::default().log_statements()));
}

#[test]
fn mariadb_logs_statements() {
    logs_statements(Mariadb::start(Options::default().log_statements()));
}

fn logs_statements<K: Kind>(server: Server<K>) {
    let database = server.fresh();
    database.execute("CREATE TABLE lighthouse_at_skagen (height int)");
    assert!(server.statements().contains("CREATE TABLE lighthouse_at_skagen"), "{}", server.statements());
}
