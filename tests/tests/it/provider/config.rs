//! What a service is told by its environment, and what it says when that is wrong.

use std::collections::HashMap;

use diesel::connection::LoadConnection;
use diesel::r2d2::R2D2Connection;
use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use migrator::{Config, DbProvider, Dialect, Error, MigrationSet};
use proptest::prelude::*;

use super::provider;
use crate::folder::Folder;

fn read<C>(vars: &[(&str, &str)]) -> Result<Config<C>, Error>
where
    C: R2D2Connection + LoadConnection<Backend: Dialect> + 'static,
{
    let vars: HashMap<&str, &str> = vars.iter().copied().collect();
    Config::from_vars(|name| vars.get(name).map(|value| (*value).to_owned()))
}

/// Names and values.
type Variables<'a> = &'a [(&'a str, &'a str)];

#[test]
fn reads_every_variable() {
    let vars = [
        ("DATABASE_URL", "postgres://app:secret@db/app?sslpassword=hidden"),
        ("MIGRATION_DATABASE_URL", "postgresql://owner:secret@db/app"),
        ("MIGRATOR_MODE", "wait-only"),
        ("MIGRATOR_ENV", "staging"),
        ("MIGRATOR_POOL_SIZE", "3"),
        ("MIGRATOR_POOL_TIMEOUT", "250ms"),
        ("MIGRATOR_CONNECT_TIMEOUT", "2m"),
        ("MIGRATOR_WAIT_TIMEOUT", "1h 30m"),
        ("MIGRATOR_SHUTDOWN_TIMEOUT", "5s"),
        ("MIGRATOR_LOCK_TIMEOUT", "30s"),
        ("MIGRATOR_BUSY_TIMEOUT", ""),
    ];
    let shown = format!("{:?}", read::<PgConnection>(&vars).unwrap_or_else(|error| panic!("{error}")));
    for word in [
        "postgres://app:***@db/app\"",
        "postgresql://owner:***@db/app\"",
        "WaitOnly",
        "Staging",
        "pool_size: 3",
        "pool_timeout: 250ms",
        "connect_timeout: 120s",
        "wait_timeout: 5400s",
        "shutdown_timeout: 5s",
        "lock_timeout: Some(30s)",
    ] {
        assert!(shown.contains(word), "{word} in {shown}");
    }
    assert!(!shown.contains("secret") && !shown.contains("hidden"), "{shown}");
}

