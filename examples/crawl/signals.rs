//! Ctrl-C and SIGTERM: the first one ends the crawl in order, the second one at once.

use std::io;

use crate::screen::Screen;
use crate::stop::{Ending, Stop};

/// What a shell reports of a program that SIGINT ended.
const ENDED_BY_SIGNAL: i32 = 130;

/// Watches for them from now on.
///
/// # Errors
/// If the system lets no program watch.
pub(crate) fn watch(stop: &Stop, screen: &Screen) -> io::Result<()> {
    let mut signals = Signals::new()?;
    let (stop, screen) = (stop.clone(), screen.clone());
    tokio::spawn(async move {
        signals.next().await;
        screen.say("finishing what is on the wire; a second signal ends at once");
        stop.end(Ending::Interrupted);
        signals.next().await;
        std::process::exit(ENDED_BY_SIGNAL);
    });
    Ok(())
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[allow(clippy::unnecessary_wraps)] // On Unix it may fail.
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
