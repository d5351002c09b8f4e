//! Prints the statements of a script, or its faults: `cargo run --example split -- mysql up.sql …`.

use std::process::ExitCode;

use migrator_source::sql::{Script, SqlDialect, position};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let dialect: SqlDialect = match arguments.next().unwrap_or_default().parse() {
        Ok(dialect) => dialect,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(1);
        }
    };
    let mut code = 0;
    for path in arguments {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                eprintln!("{path}: {error}");
                code = 1;
                continue;
            }
        };
        match Script::parse(&text, dialect, None) {
            Ok(script) => {
                println!("== {path}: {:?}, {} statements", script.mode(), script.statements().len());
                for statement in script.statements() {
                    let place = position(&text, statement.start);
                    println!("-- {place} {:?}\n{};", statement.kind, statement.text);
                }
            }
            Err(faults) => {
                for fault in faults {
                    println!("{path}:{}: {fault}\n  help: {}", position(&text, fault.offset), fault.help);
                }
                code = code.max(2);
            }
        }
    }
    ExitCode::from(code)
}
