//! Listens at the redirect URI, on this machine alone, for the person's browser.

use std::convert::Infallible;
use std::io::{self, ErrorKind, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use reqwest::Url;
use reqwest_tollgate::{AuthorizationRequest, Clock as _, SystemClock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use url::Host;

use crate::certificate::Certificate;
use crate::desk::{self, Desk, News};

const LONGEST_HEAD: usize = 16 * 1024;
/// For a handshake, and for a request. Browsers open connections in advance and send nothing on
/// them; they open others when those are closed.
const LONGEST_SILENCE: Duration = Duration::from_secs(20);
/// For the last page to be fetched, once the login is over.
const LONGEST_FAREWELL: Duration = Duration::from_secs(5);
/// After the system refused a connection, say for want of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// The port of this machine that the redirect URI names.
pub(crate) struct Listener {
    sockets: Vec<TcpListener>,
    certificate: Option<Certificate>,
}

impl Listener {
    /// None if the redirect URI does not lead to this machine.
    pub(crate) async fn bind(request: &AuthorizationRequest) -> Result<Option<Self>> {
        let uri = request.redirect_uri();
        let addresses = addresses(uri);
        if addresses.is_empty() {
            return Ok(None);
        }
        let mut sockets = Vec::new();
        for address in addresses {
            sockets.extend(bind(address).await?);
        }
        if sockets.is_empty() {
            bail!("this machine has no loopback interface to listen at for {uri}");
        }
        let certificate = match uri.scheme() {
            "https" => Some(Certificate::new()?),
            _ => None,
        };
        Ok(Some(Self {
            sockets,
            certificate,
        }))
    }

    /// What the person can compare with what the browser shows; none over plain http.
    pub(crate) fn fingerprint(&self) -> Option<&str> {
        let certificate = self.certificate.as_ref()?;
        Some(&certificate.fingerprint)
    }

    /// Ends with the login, once a browser has come whose address belongs to it and has fetched
    /// the page that says how it ended; or fails once it is `late`.
    pub(crate) async fn log_in(
        self,
        request: Arc<AuthorizationRequest>,
        late: impl Future<Output = ()>,
    ) -> Result<()> {
        let (desk, mut news) = Desk::new(request);
        let acceptor = self.certificate.map(|certificate| certificate.acceptor);
        let mut doors = JoinSet::new(); // Dropped with all their visitors.
        for socket in self.sockets {
            doors.spawn(receive(socket, acceptor.clone(), desk.clone()));
        }
        let mut refused = None;
        let ended = tokio::select! {
            biased;
            ended = end(&mut news, &mut refused) => ended,
            () = late => None,
        };
        let Some(ended) = ended else {
            match refused {
                Some(why) => bail!("the login was not finished in time: {why}"),
                None => bail!("nobody came back from the login in time"),
            }
        };
        tokio::select! {
            () = farewell(&mut news) => {}
            () = SystemClock.sleep(LONGEST_FAREWELL) => {}
        }
        Ok(ended?)
    }
}

/// How the login ended. An address of another login is told to the person, and that is all: anybody
/// can make a browser open one.
async fn end(
    news: &mut UnboundedReceiver<News>,
    refused: &mut Option<String>,
) -> Option<Result<(), reqwest_tollgate::Error>> {
    loop {
        match news.recv().await? {
            News::Ended(ended) => return Some(ended),
            News::Seen => {}
            News::Refused(error) => {
                let why = Some(error.to_string());
                if why != *refused {
                    let _ = writeln!(io::stderr(), "login: {error}; still waiting");
                }
                *refused = why;
            }
        }
    }
}

async fn farewell(news: &mut UnboundedReceiver<News>) {
    while !matches!(news.recv().await, None | Some(News::Seen)) {}
}

/// Browsers go to either address of `localhost`, whatever the system's resolver says (RFC 6761
/// section 6.3), so it is both.
fn addresses(uri: &Url) -> Vec<SocketAddr> {
    let hosts: Vec<IpAddr> = match uri.host() {
        Some(Host::Domain("localhost")) => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        Some(Host::Ipv4(host)) if host.is_loopback() => vec![host.into()],
        Some(Host::Ipv6(host)) if host.is_loopback() => vec![host.into()],
        _ => Vec::new(),
    };
    let port = uri.port_or_known_default().unwrap_or_default();
    let hosts = hosts.into_iter();
    hosts.map(|host| SocketAddr::new(host, port)).collect()
}

/// None where the machine has no such address, as one without IPv6.
async fn bind(address: SocketAddr) -> Result<Option<TcpListener>> {
    match TcpListener::bind(address).await {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => bail!(
            "port {} of {} is in use: end the program that holds it (another login?), \
             or log in by --paste",
            address.port(),
            address.ip()
        ),
        // Linux: EADDRNOTAVAIL without the address, EAFNOSUPPORT without the protocol.
        Err(error) if address.is_ipv6() && error.kind() != ErrorKind::PermissionDenied => Ok(None),
        Err(error) => bail!("cannot listen at {address}: {error}"),
    }
}

async fn receive(socket: TcpListener, acceptor: Option<TlsAcceptor>, desk: Arc<Desk>) {
    let mut visits = JoinSet::new();
    loop {
        tokio::select! {
            visitor = socket.accept() => match visitor {
                Ok((stream, _)) => drop(visits.spawn(visit(stream, acceptor.clone(), desk.clone()))),
                Err(_) => SystemClock.sleep(BREATH).await,
            },
            Some(_) = visits.join_next() => {} // What it had to tell, the desk has told.
        }
    }
}

async fn visit(stream: TcpStream, acceptor: Option<TlsAcceptor>, desk: Arc<Desk>) {
    let Some(acceptor) = acceptor else {
        return serve(stream, desk).await;
    };
    tokio::select! {
        // One that fails is of a browser which does not trust the certificate yet.
        shaken = acceptor.accept(stream) => if let Ok(stream) = shaken {
            serve(stream, desk).await;
        },
        () = SystemClock.sleep(LONGEST_SILENCE) => {}
    }
}

/// Answers one request after another, until the visitor leaves, is silent, or has the last page.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, desk: Arc<Desk>) {
    let last = AtomicBool::new(false);
    let service = service_fn(|request| {
        let (desk, last) = (&desk, &last);
        async move {
            let answer = desk.answer(&request).await;
            last.fetch_or(desk::is_last(&answer), Ordering::Relaxed);
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LONGEST_SILENCE)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let _ = connection.await; // However they left.
    if last.load(Ordering::Relaxed) {
        desk.tell(News::Seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str) -> Vec<String> {
        let addresses = addresses(&Url::parse(uri).expect(uri));
        addresses.iter().map(SocketAddr::to_string).collect()
    }

    #[test]
    fn localhost_is_both_addresses_and_another_machine_none() {
        assert_eq!(
            of("https://localhost:8139/cb"),
            ["127.0.0.1:8139", "[::1]:8139"]
        );
        assert_eq!(of("http://127.0.0.1:81/cb"), ["127.0.0.1:81"]);
        assert_eq!(of("http://[::1]/cb"), ["[::1]:80"]);
        for other in ["https://crawler.example:8139/cb", "http://192.168.1.2/cb"] {
            assert!(of(other).is_empty(), "{other}");
        }
    }
}
