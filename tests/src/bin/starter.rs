//! A service that starts: connects, reads a migrations directory, brings the database up to date, and tells how it went.
//!
//! `starter URL DIRECTORY [WORD…]`; the words are
//!
//! - `barrier`: connected and the directory read, it prints `ready` and waits for a line on its input.
//! - `step`: after each event it waits for a line on its input. A parent can so kill it exactly there.
//! - `panic=EVENT`: the hook panics at the first event of that name.
//! - `backup=DIR`: makes a backup before the first change, with the programs of `programs=DIR`.
//! - `revert=VERSION`: reverts down to this version instead of running.
//! - `restore=FILE`: restores this backup into the database, and does nothing else.
//! - `memory`: tells at its end how much memory it used at most, `memory KIB`.
//! - `seeds=DIRECTORY`: seeds it afterwards with the files of that directory.
//! - `lock-timeout=MS`, `statement-timeout=MS`, `schema=NAME`, `set=NAME`, `wal`: options of the run and of the connection.
//!
//! Each event is one line of output, `event Statement { number: 1, of: 3 }`. The last lines are `ok APPLIED SKIPPED` and
//! the report, or `error CODE` and the error. When its input ends it exits: a parent that is gone leaves nothing behind.

use std::{
    env,
    io::{self, Write},
    process::{self, ExitCode},
    time::Duration,
};

use diesel::{Connection, MysqlConnection, PgConnection, SqliteConnection, connection::LoadConnection};
use migrator::backup::{Backup, Restore};
use migrator::{Dialect, Error, MigrationSet, Migrator, Seed, Target};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let [url, directory, options @ ..] = &words[..] else { panic!("usage: starter URL DIRECTORY [WORD…]") };
    let options = Options(options.to_vec());
    if let Some(file) = options.value("restore") {
        return match Restore::of(file).into(url) {
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => panic!("{error}"),
        };
    }
    match url.split_once("://").map(|(scheme, _)| scheme) {
        Some("postgres") => serve(connect::<PgConnection>(url), url, directory, &options),
        Some("mysql") => serve(connect::<MysqlConnection>(url), url, directory, &options),
        _ => {
            let mut connection = connect::<SqliteConnection>(url);
            if options.has("wal") {
                use diesel::connection::SimpleConnection;
                connection.batch_execute("PRAGMA journal_mode = wal").expect("switch to WAL");
            }
            serve(connection, url, directory, &options)
        }
    }
}

struct Options(Vec<String>);

impl Options {
    fn has(&self, word: &str) -> bool {
        self.0.iter().any(|option| option == word)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }

    fn time(&self, name: &str) -> Option<Duration> {
        self.value(name).map(|value| Duration::from_millis(value.parse().expect("milliseconds")))
    }
}

fn connect<C: Connection>(url: &str) -> C {
    C::establish(url).unwrap_or_else(|error| panic!("connect: {error}"))
}

fn serve<C: LoadConnection<Backend: Dialect> + 'static>(
    mut connection: C,
    url: &str,
    directory: &str,
    options: &Options,
) -> ExitCode {
    let set = MigrationSet::from_path(directory).unwrap_or_else(|error| panic!("{error}"));
    let (step, panics) = (options.has("step"), options.value("panic").map(str::to_owned));
    let mut migrator = Migrator::new(&set).on_event(move |event| {
        let event = format!("{event:?}");
        say(&format!("event {event}"));
        if step {
            wait();
        }
        assert!(panics.as_ref().is_none_or(|name| !event.starts_with(name.as_str())), "as the test wants it");
    });
    if let Some(time) = options.time("lock-timeout") {
        migrator = migrator.lock_timeout(time);
    }
    if let Some(time) = options.time("statement-timeout") {
        migrator = migrator.statement_lock_timeout(time);
    }
    if let Some(schema) = options.value("schema") {
        migrator = migrator.schema(schema);
    }
    if let Some(name) = options.value("set") {
        migrator = migrator.set_name(name);
    }
    if let Some(folder) = options.value("backup") {
        let mut backup = Backup::to(folder).url(url);
        if let Some(programs) = options.value("programs") {
            backup = backup.programs(programs);
        }
        migrator = migrator.backup_before(backup);
    }
    if options.has("barrier") {
        say("ready");
        wait();
    }
    let done = match options.value("revert") {
        Some(version) => migrator.revert(&mut connection, Target::version(version)),
        None => migrator.run(&mut connection),
    };
    let done = done.and_then(|report| {
        seed(&migrator, &mut connection, options)?;
        Ok(report)
    });
    if options.has("memory") {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells what a process uses");
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is in the list");
        say(&format!("memory {}", most.trim().trim_end_matches(" kB")));
    }
    match done {
        Ok(report) => {
            let done = report.applied().len() + report.reverted().len();
            say(&format!("ok {done} {}\n{report}", report.skipped()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("error {}\n{error}", error.code()));
            ExitCode::FAILURE
        }
    }
}

fn seed<C>(migrator: &Migrator<C>, connection: &mut C, options: &Options) -> Result<(), Error>
where
    C: LoadConnection<Backend: Dialect> + 'static,
{
    let Some(directory) = options.value("seeds") else { return Ok(()) };
    let seeds = Seed::from_path(directory)?;
    let report = migrator.seed(connection, &seeds)?;
    say(&format!("{report}"));
    Ok(())
}

fn say(line: &str) {
    let mut output = io::stdout().lock();
    let said = writeln!(output, "{line}").and_then(|()| output.flush());
    if said.is_err() {
        process::abort();
    }
}

fn wait() {
    let mut line = String::new();
    if io::stdin().read_line(&mut line).is_ok_and(|length| length > 0) {
        return;
    }
    process::exit(3)
}
