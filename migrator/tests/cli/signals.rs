//! Ctrl-C and SIGTERM: what runs is cancelled and undone, that is recorded, the lock is free, and the exit code says it.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use diesel::connection::SimpleConnection;
use migrator_tests::{Database, servers, sqlite, wait};

use super::project::{FIRST, Project};

/// A run that is at work.
struct Run {
    child: Child,
    err: BufReader<std::process::ChildStderr>,
}

impl Run {
    fn start(project: &Project, url: &str) -> Self {
        Self::of(&mut project.command(&["run", "--database-url", url]))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the tool can be started");
        let err = BufReader::new(child.stderr.take().expect("piped"));
        Self { child, err }
    }

    /// Reads up to a line that begins so.
    fn until(&mut self, start: &str) {
        let mut said = String::new();
        while self.err.read_line(&mut said).expect("stderr is text") > 0 {
            if said.lines().last().is_some_and(|line| line.starts_with(start)) {
                return;
            }
        }
        panic!("the tool ended before it said {start}: {said}");
    }

    fn signal(&self, name: &str) {
        self.signal_to(name, &self.child.id().to_string());
    }

    fn signal_to(&self, name: &str, who: &str) {
        let sent = Command::new("kill").args(["-s", name, "--", who]).status().expect("kill is there");
        assert!(sent.success(), "the tool has ended");
    }

    /// The exit code, and what else was said.
    fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.err.read_to_string(&mut said).expect("stderr is text");
        (self.child.wait().expect("wait for the tool").code(), said)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and that is all right.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const LONG: &str = "20240102000000_long";

/// A signal in the middle of a statement that would take minutes.
fn cancels(database: &impl Database, signal: &str, code: i32, sleep: &str, running: &str) {
    let script = format!("INSERT INTO users VALUES (1);\nSELECT {sleep};\n");
    let project = Project::new(&[FIRST, (LONG, &script)]);
    let mut run = Run::start(&project, database.url());
    run.until(&format!("applying {LONG}"));
    wait::until("the statement", || (!database.texts(running).is_empty()).then_some(()));
    run.signal(signal);
    let (ended, said) = run.end();
    assert_eq!(ended, Some(code), "{said}");
    assert!(said.contains("interrupted: ending what runs") && said.contains("error[interrupted]"), "{said}");
    assert!(said.contains(&format!("--> migrations/{LONG}/up.sql:2:1")), "{said}");
    assert_eq!(database.texts(running), [""; 0], "the server goes on with it");
    let last = "SELECT CAST(event AS CHAR(20)) AS value FROM __migrator_history ORDER BY sequence DESC";
    assert_eq!(database.texts(last)[0].trim(), "interrupted");

    assert_eq!(database.row_counts()["users"], 0, "the migration was undone");
    project.write(LONG, "INSERT INTO users VALUES (1);\n");
    // Nobody holds the lock.
    project.migrator(database.url(), &["run", "--lock-timeout", "1ms"]).exits(0);
    assert_eq!(database.row_counts()["users"], 1);
}

const OF_POSTGRES: &str = "SELECT pid::text AS value FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
                           AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()";
const OF_MARIADB: &str = "SELECT CAST(id AS CHAR(20)) AS value FROM information_schema.processlist WHERE db = DATABASE() \
                          AND state = 'User sleep'";

#[test]
fn postgres_cancels_at_ctrl_c() {
    cancels(&servers::postgres().fresh(), "INT", 130, "pg_sleep(600)", OF_POSTGRES);
}

#[test]
fn postgres_cancels_at_sigterm() {
    cancels(&servers::postgres().fresh(), "TERM", 143, "pg_sleep(600)", OF_POSTGRES);
}

#[test]
fn mariadb_cancels_at_ctrl_c() {
    cancels(&servers::mariadb().fresh(), "INT", 130, "sleep(600)", OF_MARIADB);
}

#[test]
fn mariadb_cancels_at_sigterm() {
    cancels(&servers::mariadb().fresh(), "TERM", 143, "sleep(600)", OF_MARIADB);
}

/// What a script is at when it is cancelled, and what is left of it.
struct Cancelled<'a, D: Database> {
    database: &'a D,
    /// The first statement takes, the second one is at work when the signal comes.
    script: &'a str,
    running: &'a str,
    /// What the second one becomes for the next run.
    then: &'a str,
}

