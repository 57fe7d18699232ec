//! A request through both layers, in both orders, dropped at each of its moments: the first token,
//! the 401, the forced renewal, the permit of the replay.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::Extensions;
use http::header::AUTHORIZATION;
use reqwest::{Request, Response, ResponseBuilderExt};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};

use super::cancel::each_number;
use super::shelf::Mode;
use super::world::{Errand, Kind, World};
use crate::auth::AuthMiddleware;
use crate::auth::testing::{API, SECOND};
use crate::clock::Clock;
use crate::clock::manual::HandClock;
use crate::error::Error;
use crate::options::RequestOptions;
use crate::rate_limit::{Limiter, LimiterSettings, Quota, RateLimitMiddleware, Window};

/// Longer than a request takes here, and shorter than a lost permit would be held.
const SOON: Duration = Duration::from_secs(60);

/// The API: refuses the first token that it sees.
#[derive(Clone)]
struct Api(HandClock, Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    refused: Option<http::HeaderValue>,
    requests: HashMap<String, usize>,
}

#[async_trait]
impl Middleware for Api {
    async fn handle(
        &self,
        request: Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let url = request.url().clone();
        let token = request.headers().get(AUTHORIZATION).cloned();
        let refused = {
            let mut seen = self.1.lock().expect("no panic");
            let path = url.path().to_owned();
            *seen.requests.entry(path).or_default() += 1;
            let first = seen.refused.get_or_insert(token.clone().expect("a token"));
            token.as_ref() == Some(first)
        };
        self.0.sleep(SECOND).await;
        let status = if refused { 401 } else { 200 };
        let response = http::Response::builder().status(status).url(url);
        Ok(response.body("").expect("a response").into())
    }
}

fn limiter(world: &World) -> RateLimitMiddleware {
    let settings = &world.authenticator.settings;
    let limiter = Limiter::new(LimiterSettings {
        account: settings.account.clone(),
        id: settings.id,
        origins: settings.origins.clone(),
        events: settings.events.clone(),
        clock: settings.clock.clone(),
        quotas: vec![Quota::new(Quota::DEFAULT).window(Window::new(100, SECOND))],
        max_replays: 3,
        max_in_flight: Some(1),
        max_queue: None,
        unanswered_after: 10 * SOON,
        has_credentials: true,
        rules: Arc::default(),
        request_id_headers: Vec::new(),
        keeper: None,
        snapshots: false,
    });
    RateLimitMiddleware::new(Arc::new(limiter), RequestOptions::default())
}

fn client(world: &World, api: &Api, limiter_first: bool) -> ClientWithMiddleware {
    let auth = AuthMiddleware::new(world.authenticator.clone(), RequestOptions::default());
    let bare = ClientBuilder::new(reqwest::Client::new());
    match limiter_first {
        true => bare.with(limiter(world)).with(auth),
        false => bare.with(auth).with(limiter(world)),
    }
    .with(api.clone())
    .build()
}

fn send(world: &mut World, client: &ClientWithMiddleware, path: &str) {
    let request = client.get(format!("{API}{path}"));
    world.admit(Errand::Send, async move {
        match request.send().await {
            Ok(response) if response.status() == 200 => Ok(None),
            Ok(response) => panic!("{response:?}"),
            Err(error) => Err(Error::find(&error).cloned().expect("an error of ours")),
        }
    });
}

fn dropped_after(polls: usize, limiter_first: bool) -> bool {
    let mut world = World::new(Kind::Login, false);
    world.shelf.be(Mode::Slow(1, true));
    let api = Api(world.clock.clone(), Arc::default());
    let client = client(&world, &api, limiter_first);
    send(&mut world, &client, "/dropped");
    let ended = world.poll_so_often(polls);
    let before = world.clock.now().moment;
    send(&mut world, &client, "/next");
    world.finish(500);
    let waited = world.clock.now().moment - before;
    let (errand, outcome) = world.ended.pop().expect("the next request ends");
    assert_eq!(errand, Errand::Send);
    outcome.expect("the next request succeeds");
    assert!(waited < SOON, "a permit was lost: {waited:?}");
    world.refused = 1;
    world.check("both requests");
    assert!(
        world.server.requests() <= 2,
        "A9: {}",
        world.server.requests()
    );
    let seen = api.1.lock().expect("no panic");
    assert!(seen.requests.values().all(|&times| times <= 2), "A11");
    ended
}

#[test]
fn a_replay_behind_the_limiter_may_be_dropped_at_any_moment() {
    assert!(each_number(|polls| dropped_after(polls, true)) > 5);
}

#[test]
fn a_replay_in_front_of_the_limiter_may_be_dropped_at_any_moment() {
    assert!(each_number(|polls| dropped_after(polls, false)) > 5);
}
