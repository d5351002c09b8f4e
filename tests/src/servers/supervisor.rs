//! The shell that stops a server when its test process is gone.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Mutex,
        mpsc::{self, Receiver},
    },
    thread,
};

use crate::wait;

/// A shell that outlives the test process for a moment, to clean up behind it.
///
/// It makes a folder, runs the lines that it is sent, and at the end of its input ends the server and removes the
/// folder. Its input is a pipe whose other end only the test process has (Rust opens it close-on-exec), so the input
/// ends when the process does, whatever the reason. The shell makes the folder and starts the server itself: were it
/// told of them afterwards, a `kill -9` in between would leave them behind.
const SCRIPT: &str = r#"
# A signal must not end the clean-up, nor must a test process that is gone when an answer is written. Not '': what a
# shell ignores, its children ignore too.
trap : HUP INT PIPE TERM
pid=
tidy() { :; }
folder=$(mktemp -d "$1/migrator-tests-XXXXXX") && cd "$folder" || exit
echo "$folder"
while IFS= read -r line; do
    eval "$line"
done
if [ -n "$pid" ]; then finish; fi
tidy
cd / && rm -rf -- "$folder"
"#;

/// A folder, and perhaps a server, that go away with this value or with the test process, whichever is first and
/// whatever ends it.
#[derive(Debug)]
pub struct Supervisor {
    shell: Mutex<Shell>,
    folder: PathBuf,
}

#[derive(Debug)]
struct Shell {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Supervisor {
    /// Makes the folder, readable by this user only, in `place`.
    pub fn start(place: &Path) -> Supervisor {
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT, "migrator-tests"])
            .arg(place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C in a terminal goes to a whole process group. This one has to see the others go.
            .process_group(0)
            .spawn()
            .expect("start sh");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("the output is piped"));
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let shell = Shell { child, input, answers };
        let folder = PathBuf::from(shell.answer());
        Supervisor { shell: Mutex::new(shell), folder }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Defines how the server `$pid` is ended when there is one at the end, and what is done after that in any case.
    pub(super) fn finish_with(&mut self, finish: &str, tidy: &str) {
        self.send(&format!("finish() {{ {finish}; }}"));
        self.send(&format!("tidy() {{ {tidy}; }}"));
    }

    /// Runs a command to its end and returns whether it succeeded.
    pub(super) fn run(&mut self, command: &Command, log: &Path) -> bool {
        self.ask(&format!("{} </dev/null >>{} 2>&1; echo $?", words(command), quote(log.as_os_str()))) == "0"
    }

    /// Starts the server and returns its process id, which stays its own until [`reap`](Self::reap).
    pub(super) fn spawn(&mut self, command: &Command, log: &Path) -> i32 {
        let line = format!("{} </dev/null >>{} 2>&1 & pid=$!; echo $pid", words(command), quote(log.as_os_str()));
        self.ask(&line).parse().expect("the supervisor answers with a process id")
    }

    /// Forgets the server after its end.
    pub(super) fn reap(&mut self) {
        self.ask("wait $pid 2>/dev/null; pid=; echo reaped");
    }

    fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.shell.get_mut().expect("no thread died while it spoke to the supervisor").answer()
    }

    fn send(&mut self, line: &str) {
        let shell = self.shell.get_mut().expect("no thread died while it spoke to the supervisor");
        let input = shell.input.as_mut().expect("the pipe is open until drop");
        writeln!(input, "{line}").expect("the supervisor reads");
    }
}

impl Shell {
    fn answer(&self) -> String {
        self.answers.recv_timeout(wait::DEADLINE).expect("the supervisor answers; its words are above")
    }
}

impl Drop for Supervisor {
    /// Returns when the server and the folder are gone.
    fn drop(&mut self) {
        let shell = self.shell.get_mut().expect("no thread died while it spoke to the supervisor");
        drop(shell.input.take());
        if wait::within(wait::DEADLINE, || shell.child.try_wait().transpose()).is_none() {
            eprintln!("the clean-up of {} goes on after {:?}", self.folder.display(), wait::DEADLINE);
        }
    }
}

/// A command as a line of shell.
fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(quote).collect::<Vec<_>>().join(" ")
}

fn quote(word: &OsStr) -> String {
    let word = word.to_str().expect("paths and settings of test servers are UTF-8");
    assert!(!word.contains('\n'), "a word for the supervisor has a line end in it: {word:?}");
    format!("'{}'", word.replace('\'', r"'\''"))
}