/// SIGTERM in the middle of the second statement of a script that no transaction holds: the first one stays and is recorded, and the
/// next run goes on behind it.
fn goes_on_behind<D: Database, H>(at: &Cancelled<'_, D>, hold: impl FnOnce(&Project) -> H) {
    let Cancelled { database, script, running, then } = at;
    let project = Project::new(&[FIRST]);
    let held = hold(&project);
    project.write(LONG, script);
    let mut run = Run::start(&project, database.url());
    run.until(&format!("applying {LONG}"));
    wait::until("the statement", || (!database.texts(running).is_empty()).then_some(()));
    run.signal("TERM");
    let (ended, said) = run.end();
    assert_eq!(ended, Some(143), "{said}");
    assert!(said.contains("interrupted: ending what runs") && said.contains("error[interrupted]"), "{said}");
    assert!(said.contains("statement 2"), "{said}");
    assert_eq!(database.texts(running), [""; 0], "the server goes on with it");
    let events = "SELECT CAST(event AS CHAR(20)) AS value FROM __migrator_history ORDER BY sequence DESC";
    assert_eq!(database.texts(events)[0].trim(), "interrupted");
    assert_eq!(database.row_counts()["users"], 1, "the first statement took: {said}");
    let status = project.migrator(database.url(), &["status", "--json"]).exits(2).json();
    assert_eq!(
        (&status["state"], &status["migrations"][1]["state"]),
        (&"blocked".into(), &"failed".into()),
        "{status}"
    );
    let plan = project.migrator(database.url(), &["plan"]).exits(2).out();
    assert!(plan.contains("resumes at statement 2"), "{plan}");

    drop(held);
    project.write(LONG, then);
    // Nobody holds the lock.
    project.migrator(database.url(), &["run", "--lock-timeout", "1ms"]).exits(0);
    assert_eq!(database.row_counts()["users"], 1, "the first statement did not take again");
    project.migrator(database.url(), &["status"]).exits(0);
}

#[test]
fn a_change_of_a_table_of_mariadb_is_cancelled() {
    let database = servers::mariadb().fresh();
    let script = "INSERT INTO users VALUES (1);\nALTER TABLE users ADD COLUMN name TEXT;\n";
    let running = "SELECT state AS value FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE '%ALTER TABLE users%' \
                   AND state LIKE 'Waiting for table%' AND id <> CONNECTION_ID()";
    let at = Cancelled { database: &database, script, running, then: script };
    goes_on_behind(&at, |project| {
        project.migrator(database.url(), &["run"]).exits(0);
        // It reads the table, which so cannot be changed.
        let mut reader = database.connect();
        reader.batch_execute("BEGIN; SELECT * FROM users").expect("read");
        reader
    });
    let columns = "SELECT column_name AS value FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'users' \
                   ORDER BY ordinal_position";
    assert_eq!(database.texts(columns), ["id", "name"]);
}

#[test]
fn a_script_of_postgres_without_a_transaction_is_cancelled() {
    let database = servers::postgres().fresh();
    let begin = "-- migrator: no-transaction\nINSERT INTO users VALUES (1);\n";
    let (script, then) = (format!("{begin}SELECT pg_sleep(600);\n"), format!("{begin}CREATE TABLE more (id INT);\n"));
    let at = Cancelled { database: &database, script: &script, running: OF_POSTGRES, then: &then };
    goes_on_behind(&at, |_| ());
    assert_eq!(database.row_counts()["more"], 0);
}

#[test]
fn an_index_of_postgres_that_is_made_concurrently_is_cancelled() {
    let database = servers::postgres().fresh();
    let script =
        "-- migrator: no-transaction\nINSERT INTO users VALUES (1);\nCREATE INDEX CONCURRENTLY by_id ON users (id);\n";
    let running = "SELECT query AS value FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                   AND query LIKE '%CONCURRENTLY by_id%' AND pid <> pg_backend_pid()";
    let indexes = "SELECT indexrelid::regclass || ' ' || indisvalid AS value FROM pg_index WHERE indrelid = 'users'::regclass ORDER BY 1";
    let at = Cancelled { database: &database, script, running, then: script };
    goes_on_behind(&at, |project| {
        project.migrator(database.url(), &["run"]).exits(0);
        // It writes to the table, and the index waits for its end.
        let mut writer = database.connect();
        writer.batch_execute("BEGIN; DELETE FROM users").expect("write");
        writer
    });
    assert_eq!(database.texts(indexes), ["by_id true", "users_pkey true"], "what was left INVALID is gone");
}

/// A statement that keeps SQLite busy.
fn count_to(rows: u64) -> String {
    format!(
        "INSERT INTO users WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < {rows}) \
         SELECT max(n) FROM count;\n"
    )
}

#[test]
fn sqlite_ends_after_the_statement() {
    let database = sqlite::fresh();
    let script = format!("{}INSERT INTO users VALUES (7);\n", count_to(3_000_000));
    let project = Project::new(&[FIRST, (LONG, &script)]);
    let mut run = Run::start(&project, database.url());
    run.until(&format!("applying {LONG}"));
    run.signal("INT");
    let (ended, said) = run.end();
    assert_eq!(ended, Some(130), "{said}");
    assert_eq!(database.row_counts()["users"], 0, "the migration was undone: {said}");
    let kinds = database.texts("SELECT event AS value FROM __migrator_history ORDER BY sequence");
    assert_eq!(kinds, ["applied", "interrupted"], "{said}");
    let status = project.migrator(database.url(), &["status"]).exits(2).out();
    assert!(status.contains("last attempt: "), "{status}");
}

