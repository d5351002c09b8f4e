//! What is asked for on the command line.

use std::path::PathBuf;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Cold apply and unchanged start.
    Speed,
    /// Processor time of compiling, and bytes in the binary.
    Size,
}

pub(crate) struct Options {
    pub(crate) what: What,
    /// How many migrations a set has.
    pub(crate) sizes: Vec<usize>,
    /// How many migrations are compiled.
    pub(crate) migrations: usize,
    /// Where the plot is written.
    pub(crate) plot: PathBuf,
    databases: Vec<String>,
    quick: bool,
}

const DATABASES: [&str; 3] = ["sqlite", "postgres", "mariadb"];

impl Options {
    pub(crate) fn read(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            what: What::Speed,
            sizes: vec![],
            migrations: 5000,
            plot: PathBuf::from("target/bench.svg"),
            databases: vec![],
            quick: false,
        };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => options.quick = true,
                "--size" => options.what = What::Size,
                "--plot" => options.plot = args.next().ok_or("--plot FILE")?.into(),
                database if DATABASES.contains(&database) => options.databases.push(arg),
                other => match other.parse() {
                    Ok(size) if size > 0 => options.sizes.push(size),
                    _ => return Err(format!("`{other}` is no option; `scripts/bench --help` lists them")),
                },
            }
        }
        if let (What::Size, [migrations]) = (options.what, options.sizes.as_slice()) {
            options.migrations = *migrations;
        }
        if options.sizes.is_empty() {
            options.sizes = if options.quick { vec![10, 100] } else { vec![10, 100, 1000] };
        }
        Ok(options)
    }

    /// Whether a database is asked for.
    pub(crate) fn has(&self, database: &str) -> bool {
        self.databases.is_empty() || self.databases.iter().any(|named| named == database)
    }

    /// How many rounds there are for a set of that size.
    pub(crate) fn rounds(&self, size: usize) -> usize {
        match size {
            _ if self.quick => 3,
            0..=50 => 21,
            51..=500 => 11,
            _ => 5,
        }
    }
}
