//! Makes a new migration rebuild the crate.

fn main() {
    println!("cargo::rerun-if-changed=migrations\ncargo::rustc-env=MIGRATOR_TRACKED=migrations");
}
