//! A server that a test started: its life and its faults.

use std::{
    env, fs,
    marker::PhantomData,
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use diesel::{Connection, connection::SimpleConnection};
use rustix::{
    net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt},
    process::Signal,
};

use super::{Address, FreshDatabase, Kind, Options, Stop, Supervisor, process};
use crate::wait;

/// A running server; dropped, it is stopped and its folder removed. Both also happen when the test process dies.
///
/// What a server can suffer takes `&mut`, so that it cannot be done to one that other tests share.
#[derive(Debug)]
pub struct Server<K: Kind> {
    pub(super) site: Arc<Site<K>>,
    supervisor: Supervisor,
    /// While there is a process.
    pid: Option<i32>,
    paused: bool,
    environment: Vec<(String, String)>,
    /// Keeps the port from everybody else, also while the server is down: see [`reserve_port`].
    _port: OwnedFd,
}

/// What a server and its databases know.
#[derive(Debug)]
pub(super) struct Site<K: Kind> {
    pub(super) address: Address,
    /// Whether the server can be asked: it was started, and no test stopped, killed or froze it since.
    pub(super) up: AtomicBool,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Server<K> {
    /// Sets up and starts a server, and returns when it answers.
    ///
    /// # Panics
    /// When its programs are not installed, or with its log when it does not start.
    pub fn start(options: Options) -> Server<K> {
        let password = std::iter::repeat_with(fastrand::alphanumeric).take(24).collect();
        let server = Self::installed(options, password, K::install);
        let welcome = K::welcome(&server.site.address);
        server.connect().batch_execute(&welcome).expect("set up the users of a new server");
        server
    }

    /// Starts a server whose data folder this command makes.
    pub(super) fn installed(
        options: Options,
        password: String,
        install: impl FnOnce(&Address) -> Command,
    ) -> Server<K> {
        let supervisor = Supervisor::start(&place(&options));
        process::give(K::SYSTEM_USER, supervisor.folder());
        let (socket, port) = reserve_port();
        let address = Address { folder: supervisor.folder().to_owned(), port, password };
        let configuration = K::configuration(&address, &options);
        fs::write(address.configuration_file(), configuration).expect("write the configuration of a server");
        let site: Arc<Site<K>> = Arc::new(Site { address, up: AtomicBool::new(false), kind: PhantomData });
        let environment = options.environment;
        let mut server = Server { site, supervisor, pid: None, paused: false, environment, _port: socket };
        server.supervisor.finish_with(K::FINISH, K::TIDY);
        let install = process::as_user(K::SYSTEM_USER, install(&server.site.address));
        let installed = server.supervisor.run(&install, &server.site.address.log_file());
        assert!(installed, "{install:?} failed:\n{}", server.log());
        server.launch();
        server
    }

    /// Makes an empty database.
    pub fn fresh(&self) -> FreshDatabase<K> {
        FreshDatabase::create(Arc::clone(&self.site))
    }

    /// The port on 127.0.0.1; the same after a restart.
    pub fn port(&self) -> u16 {
        self.site.address.port
    }

    /// The process id of the server; `None` when it was stopped or killed.
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }

    /// The folder of the server.
    pub fn folder(&self) -> &Path {
        &self.site.address.folder
    }

    /// The password in the URLs, to look for where it must not be.
    pub fn password(&self) -> &str {
        &self.site.address.password
    }

    /// The URL of one of its databases over TCP, with user and password.
    pub fn url(&self, database: &str) -> String {
        K::url(&self.site.address, database)
    }

    /// The URL of one of its databases over the unix socket, where the administrator needs no password.
    pub fn socket_url(&self, database: &str) -> String {
        K::socket_url(&self.site.address, database)
    }

    /// Connects to the database that is always there, as the administrator.
    pub fn connect(&self) -> K::Connection {
        self.site.connect(K::HOME)
    }

    /// What the server logged.
    pub fn log(&self) -> String {
        read(&self.site.address.log_file())
    }

    /// What was logged of statements; a statement that was answered is in it. Needs [`Options::log_statements`].
    pub fn statements(&self) -> String {
        read(&K::statement_log(&self.site.address))
    }

    /// Stops the server and returns when it is gone. Nothing happens to one that is down.
    pub fn stop(&mut self, stop: Stop) {
        self.resume();
        self.site.up.store(false, Ordering::SeqCst);
        if let Some(pid) = self.pid {
            process::send(pid, K::signal(stop));
            self.gone(&[pid]);
        }
    }

