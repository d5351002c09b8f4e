//! A process for tests of the clean-up: starts a server, tells where it is, and ends in the way that its input says.

use std::{
    env, io,
    io::Write,
    process,
    sync::{LazyLock, OnceLock},
};

use migrator_tests::{
    servers::{self, Kind, Server},
    sqlite,
};

fn main() {
    match env::args().nth(1).as_deref() {
        Some("postgres") => announce(servers::postgres()),
        Some("mariadb") => announce(servers::mariadb()),
        other => panic!("usage: hold-server postgres|mariadb, not {other:?}"),
    }
    let mut word = String::new();
    io::stdin().read_line(&mut word).expect("read how to end");
    match word.trim() {
        "panic" => LazyLock::force(&PANICS),
        "abort" => process::abort(),
        // Also when the test that waits for this process is gone.
        _ => process::exit(0),
    };
}

static PANICS: LazyLock<()> = LazyLock::new(|| panic!("as the test wants it"));

/// One line: the server's process id, its folder, the folder of a SQLite database.
fn announce<K: Kind>(server: &Server<K>) {
    static SQLITE: OnceLock<sqlite::FreshDatabase> = OnceLock::new();
    let sqlite = SQLITE.get_or_init(sqlite::fresh);
    let pid = server.pid().expect("the server was started");
    println!("{pid} {} {}", server.folder().display(), sqlite.folder().display());
    io::stdout().flush().expect("tell where the server is");
}
