//! The crate's own client: the real stack, with the simulated server as its last layer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::Extensions;
use reqwest::{Request, Response, ResponseBuilderExt};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use reqwest_tollgate::{Account, BoxFuture, Clock, Moment, Now, RequestOptions, Window};
use tokio::time::{Instant, sleep};

use super::{Client, World};

/// Who gets no permit at all comes back after that; paused time stands still while somebody asks.
const REFUSED: Duration = Duration::from_secs(1);

const API: &str = "https://api.acme.example";

/// When its worker began a request.
#[derive(Clone, Copy)]
struct Begun(Instant);

pub fn client(world: &Arc<World>) -> Box<dyn Client> {
    let scenario = &world.scenario;
    let window = match scenario.calendar {
        true => Window::per_utc_day(scenario.configured()),
        false => Window::new(scenario.configured(), scenario.length()),
    };
    // As long as it takes: after the limit a whole window passes, or two of a sliding counter.
    let options = RequestOptions::new().max_wait(scenario.length() * 4);
    let account = Account::builder("acme", API)
        .clock(RunClock::of(world))
        .options(options)
        .window(window.pacing(scenario.pacing()))
        .build()
        .unwrap();
    let client = account
        .attach(ClientBuilder::new(reqwest::Client::new()))
        .with(Terminal(world.clone()))
        .build();
    Box::new(client)
}

/// The run's own time, since [`PausedClock`](reqwest_tollgate::PausedClock) goes with the machine's
/// from one run to the next, and a run must be the same whenever it is repeated. Processes count
/// theirs from moments of their own, as on different machines.
struct RunClock {
    start: Instant,
    wall: Duration,
    ran_before: Duration,
}

impl RunClock {
    fn of(world: &World) -> Self {
        let hours = world.random.lock().unwrap().f64() * 1_000.0;
        Self {
            start: world.start,
            wall: world.wall,
            ran_before: Duration::from_secs_f64(hours * 3_600.0),
        }
    }
}

impl Clock for RunClock {
    fn now(&self) -> Now {
        let elapsed = self.start.elapsed();
        Now {
            moment: Moment::after_start(self.ran_before + elapsed),
            wall: SystemTime::UNIX_EPOCH + self.wall + elapsed,
        }
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(sleep(span))
    }
}

#[async_trait]
impl Client for ClientWithMiddleware {
    async fn request(&self, begun: Instant) -> bool {
        let request = self.get(API).with_extension(Begun(begun));
        let Ok(response) = request.send().await else {
            sleep(REFUSED).await;
            return false;
        };
        response.status() == 200
    }
}

struct Terminal(Arc<World>);

#[async_trait]
impl Middleware for Terminal {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let begun = extensions.get::<Begun>().map(|begun| begun.0);
        let answer = self.0.visit(begun.unwrap_or_else(Instant::now)).await;
        let mut response = http::Response::builder()
            .status(if answer.accepted { 200 } else { 429 })
            .url(request.url().clone());
        for (name, value) in answer.headers {
            response = response.header(name, value);
        }
        Ok(response.body("").unwrap().into())
    }
}
