//! Each state that somebody may be woken for.

use std::thread;
use std::time::Duration;

use diesel::SqliteConnection;
use diesel::connection::SimpleConnection;
use migrator::backup::Backup;
use migrator::health::Details;
use migrator::seed::Phase;
use migrator::{Config, DbProvider, Event, MigrationSet, Migrator, ProviderState, Seed, SeedError, SeedResult};
use migrator_tests::{Database, sqlite, wait};

use super::browser::{SOON, browser};
use super::{look, refresh, serve, text};
use crate::folder::{Folder, table};
use crate::provider::{Gate, provider};
use crate::seeds::{TABLES, list};

const NAMES: [&str; 9] = [
    "20260105083000_create_harbours",
    "20260112091500_create_ships",
    "20260203140000_ships_know_their_flag",
    "20260227101000_index_of_arrivals",
    "20260310074500_berths",
    "20260402160000_backfill_tonnage_of_ships_that_were_registered_before_2020",
    "20260519120000_pilots",
    "20260708093000_pilot_of_an_arrival",
    "20261101070000_tolls",
];

fn folder(count: usize) -> Folder {
    let migration = |at: usize| (NAMES[at], if at == 0 { TABLES.to_owned() } else { table(at) });
    Folder::of(&(0..count).map(migration).collect::<Vec<_>>())
}

/// As if each had taken its time, on a database of some size.
fn take_time(database: &sqlite::FreshDatabase) {
    let longer = "UPDATE __migrator_history SET duration_ms = (sequence * sequence * 7919) % 97 + CASE WHEN sequence % 37 = 6 THEN 41300 ELSE sequence END \
                  WHERE event = 'applied'";
    database.execute(longer);
}

fn seeds(seeds: impl Into<Vec<Seed<SqliteConnection>>>, set: &MigrationSet) -> DbProvider<SqliteConnection> {
    provider(set).seeds(list(seeds))
}

fn fine(conn: &mut SqliteConnection) -> SeedResult {
    conn.batch_execute("INSERT INTO log VALUES ('fine')")?;
    Ok(1)
}

fn busy(_: &mut SqliteConnection) -> SeedResult {
    Err(SeedError::transient("the customs office does not answer: secret_office"))
}

fn broken(_: &mut SqliteConnection) -> SeedResult {
    Err(SeedError::new("there is no such pilot: secret_pilot"))
}