    /// Stops the server if it runs, starts it, and returns when it answers.
    pub fn restart(&mut self) {
        self.stop(Stop::Fast);
        self.launch();
    }

    /// Kills the server with all its processes (`SIGKILL`) and returns when they are gone. What they wrote and did not
    /// sync is there at the next start, as it would not be after a power cut.
    pub fn kill(&mut self) {
        self.site.up.store(false, Ordering::SeqCst);
        if self.pid.is_some() {
            let pids = self.freeze();
            pids.iter().rev().for_each(|&pid| process::send(pid, Signal::KILL));
            self.paused = false;
            self.gone(&pids);
        }
    }

    /// Freezes the server and all its processes (`SIGSTOP`): connections stay open, nothing answers. New connections are
    /// taken by the kernel, and nothing answers there either.
    pub fn pause(&mut self) {
        self.site.up.store(false, Ordering::SeqCst);
        self.freeze();
        self.paused = true;
    }

    /// Lets a paused server go on.
    pub fn resume(&mut self) {
        if let Some(pid) = self.pid.filter(|_| self.paused) {
            process::children(pid).into_iter().for_each(|child| process::send(child, Signal::CONT));
            process::send(pid, Signal::CONT);
            self.paused = false;
            self.site.up.store(true, Ordering::SeqCst);
        }
    }

    /// Stops all processes and returns them, the one that starts the others first: stopped, it starts no more of them.
    fn freeze(&self) -> Vec<i32> {
        let parent = self.pid.expect("the server was stopped before; restart it first");
        process::send(parent, Signal::STOP);
        let pids: Vec<i32> = [parent].into_iter().chain(process::children(parent)).collect();
        pids.iter().for_each(|&pid| process::send(pid, Signal::STOP));
        pids
    }

    fn gone(&mut self, pids: &[i32]) {
        let gone = || pids.iter().all(|&pid| !process::is_running(pid)).then_some(());
        wait::until(&format!("the end of {}", K::NAME), gone);
        self.supervisor.reap();
        self.pid = None;
    }

    fn launch(&mut self) {
        let command = process::within(&self.environment, K::command(&self.site.address));
        let command = process::as_user(K::SYSTEM_USER, command);
        let pid = self.supervisor.spawn(&command, &self.site.address.log_file());
        self.pid = Some(pid);
        let url = self.socket_url(K::HOME);
        let mut last = String::new();
        // Both servers listen on the socket and on the port before they let in the first client on either.
        let up = wait::within(wait::DEADLINE, || match K::Connection::establish(&url) {
            Ok(_) => Some(true),
            Err(error) => {
                last = error.to_string();
                (!process::is_running(pid)).then_some(false)
            }
        });
        assert_eq!(up, Some(true), "{} does not start: {last}\n{}", K::NAME, self.log());
        self.site.up.store(true, Ordering::SeqCst);
    }
}

impl<K: Kind> Site<K> {
    pub(super) fn connect(&self, database: &str) -> K::Connection {
        let connection = K::Connection::establish(&K::socket_url(&self.address, database));
        connection.unwrap_or_else(|error| panic!("connect to {} database {database}: {error}", K::NAME))
    }
}

impl<K: Kind> Drop for Server<K> {
    fn drop(&mut self) {
        // What is frozen would not hear that it has to go.
        self.resume();
        self.site.up.store(false, Ordering::SeqCst);
    }
}

/// A free port, which the server can listen on and nobody else is given while the socket lives: not when the server is
/// down either, and not as the near end of a connection. The socket is bound and does not listen; with `SO_REUSEADDR`,
/// which both servers set as well, the kernel lets a second one that does listen beside it.
fn reserve_port() -> (OwnedFd, u16) {
    let reserve = || {
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
        let address = SocketAddrV4::try_from(getsockname(&socket)?)?;
        Ok::<_, rustix::io::Errno>((socket, address.port()))
    };
    reserve().expect("find a free port on 127.0.0.1")
}

/// Where the folder of a server goes: in memory when nothing has to outlive the machine and there is room for it. On a
/// busy disk `CREATE DATABASE` took 200 ms, where it took 20 ms in memory. A container may have 64 MB there.
fn place(options: &Options) -> PathBuf {
    const ROOM: u64 = 2 << 30;
    let memory = Path::new("/dev/shm");
    match rustix::fs::statvfs(memory) {
        Ok(space) if !options.durable && space.f_bavail * space.f_frsize >= ROOM => memory.to_owned(),
        _ => env::temp_dir(),
    }
}

fn read(file: &Path) -> String {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("read {}: {error}", file.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}
