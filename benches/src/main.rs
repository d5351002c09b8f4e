//! Cold apply and unchanged start, side by side: `cargo run --release -p migrator-benches [N…]`.
//!
//! Every contender gets a fresh database for each round, the rounds are interleaved, and what is printed is the median and its
//! ratio to the floor: for a cold apply all scripts in one transaction, for an unchanged start one `SELECT 1`. Servers sync
//! as they do in production.

use std::fmt::Write;
use std::time::{Duration, Instant};

use diesel::connection::LoadConnection;
use diesel::{Connection, MysqlConnection, PgConnection, SqliteConnection};
use diesel_migrations::MigrationHarness;
use migrator::{Dialect, MigrationSet, Migrator};
use migrator_tests::servers::{Mariadb, Options, Postgres};
use migrator_tests::{Database, sqlite};

const ROUNDS: usize = 7;

fn main() {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|size| size.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![10, 100] } else { sizes };
    let postgres = Postgres::start(Options::default().durable());
    let mariadb = Mariadb::start(Options::default().durable());
    println!("| database | migrations | what | median ms | × floor |");
    println!("|---|---|---|---|---|");
    for size in sizes {
        measure::<SqliteConnection, _>("SQLite", size, sqlite::fresh);
        measure::<PgConnection, _>("PostgreSQL", size, || postgres.fresh());
        measure::<MysqlConnection, _>("MariaDB", size, || mariadb.fresh());
    }
}

/// A connection that both runners can use.
trait Contender: LoadConnection<Backend: Dialect> + MigrationHarness<<Self as Connection>::Backend> {}
impl<C: LoadConnection<Backend: Dialect> + MigrationHarness<<Self as Connection>::Backend>> Contender for C {}

fn measure<C: Contender, D: Database>(name: &str, size: usize, fresh: impl Fn() -> D) {
    let set = set(size);
    let mut cold: [Vec<Duration>; 3] = Default::default();
    let mut unchanged: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        let [floor, diesel, ours] = [fresh(), fresh(), fresh()];
        cold[0].push(time(&mut connect::<C>(&floor), |conn| raw(conn, &set)));
        cold[1].push(time(&mut connect::<C>(&diesel), |conn| theirs(conn, &set)));
        cold[2].push(time(&mut connect::<C>(&ours), |conn| run(conn, &set)));
        unchanged[0].push(time(&mut connect::<C>(&floor), |conn| conn.batch_execute("SELECT 1").expect("it answers")));
        unchanged[1].push(time(&mut connect::<C>(&diesel), |conn| theirs(conn, &set)));
        unchanged[2].push(time(&mut connect::<C>(&ours), |conn| run(conn, &set)));
    }
    let mut table = String::new();
    for (what, times) in [("cold apply", cold), ("unchanged start", unchanged)] {
        let medians = times.map(median);
        for (who, time) in ["floor", "diesel_migrations", "migrator"].iter().zip(medians) {
            let ratio = time.as_secs_f64() / medians[0].as_secs_f64();
            let ms = time.as_secs_f64() * 1000.0;
            let _infallible = writeln!(table, "| {name} | {size} | {what}: {who} | {ms:.2} | {ratio:.2} |");
        }
    }
    print!("{table}");
}

/// Migrations of a table, an index and a row each, in diesel's layout.
fn set(size: usize) -> MigrationSet {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for at in 0..size {
        let one = folder.path().join(format!("{:014}_table_{at}", 20_240_101_000_000_u64 + at as u64));
        std::fs::create_dir(&one).expect("a folder can be made");
        let up = format!(
            "CREATE TABLE t{at} (id INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL, note VARCHAR(200));\n\
             CREATE INDEX t{at}_name ON t{at} (name);\n\
             INSERT INTO t{at} (id, name, note) VALUES (1, 'one', 'first row of the table');\n"
        );
        std::fs::write(one.join("up.sql"), up).expect("a script can be written");
    }
    MigrationSet::from_path(folder.path()).expect("the folder has no fault")
}

fn connect<C: Connection>(database: &impl Database) -> C {
    C::establish(database.url()).expect("the database accepts connections")
}

fn time<C>(conn: &mut C, body: impl FnOnce(&mut C)) -> Duration {
    let start = Instant::now();
    body(conn);
    start.elapsed()
}

fn raw<C: Connection>(conn: &mut C, set: &MigrationSet) {
    let all: String = set.iter().map(|migration| migration.up()).collect();
    conn.batch_execute(&format!("BEGIN;{all}COMMIT;")).expect("the scripts run");
}

fn theirs<C: Contender>(conn: &mut C, set: &MigrationSet) {
    conn.run_pending_migrations(set).expect("diesel runs the set");
}

fn run<C: Contender>(conn: &mut C, set: &MigrationSet) {
    Migrator::new(set).run(conn).expect("the set runs");
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
