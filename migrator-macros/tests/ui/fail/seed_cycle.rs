use migrator::{SeedResult, seed};

#[seed(depends_on = [ROLES])]
fn admin(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

#[seed(depends_on = [ADMIN])]
fn roles(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

#[seed(depends_on = [ITSELF])]
fn itself(_conn: &mut ()) -> SeedResult {
    Ok(0)
}

fn main() {}
