//! Crates that embed a directory, built with cargo as their owners build them: what a change of the directory does, and
//! what gets into the binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use migrator_source::layout;
use migrator_source::sql::SqlDialect;

/// A package with one binary. Each has a directory of its own, made anew; what they depend on is compiled once, into a
/// target directory that they share and that the next run finds again.
struct Package {
    dir: PathBuf,
    name: &'static str,
}

/// What a binary prints of the set that it holds.
const MAIN: &str = "static MIGRATIONS: migrator::MigrationSet = migrator::embed_migrations!();\n
fn main() {
    for migration in MIGRATIONS.iter() {
        println!(\"{}: {}\", migration.name(), migration.up());
    }
}
";

impl Package {
    /// A package that depends on `dependencies` and has one migration, `1_users`.
    fn new(name: &'static str, dependencies: &str, main: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages").join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).expect("the package of an earlier run");
        }
        let package = Self { dir, name };
        let manifest = format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n\n[dependencies]\n{dependencies}\n\n[workspace]\n\n[profile.dev]\n\
             debug = false\nincremental = false\n"
        );
        package.write("Cargo.toml", &manifest);
        package.write("src/main.rs", main);
        package.write("migrations/1_users/up.sql", "SELECT 1;");
        fs::copy(repository().join("Cargo.lock"), package.path("Cargo.lock")).expect("the versions of the repository");
        package
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    /// The `main` of a build script, around lines of it.
    fn write_build_script(&self, lines: &str) {
        self.write("build.rs", &format!("fn main() {{\n{lines}\n}}\n"));
    }

    /// Builds, and gives what the compiler says about this package.
    fn build(&self) -> String {
        let said = self.try_build();
        said.unwrap_or_else(|said| panic!("{said}"))
    }

    /// What the compiler says, as an error when it built nothing.
    fn try_build(&self) -> Result<String, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--offline", "--quiet", "--color=never"])
            .current_dir(&self.dir)
            .env("CARGO_TARGET_DIR", target())
            .env_remove("RUSTFLAGS")
            .output()
            .expect("cargo");
        let said = text(&output);
        // cargo repeats what it said about the crates that this one depends on by path.
        let mine = said.split_inclusive("\n\n").filter(|message| message.contains("--> src/main.rs:")).collect();
        if output.status.success() { Ok(mine) } else { Err(said) }
    }

    fn binary(&self) -> PathBuf {
        target().join("debug").join(self.name)
    }

    /// What the binary prints, which it does in another directory than that of the package.
    fn run(&self) -> String {
        let output = Command::new(self.binary()).current_dir(std::env::temp_dir()).output().expect("the binary");
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("crates")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn migrator() -> String {
    format!("migrator = {}", dependency())
}

fn dependency() -> String {
    format!("{{ path = {:?}, default-features = false }}", repository().join("migrator"))
}

/// The line that a warning shows for build.rs.
fn line(warnings: &str) -> String {
    let line = warnings.lines().find(|line| line.trim().starts_with("println!(")).expect("a line for build.rs");
    line.trim().to_owned()
}

/// The line as services have it in their build scripts.
const LINE: &str = r#"println!("cargo::rerun-if-changed=migrations\ncargo::rustc-env=MIGRATOR_TRACKED=migrations");"#;

#[test]
fn without_the_line_a_warning_shows_it_and_an_edit_rebuilds() {
    let package = Package::new("untracked", &migrator(), MAIN);
    let said = package.build();
    assert!(said.starts_with("warning: use of deprecated constant `MIGRATIONS::line_missing_in_build_rs`: "), "{said}");
    assert!(said.contains("a new file in `migrations` does not rebuild this crate"), "{said}");
    assert_eq!(line(&said), LINE);
    assert!(said.contains("src/main.rs:1:"), "{said}");
    assert_eq!(package.run(), "1_users: SELECT 1;\n");

    package.write("migrations/1_users/up.sql", "SELECT 2;");
    package.build();
    assert_eq!(package.run(), "1_users: SELECT 2;\n");

    // A build script that says nothing makes cargo watch the whole package, and the warning stays: a directory outside
    // of the package is not watched.
    package.write_build_script("");
    assert_eq!(line(&package.build()), LINE);

    package.write_build_script(&line(&said));
    assert_eq!(package.build(), "");
}

#[test]
fn with_the_line_a_new_file_rebuilds() {
    let package = Package::new("tracked", &migrator(), MAIN);
    package.write_build_script(LINE);
    assert_eq!(package.build(), "");
    assert_eq!(package.run(), "1_users: SELECT 1;\n");

    package.write("migrations/2_posts/up.sql", "SELECT 2;");
    package.build();
    assert_eq!(package.run(), "1_users: SELECT 1;\n2_posts: SELECT 2;\n");

    package.write("migrations/2_posts/up.sql", "SELECT 3;");
    package.build();
    assert_eq!(package.run(), "1_users: SELECT 1;\n2_posts: SELECT 3;\n");

    fs::remove_dir_all(package.path("migrations/1_users")).expect("the first migration");
    package.build();
    assert_eq!(package.run(), "2_posts: SELECT 3;\n");
}

#[test]
fn an_edit_of_a_seed_s_file_rebuilds() {
    let main = "const ROLES: migrator::Seed<()> = migrator::seed_file!(\"seeds/1_roles.csv\");
        #[migrator::seed(files = [\"seeds/prices.txt\"])]
        fn prices(_: &mut ()) -> migrator::SeedResult { Ok(0) }
        fn main() { println!(\"{ROLES:?} {PRICES:?}\"); }";
    let dependency = dependency().replace(" }", ", features = [\"csv\"] }");
    let package = Package::new("seeds", &format!("migrator = {dependency}"), main);
    package.write("seeds/1_roles.csv", "name\nadmin\n");
    package.write("seeds/prices.txt", "1");
    assert_eq!(package.build(), "");
    let first = package.run();
    package.write("seeds/1_roles.csv", "name\nadmin\nreader\n");
    package.build();
    let second = package.run();
    assert_ne!(first, second, "the digest is another one");
    package.write("seeds/prices.txt", "2");
    package.build();
    assert_ne!(second, package.run());
    package.write("seeds/1_roles.csv", "name\nadmin,x\n");
    let said = package.try_build().expect_err("the file has a fault");
    assert!(said.contains("seeds/1_roles.csv:2:1: the row has 2 cells, and the header 1"), "{said}");
}

/// Two lines would set one variable twice, of which cargo keeps the last.
#[test]
fn a_second_directory_is_added_to_the_line() {
    let main = "static ONE: migrator::MigrationSet = migrator::embed_migrations!();
        static TWO: migrator::MigrationSet = migrator::embed_migrations!(\"./db/more/\");
        fn main() { println!(\"{} {}\", ONE.len(), TWO.len()); }";
    let package = Package::new("two_directories", &migrator(), main);
    package.write("db/more/1_tags.sql", "SELECT 1;");
    package.write_build_script(LINE);
    let said = package.build();
    assert!(said.contains("`TWO::line_missing_in_build_rs`") && !said.contains("`ONE::"), "{said}");
    assert!(said.contains("let this be the only such line"), "{said}");

    package.write_build_script(&line(&said));
    assert_eq!(package.build(), "");
    package.write("migrations/2_posts/up.sql", "SELECT 2;");
    package.write("db/more/2_links.sql", "SELECT 2;");
    package.build();
    assert_eq!(package.run(), "2 2\n");
}

/// A release build is one without debug assertions.
#[test]
fn a_release_says_what_is_not_sealed_and_a_debug_build_does_not() {
    const NAME: &str = "drafts";
    let package = Package::new(NAME, &migrator(), MAIN);
    package.write_build_script(LINE);
    let seal = || {
        let files = layout::files(&package.path("migrations")).expect("the directory");
        let options = layout::Options { sealed: layout::Sealed::Unchecked, ..layout::Options::default() };
        let folder = layout::read(&files, options).expect("a folder without faults");
        let mut seal = folder.seal.unwrap_or_default();
        seal.add(&folder.entries, SqlDialect::Sqlite).expect("nothing sealed was changed");
        package.write("migrations/migrations.seal", &seal.to_string());
    };
    seal();
    package.write("migrations/2_posts/up.sql", "SELECT 2;");
    assert_eq!(package.build(), "", "a draft is nothing to talk about while it is written");

    let manifest = fs::read_to_string(package.path("Cargo.toml")).expect("the manifest");
    package.write("Cargo.toml", &format!("{manifest}[profile.dev.package.{NAME}]\ndebug-assertions = false\n"));
    let said = package.build();
    assert!(said.contains("`MIGRATIONS::not_sealed`: migrations: 2_posts is a draft: "), "{said}");
    package.write("src/main.rs", &MAIN.replace("!()", "!(\"migrations\", unsealed = \"allow\")"));
    assert_eq!(package.build(), "");
    package.write("src/main.rs", &MAIN.replace("!()", "!(\"migrations\", unsealed = \"refuse\")"));
    let said = package.try_build().expect_err("a release with a draft");
    assert!(said.contains("error: migrations: 2_posts is a draft: "), "{said}");

    seal();
    assert_eq!(package.build(), "", "what is sealed is no draft");
    package.write("migrations/1_users/up.sql", "SELECT 11;");
    let said = package.try_build().expect_err("a sealed migration was edited");
    assert!(
        said.contains("error: migrations/1_users/up.sql: was edited, and it is sealed (migrations.seal:3)"),
        "{said}"
    );
}

#[test]
fn what_is_worth_a_word_is_a_warning_of_its_own() {
    let package = Package::new("warnings", &migrator(), MAIN);
    package.write_build_script(LINE);
    package.write("migrations/README.md", "");
    package.write("migrations/2_posts/up.sql", "");
    package.write("migrations/2_posts/down.sql", "COMMIT;");
    let said = package.build();
    let kinds: Vec<_> =
        said.lines().filter_map(|line| line.strip_prefix("warning: use of deprecated constant ")).collect();
    let expected = [
        "`MIGRATIONS::stray`: migrations: a file beside the migrations is not part of any: README.md; nothing runs them",
        "`MIGRATIONS::empty_up`: migrations: an up script has no statement: 2_posts/up.sql; applying it changes nothing and \
         is recorded",
        "`MIGRATIONS::faulty_down`: migrations: a down script has a fault: 2_posts/down.sql; revert will refuse it",
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn no_path_of_the_build_machine_is_in_the_binary() {
    for (name, line) in [("paths_untracked", ""), ("paths_tracked", LINE)] {
        let package = Package::new(name, &migrator(), MAIN);
        package.write_build_script(line);
        package.build();
        let binary = fs::read(package.binary()).expect("the binary");
        let holds = |text: &str| binary.windows(text.len()).any(|bytes| bytes == text.as_bytes());
        let home = package.dir.to_str().expect("UTF-8");
        assert!(holds("1_users"), "the search finds what is there");
        assert!(!holds(home), "{name}");
    }
}

#[test]
fn the_crate_can_have_another_name() {
    let main = MAIN.replace("migrator::", "db::");
    let package = Package::new("renamed", &format!("db = {{ package = \"migrator\", {}", &dependency()[1..]), &main);
    package.write_build_script(LINE);
    assert_eq!(package.build(), "");
    assert_eq!(package.run(), "1_users: SELECT 1;\n");
}

/// The calling package does not know `migrator`; the directory is its own, not that of the crate between.
#[test]
fn another_crate_can_export_it() {
    let package = Package::new(
        "reexported",
        "framework = { path = \"framework\" }",
        &MAIN.replace("migrator::", "framework::db::"),
    );
    package.write("framework/Cargo.toml", &format!(
        "[package]\nname = \"framework\"\nedition = \"2024\"\n\n[dependencies]\ninner = {{ package = \"migrator\", {}\n",
        &dependency()[1..]
    ));
    package.write("framework/src/lib.rs", "pub mod db { pub use inner::{MigrationSet, embed_migrations}; }\n");
    package.write_build_script(LINE);
    assert_eq!(package.build(), "");
    assert_eq!(package.run(), "1_users: SELECT 1;\n");
}
