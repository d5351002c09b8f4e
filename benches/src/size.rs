//! What a set costs a build and a binary: a crate for each runner, which embeds the set as the runner's documentation has
//! it, compiled with one migration and with many.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::set::{Weight, name, script};

/// A runner, and how a crate embeds a set with it.
struct Embedder {
    name: &'static str,
    dependency: &'static str,
    main: &'static str,
    /// The file of a migration.
    file: fn(usize) -> String,
    /// More than this takes minutes.
    most: usize,
}

const EMBEDDERS: [Embedder; 5] = [
    Embedder {
        name: "migrator",
        dependency: r#"migrator = { path = "MIGRATOR" }"#,
        main: r#"static SET: migrator::MigrationSet = migrator::embed_migrations!("migrations");
                 fn main() { std::hint::black_box(&SET); }"#,
        file: |number| format!("{}/up.sql", name(number)),
        most: usize::MAX,
    },
    Embedder {
        name: "diesel_migrations",
        dependency: r#"diesel_migrations = "2.3.2""#,
        main: r#"static SET: diesel_migrations::EmbeddedMigrations = diesel_migrations::embed_migrations!("migrations");
                 fn main() { std::hint::black_box(&SET); }"#,
        file: |number| format!("{}/up.sql", name(number)),
        most: usize::MAX,
    },
    Embedder {
        name: "sqlx",
        dependency: r#"sqlx = { version = "0.9", default-features = false, features = ["macros", "migrate"] }"#,
        main: r#"static SET: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");
                 fn main() { std::hint::black_box(&SET); }"#,
        file: |number| format!("{}.sql", name(number)),
        most: usize::MAX,
    },
    Embedder {
        name: "rusqlite_migration",
        dependency: "include_dir = \"0.7.4\"\nrusqlite_migration = { version = \"2.5\", features = [\"from-directory\"] }",
        main: r#"static SET: include_dir::Dir<'_> = include_dir::include_dir!("$CARGO_MANIFEST_DIR/migrations");
                 fn main() { std::hint::black_box(rusqlite_migration::Migrations::from_directory(&SET)).ok(); }"#,
        file: |number| format!("{number:05}-change/up.sql"),
        most: usize::MAX,
    },
    Embedder {
        name: "refinery",
        dependency: r#"refinery = { version = "0.10", default-features = false }"#,
        main: r#"mod set { refinery::embed_migrations!("migrations"); }
                 fn main() { std::hint::black_box(set::migrations::runner()); }"#,
        file: |number| format!("V{number}__change_{number}.sql"),
        most: 1000,
    },
];

/// How often each crate is compiled; the median counts.
const ROUNDS: usize = 5;
const LONG: Duration = Duration::from_secs(10);

/// Compiles all of them and prints the table.
pub(crate) fn print(migrations: usize) {
    println!("\n**Compiled in release, over a set of one migration; 317 bytes of SQL in each**\n");
    println!(
        "| | migrations | processor seconds | bytes in the stripped binary, each, over its SQL |\n|---|---|---|---|"
    );
    for embedder in &EMBEDDERS {
        let many = migrations.min(embedder.most);
        let (one, more) = (build(embedder, 1), build(embedder, many));
        let sql =
            |count: usize| -> usize { (1..=count).map(|number| script(number, count, Weight::Heavy).len()).sum() };
        let bytes = (more.bytes as f64 - one.bytes as f64 - (sql(many) - sql(1)) as f64) / (many - 1) as f64;
        let seconds = more.time.as_secs_f64() - one.time.as_secs_f64();
        println!("| {} | {many} | {seconds:.2} | {bytes:.0} |", embedder.name);
    }
}

struct Built {
    time: Duration,
    bytes: u64,
}

/// Writes the crate of an embedder and compiles it, its dependencies before.
fn build(embedder: &Embedder, migrations: usize) -> Built {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let krate = folder.path().join(embedder.name);
    let migrator = here.parent().expect("the benches lie in the project").join("migrator");
    let manifest = format!(
        "[workspace]\n[package]\nname = \"embeds\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [dependencies]\n{}\n[profile.release]\nstrip = true\n",
        embedder.dependency.replace("MIGRATOR", &migrator.display().to_string())
    );
    write(&krate.join("Cargo.toml"), &manifest);
    fs::copy(here.join("Cargo.lock"), krate.join("Cargo.lock")).expect("the lock file can be copied");
    write(
        &krate.join("build.rs"),
        r#"fn main() { println!("cargo::rerun-if-changed=migrations\ncargo::rustc-env=MIGRATOR_TRACKED=migrations"); }"#,
    );
    for number in 1..=migrations {
        write(&krate.join("migrations").join((embedder.file)(number)), &script(number, migrations, Weight::Heavy));
    }
    let target = here.join("target/size");
    let once = || {
        write(&krate.join("src/main.rs"), embedder.main);
        compile(&krate, &target)
    };
    // The first one compiles the dependencies as well. What takes long is measured once.
    once();
    let mut times = vec![once()];
    while times.len() < ROUNDS && times[0] < LONG {
        times.push(once());
    }
    times.sort_unstable();
    let bytes = fs::metadata(target.join("release/embeds")).expect("the binary is there").len();
    Built { time: times[times.len() / 2], bytes }
}

fn compile(krate: &PathBuf, target: &Path) -> Duration {
    let before = processor_time();
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--quiet"]).current_dir(krate).env("CARGO_TARGET_DIR", target);
    assert!(command.status().expect("cargo is there").success(), "{} does not compile", krate.display());
    processor_time() - before
}

/// The time of all processes that were started and waited for, from `/proc/self/stat`: `PID (NAME) STATE …`, in which the
/// fields 16 and 17 count hundredths of a second.
fn processor_time() -> Duration {
    let line = fs::read_to_string("/proc/self/stat").expect("/proc is there");
    let fields = line.rsplit_once(')').expect("the name stands in parentheses").1;
    let ticks = fields.split_ascii_whitespace().skip(13).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder can be made");
    fs::write(path, text).expect("a file can be written");
}
