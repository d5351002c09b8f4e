//! How fast `migrator` is, side by side with its peers and with the raw floor: `scripts/bench` says how to run it.
//!
//! Every contender gets a fresh database for each round, the rounds are interleaved, and what is printed is the median: of
//! the floor in milliseconds, of the others as a multiple of it. The floor of a cold apply is all scripts in one transaction
//! and one message, that of an unchanged start one `SELECT 1`. Servers sync as they do in production.

mod contender;
mod measure;
mod options;
mod place;
mod plot;
mod set;
mod size;
mod table;

use diesel::{mysql::Mysql, pg::Pg};

use crate::options::{Options, What};
use crate::place::{Place, Remote, Sqlite};
use crate::plot::Panel;
use crate::set::{Set, Weight};
use crate::table::Column;

fn main() {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            std::process::exit(1);
        }
    };
    if options.what == What::Size {
        return size::print(options.migrations);
    }
    let mut panels = Vec::new();
    if options.has("sqlite") {
        panels.push(run(&options, || Sqlite, || Sqlite));
    }
    if options.has("postgres") {
        panels.push(run(&options, Remote::<Pg>::to_time, Remote::<Pg>::to_count));
    }
    if options.has("mariadb") {
        panels.push(run(&options, Remote::<Mysql>::to_time, Remote::<Mysql>::to_count));
    }
    plot::write(&options.plot, &panels);
    println!("\nThe plot is {}.", options.plot.display());
}

/// Measures and prints all of one kind of database, and returns what is to be plotted.
fn run<P: Place>(options: &Options, to_time: impl FnOnce() -> P, to_count: impl FnOnce() -> P) -> Panel {
    println!("\n## {}", P::NAME);
    let names: Vec<&str> = P::CONTENDERS.iter().map(|contender| contender.name).collect();
    let mut panel = Panel::new(P::NAME, &names);
    let place = to_time();
    let has_line = place.far(&place.fresh().1).is_some();
    for weight in [Weight::Heavy, Weight::Light] {
        let (mut cold, mut unchanged) = (Vec::new(), Vec::new());
        for far in [false, true].into_iter().filter(|far| has_line || !far) {
            for &size in &options.sizes {
                let times = measure::times(&place, &Set::new(size, weight), far, options.rounds(size));
                cold.push(Column::new(size, far, times.iter().map(|times| times.cold)));
                unchanged.push(Column::new(size, far, times.iter().map(|times| times.unchanged)));
                if weight == Weight::Heavy && !far {
                    panel.add(size, times.iter().map(|times| times.cold));
                }
            }
        }
        let kind = if weight == Weight::Heavy { "heavy" } else { "light" };
        table::times(&format!("{}, cold apply, {kind}", P::NAME), &names, &cold);
        if weight == Weight::Heavy {
            table::times(&format!("{}, unchanged start", P::NAME), &names, &unchanged);
        }
    }
    drop(place);
    let size = options.sizes.iter().copied().filter(|size| *size <= 100).max().unwrap_or(100);
    table::counts(P::NAME, size, &names, &measure::counts(&to_count(), &Set::new(size, Weight::Heavy)));
    panel
}
