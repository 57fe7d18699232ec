//! The crawl itself: some workers, one queue.

use std::sync::{Arc, Mutex, PoisonError};
use std::vec;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use reqwest_middleware::ClientWithMiddleware;
use reqwest_tollgate::Error;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::output::{Line, Output};
use crate::parts::Part;
use crate::summary::Outcomes;
use crate::template::Template;

/// An answer may tear after its status came, where no retry layer sees it any more.
const READS: usize = 3;

/// What all workers share.
pub(crate) struct Crawl {
    pub(crate) client: ClientWithMiddleware,
    pub(crate) method: Method,
    pub(crate) template: Template,
    pub(crate) output: Option<Output>,
}

/// What the server said about a part in the end.
struct Answer {
    status: u16,
    body: String,
}

/// Asks about all parts, that many at once.
///
/// # Errors
/// If an answer cannot be written. What the server or the network does is counted instead.
pub(crate) async fn crawl(crawl: Crawl, parts: Vec<Part>, workers: usize) -> Result<Outcomes> {
    let bar = progress_bar(parts.len());
    let crawl = Arc::new(crawl);
    let queue = Arc::new(Mutex::new(parts.into_iter()));
    let mut running = JoinSet::new();
    for _ in 0..workers {
        running.spawn(work(crawl.clone(), queue.clone(), bar.clone()));
    }
    let mut outcomes = Outcomes::default();
    while let Some(worker) = running.join_next().await {
        outcomes.merge(worker??);
    }
    bar.finish_and_clear();
    Ok(outcomes)
}

async fn work(
    crawl: Arc<Crawl>,
    queue: Arc<Mutex<vec::IntoIter<Part>>>,
    bar: ProgressBar,
) -> Result<Outcomes> {
    let mut outcomes = Outcomes::default();
    while let Some(part) = next(&queue) {
        outcomes.add(crawl.process(&part).await?);
        bar.inc(1);
    }
    Ok(outcomes)
}

fn next(queue: &Mutex<vec::IntoIter<Part>>) -> Option<Part> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).next()
}

impl Crawl {
    /// Asks about a part and writes down what came of it; the kind of error, if it failed.
    async fn process(&self, part: &Part) -> Result<Result<(), String>> {
        let found = self.ask(&part.number).await;
        let status = found.as_ref().ok().map(|answer| answer.status);
        let outcome = match &found {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            Ok(answer) => Err(format!("status_{}", answer.status)),
            Err(error) => Err(kind(error)),
        };
        if let Some(output) = &self.output {
            output.write(&Line {
                part: &part.number,
                manufacturer: part.manufacturer.as_deref(),
                status,
                answer: found.ok().map(|answer| json_or_text(answer.body)),
                error: outcome.as_ref().err().cloned(),
            })?;
        }
        Ok(outcome)
    }

    async fn ask(&self, part: &str) -> Result<Answer> {
        let mut reads = 1;
        loop {
            let response = self.request(part)?.send().await?;
            let status = response.status().as_u16();
            match response.text().await {
                Ok(body) => return Ok(Answer { status, body }),
                Err(error) if reads == READS => return Err(error.into()),
                Err(_) => reads += 1,
            }
        }
    }

    fn request(&self, part: &str) -> Result<reqwest_middleware::RequestBuilder> {
        let url = self.template.url(part)?;
        let request = self.client.request(self.method.clone(), url);
        Ok(match self.template.body(part) {
            Some((media_type, body)) => request.header(CONTENT_TYPE, media_type).body(body),
            None => request,
        })
    }
}

/// The name that the summary counts a failure by.
fn kind(error: &anyhow::Error) -> String {
    match Error::find(error.as_ref()) {
        Some(error) => error.kind().to_string(),
        None => "transport".to_owned(),
    }
}

fn json_or_text(body: String) -> Value {
    serde_json::from_str(&body).unwrap_or(Value::String(body))
}

/// On stderr, and only if that is a terminal: indicatif sees to it.
fn progress_bar(parts: usize) -> ProgressBar {
    let style = "{elapsed_precise} {bar:40} {pos}/{len} parts, {per_sec}, {eta} to go";
    let style =
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(parts as u64).with_style(style)
}
