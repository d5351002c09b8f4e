//! What a scraper reads, of a run that went well, one that did not, and seeds that were tried again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::SqliteConnection;
use diesel::connection::SimpleConnection;
use migrator::http::answer;
use migrator::{Config, Migrator, Seed, SeedError, SeedResult};
use migrator_tests::{Database, sqlite};
use prometheus_parse::{Scrape, Value};

use crate::folder::{Folder, table};
use crate::provider::provider;
use crate::seeds::TABLES;

/// The figures of this process, which other tests count in too.
fn scrape() -> HashMap<String, f64> {
    let text = migrator::metrics::render();
    let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).expect("a scraper can read it");
    let key = |sample: &prometheus_parse::Sample| {
        let mut labels: Vec<String> = sample.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        labels.sort();
        format!("{}{{{}}}", sample.metric, labels.join(","))
    };
    let value = |sample: &prometheus_parse::Sample| match &sample.value {
        Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => *value,
        Value::Histogram(buckets) => {
            assert!(buckets.windows(2).all(|pair| pair[0].count <= pair[1].count), "{sample:?}");
            buckets.last().map_or(0.0, |last| last.count)
        }
        Value::Summary(_) => panic!("{sample:?} cannot be added up over processes"),
    };
    scrape.samples.iter().map(|sample| (key(sample), value(sample))).collect()
}

static TRIES: AtomicU32 = AtomicU32::new(0);

fn falters(conn: &mut SqliteConnection) -> SeedResult {
    if TRIES.fetch_add(1, Ordering::SeqCst) == 0 {
        return Err(SeedError::transient("not yet"));
    }
    conn.batch_execute("INSERT INTO log VALUES ('falters')")?;
    Ok(1)
}

#[test]
fn a_scraper_reads_them() {
    let before = scrape();
    let since = |key: &str, now: &HashMap<String, f64>| now.get(key).unwrap_or(&0.0) - before.get(key).unwrap_or(&0.0);
    let (database, set) = (sqlite::fresh(), Folder::of(&[("01_tables", TABLES), ("02_t2", &table(2))]).set());
    let seeds = Box::leak(Box::new([Seed::new("falters_once", falters)]));
    let provider = provider::<SqliteConnection>(&set).seeds(seeds);
    provider.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
    let broken = Folder::of(&[("01_broken", "SELECT * FROM nowhere")]).set();
    Migrator::new(&broken).run(&mut sqlite::fresh().connect()).expect_err("it fails");
    let page = answer(&provider.health(), "/metrics");
    assert_eq!(page.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(page.body().contains("# TYPE migrator_migration_duration_seconds histogram"), "{}", page.body());
    assert!(page.body().contains("# HELP migrator_state "), "{}", page.body());
    let now = scrape();
    for (least, key) in [
        (2.0, "migrator_migrations_total{result=applied}"),
        (1.0, "migrator_migrations_total{result=failed}"),
        (2.0, "migrator_migration_duration_seconds{}"),
        (1.0, "migrator_run_duration_seconds{result=applied}"),
        (1.0, "migrator_run_duration_seconds{result=failed}"),
        (1.0, "migrator_lock_wait_seconds{}"),
        (1.0, "migrator_retries_total{class=seed}"),
        (1.0, "migrator_seed_attempts_total{result=retried,seed=falters_once}"),
        (1.0, "migrator_seed_attempts_total{result=applied,seed=falters_once}"),
    ] {
        assert!(since(key, &now) >= least, "{key}: {now:#?}");
    }
    for gauge in [
        "migrator_last_success_timestamp_seconds{}",
        "migrator_state{state=ready}",
        "migrator_migrations_applied{}",
        "migrator_migrations_pending{}",
        "migrator_database_ahead{}",
        "migrator_seeds{state=retrying}",
        "migrator_pool_connections{state=in_use}",
        "migrator_pool_connections{state=idle}",
        "migrator_pool_connections{state=waiting}",
    ] {
        assert!(now.contains_key(gauge), "{gauge}: {now:#?}");
    }
}
