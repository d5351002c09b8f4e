//! Those who apply a set, each as its own documentation has it, on a connection of its own driver.

use std::any::Any;

use diesel::connection::LoadConnection;
use diesel::{Connection, MysqlConnection, PgConnection, SqliteConnection};
use diesel_migrations::MigrationHarness;
use migrator::{Dialect, MigrationSet, Migrator};
use refinery::{Migration, Runner};
use rusqlite_migration::{M, Migrations};
use sqlx::migrate::Migrate;

use crate::set::Set;

/// What is measured. For every runner it is the same call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// All migrations, on an empty database.
    Cold,
    /// None, on a connection that was not used before.
    Unchanged,
}

/// Ready to do its work, which gives the connection back, so that closing it is not measured.
pub(crate) type Ready<'a> = Box<dyn FnOnce() -> Box<dyn Any> + 'a>;

/// One who applies a set.
#[derive(Clone, Copy)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// Connects to the database of a URL and gets ready.
    pub(crate) open: for<'a> fn(&str, &'a Set, Work) -> Ready<'a>,
}

const fn new(name: &'static str, open: for<'a> fn(&str, &'a Set, Work) -> Ready<'a>) -> Contender {
    Contender { name, open }
}

/// The floor first; it is what the others are compared with.
pub(crate) const SQLITE: &[Contender] = &[
    new("floor", floor::<SqliteConnection>),
    new("migrator", flat::<SqliteConnection>),
    new("migrator, diesel in step", in_step::<SqliteConnection>),
    new("rusqlite_migration", rusqlite_migration),
    new("diesel_migrations", diesel::<SqliteConnection>),
    new("refinery", refinery::<rusqlite::Connection>),
    new("sqlx", sqlx::<sqlx::Sqlite>),
];

pub(crate) const POSTGRES: &[Contender] = &[
    new("floor", floor::<PgConnection>),
    new("migrator", flat::<PgConnection>),
    new("migrator, diesel in step", in_step::<PgConnection>),
    new("diesel_migrations", diesel::<PgConnection>),
    new("refinery", refinery::<postgres::Client>),
    new("sqlx", sqlx::<sqlx::Postgres>),
];

pub(crate) const MARIADB: &[Contender] = &[
    new("floor", floor::<MysqlConnection>),
    new("migrator", flat::<MysqlConnection>),
    new("migrator, diesel in step", in_step::<MysqlConnection>),
    new("diesel_migrations", diesel::<MysqlConnection>),
    new("refinery", refinery::<mysql::Conn>),
    new("sqlx", sqlx::<sqlx::MySql>),
];

/// A connection of diesel's.
trait Diesel: LoadConnection<Backend: Dialect> + MigrationHarness<<Self as Connection>::Backend> + 'static {}
impl<C: LoadConnection<Backend: Dialect> + MigrationHarness<<C as Connection>::Backend> + 'static> Diesel for C {}

/// All scripts in one transaction and one message; for an unchanged start the least that a database can be asked.
fn floor<'a, C: Diesel>(url: &str, set: &'a Set, work: Work) -> Ready<'a> {
    let mut conn = connect::<C>(url);
    // SQLite reads the schema at the first query that needs it, which the application's would be.
    let least = if url.contains("://") { "SELECT 1" } else { "SELECT 1 FROM sqlite_schema LIMIT 1" };
    let all: String = set.scripts.iter().map(|(_, text)| text.as_str()).collect();
    let text = if work == Work::Cold { format!("BEGIN;{all}COMMIT;") } else { least.to_owned() };
    Box::new(move || {
        conn.batch_execute(&text).expect("the scripts run");
        Box::new(conn)
    })
}

fn flat<'a, C: Diesel>(url: &str, set: &'a Set, _: Work) -> Ready<'a> {
    migrator::<C>(url, &set.flat)
}

fn in_step<'a, C: Diesel>(url: &str, set: &'a Set, _: Work) -> Ready<'a> {
    migrator::<C>(url, &set.diesel)
}

fn migrator<'a, C: Diesel>(url: &str, set: &'a MigrationSet) -> Ready<'a> {
    let mut conn = connect::<C>(url);
    Box::new(move || {
        Migrator::new(set).run(&mut conn).expect("the set runs");
        Box::new(conn)
    })
}

/// Our set is the source of the scripts, as an embedded one of diesel's own would be: no file is read.
fn diesel<'a, C: Diesel>(url: &str, set: &'a Set, _: Work) -> Ready<'a> {
    let mut conn = connect::<C>(url);
    Box::new(move || {
        conn.run_pending_migrations(&set.diesel).expect("diesel runs the set");
        Box::new(conn)
    })
}

fn connect<C: Connection>(url: &str) -> C {
    C::establish(url).expect("the database accepts connections")
}

/// The runner is made within the measure, as the one that refinery embeds makes itself at each start.
fn refinery<'a, C: Client>(url: &str, set: &'a Set, _: Work) -> Ready<'a> {
    let mut conn = C::open(url);
    Box::new(move || {
        let one = |(number, text): &(usize, String)| Migration::unapplied(&format!("V{number}__change"), text);
        let all: Result<Vec<Migration>, _> = set.scripts.iter().map(one).collect();
        Runner::new(&all.expect("refinery takes the names")).run(&mut conn).expect("refinery runs the set");
        Box::new(conn)
    })
}

/// A driver that refinery knows.
trait Client: refinery::Migrate + 'static {
    fn open(url: &str) -> Self;
}

impl Client for rusqlite::Connection {
    fn open(url: &str) -> Self {
        rusqlite::Connection::open(url).expect("the file can be opened")
    }
}

impl Client for postgres::Client {
    fn open(url: &str) -> Self {
        postgres::Client::connect(url, postgres::NoTls).expect("the server accepts connections")
    }
}

impl Client for mysql::Conn {
    fn open(url: &str) -> Self {
        // The driver would go on over the unix socket, and the others do not.
        let url = format!("{url}?prefer_socket=false");
        mysql::Conn::new(url.as_str()).expect("the server accepts connections")
    }
}

fn rusqlite_migration<'a>(url: &str, set: &'a Set, _: Work) -> Ready<'a> {
    let mut conn = rusqlite::Connection::open(url).expect("the file can be opened");
    Box::new(move || {
        let all = Migrations::new(set.scripts.iter().map(|(_, text)| M::up(text)).collect());
        all.to_latest(&mut conn).expect("rusqlite_migration runs the set");
        Box::new(conn)
    })
}

fn sqlx<'a, D: sqlx::Database<Connection: Migrate>>(url: &str, set: &'a Set, _: Work) -> Ready<'a> {
    let url = if url.contains("://") { url.to_owned() } else { format!("sqlite://{url}?mode=rwc") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut conn =
        runtime.block_on(<D::Connection as sqlx::Connection>::connect(&url)).expect("the server accepts connections");
    Box::new(move || {
        runtime.block_on(set.sqlx.run_direct(None, &mut conn, false)).expect("sqlx runs the set");
        Box::new((conn, runtime))
    })
}
