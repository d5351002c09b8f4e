//! The provider in an async service: no thread of the runtime is blocked, whatever kind of runtime it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use migrator::{Config, Event};
use migrator_tests::Database;
use tokio::runtime::{Builder, Runtime};

use super::{Gate, provider};
use crate::dialects::Subject;
use crate::folder::Folder;

on_each_dialect!(on_a_current_thread_runtime, on_a_multi_thread_runtime);

fn on_a_current_thread_runtime<S: Subject>() {
    serves::<S>(&Builder::new_current_thread().enable_all().build().expect("a runtime"));
}

fn on_a_multi_thread_runtime<S: Subject>() {
    serves::<S>(&Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime"));
}

/// A migration waits until the runtime's only thread has done something else, which it could not if it was blocked.
fn serves<S: Subject>(runtime: &Runtime) {
    let (database, set) = (S::fresh(), Folder::of_tables(2).set());
    let provider = Arc::new(provider::<S::Connection>(&set));
    let (gate, reached) = (Gate::default(), Arc::new(AtomicBool::new(false)));
    let (theirs, here) = (gate.clone(), Arc::clone(&reached));
    let config = Config::new(database.url()).pool_size(1).on_event(move |event| {
        if let Event::Started { step: 2, .. } = event {
            here.store(true, Ordering::SeqCst);
            theirs.pass();
        }
    });
    runtime.block_on(async {
        let starting = tokio::spawn({
            let provider = Arc::clone(&provider);
            async move { provider.init_async(config).await }
        });
        while !reached.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(provider.get_async().await.err().expect("not yet").code(), "initializing");
        gate.open();
        let report = starting.await.expect("no panic").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(report.migrations.map(|run| run.applied().len()), Some(2));
        let mut conn = provider.get_async().await.unwrap_or_else(|error| panic!("{error}"));
        // The pool is empty: whoever asks waits, and does not keep this thread.
        let waiting = tokio::spawn({
            let provider = Arc::clone(&provider);
            async move { provider.get_async().await.map(drop) }
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
        conn.batch_execute("INSERT INTO t1 VALUES (7)").expect("it works");
        drop(conn);
        waiting.await.expect("no panic").unwrap_or_else(|error| panic!("{error}"));
        provider.shutdown_async().await.unwrap_or_else(|error| panic!("{error}"));
        assert!(provider.get_async().await.err().expect("over").is_shut_down());
    });
}