#[test]
fn ready() {
    let (database, set) = (sqlite::fresh(), folder(9).set());
    let backups = database.folder().join("backups");
    let provider = seeds([Seed::new("harbours", fine), Seed::new("tolls", fine)], &set);
    let backup = Backup::to(&backups).url(database.url());
    Migrator::new(&folder(2).set()).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    let config = Config::new(database.url()).migrator(move |migrator| migrator.backup_before(backup.clone()));
    provider.init(config).unwrap_or_else(|error| panic!("{error}"));
    take_time(&database);
    let health = provider.health().service_id("harbour").release_id("2026.11.2");
    let mut browser = browser();
    look(&mut browser, "ready", &format!("http://{}/internal/status", serve(&health)));
    let told = text(&mut browser);
    for expected in [
        "harbour",
        "2026.11.2",
        "Ready",
        "9 applied",
        "0 pending",
        NAMES[8],
        "tolls",
        "of 10 in use",
        "answers in",
        "Last backup",
        "9 migrations took",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert!(!told.contains("What to do") && !told.contains(database.url()), "{told}");
    assert_eq!(refresh(&mut browser), None, "nothing runs");
    assert_eq!(browser.evaluate("document.querySelectorAll('svg rect:not(.reach)').length"), 9);
    assert_eq!(browser.evaluate("document.title"), "Ready · harbour");
}

#[test]
fn migrating_and_it_shows_the_end_by_itself() {
    let (database, set) = (sqlite::fresh(), folder(9).set());
    let provider = provider::<SqliteConnection>(&set);
    let health = provider.health();
    let (reached, go) = (Gate::default(), Gate::default());
    let (mine, theirs) = (reached.clone(), go.clone());
    let config = Config::new(database.url()).on_event(move |event| {
        if let Event::State { to: ProviderState::Migrating { step: 6, statement: 1, .. }, .. } = event {
            mine.open();
            theirs.pass();
        }
    });
    let mut browser = browser();
    thread::scope(|scope| {
        let init = scope.spawn(|| provider.init(config));
        reached.pass();
        let url = format!("http://{}/internal/status", serve(&health));
        look(&mut browser, "migrating", &url);
        let told = text(&mut browser);
        for expected in ["Migrating", "Statement 1 of", "6 of 9", "running", NAMES[5], NAMES[0], "is not asked"] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
        assert_eq!(refresh(&mut browser), Some(2));
        go.open();
        init.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"));
    });
    let ended = wait::within(SOON, || text(&mut browser).contains("Ready").then_some(()));
    assert!(ended.is_some(), "it asks for itself: {}", text(&mut browser));
    assert_eq!(refresh(&mut browser), None, "and then no more");
}

#[test]
fn failed() {
    let (database, folder) = (sqlite::fresh(), folder(4));
    folder.write(
        &format!("{}/up.sql", NAMES[4]),
        "CREATE TABLE fine (id INTEGER);\nINSERT INTO secret_table VALUES (1);\n",
    );
    let provider = provider::<SqliteConnection>(&folder.set());
    provider.init(Config::new(database.url())).expect_err("it fails");
    let health = provider.health().service_id("harbour");
    let mut browser = browser();
    look(&mut browser, "failed", &format!("http://{}/internal/status", serve(&health.clone().details(Details::Shown))));
    let told = text(&mut browser);
    for expected in
        ["Failed", "statement_failed", "What to do", "no such table: secret_table", "migrator run", NAMES[4], NAMES[0]]
    {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert_eq!(refresh(&mut browser), None);
    look(&mut browser, "failed-hidden", &format!("http://{}/internal/status", serve(&health)));
    let told = text(&mut browser);
    assert!(told.contains("migrator status") && told.contains(NAMES[4]) && !told.contains("secret"), "{told}");
}

#[test]
fn pending_and_changed() {
    let (database, set) = (sqlite::fresh(), folder(9).set());
    let provider = provider::<SqliteConnection>(&set);
    provider.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
    let health = provider.health().service_id("harbour");
    // Somebody put the database of last spring back.
    empty(&database);
    let spring = folder(6);
    Migrator::new(&spring.set()).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    take_time(&database);
    crate::health::becomes(&health, "pending");
    let mut browser = browser();
    let url = format!("http://{}/internal/status", serve(&health));
    look(&mut browser, "pending", &url);
    let told = text(&mut browser);
    for expected in ["Not ready: migrations are pending", "3 pending", "migrator run", "6 applied", NAMES[8], NAMES[5]]
    {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    // And it had been edited by hand before.
    empty(&database);
    spring.write(&format!("{}/up.sql", NAMES[3]), "CREATE TABLE t3 (id INTEGER PRIMARY KEY, note TEXT)");
    Migrator::new(&spring.set()).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    take_time(&database);
    crate::health::becomes(&health, "changed");
    look(&mut browser, "changed", &url);
    let told = text(&mut browser);
    for expected in ["Problems", "Put the old text back", "changed", NAMES[3], "last record: applied, "] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

fn empty(database: &sqlite::FreshDatabase) {
    let tables =
        database.texts("SELECT name AS value FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'");
    tables.iter().for_each(|table| database.execute(&format!("DROP TABLE \"{table}\"")));
}

#[test]
fn a_seed_that_is_tried_again_and_one_that_is_given_up() {
    let (database, set) = (sqlite::fresh(), folder(3).set());
    let provider = seeds(
        [
            Seed::new("harbours", fine),
            Seed::new("customs", busy).phase(Phase::Background),
            Seed::new("pilots", broken).critical(false),
        ],
        &set,
    );
    let config = Config::new(database.url()).migrator(|migrator| migrator.seed_attempts(1000));
    provider.init(config).unwrap_or_else(|error| panic!("{error}"));
    let health = provider.health().service_id("harbour");
    // It waits for longer each time.
    wait::until("a pause", || {
        let seeds = health.overview().ok()?.seeds;
        seeds.iter().any(|seed| seed.next_in.is_some_and(|next| next > Duration::from_secs(3))).then_some(())
    });
    let mut browser = browser();
    look(&mut browser, "seeds", &format!("http://{}/internal/status", serve(&health)));
    let told = text(&mut browser);
    for expected in [
        "a seed is missing",
        "customs",
        "retrying",
        "pilots",
        "not again by itself",
        "retry_seeding",
        "the service can do without it",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert!(!told.contains("secret"), "{told}");
    assert_eq!(refresh(&mut browser), Some(10));
    look(&mut browser, "seeds-shown", &format!("http://{}/internal/status", serve(&health.details(Details::Shown))));
    assert!(text(&mut browser).contains("secret_office"));
}

#[test]
fn five_hundred_migrations_are_readable_and_the_keyboard_unfolds_them() {
    let database = sqlite::fresh();
    let name = |number: usize| (format!("{number:04}_step_{number}_of_a_long_life"), "SELECT 1;");
    let provider = provider::<SqliteConnection>(&Folder::of(&(1..=500).map(name).collect::<Vec<_>>()).set());
    provider.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
    take_time(&database);
    let mut browser = browser();
    look(&mut browser, "five-hundred", &format!("http://{}/internal/status", serve(&provider.health())));
    let told = text(&mut browser);
    assert!(told.contains("500 applied") && told.contains("0500_step") && !told.contains("0001_step"), "{told}");
    assert!(browser.evaluate("document.querySelectorAll('svg g').length").as_u64().is_some_and(|bars| bars <= 100));
    assert!(browser.evaluate("document.documentElement.scrollHeight").as_u64().is_some_and(|high| high < 3000));
    browser.press("Tab");
    assert_eq!(browser.evaluate("document.activeElement.tagName"), "SUMMARY");
    let seen = "getComputedStyle(document.activeElement).outlineStyle + ' ' + getComputedStyle(document.activeElement).outlineWidth";
    assert_eq!(browser.evaluate(seen), "solid 3px");
    browser.press("Enter");
    wait::until("the fold to open", || text(&mut browser).contains("0001_step").then_some(()));
}

#[test]
fn a_migration_named_script_does_not_run() {
    let database = sqlite::fresh();
    let evil = "02_<script>document.title='gone'<&\"'><img src=x onerror=document.title=1>";
    let set = Folder::of(&[("01_t1", table(1).as_str()), (evil, "SELECT 1")]).set();
    let provider = seeds([Seed::new("</style><script>document.title='gone'</script>", broken).critical(false)], &set);
    provider.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
    let health = provider.health().service_id("</title><script>document.title='gone'</script>");
    let address = serve(&health);
    let mut browser = browser();
    look(&mut browser, "script", &format!("http://{address}/internal/status"));
    let told = text(&mut browser);
    assert!(told.contains(evil) && told.contains("</style><script>"), "{told}");
    assert_eq!(browser.evaluate("document.images.length + document.scripts.length + document.styleSheets.length"), 1);
    assert_eq!(
        browser.evaluate("document.title"),
        "Ready, and degraded · </title><script>document.title='gone'</script>"
    );
    let response = migrator::http::answer(&health, "/status");
    let policy = response.headers()["content-security-policy"].to_str().expect("text");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
}
