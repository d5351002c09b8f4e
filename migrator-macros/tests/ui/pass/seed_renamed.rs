#![no_implicit_prelude]

extern crate migrator as m;

mod core {}
mod std {}
mod migrator {}

pub struct Conn;

#[m::seed(crate = m, version = "1", deadline = 1)]
fn roles(_conn: &mut Conn) -> m::SeedResult {
    ::std::result::Result::Ok(1)
}

const FILE: m::Seed<Conn> = m::seed_file!("dirs/seeds/020_countries.csv");

fn main() {
    ::std::assert_eq!(ROLES.name(), "roles");
    ::std::assert_eq!(FILE.name(), "countries");
}
