//! Servers go away with the process that started them, whatever ends it.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use migrator_tests::{servers::is_running, wait};

#[test]
fn postgres_goes_with_a_process_that_is_killed() {
    goes_with_its_process("postgres", Child::kill);
}

#[test]
fn mariadb_goes_with_a_process_that_is_killed() {
    goes_with_its_process("mariadb", Child::kill);
}

#[test]
fn postgres_goes_with_a_process_that_exits() {
    goes_with_its_process("postgres", |child| say(child, "exit"));
}

#[test]
fn mariadb_goes_with_a_process_that_aborts() {
    goes_with_its_process("mariadb", |child| say(child, "abort"));
}

#[test]
fn mariadb_goes_with_a_process_that_panics_in_a_static() {
    goes_with_its_process("mariadb", |child| say(child, "panic"));
}

fn goes_with_its_process(kind: &str, end: fn(&mut Child) -> std::io::Result<()>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hold-server"))
        .arg(kind)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // The panic and its backtrace are what the test wants; nobody has to read them.
        .stderr(Stdio::null())
        .spawn()
        .expect("start hold-server");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("read where the server is");
    let words: Vec<&str> = line.split_whitespace().collect();
    let &[pid, folder, sqlite] = &words[..] else { panic!("hold-server {kind} did not start a server: {line:?}") };
    let pid = pid.parse().expect("a process id");
    let folders = [folder, sqlite].map(Path::new);
    assert!(is_running(pid) && folders.iter().all(|folder| folder.exists()));

    end(&mut child).expect("end hold-server");
    let _: ExitStatus = child.wait().expect("wait for hold-server");
    wait::until("the end of the server", || (!is_running(pid)).then_some(()));
    wait::until("the removal of its folder", || (!folders.iter().any(|folder| folder.exists())).then_some(()));
}

fn say(child: &mut Child, word: &str) -> std::io::Result<()> {
    writeln!(child.stdin.as_mut().expect("it is piped"), "{word}")
}
