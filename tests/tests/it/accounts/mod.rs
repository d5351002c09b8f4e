//! The example service as a process, on SQLite and on PostgreSQL: from an empty database to a ready one, whatever happens on
//! the way, and nothing more at the next start.

pub(crate) mod process;

use std::collections::HashMap;
use std::fs;

use diesel::connection::SimpleConnection;
use migrator::{MigrationSet, Migrator};
use migrator_tests::servers::{self, Options, Postgres, Stop};
use migrator_tests::{Database, sqlite, wait};

use self::process::{Built, Service};

/// Who may do what, as names: what a boot has to come to, whatever numbers the rows have.
fn effects(database: &impl Built) -> Vec<String> {
    let queries = [
        "SELECT 'role ' || name AS value FROM role ORDER BY 1",
        "SELECT role.name || ' may ' || permission.name AS value FROM permission JOIN role ON role.id = role_id ORDER BY 1",
        "SELECT account.name || ' is ' || role.name AS value FROM account JOIN role ON role.id = role_id ORDER BY 1",
        "SELECT name || ' ' || outcome AS value FROM __migrator_seeds ORDER BY 1",
        "SELECT event || ' ' || version AS value FROM __migrator_history WHERE event = 'applied' ORDER BY 1",
    ];
    queries.iter().flat_map(|query| database.texts(query)).collect()
}

/// What they have to be: 3 roles, 18 permissions, an administrator, 2 seeds, 2 migrations, each once.
fn assert_complete(database: &impl Built, when: &str) {
    let effects = effects(database);
    assert_eq!(effects.len(), 3 + 18 + 1 + 2 + 2, "{when}: {effects:#?}");
    for once in
        ["role writer", "administrator may audit", "root is administrator", "roles applied", "administrator applied"]
    {
        assert_eq!(effects.iter().filter(|effect| *effect == once).count(), 1, "{when}: {once} in {effects:#?}");
    }
}

#[test]
fn boots_twice_on_sqlite() {
    boots_twice(&sqlite::fresh());
}

#[test]
fn boots_twice_on_postgres() {
    boots_twice(&servers::postgres().fresh());
}

fn boots_twice<D: Built>(database: &D) {
    let mut first = Service::start(database);
    first.until("ready in");
    first.until("ready");
    assert_eq!(first.ask("list"), "root is administrator");
    assert!(first.said.iter().any(|line| line == "state: seeding administrator, attempt 1"), "{:#?}", first.said);
    assert!(first.end().0);
    assert_complete(database, "after the first boot");
    let before = database.everything();
    let said = Service::live(database);
    assert!(said.iter().any(|line| line.starts_with("nothing pending, 2 migrations")), "{said:#?}");
    assert!(said.iter().any(|line| line.starts_with("seeds: 2 unchanged")), "{said:#?}");
    assert_eq!(database.everything(), before, "row by row, sequences included");
    // What a user changed stays as it is.
    database.execute("UPDATE account SET role_id = (SELECT id FROM role WHERE name = 'reader') WHERE name = 'root'");
    let changed = database.everything();
    Service::live(database);
    assert_eq!(database.everything(), changed);
}

#[test]
fn a_database_that_is_down_at_the_start() {
    let mut server = Postgres::start(Options::default());
    let database = server.fresh();
    server.stop(Stop::Fast);
    let mut service = Service::start(&database);
    service.until("state: waiting for the database, attempt 1");
    server.restart();
    service.until("ready");
    assert!(service.end().0);
    assert_complete(&database, "after the database came up");
}

#[test]
fn a_database_that_stays_down() {
    let mut server = Postgres::start(Options::default());
    let database = server.fresh();
    server.stop(Stop::Fast);
    let environment = [("MIGRATOR_CONNECT_TIMEOUT", "300ms")];
    let (ended, said) = Service::under::<servers::FreshDatabase<_>>(&[], database.url(), &environment).end();
    assert!(!ended && said.iter().any(|line| line.contains("did not answer")), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("MIGRATOR_CONNECT_TIMEOUT")), "{said:#?}");
    assert!(!said.iter().any(|line| line.contains(server.password())), "{said:#?}");
}

/// The server dies while a seed waits in it, in the middle of what it writes.
#[test]
fn a_database_that_restarts_during_a_seed() {
    let mut server = Postgres::start(Options::default().durable());
    for (stop, table) in [(Stop::Fast, "permission"), (Stop::Immediate, "permission"), (Stop::Immediate, "account")] {
        let database = server.fresh();
        migrate(&database);
        let mut holder = database.connect();
        holder.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN SHARE MODE")).expect("hold the table");
        let mut service = Service::start(&database);
        let blocked = "SELECT 'blocked' AS value FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = \
                       current_database()";
        wait::until("the seed to wait", || (!database.texts(blocked).is_empty()).then_some(()));
        server.stop(stop);
        drop(holder);
        server.restart();
        service.until("ready");
        let (ended, said) = service.end();
        assert!(ended && said.iter().any(|line| line.starts_with("state: seeding")), "{said:#?}");
        assert_complete(&database, &format!("after {stop:?} at {table}: {said:#?}"));
    }
}