#[test]
fn a_second_signal_stops_at_once() {
    let database = sqlite::fresh();
    let project = Project::new(&[FIRST, (LONG, &count_to(1_000_000_000_000))]);
    let mut run = Run::start(&project, database.url());
    run.until(&format!("applying {LONG}"));
    run.signal("INT");
    run.until("interrupted: ");
    run.signal("TERM");
    assert_eq!(run.end().0, Some(143));
    assert!(
        database.texts("SELECT name AS value FROM sqlite_master WHERE name = 'users'").is_empty(),
        "nothing is committed"
    );
}

#[test]
fn who_waits_for_the_lock_is_interrupted_too() {
    let database = servers::postgres().fresh();
    let project = Project::new(&[FIRST, (LONG, "SELECT pg_sleep(600);")]);
    let mut holder = Run::start(&project, database.url());
    holder.until(&format!("applying {LONG}"));
    let mut waiter = Run::start(&project, database.url());
    waiter.until("waiting for the migration lock");
    waiter.signal("TERM");
    assert_eq!(waiter.end().0, Some(143));
    wait::until("the statement", || (!database.texts(OF_POSTGRES).is_empty()).then_some(()));
    holder.signal("INT");
    assert_eq!(holder.end().0, Some(130));
}

/// What only reads has nothing to undo.
#[test]
fn who_waits_for_a_database_ends_at_once() {
    let project = Project::new(&[]);
    let mut command =
        project.command(&["wait", "--timeout", "10m", "--database-url", "postgres://app@127.0.0.1:1/app"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the tool can be started");
    let pid = child.id().to_string();
    // It listens from the moment on at which the signal is caught.
    let caught = wait::until("the listener", || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t").map(str::to_owned))?;
        u64::from_str_radix(caught.trim(), 16).ok().filter(|signals| signals & (1 << 14) != 0)
    });
    assert_ne!(caught, 0);
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().expect("kill is there").success());
    let output = child.wait_with_output().expect("wait for the tool");
    assert_eq!(output.status.code(), Some(143), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A folder with a program that says its number in a file of the same name, and goes on as the script says.
fn program(project: &Project, name: &str, script: &str) -> String {
    let folder = project.path().join("programs");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let file = folder.join(name);
    let text =
        format!("#!/bin/sh\ncase \"$*\" in *--version*) exec {name} \"$@\";; esac\necho $$ > {name}.pid\n{script}\n");
    std::fs::write(&file, text).expect("a script can be written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("it becomes a program");
    folder.to_str().expect("a path").to_owned()
}

/// The number of that program, once it runs.
fn pid_of(project: &Project, name: &str) -> String {
    wait::until("the program", || {
        let pid = std::fs::read_to_string(project.path().join(format!("{name}.pid"))).ok()?;
        pid.strip_suffix('\n').map(str::to_owned)
    })
}

/// The program that copies holds locks, and must not outlive who started it.
#[test]
fn a_backup_takes_its_program_with_it() {
    let (database, project) = (servers::postgres().fresh(), Project::new(&[FIRST]));
    let programs = program(&project, "pg_dump", "exec sleep 600");
    for (args, signal, code) in [(&["backup"][..], "TERM", 143), (&["backup", "--out", "copy"], "INT", 130)] {
        let args = [args, &["--database-url", database.url(), "--programs", &programs]].concat();
        let run = Run::of(&mut project.command(&args));
        let pid = pid_of(&project, "pg_dump");
        run.signal(signal);
        let (ended, said) = run.end();
        assert_eq!(ended, Some(code), "{said}");
        assert!(said.contains("error[interrupted]"), "{said}");
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "it goes on");
        std::fs::remove_file(project.path().join("pg_dump.pid")).expect("it was there");
    }
    let listed = project.migrator(database.url(), &["backups", "--json"]).exits(0).json();
    assert_eq!(listed["backups"].as_array().map(Vec::len), Some(0));
}

/// Ctrl-C, which every program at the terminal hears, in the middle of what loads the database.
#[test]
fn a_restore_comes_to_its_end() {
    let (database, project) = (servers::mariadb().fresh(), Project::new(&[FIRST]));
    project.migrator(database.url(), &["run"]).exits(0);
    database.execute("INSERT INTO users VALUES (1)");
    project.migrator(database.url(), &["backup", "--out", "copy.sql"]).exits(0);
    database.execute("DELETE FROM users");
    let programs = program(&project, "mariadb", "until [ -e go ]; do sleep 0.05; done; exec mariadb \"$@\"");
    program(&project, "mariadb-dump", "exec mariadb-dump \"$@\"");
    let args = ["restore", "copy.sql", "--database-url", database.url(), "--programs", &programs];
    let mut run = Run::of(project.command(&args).process_group(0));
    pid_of(&project, "mariadb");
    run.signal_to("INT", &format!("-{}", run.child.id()));
    run.until("interrupted: ");
    std::fs::write(project.path().join("go"), "").expect("a file can be written");
    let (ended, said) = run.end();
    assert_eq!(ended, Some(130), "{said}");
    assert_eq!(database.row_counts()["users"], 1, "{said}");
}
