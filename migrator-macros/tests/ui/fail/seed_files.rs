use migrator::{Seed, seed_file};

const A: Seed<()> = seed_file!("dirs/seeds/short_row.csv");
const B: Seed<()> = seed_file!("dirs/seeds/bad_utf8.csv");
const C: Seed<()> = seed_file!("dirs/seeds/wrong_type.json");
const D: Seed<()> = seed_file!("dirs/seeds/unclosed.sql");
const E: Seed<()> = seed_file!("dirs/seeds/other.yaml");
const F: Seed<()> = seed_file!("dirs/seeds/absent.csv");
const G: Seed<()> = seed_file!("dirs/seeds/020_countries.csv", key = ["cod"]);
const H: Seed<()> = seed_file!("dirs/seeds/020_countries.csv", existing = replace);
const I: Seed<()> = seed_file!("dirs/seeds/010_roles.sql", table = "role");
const J: Seed<()> = seed_file!("/etc/roles.csv");
const K: Seed<()> = seed_file!("dirs/seeds/020_countries.csv", tabel = "x");

fn main() {
    let _ = (A, B, C, D, E, F, G, H, I, J, K);
}
