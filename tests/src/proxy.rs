//! A network that fails where a test wants it to: a TCP proxy in this process.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client, which connected to the proxy.
    ToServer,
    /// From the server.
    ToClient,
}

/// What happens to the bytes from some place on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection that carries them is closed to both ends, once. The next connection is forwarded.
    Cut,
    /// They stay in the proxy, on all connections, and nobody is told: [`Proxy::release`] lets them go on.
    Hold,
    /// Each piece of them is this much later, on all connections, until [`Proxy::release`].
    Delay(Duration),
    /// Each turn (see [`Traffic::turns`]) begins this much later, as on a longer line, until [`Proxy::release`]: what
    /// follows within the turn is on its way as well.
    Latency(Duration),
}

/// How much went one way, over all connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that were passed on.
    pub bytes: u64,
    /// Turns: pieces of any size and number count as one until something comes the other way. To the server these are
    /// the round trips of a protocol in which the client waits for the answer. What wants no answer begins the turn of
    /// what follows: `COM_STMT_CLOSE` of MySQL, the last that diesel sends as it connects. So take the number to
    /// compare with after something else was answered.
    pub turns: u64,
}

/// Where in a turn of the client a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The server never hears of it.
    Unsent,
    /// The server has heard it, and its answer is lost.
    Unanswered,
}

/// A proxy in front of one address, for any number of connections. Dropped, it closes them.
#[derive(Debug)]
pub struct Proxy {
    wire: Arc<Wire>,
    address: SocketAddr,
}

#[derive(Debug)]
struct Wire {
    target: SocketAddr,
    state: Mutex<State>,
    /// A held direction was released, or the proxy is closed.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lanes: [Lane; 2],
    /// Both ends of each connection.
    open: Vec<Weak<TcpStream>>,
    /// At which turn of the client a connection is cut.
    cut_at: Option<(u64, Moment)>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Lane {
    traffic: Traffic,
    fault: Option<(u64, Fault)>,
}

/// What becomes of the first bytes of a piece.
enum Verdict {
    Pass(usize),
    Wait,
    Delay(Duration),
    Cut,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and connects each client to `target`.
    pub fn start(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen on 127.0.0.1");
        let address = listener.local_addr().expect("a listener has an address");
        let wire = Arc::new(Wire { target, state: Mutex::default(), changed: Condvar::new() });
        let proxy = Proxy { wire: Arc::clone(&wire), address };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if wire.state().closed {
                    break;
                }
                wire.join(client);
            }
        });
        proxy
    }

    /// In front of a server on 127.0.0.1.
    pub fn to_port(port: u16) -> Proxy {
        Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL with the proxy's address in place of the server's.
    ///
    /// # Panics
    /// When the URL is not one of the server behind it.
    pub fn url(&self, url: &str) -> String {
        let server = format!("@{}/", self.wire.target);
        assert!(url.contains(&server), "the proxy is in front of {}, which this URL does not name", self.wire.target);
        url.replacen(&server, &format!("@{}/", self.address), 1)
    }

    /// Lets `fault` happen to byte `place` and those after it, counted over all connections from the start of the proxy,
    /// the first being 0. In the place of the fault that was there before.
    pub fn inject(&self, direction: Direction, place: u64, fault: Fault) {
        self.wire.state().lanes[direction as usize].fault = Some((place, fault));
        self.wire.changed.notify_all();
    }

    /// [`inject`](Self::inject) for what comes next: after `more` bytes from now.
    pub fn inject_after(&self, direction: Direction, more: u64, fault: Fault) {
        let place = self.traffic(direction).bytes + more;
        self.inject(direction, place, fault);
    }

    /// Ends the fault of a direction; what was held goes on.
    pub fn release(&self, direction: Direction) {
        self.wire.state().lanes[direction as usize].fault = None;
        self.wire.changed.notify_all();
    }

    /// Closes the connection on which the client begins its turn number `turn`, counted as in [`Traffic::turns`] over all
    /// connections from the start of the proxy: before a byte of it reaches the server, or before a byte of the answer
    /// reaches the client.
    pub fn cut_at_turn(&self, turn: u64, moment: Moment) {
        self.wire.state().cut_at = Some((turn, moment));
    }

    /// Closes all connections to both ends now.
    pub fn cut(&self) {
        self.wire.state().cut();
    }

    /// How much went that way.
    pub fn traffic(&self, direction: Direction) -> Traffic {
        self.wire.state().lanes[direction as usize].traffic
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        {
            let mut state = self.wire.state();
            state.closed = true;
            state.cut();
        }
        self.wire.changed.notify_all();
        // Wakes the thread that accepts; it sees that the proxy is closed.
        drop(TcpStream::connect(self.address));
    }
}

