//! A token endpoint on a loopback port, with a thread of its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;
use tokio::sync::oneshot;

/// Room for whoever comes at once.
const BACKLOG: u32 = 16_384;

/// Gives a new token to everyone who asks, or to nobody.
pub(crate) struct Endpoint {
    url: String,
    shared: Arc<Shared>,
    /// Dropped, it ends the thread.
    _stop: oneshot::Sender<Infallible>,
}

struct Shared {
    requests: AtomicU64,
    takes: Duration,
    is_down: bool,
}

impl Endpoint {
    /// It takes so long for each answer.
    pub(crate) fn start(takes: Duration) -> Self {
        Self::begin(takes, false)
    }

    /// It takes so long for each answer, which is 503.
    pub(crate) fn start_down(takes: Duration) -> Self {
        Self::begin(takes, true)
    }

    fn begin(takes: Duration, is_down: bool) -> Self {
        let shared = Arc::new(Shared {
            requests: AtomicU64::new(0),
            takes,
            is_down,
        });
        let (ready, port) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel::<Infallible>();
        let serving = shared.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async move {
                tokio::select! {
                    _ = stopped => {}
                    () = serve(serving, ready) => {}
                }
            });
        });
        let port = port.recv().expect("it listens");
        Self {
            url: format!("http://127.0.0.1:{port}"),
            shared,
            _stop: stop,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How often a token was asked for; also the number of the newest token.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

async fn serve(shared: Arc<Shared>, ready: std::sync::mpsc::Sender<u16>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    let any_port = ([127, 0, 0, 1], 0).into();
    socket.bind(any_port).expect("a port");
    let listener = socket.listen(BACKLOG).expect("it listens");
    let address = listener.local_addr().expect("an address");
    ready.send(address.port()).expect("somebody waits");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let shared = shared.clone();
        let service = service_fn(move |request| answer(shared.clone(), request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move { drop(connection.await) });
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: http::Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let _ = request.into_body().collect().await;
    let number = shared.requests.fetch_add(1, Ordering::Relaxed) + 1;
    if !shared.takes.is_zero() {
        tokio::time::sleep(shared.takes).await;
    }
    let token =
        format!(r#"{{"access_token":"token-{number}","expires_in":3600,"token_type":"Bearer"}}"#);
    let mut response = Response::new(Full::new(token.into()));
    // The metadata server of google-cloud-auth has to say what it is.
    let flavor = http::HeaderValue::from_static("Google");
    response.headers_mut().insert("metadata-flavor", flavor);
    if shared.is_down {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        *response.body_mut() = Full::default();
    }
    Ok(response)
}
