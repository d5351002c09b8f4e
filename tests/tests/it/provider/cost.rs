//! What an unchanged boot costs the database, by the server's own log.

use diesel::connection::{LoadConnection, SimpleConnection};
use diesel::r2d2::R2D2Connection;
use migrator::seed::{Mode, Phase};
use migrator::{Config, DbProvider, Dialect, Seed};
use migrator_tests::Database;
use migrator_tests::servers::{Kind, Mariadb, Options, Postgres, Server};

use crate::folder::Folder;

#[test]
fn an_unchanged_boot_on_postgres() {
    an_unchanged_boot(&Postgres::start(Options::default().log_statements()), &["LOG:  "], 3);
}

#[test]
fn an_unchanged_boot_on_mariadb() {
    // What is prepared is executed too; the client library cannot do both in one step.
    an_unchanged_boot(&Mariadb::start(Options::default().log_statements()), &["Query\t", "Execute\t"], 3);
}

/// One query for the migrations and one for the seeds, of both phases; then the pool proves its first connection with one.
fn an_unchanged_boot<K>(server: &Server<K>, marks: &[&str], queries: usize)
where
    K: Kind<Connection: LoadConnection<Backend: Dialect> + R2D2Connection + Send + 'static>,
{
    let (database, set) = (server.fresh(), Folder::of_tables(20).set());
    let seeds: &'static [Seed<K::Connection>] = Box::leak(Box::new([
        Seed::new("one", fill),
        Seed::new("two", fill).mode(Mode::Once),
        Seed::new("three", fill).phase(Phase::Background),
    ]));
    let provider = || DbProvider::new(Box::leak(Box::new(set.clone()))).seeds(seeds);
    let first = provider();
    first.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
    migrator_tests::wait::until("the background seed", || first.is_seeding_successful().then_some(()));
    first.shutdown().expect("nothing runs");
    // What diesel asks and sets on each new connection is not ours.
    let connects = carried_out(server, marks, || drop(database.connect()));
    let boots = carried_out(server, marks, || {
        let second = provider();
        let report = second.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
        assert!(second.is_seeding_successful(), "{report}");
        second.shutdown().expect("nothing runs");
    });
    // Two connections: the one that migrates, and the first of the pool.
    let ours = boots.len() - 2 * connects.len();
    assert_eq!(ours, queries, "{boots:#?} beside twice {connects:#?}");
    let writes = ["INSERT", "UPDATE", "DELETE", "CREATE", "LOCK"];
    assert!(!boots.iter().any(|line| writes.iter().any(|word| line.contains(word))), "{boots:#?}");
    println!("{}: an unchanged boot sends {ours} queries beside what diesel sends as it connects", K::NAME);
}

fn fill<C: SimpleConnection>(conn: &mut C) -> migrator::SeedResult {
    conn.batch_execute("INSERT INTO t1 SELECT MAX(id) + 1 FROM t1")?;
    Ok(1)
}

fn carried_out<K: Kind>(server: &Server<K>, marks: &[&str], act: impl FnOnce()) -> Vec<String> {
    let length = server.statements().len();
    act();
    let log = server.statements()[length..].to_owned();
    log.lines().filter(|line| marks.iter().any(|mark| line.contains(mark))).map(str::to_owned).collect()
}
