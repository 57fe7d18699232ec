//! The crawl itself: one queue, and as many parts out as the course allows.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Result;
use reqwest_tollgate::{Account, Clock as _, Moment, RequestOptions, SystemClock};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::ask::{Failure, Found, Question};
use crate::course::{self, Course, Limits, Next, Outage, Seen};
use crate::list::Part;
use crate::output::{Entry, Output};
use crate::progress::Progress;
use crate::screen::Screen;
use crate::stop::{Ending, Stop};
use crate::summary::Outcomes;
use crate::text;

/// All that a crawl works with.
pub(crate) struct Crawl {
    pub(crate) question: Arc<Question>,
    pub(crate) output: Option<Output>,
    pub(crate) course: Course,
    /// Whether a deadline is the whole crawl's, not one that the account sets for each request.
    pub(crate) has_deadline: bool,
    pub(crate) stop: Stop,
    pub(crate) screen: Screen,
    pub(crate) progress: Progress,
}

/// A part in the queue.
struct Queued {
    part: Part,
    /// How often it was asked about in vain.
    tries: u32,
}

type Done = (Queued, Found);

struct Run {
    crawl: Crawl,
    queue: VecDeque<Queued>,
    out: JoinSet<Done>,
    outcomes: Outcomes,
}

/// Gets a token before the first part goes. A server that does not answer is asked again.
pub(crate) async fn warm_up(account: &Account, limits: Limits, stop: &Stop, screen: &Screen) {
    // By default it would wait for minutes, without a word.
    let account = account.with_options(RequestOptions::new().max_wait(course::FIRST_PAUSE));
    let mut outage: Option<Outage> = None;
    while stop.ending().is_none() {
        let warm = tokio::select! {
            warm = account.warm_up() => warm,
            () = stop.ended() => return,
        };
        let Err(error) = warm else {
            return;
        };
        if let Some(ending) = Ending::of(&error) {
            return stop.end(ending);
        }
        let (now, text) = (now(), text::of_ours(&error));
        let next = match &mut outage {
            Some(outage) => match outage.goes_on(limits.outage, &text, now) {
                Some(ending) => return stop.end(ending),
                None => outage.next(),
            },
            None => {
                screen.say(format!("there is no token yet, trying again: {text}"));
                outage.insert(Outage::begin(now)).next()
            }
        };
        tokio::select! {
            () = SystemClock.sleep(next - now) => {}
            () = stop.ended() => {}
        }
    }
}

/// Asks about all parts, until they are answered or the crawl is ended.
///
/// # Errors
/// If a task panicked.
pub(crate) async fn crawl(crawl: Crawl, parts: Vec<Part>) -> Result<Outcomes> {
    let queued = |part| Queued { part, tries: 0 };
    let run = Run {
        crawl,
        queue: parts.into_iter().map(queued).collect(),
        out: JoinSet::new(),
        outcomes: Outcomes::default(),
    };
    run.run().await
}

impl Run {
    async fn run(mut self) -> Result<Outcomes> {
        let stop = self.crawl.stop.clone();
        while stop.ending().is_none() {
            let next = self.send();
            if self.queue.is_empty() && self.out.is_empty() {
                break;
            }
            tokio::select! {
                Some(done) = self.out.join_next() => self.take(done?),
                () = pause(next) => {}
                () = stop.ended() => {}
            }
        }
        // What is on the wire comes in, the rest is dropped.
        while let Some(done) = self.out.join_next().await {
            self.take(done?);
        }
        self.outcomes.left = self.queue.len();
        let output = self.crawl.output.iter();
        let missing = output.flat_map(Output::missing).collect::<Vec<_>>();
        if self.outcomes.succeeded > 0 && !missing.is_empty() {
            let text = format!("no answer has {}: is --fields right?", missing.join(", "));
            self.crawl.screen.say(text);
        }
        Ok(self.outcomes)
    }

    /// Lets as many parts go as may.
    fn send(&mut self) -> Next {
        loop {
            let next = self.crawl.course.next(now());
            if next != Next::Go {
                return next;
            }
            let Some(queued) = self.queue.pop_front() else {
                return Next::Later;
            };
            let is_probe = self.crawl.course.left();
            let (question, stop) = (self.crawl.question.clone(), self.crawl.stop.clone());
            self.out.spawn(async move {
                let found = question.ask(&queued.part.number, is_probe, &stop).await;
                (queued, found)
            });
        }
    }

    fn take(&mut self, (mut queued, found): Done) {
        let seen = found.seen();
        self.follow(&seen);
        let ending = found.ending();
        let ending = ending.filter(|ending| *ending != Ending::Deadline || self.crawl.has_deadline);
        if let Some(ending) = ending {
            self.crawl.stop.end(ending);
            return self.queue.push_front(queued);
        }
        if matches!(found, Found::Dropped) {
            return self.queue.push_front(queued);
        }
        queued.tries += 1;
        let is_unreachable = matches!(seen, Seen::Unreachable(_));
        if is_unreachable && queued.tries < course::TRIES {
            // Last, so that one part that takes the server down does not hold up the others.
            return self.queue.push_back(queued);
        }
        self.record(queued, found);
    }

    /// Tells the course what was seen, and people what follows from it.
    fn follow(&mut self, seen: &Seen) {
        let was_out = self.crawl.course.outage().is_some();
        let ending = self.crawl.course.came(seen, now());
        let is_out = self.crawl.course.outage().is_some();
        match (was_out, is_out, seen) {
            (false, true, Seen::Unreachable(text)) => {
                let text = format!("the server cannot be reached, looking again: {text}");
                self.crawl.screen.say(text);
            }
            (true, false, _) => self.crawl.screen.say("the server is back"),
            _ => {}
        }
        self.crawl.progress.set_outage(is_out);
        if let Some(ending) = ending {
            self.crawl.stop.end(ending);
        }
    }

    fn record(&mut self, queued: Queued, found: Found) {
        let failure = found.failure();
        if let Some(output) = &mut self.crawl.output {
            if let Err(error) = output.write(&entry(&queued.part, found, failure.as_ref())) {
                self.crawl.stop.end(Ending::Output(format!("{error:#}")));
                // An answer that nothing keeps is none.
                return self.queue.push_front(queued);
            }
        }
        match failure {
            None => self.outcomes.succeeded += 1,
            Some(Failure { kind, text }) => {
                if self.outcomes.fail(&kind, &text) {
                    let part = &queued.part.number;
                    self.crawl
                        .screen
                        .say(format!("{kind}, part {part}: {text}"));
                }
            }
        }
        self.crawl.progress.done();
    }
}

fn entry<'a>(part: &'a Part, found: Found, failure: Option<&'a Failure>) -> Entry<'a> {
    let (status, answer) = match found {
        Found::Answer(answer) => (Some(answer.status), Some(json_or_text(answer.body))),
        _ => (None, None),
    };
    Entry {
        part,
        status,
        answer,
        error: failure.map(|failure| failure.kind.as_str()),
    }
}

fn json_or_text(body: String) -> Value {
    serde_json::from_str(&body).unwrap_or(Value::String(body))
}

/// Until another part may go because time has passed.
async fn pause(next: Next) {
    match next {
        Next::At(moment) => SystemClock.sleep(moment - now()).await,
        Next::Go | Next::Later => std::future::pending().await,
    }
}

fn now() -> Moment {
    SystemClock.now().moment
}
