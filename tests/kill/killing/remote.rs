//! A store on another machine, as Redis would be one: it answers late, and its leases end in time.
//!
//! The parent of the workers keeps it in memory; each call is a connection, a line there and a line
//! back.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use reqwest_tollgate::{BoxError, Lease, MemoryStore, Record, Swap, TokenStore};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::steps::pause;

#[derive(Serialize, Deserialize)]
enum Call {
    Load,
    Swap(Option<u64>, u64, Vec<u8>),
    Lease(String, Duration),
    Release(String),
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Found(Option<(u64, Vec<u8>)>),
    Saved,
    Conflict(Option<(u64, Vec<u8>)>),
    Granted,
    Held(Option<Duration>),
    Released,
}

/// Serves it for as long as the runtime lives.
pub async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let store = MemoryStore::new();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let store = store.clone();
            // A worker that is killed hangs up.
            tokio::spawn(async move { drop(answer(stream, &store).await) });
        }
    });
    address
}

/// Late, and the later half of it after the effect.
async fn answer(mut stream: TcpStream, store: &MemoryStore) -> Result<(), BoxError> {
    let mut line = String::new();
    BufReader::new(&mut stream).read_line(&mut line).await?;
    let (key, call): (String, Call) = serde_json::from_str(&line)?;
    let late = || pause(Duration::from_millis(fastrand::u64(0..60)));
    late().await;
    let parts = |record: Record| (record.version, record.bytes);
    let answer = match call {
        Call::Load => Answer::Found(store.load(&key).await?.map(parts)),
        Call::Swap(expected, version, bytes) => {
            let new = Record::new(version, bytes);
            match store.compare_and_swap(&key, expected, &new).await? {
                Swap::Saved => Answer::Saved,
                Swap::Conflict(other) => Answer::Conflict(other.map(parts)),
            }
        }
        Call::Lease(id, lifetime) => match store.lease(&key, &id, lifetime).await? {
            Lease::Held { left } => Answer::Held(left),
            _ => Answer::Granted,
        },
        Call::Release(id) => {
            store.release(&key, &id).await?;
            Answer::Released
        }
    };
    late().await;
    let line = format!("{}\n", serde_json::to_string(&answer)?);
    Ok(stream.write_all(line.as_bytes()).await?)
}

/// A worker's side of it.
pub struct Remote(pub SocketAddr);

impl Remote {
    async fn ask(&self, key: &str, call: Call) -> Result<Answer, BoxError> {
        let mut stream = TcpStream::connect(self.0).await?;
        let line = format!("{}\n", serde_json::to_string(&(key, call))?);
        stream.write_all(line.as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await?;
        Ok(serde_json::from_str(&line)?)
    }
}

fn unexpected<T>() -> Result<T, BoxError> {
    Err("an answer to another question".into())
}

fn record((version, bytes): (u64, Vec<u8>)) -> Record {
    Record::new(version, bytes)
}

#[async_trait]
impl TokenStore for Remote {
    async fn load(&self, key: &str) -> Result<Option<Record>, BoxError> {
        match self.ask(key, Call::Load).await? {
            Answer::Found(found) => Ok(found.map(record)),
            _ => unexpected(),
        }
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        new: &Record,
    ) -> Result<Swap, BoxError> {
        let call = Call::Swap(expected, new.version, new.bytes.clone());
        match self.ask(key, call).await? {
            Answer::Saved => Ok(Swap::Saved),
            Answer::Conflict(other) => Ok(Swap::Conflict(other.map(record))),
            _ => unexpected(),
        }
    }

    async fn lease(&self, key: &str, id: &str, lifetime: Duration) -> Result<Lease, BoxError> {
        match self.ask(key, Call::Lease(id.to_owned(), lifetime)).await? {
            Answer::Granted => Ok(Lease::Granted {
                previous_is_dead: false,
            }),
            Answer::Held(left) => Ok(Lease::Held { left }),
            _ => unexpected(),
        }
    }

    async fn release(&self, key: &str, id: &str) -> Result<(), BoxError> {
        match self.ask(key, Call::Release(id.to_owned())).await? {
            Answer::Released => Ok(()),
            _ => unexpected(),
        }
    }
}
