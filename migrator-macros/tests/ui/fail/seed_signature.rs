use migrator::{SeedResult, seed};

#[seed]
async fn a(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

#[seed]
fn b<C>(_conn: &mut C) -> SeedResult {
    Ok(0)
}

#[seed]
fn c() -> SeedResult {
    Ok(0)
}

#[seed]
fn d(_conn: &mut (), _more: u8) -> SeedResult {
    Ok(0)
}

#[seed]
fn e(_conn: &()) -> SeedResult {
    Ok(0)
}

#[seed]
fn f(_conn: &mut ()) {}

#[seed]
const G: u8 = 1;

#[seed]
fn h(_conn: &mut ()) -> u64 {
    0
}

fn main() {}
