//! The sandbox's own thread, with a runtime of its own: whatever the user's runtime does (paused
//! time, a busy thread, its end), the distributor goes on as one on another machine would.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use futures_util::future;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime;
use tokio::sync::oneshot;

use super::builder::Settings;
use super::distributor::Distributor;
use super::service;
use crate::clock::{Clock, SystemClock};

/// Room for the connections of a test that opens thousands at once.
const BACKLOG: u32 = 4096;
/// How long `accept` rests when the machine is out of sockets.
const REST: Duration = Duration::from_millis(10);
/// How long a drop waits for the port to be closed, should the user's closure be stuck.
const CLOSING: Duration = Duration::from_secs(1);

/// A running server; dropping it closes its port and its connections.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) distributor: Arc<Distributor>,
    thread: ThreadId,
    stop: Option<oneshot::Sender<Infallible>>,
    // In a mutex only because a receiver cannot be shared between threads.
    closed: Mutex<mpsc::Receiver<Infallible>>,
}

type Ready = io::Result<(SocketAddr, Arc<Distributor>)>;

impl Server {
    /// Starts the thread, and returns once it listens.
    ///
    /// # Cancel safety
    /// Dropping the future stops the thread.
    pub(super) async fn start(settings: Settings) -> io::Result<Self> {
        let (ready_sender, ready) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let (closing, closed) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("reqwest-tollgate-sandbox".to_owned())
            .spawn(move || {
                run(settings, ready_sender, stopped);
                // Only now are the runtime and its sockets gone.
                drop(closing);
            })?;
        let ended = || io::Error::other("the sandbox's thread ended before it listened");
        let (address, distributor) = ready.await.map_err(|_| ended())??;
        Ok(Self {
            address,
            distributor,
            thread: thread.thread().id(),
            stop: Some(stop),
            closed: Mutex::new(closed),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if thread::current().id() == self.thread {
            return; // The user's closure owned the sandbox: its thread cannot wait for itself.
        }
        let closed = self.closed.get_mut();
        // An error is what it waits for: the thread has dropped its end.
        let _ = closed
            .unwrap_or_else(PoisonError::into_inner)
            .recv_timeout(CLOSING);
    }
}

fn run(settings: Settings, ready: oneshot::Sender<Ready>, stopped: oneshot::Receiver<Infallible>) {
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let serving = pin!(serve(settings, ready));
    runtime.block_on(future::select(stopped, serving));
}

async fn serve(settings: Settings, ready: oneshot::Sender<Ready>) {
    let listener = match listen(settings.port) {
        Ok(listener) => listener,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let distributor = Arc::new(Distributor::new(settings, SystemClock.now()));
    let address = listener.local_addr();
    let told = ready.send(address.map(|address| (address, distributor.clone())));
    if told.is_err() {
        return; // Nobody waits any more.
    }
    loop {
        match listener.accept().await {
            Ok((stream, _)) => open(stream, distributor.clone()),
            Err(_) => SystemClock.sleep(REST).await,
        }
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // On Windows the option would let two sandboxes share a port.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(BACKLOG)
}

fn open(stream: TcpStream, distributor: Arc<Distributor>) {
    distributor.connection_opened();
    // An answer has to leave at once; if the option fails, it leaves a little later.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| service::answer(distributor.clone(), request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // How a connection ends is the client's affair, or a fault that was asked for.
    tokio::spawn(async move { drop(connection.await) });
}
