//! A real terminal: the bar, what is printed around it, and the key that ends a run.

use std::cell::{Cell, RefCell};
use std::process::{Command, Output};

use migrator_tests::{Database, servers, sqlite, wait};

use super::project::{FIRST, Project, TOOL};

/// A terminal of 100 columns, in which a person types; gone when it is dropped.
struct Terminal {
    /// Of a server of its own.
    socket: tempfile::TempDir,
    /// How many commands were typed.
    typed: Cell<u32>,
}

impl Terminal {
    fn open(project: &Project) -> Self {
        let terminal =
            Self { socket: tempfile::tempdir().expect("a temporary folder can be made"), typed: Cell::new(0) };
        let folder = project.path().display().to_string();
        let shell = ["new-session", "-d", "-s", "tool", "-x", "100", "-y", "40", "-c", &folder];
        terminal.tmux(&[&shell[..], &["env", "-u", "NO_COLOR", "TERM=screen-256color", "PS1=$ ", "sh"]].concat());
        terminal
    }

    fn tmux(&self, args: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.socket.path().join("socket")).args(["-f", "/dev/null"]).args(args);
        // The terminal that the tests run in, if they run in one, is another.
        command.env_remove("TMUX").env_remove("MIGRATION_DATABASE_URL").env_remove("MIGRATOR_ENV");
        let output = command.output().unwrap_or_else(|error| panic!("tmux: {error}; scripts/test installs it"));
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn types(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys", "-t", "tool"], keys].concat());
    }

    /// Starts the tool.
    fn runs(&self, args: &str, url: &str) {
        self.typed.update(|typed| typed + 1);
        let number = self.typed.get();
        self.types(&[
            &format!("clear; DATABASE_URL='{url}' {TOOL} {args}; echo \"number {number} ended: $?\""),
            "Enter",
        ]);
    }

    /// The screen, once the tool that was started last has ended with this exit code.
    fn ends(&self, code: u8) -> String {
        self.shows(&format!("number {} ended: {code}", self.typed.get()))
    }

    fn screen(&self, more: &[&str]) -> String {
        let output = self.tmux(&[&["capture-pane", "-p", "-J", "-t", "tool"], more].concat());
        String::from_utf8(output.stdout).expect("the screen is text")
    }

