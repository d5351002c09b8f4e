//! A boot: what an init does, what a second one does, and what is given out.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use migrator::{Config, DatabaseState, Event, ProviderState};
use migrator_tests::Database;

use super::{States, provider};
use crate::dialects::{Subject, history, tables};
use crate::folder::Folder;

on_each_dialect!(
    migrates_then_changes_nothing,
    is_done_once_for_eight_threads,
    fails_and_is_called_again,
    gives_out_connections,
    keeps_the_settings_of_scripts_from_the_service,
    turns_a_panic_of_the_hook_into_an_error,
);

fn migrates_then_changes_nothing<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(2).set());
    let first = provider::<S::Connection>(&set);
    let (config, states) = States::of(Config::new(database.url()), |_| {});
    let report = first.init(config).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.migrations.as_ref().map(|run| run.applied().len()), Some(2), "{report}");
    assert_eq!(report.state, ProviderState::Ready);
    assert_eq!(states.names(), ["starting", "migrating", "verifying", "ready"]);
    let progress = states.all();
    let second = |state: &ProviderState| matches!(state, ProviderState::Migrating { step: 2, steps: 2, name, statement: 2 } if name == "02_t2");
    assert!(progress.iter().any(second), "{progress:#?}");
    assert!(first.is_initialized() && first.is_seeding_successful() && !first.is_retrying_seeding());
    assert_eq!(first.status().unwrap_or_else(|error| panic!("{error}")).state(), DatabaseState::UpToDate);
    let before = history(&database);

    let again = first.init(Config::new("postgres://nobody@nowhere/else")).expect("the outcome of the first call");
    assert_eq!(again.migrations.map(|run| run.applied().len()), Some(2));

    let second = provider::<S::Connection>(&set);
    let (config, states) = States::of(Config::new(database.url()), |_| {});
    let report = second.init(config).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.migrations.map(|run| (run.applied().len(), run.skipped())), Some((0, 2)));
    assert_eq!(states.names(), ["starting", "verifying", "ready"]);
    assert_eq!(history(&database), before);
}

fn is_done_once_for_eight_threads<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(3).set());
    let provider = provider::<S::Connection>(&set);
    let (barrier, begun) = (Barrier::new(8), Arc::new(AtomicUsize::new(0)));
    let reports: Vec<String> = thread::scope(|scope| {
        let init = || {
            let begun = Arc::clone(&begun);
            let config = Config::new(database.url()).on_event(move |event| {
                if matches!(event, Event::State { to: ProviderState::Starting, .. }) {
                    begun.fetch_add(1, Ordering::SeqCst);
                }
            });
            barrier.wait();
            provider.init(config).unwrap_or_else(|error| panic!("{error}")).to_string()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(init)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(reports.iter().all(|report| *report == reports[0]), "one outcome: {reports:#?}");
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    let applied = history(&database).iter().filter(|record| record.starts_with("applied")).count();
    assert_eq!(applied, 3);
}

fn fails_and_is_called_again<S: Subject>() {
    let database = S::fresh();
    let set = Folder::of(&[("01_needs", "INSERT INTO made_by_hand VALUES (1)")]).set();
    let provider = provider::<S::Connection>(&set);
    let config = || Config::new(database.url()).migrator(|migrator| migrator.non_empty(migrator::Policy::Allow));
    let (failing, states) = States::of(config(), |_| {});
    let error = provider.init(failing).expect_err("there is no such table");
    assert_eq!(error.code(), "statement_failed", "{error}");
    assert!(error.place().is_some() && error.report().is_some(), "{error}");
    assert_eq!(states.names(), ["starting", "migrating", "failed"]);
    let ProviderState::Failed { stage, code, retryable, .. } = provider.state() else { panic!("{provider:?}") };
    assert_eq!((stage.name(), code, retryable), ("migrate", "statement_failed", false));
    let refused = provider.get().err().expect("nothing to give");
    assert_eq!((refused.code(), refused.remedy()), ("init_failed", error.remedy()));
    assert!(!provider.is_initialized() && !provider.is_seeding_successful());

    database.execute("CREATE TABLE made_by_hand (id INTEGER)");
    let report = provider.init(config()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.migrations.map(|run| run.applied().len()), Some(1));
    assert_eq!(provider.state(), ProviderState::Ready);
}

fn gives_out_connections<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(1).set());
    let provider = provider::<S::Connection>(&set);
    let refused = |error: Option<migrator::Error>| error.expect("refused").code();
    assert_eq!(refused(provider.get().err()), "not_initialized");
    assert_eq!(refused(provider.pool().err()), "not_initialized");
    assert_eq!(refused(provider.retry_seeding().err()), "not_initialized");
    let config = Config::new(database.url()).pool_size(2).pool_timeout(Duration::from_secs(1));
    provider.init(config).unwrap_or_else(|error| panic!("{error}"));
    let mut first = provider.get().expect("one");
    first.batch_execute("INSERT INTO t1 VALUES (7)").expect("it works");
    let second = provider.get().expect("two");
    let exhausted = provider.get().err().expect("no third");
    assert!(exhausted.is_pool_timeout() && exhausted.message().contains("2 of 2 are in use"), "{exhausted}");
    drop(second);
    drop(provider.get().expect("one came back"));
    assert_eq!(provider.pool().expect("a pool").max_size(), 2);
    assert_eq!(database.row_counts()["t1"], 2);
}

fn keeps_the_settings_of_scripts_from_the_service<S: Subject>() {
    let database = S::fresh();
    let [on, _, ask] = S::SETTING;
    let before = S::texts(&mut database.connect(), ask);
    let set = Folder::of(&[("01_sets", format!("{on};\nCREATE TABLE t1 (id INTEGER)"))]).set();
    let provider = provider::<S::Connection>(&set);
    let config = Config::new(database.url()).migrator(move |migrator| migrator.session(on, ()));
    provider.init(config).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(S::texts(&mut *provider.get().expect("a connection"), ask), before);
    assert_eq!(tables(&database), ["t1"]);
}

fn turns_a_panic_of_the_hook_into_an_error<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(2).set());
    let provider = provider::<S::Connection>(&set);
    let config = Config::new(database.url())
        .on_event(|event| assert!(!matches!(event, Event::Started { step: 2, .. }), "the host's hook panics"));
    let error = provider.init(config).expect_err("a panic");
    assert!(error.code() == "panicked" && error.message().contains("the host's hook panics"), "{error}");
    assert_eq!(provider.state().name(), "failed");
    provider.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(database.row_counts().len(), 2);
}
