//! Makes a new migration rebuild the crate.

fn main() {
    let tracked = [
        "migrations",
        "../examples/accounts/migrations/sqlite",
        "../examples/accounts/migrations/postgres",
        "../examples/axum-service/migrations/sqlite",
        "../examples/axum-service/migrations/postgres",
    ];
    tracked.iter().for_each(|directory| println!("cargo::rerun-if-changed={directory}"));
    println!("cargo::rustc-env=MIGRATOR_TRACKED={}", tracked.join(","));
}
