//! Windows of the calendar: what happens around midnight, under paused time.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use common::{API, Stub, answer, client, millis, noon, seconds};
use http::{HeaderMap, StatusCode};
use reqwest_tollgate::{
    Account, AccountBuilder, FileStore, PausedClock, Permit, RequestOptions, Window,
};
use tokio::time::{Instant, sleep, sleep_until};

const ANY: &str = "/part";
const DAY: u64 = 24 * 60 * 60;

/// An account whose clock shows this many milliseconds to midnight, with so many a day.
fn before_midnight(to_midnight: u64, limit: u64) -> AccountBuilder {
    let start = noon() + seconds(DAY / 2) - millis(to_midnight);
    Account::builder("acme", API)
        .clock(PausedClock::starting_at(start))
        .window(Window::per_utc_day(limit))
        .options(RequestOptions::new().max_wait(seconds(2 * DAY)))
}

/// A server that counts by the days of a clock of its own.
struct Days {
    limit: u64,
    day: i64,
    count: u64,
    rejected: u64,
}

impl Days {
    fn accept(&mut self, day: i64) -> bool {
        if day != self.day {
            (self.day, self.count) = (day, 0);
        }
        let accepted = self.count < self.limit;
        self.count += u64::from(accepted);
        self.rejected += u64::from(!accepted);
        accepted
    }
}

/// How many a server rejects of a client that sends on and on around two midnights, and how many
/// it accepts on the day between them. Its clock is ahead by so many milliseconds.
async fn around_midnight(limit: u64, ahead: i64, tells: bool) -> (u64, u64) {
    const TO_MIDNIGHT: u64 = 10_000;
    let account = before_midnight(TO_MIDNIGHT, limit).max_replays(0).build();
    let account = account.unwrap();
    let begun = Instant::now();
    let days = Arc::new(Mutex::new((
        Vec::new(),
        Days {
            limit,
            day: -1,
            count: 0,
            rejected: 0,
        },
    )));
    let server = days.clone();
    let stub = Stub::distant(
        || millis(50),
        move |_| {
            let since_midnight =
                i64::try_from(begun.elapsed().as_millis()).unwrap() - TO_MIDNIGHT as i64 + ahead;
            let (accepted_on, days) = &mut *server.lock().unwrap();
            let day = since_midnight.div_euclid(DAY as i64 * 1_000);
            let accepted = days.accept(day);
            accepted_on.extend(accepted.then_some(day));
            let answer = answer(if accepted { 200 } else { 429 }).after(millis(50));
            match tells {
                true => answer
                    .header("x-ratelimit-limit", limit)
                    .header("x-ratelimit-remaining", limit - days.count),
                false => answer,
            }
        },
    );
    let client = client(&account, &stub);
    let work = |_| {
        let client = client.clone();
        async move {
            while begun.elapsed() < seconds(DAY + 60) {
                let _ = client.get(API).send().await;
                sleep(millis(400)).await;
            }
        }
    };
    futures_util::future::join_all((0..4).map(work)).await;
    let (accepted_on, days) = &*days.lock().unwrap();
    let between = accepted_on.iter().filter(|day| **day == 0).count();
    (days.rejected, between as u64)
}

#[tokio::test(start_paused = true)]
async fn nobody_who_works_through_midnight_is_rejected_on_either_day() {
    for limit in [200, 1_000, 5_000] {
        for ahead in [-1_900, -1_000, 0, 1_000, 1_900] {
            for tells in [false, true] {
                let (rejected, between) = around_midnight(limit, ahead, tells).await;
                let of = format!("{limit} a day, the server ahead by {ahead} ms, tells: {tells}");
                assert_eq!(rejected, 0, "{of}");
                // What left while nobody knew which day it was may have counted in both.
                assert!(between >= limit - limit / 50, "{between} accepted: {of}");
            }
        }
    }
}

async fn leave(account: &Account) -> Permit {
    account.permit(ANY, &RequestOptions::new()).await.unwrap()
}

fn answered(permit: Permit) {
    assert!(permit.answered(StatusCode::OK, &HeaderMap::new()).is_none());
}

fn remaining(account: &Account) -> u64 {
    account.quotas()[0].windows()[0].remaining
}

#[tokio::test(start_paused = true)]
async fn a_burst_at_midnight_waits_until_the_day_is_certain_and_a_few_do_not() {
    let account = before_midnight(1_000, 100).build().unwrap();
    let begun = Instant::now();
    let mut left = Vec::new();
    for _ in 0..4 {
        answered(leave(&account).await);
        left.push(begun.elapsed().as_secs());
    }
    // A fiftieth leaves at once; the others two seconds after midnight.
    assert_eq!(left, [0, 0, 3, 3]);
    assert_eq!(remaining(&account), 96, "all four may count in the new day");
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_just_after_midnight_counts_in_the_new_day_alone() {
    let account = before_midnight(60_000, 100).build().unwrap();
    for _ in 0..10 {
        answered(leave(&account).await);
    }
    let permit = leave(&account).await;
    sleep(seconds(61)).await;
    answered(permit);
    assert_eq!(remaining(&account), 89);
    sleep(seconds(2)).await;
    assert_eq!(remaining(&account), 99);
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_forget_what_was_answered_just_after_midnight() {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let start = || before_midnight(60_000, 100).quota_store(FileStore::new(folder.path()));
    let account = start().build().unwrap();
    answered(leave(&account).await);
    let permit = leave(&account).await;
    sleep_until(begun + seconds(61)).await;
    answered(permit);
    account.flush().await.unwrap();
    drop(account);
    let restarted = |after: Duration| {
        let wall: SystemTime = noon() + seconds(DAY / 2) + after;
        let account = start().clock(PausedClock::starting_at(wall)).build();
        remaining(&account.unwrap())
    };
    assert_eq!(restarted(millis(1_500)), 98, "in either day");
    assert_eq!(restarted(seconds(3)), 99, "the first was of the day before");
    assert_eq!(restarted(seconds(DAY)), 99);
    assert_eq!(restarted(seconds(DAY + 3)), 100);
}
