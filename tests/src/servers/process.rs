//! Processes: who is running, signals.

use std::{fs, path::Path, process::Command};

use rustix::process::{Pid, Signal, geteuid, kill_process};

/// Whether a process still runs; one that only waits for its parent to take notice of its end does not.
pub fn is_running(pid: i32) -> bool {
    status(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

/// The processes that a process started and that are still there.
pub(super) fn children(parent: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc is there");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| status(pid).is_some_and(|(_, of)| of == parent)).collect()
}

/// Sends a signal; to a process that is gone, nothing.
pub(super) fn send(pid: i32, signal: Signal) {
    let target = Pid::from_raw(pid).expect("a process id is above 0");
    match kill_process(target, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => panic!("send {signal:?} to the server, process {pid}: {error}"),
    }
}

/// The same command as that user, when the tests run as root, which servers refuse. As anybody else, the same command.
///
/// `setpriv` and not `runuser`, which stays between as a parent: its process id would not be the server's.
pub(super) fn as_user(user: &str, command: Command) -> Command {
    if !geteuid().is_root() {
        return command;
    }
    let mut other = Command::new("setpriv");
    other.arg(format!("--reuid={user}")).arg(format!("--regid={user}")).args(["--init-groups", "--"]);
    other.arg(command.get_program()).args(command.get_args());
    other
}

/// The same command with these variables in its environment.
pub(super) fn within(environment: &[(String, String)], command: Command) -> Command {
    if environment.is_empty() {
        return command;
    }
    let mut other = Command::new("env");
    other.args(environment.iter().map(|(name, value)| format!("{name}={value}")));
    other.arg(command.get_program()).args(command.get_args());
    other
}

/// Gives a folder to that user, when the tests run as root.
pub(super) fn give(user: &str, folder: &Path) {
    if geteuid().is_root() {
        let mut command = Command::new("chown");
        let done = command.arg(format!("{user}:")).arg(folder).status().expect("run chown");
        assert!(done.success(), "there is no user {user} on this machine; scripts/test installs what brings it");
    }
}

/// The state and the parent of a process, from `/proc/PID/stat`: `PID (NAME) STATE PARENT …`.
fn status(pid: i32) -> Option<(char, i32)> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold blanks and parentheses.
    let mut fields = line.get(line.rfind(')')? + 1..)?.split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