fn migrate(database: &servers::FreshDatabase<diesel::pg::Pg>) {
    let set = MigrationSet::from_path("../examples/accounts/migrations/postgres").expect("the set is sound");
    Migrator::new(&set).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn two_processes_at_once_on_sqlite() {
    (0..5).for_each(|_| two_processes_at_once(&sqlite::fresh()));
}

#[test]
fn two_processes_at_once_on_postgres() {
    (0..5).for_each(|_| two_processes_at_once(&servers::postgres().fresh()));
}

fn two_processes_at_once<D: Built>(database: &D) {
    let services = [Service::start(database), Service::start(database)];
    let ends = services.map(|mut service| {
        service.until("ready");
        service.end()
    });
    assert!(ends.iter().all(|(ended, _)| *ended), "{ends:#?}");
    assert_complete(database, "after two processes");
    let did = |what: &str| ends.iter().filter(|(_, said)| said.iter().any(|line| line.starts_with(what))).count();
    assert_eq!(did("applied 2 migrations"), 1, "exactly one applies: {ends:#?}");
    assert_eq!(database.texts("SELECT name AS value FROM __migrator_seeds").len(), 2);
}

#[test]
fn killed_at_twenty_points_of_its_seeds_on_sqlite() {
    killed_at_twenty_points(sqlite::fresh);
}

#[test]
fn killed_at_twenty_points_of_its_seeds_on_postgres() {
    killed_at_twenty_points(|| servers::postgres().fresh());
}

/// strace kills the service at its Nth system call of a kind; the points are drawn from those between the first statement of
/// the first seed and the end of the last one.
fn killed_at_twenty_points<D: Built>(fresh: impl Fn() -> D) {
    let log = tempfile::NamedTempFile::new().expect("make a file");
    let path = log.path().to_str().expect("the path is UTF-8").to_owned();
    let live = |database: &D, point: Option<&(String, usize)>| {
        let trace = format!("trace=write,{}", D::CALLS);
        let mut strace = vec!["strace", "-f", "-qq", "-s", "200", "-o", &path, "-e", &trace];
        let inject = point.map(|(call, number)| format!("inject={call}:signal=SIGKILL:when={number}"));
        strace.extend(inject.iter().flat_map(|inject| ["-e", inject]));
        Service::under::<D>(&strace, database.url(), &[]).end()
    };
    // A whole boot, to know where its seeds are.
    let (ended, said) = live(&fresh(), None);
    assert!(ended, "{said:#?}");
    let points = points(&fs::read_to_string(&path).expect("read the log"));
    let seed = fastrand::u64(..);
    println!("{}: the seed of the points is {seed}; the seeds make {} calls", D::NAME, points.len());
    assert!(points.len() > 20, "{points:#?}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut during = 0;
    for _ in 0..20 {
        let (point, database) = (&points[random.usize(..points.len())], fresh());
        let (ended, said) = live(&database, Some(point));
        let when = format!("killed at {point:?}, drawn with {seed}");
        assert!(!ended && !said.iter().any(|line| line == "ready"), "{when}: {said:#?}");
        during += usize::from(said.iter().rev().nth(1).is_some_and(|line| line.starts_with("state: seeding")));
        Service::live(&database);
        assert_complete(&database, &when);
        let before = database.everything();
        Service::live(&database);
        assert_eq!(database.everything(), before, "{when}");
    }
    assert!(during >= 15, "only {during} of 20 were killed during a seed");
    println!("{}: killed at 20 points, {during} of them during a seed; 20 survived", D::NAME);
}

/// The calls of the seeds: the name of each, and how often its thread had made one before. Each kind has a count of its own.
fn points(log: &str) -> Vec<(String, usize)> {
    let seeding = log.lines().find(|line| line.contains("state: seeding")).expect("the boot seeds");
    let thread = seeding.split_whitespace().next().expect("a thread");
    let (mut counts, mut points, mut inside) = (HashMap::<&str, usize>::new(), Vec::new(), false);
    for line in log.lines().filter(|line| line.starts_with(thread) && !line.contains("resumed>")) {
        let call = line.split_whitespace().nth(1).and_then(|word| word.split('(').next()).unwrap_or("");
        let count = counts.entry(call).or_default();
        *count += 1;
        match call {
            "write" if line.contains("state: ") => inside = line.contains("state: seeding"),
            "write" => {}
            _ if inside => points.push((call.to_owned(), *count)),
            _ => {}
        }
    }
    points
}