#[test]
fn names_the_variable_that_is_wrong_and_not_its_value() {
    const GOOD: (&str, &str) = ("DATABASE_URL", "sqlite:app.db");
    let cases: [(Variables<'_>, &str, &str); 12] = [
        (&[], "config", "DATABASE_URL"),
        (&[("DATABASE_URL", "")], "config", "DATABASE_URL"),
        (&[GOOD, ("MIGRATOR_MODE", "s3cret")], "config", "MIGRATOR_MODE"),
        (&[GOOD, ("MIGRATOR_ENV", "s3cret")], "config", "MIGRATOR_ENV"),
        (&[GOOD, ("MIGRATOR_POOL_SIZE", "0")], "config", "MIGRATOR_POOL_SIZE"),
        (&[GOOD, ("MIGRATOR_POOL_SIZE", "s3cret")], "config", "MIGRATOR_POOL_SIZE"),
        (&[GOOD, ("MIGRATOR_POOL_TIMEOUT", "s3cret")], "config", "MIGRATOR_POOL_TIMEOUT"),
        (&[GOOD, ("MIGRATOR_CONNECT_TIMEOUT", "12")], "config", "MIGRATOR_CONNECT_TIMEOUT"),
        (&[("DATABASE_URL", "postgres://u:s3cret@h/d")], "scheme_mismatch", "DATABASE_URL"),
        (&[GOOD, ("MIGRATION_DATABASE_URL", "mysql://u:s3cret@h/d")], "scheme_mismatch", "MIGRATION_DATABASE_URL"),
        (&[("DATABASE_URL", "oracle://u:s3cret@h/d")], "unknown_scheme", "DATABASE_URL"),
        (&[("DATABASE_URL", "postgres://u:s3cret/x@h/d")], "invalid_url", "DATABASE_URL"),
    ];
    for (vars, code, name) in cases {
        let error = read::<SqliteConnection>(vars).expect_err("refused");
        assert_eq!(error.code(), code, "{vars:?}: {error}");
        assert!(error.message().contains(name), "{vars:?}: {error}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        assert!(!error.remedy().is_empty());
    }
    let error = read::<SqliteConnection>(&[GOOD, ("MIGRATOR_MODE", "serve")]).expect_err("refused");
    assert!(error.message().contains("migrate-and-serve, migrate-only, wait-only, check-only"), "{error}");
}

#[test]
fn a_scheme_that_is_not_the_connections_names_both() {
    let set = Folder::of_tables(1).set();
    fn check<C>(set: &MigrationSet, url: &str, words: [&str; 2])
    where
        C: R2D2Connection + LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let provider: DbProvider<C> = provider(set);
        let error = provider.init(Config::new(url)).expect_err("refused");
        assert_eq!(error.code(), "scheme_mismatch", "{error}");
        assert!(words.iter().all(|word| error.message().contains(word)), "{error}");
        assert_eq!(provider.state().name(), "failed");
    }
    check::<SqliteConnection>(&set, "postgres://u@h/d", ["postgres://", "sqlite"]);
    check::<SqliteConnection>(&set, "mariadb://u@h/d", ["mariadb://", "sqlite"]);
    check::<PgConnection>(&set, "mysql://u@h/d", ["mysql://", "postgres"]);
    check::<PgConnection>(&set, "app.db", ["sqlite", "postgres"]);
    check::<MysqlConnection>(&set, "postgresql://u@h/d", ["postgresql://", "mysql"]);
    check::<MysqlConnection>(&set, ":memory:", ["sqlite", "mysql"]);
}

/// What may stand in a password, as somebody wrote it: also what should have been written as `%40`.
fn passwords() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[A-Za-z0-9@:/?#%&=+ .,;'\"\\\\-]{8,24}").expect("a pattern")
}

/// Whether a text holds a part of a secret that somebody could recognise.
fn leaks(text: &str, secret: &str) -> bool {
    let chars: Vec<char> = secret.chars().collect();
    chars.windows(6).any(|part| text.contains(&part.iter().collect::<String>()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_secret_is_ever_shown(password in passwords(), query in passwords(), kind in 0..3_usize) {
        let scheme = ["postgres", "mysql", "mariadb"][kind];
        // Nobody listens on port 1.
        for url in [
            format!("{scheme}://app:{password}@127.0.0.1:1/db"),
            format!("{scheme}://app:{password}@127.0.0.1:1/db?password={query}"),
            format!("{scheme}://127.0.0.1:1/db?sslpassword={query}"),
            format!("app:{password}@127.0.0.1:1/db"),
        ] {
            let mut texts = Vec::new();
            let mut told = |config: Result<String, Error>| match config {
                Ok(text) => texts.push(text),
                Err(error) => texts.extend([error.to_string(), format!("{error:?}")]),
            };
            let vars = [("DATABASE_URL", url.as_str())];
            told(read::<PgConnection>(&vars).map(|config| format!("{config:?}")));
            told(read::<MysqlConnection>(&vars).map(|config| format!("{config:?}")));
            told(read::<SqliteConnection>(&vars).map(|config| format!("{config:?}")));
            told(connect::<PgConnection>(&url));
            told(connect::<MysqlConnection>(&url));
            for text in texts {
                prop_assert!(!leaks(&text, &password), "{password:?} in {text}");
                prop_assert!(!leaks(&text, &query), "{query:?} in {text}");
            }
        }
    }
}

fn connect<C>(url: &str) -> Result<String, Error>
where
    C: R2D2Connection + LoadConnection<Backend: Dialect> + Send + 'static,
{
    let set = MigrationSet::from_path(Folder::of_tables(1).path())?;
    let provider: DbProvider<C> = provider(&set);
    let config = Config::new(url).connect_timeout(std::time::Duration::ZERO);
    provider.init(config).map(|report| format!("{report:?} {report} {provider:?}"))
}
