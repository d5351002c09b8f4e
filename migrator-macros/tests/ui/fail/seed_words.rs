use migrator::{SeedResult, seed};

#[seed(mode = sometimes)]
fn a(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

#[seed(verison = "1")]
fn b(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

#[seed(version = "1", version = "2")]
fn c(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

#[seed(environments = [prod])]
fn d(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

#[seed(mode = ensure)]
fn e(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

#[seed(transaction = false)]
fn f(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

#[seed(deadline = 0)]
fn g(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

#[seed(name = "")]
fn h(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

#[seed(files = ["dirs/seeds/absent.xml"])]
fn i(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

fn main() {
    let _ = (A, B, C, D, E, F, G, H, I);
}