impl Wire {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the proxy panicked")
    }

    /// Connects a client with the server; a client whose server cannot be reached is closed.
    fn join(self: &Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(self.target) else {
            return;
        };
        // A piece that is split at the place of a fault must not be put together again.
        if client.set_nodelay(true).and(server.set_nodelay(true)).is_err() {
            return;
        }
        let (client, server) = (Arc::new(client), Arc::new(server));
        let mut state = self.state();
        if state.closed {
            return;
        }
        state.open.retain(|end| end.strong_count() > 0);
        state.open.extend([&client, &server].map(Arc::downgrade));
        drop(state);
        // Whose turn it was last; at first the server's, so that the client's first piece is a turn.
        let server_spoke = Arc::new(AtomicBool::new(true));
        for (direction, from, to) in [(Direction::ToServer, &client, &server), (Direction::ToClient, &server, &client)]
        {
            let (wire, server_spoke) = (Arc::clone(self), Arc::clone(&server_spoke));
            let (from, to) = (Arc::clone(from), Arc::clone(to));
            thread::spawn(move || wire.forward(direction, &from, &to, &server_spoke));
        }
    }

    fn forward(&self, direction: Direction, mut from: &TcpStream, to: &TcpStream, server_spoke: &AtomicBool) {
        let mut buffer = [0; 16 * 1024];
        loop {
            let length = match from.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(length) => length,
            };
            let from_server = direction == Direction::ToClient;
            let begins = server_spoke.swap(from_server, Ordering::SeqCst) != from_server;
            let cut = {
                let mut state = self.state();
                state.lanes[direction as usize].traffic.turns += u64::from(begins);
                state.cuts_turn(direction)
            };
            if cut || self.pass(direction, begins, &buffer[..length], to).is_err() {
                // Both ways of both ends: the other thread of this connection ends as well.
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
                return;
            }
        }
        // The end of one way is passed on; the other may have something to say yet.
        let _ = to.shutdown(Shutdown::Write);
    }

    /// Passes a piece, which may begin a turn, on as far as the faults let it. An error means that the connection is to be
    /// closed.
    fn pass(&self, direction: Direction, begins: bool, mut piece: &[u8], mut to: &TcpStream) -> io::Result<()> {
        let mut delayed = false;
        while !piece.is_empty() {
            let mut state = self.state();
            if state.closed {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            match state.lanes[direction as usize].verdict(piece.len(), begins, delayed) {
                Verdict::Pass(length) => {
                    // Counted before it is written: who got an answer finds the question in the count.
                    state.lanes[direction as usize].traffic.bytes += length as u64;
                    drop(state);
                    to.write_all(&piece[..length])?;
                    piece = &piece[length..];
                }
                Verdict::Wait => drop(self.changed.wait(state).expect("no thread of the proxy panicked")),
                Verdict::Delay(time) => {
                    drop(state);
                    thread::sleep(time);
                    delayed = true;
                }
                Verdict::Cut => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        Ok(())
    }
}

impl State {
    /// Whether the turn that is under way is the one to cut in, and this the moment. It happens once.
    fn cuts_turn(&mut self, direction: Direction) -> bool {
        let Some((turn, moment)) = self.cut_at else { return false };
        let way = if moment == Moment::Unsent { Direction::ToServer } else { Direction::ToClient };
        let cuts = direction == way && self.lanes[Direction::ToServer as usize].traffic.turns == turn;
        if cuts {
            self.cut_at = None;
        }
        cuts
    }

    fn cut(&mut self) {
        for end in self.open.drain(..).filter_map(|end| end.upgrade()) {
            // One that is closed already is as it should be.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Lane {
    fn verdict(&mut self, length: usize, begins: bool, delayed: bool) -> Verdict {
        let Some((place, fault)) = self.fault else {
            return Verdict::Pass(length);
        };
        let before = usize::try_from(place.saturating_sub(self.traffic.bytes)).unwrap_or(usize::MAX);
        if before > 0 {
            return Verdict::Pass(before.min(length));
        }
        match fault {
            Fault::Hold => Verdict::Wait,
            Fault::Delay(_) | Fault::Latency(_) if delayed => Verdict::Pass(length),
            Fault::Latency(_) if !begins => Verdict::Pass(length),
            Fault::Delay(time) | Fault::Latency(time) => Verdict::Delay(time),
            Fault::Cut => {
                self.fault = None;
                Verdict::Cut
            }
        }
    }
}