    /// The screen, once it shows this.
    fn shows(&self, what: &str) -> String {
        let last = RefCell::new(String::new());
        let seen = wait::within(wait::DEADLINE, || {
            last.replace(self.screen(&[]));
            last.borrow().contains(what).then(|| last.borrow().clone())
        });
        seen.unwrap_or_else(|| panic!("{what} is not on the screen:\n{}", last.borrow()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let socket = self.socket.path().join("socket");
        let _gone_already = Command::new("tmux").arg("-S").arg(socket).arg("kill-server").output();
    }
}

const LONG: &str = "20240102000000_long";

#[test]
fn a_long_run_has_a_bar_and_ctrl_c_ends_it() {
    let database = servers::postgres().fresh();
    let project = Project::new(&[FIRST, (LONG, "SELECT 1;\nSELECT pg_sleep(600);\n")]);
    let terminal = Terminal::open(&project);
    terminal.runs("run", database.url());
    let screen = terminal.shows("statement 2 of 2");
    let bar = screen.lines().find(|line| line.contains("statement 2 of 2")).expect("it is on the screen");
    assert!(bar.contains("] 1/2 ") && bar.contains(LONG), "{bar}");
    terminal.types(&["C-c"]);
    let screen = terminal.ends(130);
    assert!(screen.contains("interrupted: ending what runs"), "{screen}");
    assert!(screen.contains("error[interrupted]"), "{screen}");
    assert!(!screen.contains("] 1/2 "), "the bar is gone: {screen}");
    let last = "SELECT event AS value FROM __migrator_history ORDER BY sequence DESC";
    assert_eq!(database.texts(last)[0], "interrupted");
}

#[test]
fn postgres_tells_how_far_an_index_is() {
    let database = servers::postgres().fresh();
    database.execute(
        "CREATE TABLE sizes (id integer, pad text);
         INSERT INTO sizes SELECT n, repeat('x', 500) FROM generate_series(1, 3000) n;
         CREATE FUNCTION slow(id integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_sleep(0.005); RETURN id; END';",
    );
    let script = "-- migrator: no-transaction\nCREATE INDEX CONCURRENTLY by_slow ON sizes (slow(id));\n";
    let project = Project::new(&[(LONG, script)]);
    let terminal = Terminal::open(&project);
    terminal.runs("run --allow-non-empty", database.url());
    let screen = terminal.shows(" %");
    let bar = screen.lines().find(|line| line.contains(" %")).expect("it is on the screen");
    assert!(bar.contains("statement 1 of 1, ") && bar.contains("index ") && bar.contains(" %: "), "{bar}");
    terminal.types(&["C-c"]);
    terminal.ends(130);
}

#[test]
fn a_restore_has_a_bar_of_its_bytes() {
    let database = servers::postgres().fresh();
    // The index takes long where the backup is brought back, and only there.
    database.execute(
        "CREATE TABLE sizes (id integer);
         INSERT INTO sizes VALUES (1);
         CREATE FUNCTION slow(id integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS
             'BEGIN IF current_database() LIKE ''%_migrator_restore_%'' THEN PERFORM pg_sleep(600); END IF; RETURN id; END';
         CREATE INDEX by_slow ON sizes (slow(id));",
    );
    let project = Project::new(&[FIRST]);
    project.migrator(database.url(), &["backup", "--out", "one.dump"]).exits(0);
    let terminal = Terminal::open(&project);
    terminal.runs("restore one.dump", database.url());
    let screen = terminal.shows("] restoring, ");
    let bar = screen.lines().find(|line| line.contains("] restoring, ")).expect("it is on the screen");
    assert!(bar.contains("B of ") && bar.contains("B read, "), "{bar}");
    let ended = wait::within(wait::DEADLINE, || {
        let of =
            "datname LIKE left(current_database(), 24) || '_migrator_restore_%' AND application_name = 'pg_restore'";
        let end = format!("SELECT pg_terminate_backend(pid)::text AS value FROM pg_stat_activity WHERE {of}");
        (!database.texts(&end).is_empty()).then_some(())
    });
    assert!(ended.is_some(), "nobody restores");
    let screen = terminal.ends(1);
    assert!(screen.contains("pg_restore failed, and the database is what it was"), "{screen}");
    assert!(!screen.contains("] restoring, "), "the bar is gone: {screen}");
}

#[test]
fn states_have_a_colour_on_a_terminal_only() {
    let database = sqlite::fresh();
    let project = Project::new(&[FIRST]);
    let terminal = Terminal::open(&project);
    let green = "\u{1b}[32mapplied";
    terminal.runs("run", database.url());
    terminal.ends(0);
    terminal.runs("status", database.url());
    terminal.ends(0);
    assert!(terminal.screen(&["-e"]).contains(green), "{}", terminal.screen(&["-e"]));
    terminal.types(&["export NO_COLOR=1", "Enter"]);
    terminal.runs("status", database.url());
    terminal.ends(0);
    assert!(!terminal.screen(&["-e"]).contains(green), "{}", terminal.screen(&["-e"]));
    let piped = project.migrator(database.url(), &["status"]).exits(0).out();
    assert!(piped.contains("  applied       20240101000000_users") && !piped.contains('\u{1b}'), "{piped}");
}

#[test]
fn quiet_says_nothing_but_the_answer() {
    let project = Project::new(&[FIRST]);
    let answer = project.migrator("app.db", &["run", "--quiet"]).exits(0);
    assert_eq!(answer.err(), "");
    assert!(answer.out().starts_with("applied 1 migration in "), "{}", answer.out());
}
