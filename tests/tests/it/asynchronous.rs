//! diesel-async's connections, wrapped into diesel's: the same verbs, from a thread that may block.

use diesel::connection::LoadConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::{AsyncMysqlConnection, AsyncPgConnection};
use migrator::{Dialect, Migrator};
use migrator_tests::Database;
use tokio::runtime::{Builder, Runtime};

use crate::dialects::{Mariadb, Postgres, Subject, history};
use crate::folder::{Folder, table};

/// Runs a directory twice as a service would, from within a runtime, and a third time with a migration that fails.
fn runs<S: Subject, C>(runtime: &Runtime)
where
    C: LoadConnection<Backend: Dialect> + 'static,
{
    let database = S::fresh();
    let folder = Folder::of_tables(6);
    let run = || {
        let (set, url) = (folder.set(), database.url().to_owned());
        // A blocking call inside of a runtime needs a thread of its own; `block_in_place` would panic on a current-thread one.
        tokio::task::spawn_blocking(move || {
            let mut conn = C::establish(&url).expect("connect");
            Migrator::new(&set).run(&mut conn)
        })
    };
    let applied = runtime.block_on(async { run().await.expect("no panic").expect("a run") });
    assert_eq!(applied.applied().len(), 6);
    let unchanged = runtime.block_on(async { run().await.expect("no panic").expect("a run") });
    assert_eq!((unchanged.applied().len(), unchanged.skipped()), (0, 6));
    folder.write("07_t7/up.sql", format!("{}INSERT INTO nowhere VALUES (1);", table(7)));
    let error = runtime.block_on(async { run().await.expect("no panic").expect_err("there is no such table") });
    assert_eq!((error.code(), error.version()), ("statement_failed", Some("07")), "{error}");
    folder.write("07_t7/up.sql", table(7));
    runtime.block_on(async { run().await.expect("no panic").expect("a run") });
    assert_eq!(history(&database).last().map(String::as_str), Some("applied 07"));
}

type Wrapped<C> = AsyncConnectionWrapper<C>;

#[test]
fn on_a_current_thread_runtime() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runs::<Postgres, Wrapped<AsyncPgConnection>>(&runtime);
    runs::<Mariadb, Wrapped<AsyncMysqlConnection>>(&runtime);
}

#[test]
fn on_a_multi_thread_runtime() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runs::<Postgres, Wrapped<AsyncPgConnection>>(&runtime);
    runs::<Mariadb, Wrapped<AsyncMysqlConnection>>(&runtime);
}
