//! The service: it boots, says `ready`, and answers lines of its standard input (`list`, `add NAME ROLE`) until that ends.

use std::error::Error;
use std::io::{self, BufRead};
use std::process::ExitCode;

use diesel::prelude::*;
use migrator::{Config, DbProvider, Event, Seed, SeedResult, seed};

use super::{Connection, DEFAULT_URL, MIGRATIONS};

diesel::table! {
    role (id) {
        id -> Integer,
        name -> Text,
    }
}
diesel::table! {
    permission (id) {
        id -> Integer,
        role_id -> Integer,
        name -> Text,
    }
}
diesel::table! {
    account (id) {
        id -> Integer,
        name -> Text,
        role_id -> Integer,
    }
}
diesel::allow_tables_to_appear_in_same_query!(role, permission, account);

/// Each role with what it may do.
const MAY: [(&str, &[&str]); 3] = [
    ("reader", &["list", "show", "search"]),
    ("writer", &["list", "show", "search", "add", "change", "comment"]),
    ("administrator", &["list", "show", "search", "add", "change", "comment", "remove", "invite", "audit"]),
];

/// Each role, and what it may do.
#[seed]
fn roles(conn: &mut Connection) -> SeedResult {
    let mut rows = 0;
    for (name, permissions) in MAY {
        rows += diesel::insert_into(role::table).values(role::name.eq(name)).execute(conn)?;
        let id = role_id(conn, name)?;
        for permission in permissions {
            let values = (permission::role_id.eq(id), permission::name.eq(permission));
            rows += diesel::insert_into(permission::table).values(values).execute(conn)?;
        }
    }
    Ok(rows as u64)
}

/// Once in the life of a database: somebody may rename the account, or give it another role.
#[seed(depends_on = [ROLES], mode = once)]
fn administrator(conn: &mut Connection) -> SeedResult {
    add(conn, "root", "administrator")
}

const SEEDS: &[Seed<Connection>] = &[ROLES, ADMINISTRATOR];

static DB: DbProvider<Connection> = DbProvider::new(&MIGRATIONS).seeds(SEEDS);

pub(super) fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), Box<dyn Error>> {
    let or_default = |name: &str| DEFAULT_URL.filter(|_| name == "DATABASE_URL").map(str::to_owned);
    let config = Config::from_vars(|name| std::env::var(name).ok().or_else(|| or_default(name)))?;
    let report = DB.init(config.on_event(|event| {
        if let Event::State { to, .. } = event {
            println!("state: {to}");
        }
    }))?;
    println!("{report}");
    println!("ready");
    for line in io::stdin().lock().lines() {
        match line?.split_whitespace().collect::<Vec<_>>()[..] {
            ["list"] => list()?,
            ["add", name, role] => match add(&mut *DB.get()?, name, role) {
                Ok(_) => println!("added {name}"),
                Err(error) => println!("not added: {error}"),
            },
            _ => println!("commands: list, add NAME ROLE"),
        }
    }
    Ok(DB.shutdown()?)
}

fn list() -> Result<(), Box<dyn Error>> {
    let accounts = account::table.inner_join(role::table.on(role::id.eq(account::role_id)));
    let rows: Vec<(String, String)> =
        accounts.select((account::name, role::name)).order(account::id).load(&mut *DB.get()?)?;
    rows.iter().for_each(|(name, role)| println!("{name} is {role}"));
    Ok(())
}

fn add(conn: &mut Connection, name: &str, role: &str) -> SeedResult {
    let values = (account::name.eq(name), account::role_id.eq(role_id(conn, role)?));
    Ok(diesel::insert_into(account::table).values(values).execute(conn)? as u64)
}

fn role_id(conn: &mut Connection, name: &str) -> QueryResult<i32> {
    role::table.filter(role::name.eq(name)).select(role::id).first(conn)
}
