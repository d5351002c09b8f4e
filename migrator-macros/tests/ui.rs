//! What the compiler says to the user of `embed_migrations!`: one file for each situation.

#![cfg(unix)]

use std::fs;
use std::path::Path;

/// The compiler runs in a package that trybuild makes, and the directories are relative to that package: it gets a link
/// to `tests/ui/dirs`, and one named as the directory that is the default.
#[test]
fn ui() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
    let package = target.join("tests/trybuild/migrator-macros");
    let dirs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui/dirs");
    fs::create_dir_all(&package).expect("the directory of trybuild's package");
    link(&dirs, &package.join("dirs"));
    link(&dirs.join("diesel"), &package.join("migrations"));

    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
}

fn link(real: &Path, link: &Path) {
    if link.is_symlink() {
        fs::remove_file(link).expect("a link of an earlier run");
    }
    std::os::unix::fs::symlink(real, link).expect("a link");
}
