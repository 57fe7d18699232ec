//! Resets as the vendors write them: seconds, milliseconds, seconds since 1970.

use reqwest_tollgate::distributors::{digikey, sourcengine, te};
use reqwest_tollgate::{AccountBuilder, Window};

use crate::common::{Stub, answer, noon, seconds};
use crate::{Scene, since_noon};

const HOUR: u64 = 60 * 60;

/// An answer whose headers say that nothing is left, and when the window resets.
async fn reset(builder: AccountBuilder, value: impl ToString) -> Option<std::time::Duration> {
    let last = answer(200)
        .header("X-RateLimit-Limit", 1000)
        .header("X-RateLimit-Remaining", 0)
        .header("X-RateLimit-Reset", value);
    let scene = Scene::new(builder, Stub::answering([last]));
    scene.get("some/path").await.unwrap();
    let quotas = scene.account.quotas();
    let window = quotas[0].windows().last().unwrap();
    assert_eq!(window.remaining, 0);
    window.reset.map(since_noon)
}

fn epoch_of_noon() -> u64 {
    noon()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[tokio::test(start_paused = true)]
async fn digikeys_resets_are_understood_in_all_three_units() {
    let digikey = || digikey::account("id", "secret");
    let expected = Some(seconds(28_416));
    assert_eq!(reset(digikey(), 28_416).await, expected);
    assert_eq!(reset(digikey(), epoch_of_noon() + 28_416).await, expected);
    let milliseconds = (epoch_of_noon() + 28_416) * 1000;
    assert_eq!(reset(digikey(), milliseconds).await, expected);
}

#[tokio::test(start_paused = true)]
async fn garbage_for_a_reset_counts_as_absent() {
    for garbage in ["soon", "-5", "", "1e400"] {
        let builder = digikey::account("id", "secret");
        let midnight = reset(builder, garbage).await.expect("the calendar's");
        assert!(midnight >= seconds(12 * HOUR) && midnight <= seconds(12 * HOUR + 3));
    }
}

#[tokio::test(start_paused = true)]
async fn tes_reset_is_milliseconds_to_go() {
    let builder = te::account("id", "secret");
    let told = reset(builder, 86_382_593).await.unwrap();
    assert_eq!(told.as_millis(), 86_382_593);
    // However small: an hour, not forty days.
    let builder = te::account("id", "secret");
    assert_eq!(reset(builder, 3_600_000).await, Some(seconds(HOUR)));
}

#[tokio::test(start_paused = true)]
async fn sourcengines_reset_is_a_time_and_ends_a_spent_window() {
    let spent = answer(429)
        .header("X-RateLimit-Limit", 1000)
        .header("X-RateLimit-Remaining", 0)
        .header("X-RateLimit-Reset", epoch_of_noon() + 2 * HOUR);
    // Of a customer who has found out how long the window is; the preset has none.
    let builder = sourcengine::account("token").window(Window::per_day(1000));
    let scene = Scene::new(builder, Stub::answering([spent]));
    let rest = scene.spent("some/path").await;
    assert!(
        rest >= seconds(2 * HOUR) && rest <= seconds(2 * HOUR + 3),
        "{rest:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn tes_spent_day_is_told_by_its_headers() {
    let spent = answer(429)
        .header("X-RateLimit-Limit", 5000)
        .header("X-RateLimit-Remaining", 0)
        .header("X-RateLimit-Reset", 86_382_593);
    let scene = Scene::new(te::account("id", "secret"), Stub::answering([spent]));
    let rest = scene.spent("some/path").await;
    assert!(
        rest >= seconds(86_382) && rest <= seconds(86_385),
        "{rest:?}"
    );
}
