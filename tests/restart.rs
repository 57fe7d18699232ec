//! Stories about programs that end and begin again.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use common::{API, Events, Stub, acme, answer, client, noon, seconds, send_all, under_paused_time};
use http::{HeaderMap, StatusCode};
use reqwest_tollgate::{
    Account, AccountBuilder, Config, Error, ErrorKind, Event, FileStore, MemoryStore, PausedClock,
    Quota, QuotaStore, RequestOptions, SystemClock, Window,
};
use tokio::time::sleep;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn crawler() -> AccountBuilder {
    acme()
        .window("120/min".parse().unwrap())
        .window(Window::per_utc_day(1_000))
        .options(RequestOptions::new().max_wait(seconds(60 * 60)))
}

fn left(account: &Account) -> Vec<u64> {
    let quotas = account.quotas();
    let windows = quotas[0].windows().iter();
    windows.map(|window| window.remaining).collect()
}

fn troubles(events: &Events) -> usize {
    events.count(|event| matches!(event, Event::QuotaStoreFailed { .. }))
}

#[tokio::test(start_paused = true)]
async fn half_a_days_quota_is_not_forgotten_by_a_restart() {
    let store = FileStore::new(folder("restart-half-a-day"));
    let account = crawler().quota_store(store.clone()).build().unwrap();
    let stub = Stub::answering([]);
    send_all(&client(&account, &stub), 500).await;
    let before = left(&account);
    assert_eq!(before[1], 500);
    account.flush().await.unwrap();
    drop(account);
    let wall = noon() + seconds(4 * 60);
    let builder = crawler().clock(PausedClock::starting_at(wall));
    let account = builder.quota_store(store).build().unwrap();
    assert_eq!(left(&account), before);
    let results = send_all(&client(&account, &stub), 501).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 500);
    let error = results[500].as_ref().expect_err("the day is spent");
    assert_eq!(Error::find(error).unwrap().kind(), ErrorKind::QuotaExceeded);
}

#[test]
fn the_end_of_the_account_saves_and_the_runtime_waits_for_it() {
    let folder = folder("restart-drop");
    for round in 0..3 {
        under_paused_time(async {
            let store = FileStore::new(&folder);
            let account = crawler().quota_store(store).build().unwrap();
            assert_eq!(left(&account)[1], 1_000 - 3 * round);
            send_all(&client(&account, &Stub::answering([])), 3).await;
        });
    }
    let events = Events::default();
    let builder = crawler().observer(events.observer());
    let account = builder
        .quota_store(FileStore::new(&folder))
        .build()
        .unwrap();
    assert_eq!(left(&account)[1], 991, "built without any runtime");
    account.charge(Quota::DEFAULT, "requests", 1).unwrap();
    drop(account);
    let account = crawler()
        .quota_store(FileStore::new(&folder))
        .build()
        .unwrap();
    assert_eq!(left(&account)[1], 990, "ended without any runtime");
    assert_eq!(troubles(&events), 0);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_saved_a_second_later_with_what_is_on_the_wire() {
    let store = MemoryStore::new();
    let account = crawler().quota_store(store.clone()).build().unwrap();
    let stub = Stub::new(|_| answer(200).after(seconds(30)));
    let client = client(&account, &stub);
    tokio::spawn(async move { send_all(&client, 7).await });
    sleep(seconds(2)).await;
    // As after a kill -9: nobody has flushed or ended.
    let other = crawler().quota_store(store).build().unwrap();
    // Two are on the wire, until the server has answered at all.
    assert_eq!(left(&other), [118, 998]);
}

#[tokio::test(start_paused = true)]
async fn one_who_waited_is_saved_as_soon_as_it_is_on_the_wire() {
    let store = MemoryStore::new();
    let windows = || {
        let builder = acme().window("1/10s".parse().unwrap());
        builder.window(Window::per_utc_day(1_000))
    };
    let account = windows().quota_store(store.clone()).build().unwrap();
    let stub = Stub::new(|request| match request.url().path() {
        "/0" => answer(200),
        _ => answer(200).after(seconds(30)),
    });
    let client = client(&account, &stub);
    tokio::spawn(async move { send_all(&client, 2).await });
    sleep(seconds(13)).await;
    let other = windows().quota_store(store).build().unwrap();
    assert_eq!(left(&other)[1], 998);
}

#[test]
fn a_save_that_went_with_its_runtime_is_made_up_for_in_the_next() {
    let store: Arc<dyn QuotaStore> = Arc::new(MemoryStore::new());
    let builder = || acme().clock(SystemClock).window("9/day".parse().unwrap());
    let account = builder().quota_store(store.clone()).build().unwrap();
    for _ in 0..2 {
        under_paused_time(send_all(&client(&account, &Stub::answering([])), 1));
    }
    under_paused_time(async {
        send_all(&client(&account, &Stub::answering([])), 1).await;
        sleep(seconds(2)).await;
        let other = builder().quota_store(store).build().unwrap();
        assert_eq!(left(&other), [6]);
    });
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_server_asked_for_outlives_the_process() {
    let store = MemoryStore::new();
    let rejected = answer(429).header("retry-after", 600);
    let account = crawler()
        .quota_store(store.clone())
        .max_replays(0)
        .build()
        .unwrap();
    let stub = Stub::answering([rejected]);
    client(&account, &stub).get(API).send().await.unwrap();
    account.flush().await.unwrap();
    sleep(seconds(100)).await;
    let wall = noon() + seconds(100);
    let builder = crawler().clock(PausedClock::starting_at(wall));
    let account = builder.quota_store(store).build().unwrap();
    let blocked = account.quotas()[0].blocked_until().unwrap();
    let span = blocked.duration_since(noon()).unwrap();
    assert!((seconds(600)..seconds(601)).contains(&span), "{span:?}");
    client(&account, &stub).get(API).send().await.unwrap();
    assert_eq!(stub.arrivals(), [0, 600]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_told_and_replaced() {
    let newer = r#"{"format": 2, "at": 0, "quotas": {}}"#;
    for (number, content) in ["", "garbage", "{\"format\": 1}", newer].iter().enumerate() {
        let folder = folder(&format!("restart-garbage-{number}"));
        let account = crawler()
            .quota_store(FileStore::new(&folder))
            .build()
            .unwrap();
        send_all(&client(&account, &Stub::answering([])), 1).await;
        account.flush().await.unwrap();
        drop(account);
        let file = file_of_quotas(&folder);
        std::fs::write(&file, content).unwrap();
        let events = Events::default();
        let builder = crawler().observer(events.observer());
        let account = builder
            .quota_store(FileStore::new(&folder))
            .build()
            .unwrap();
        assert_eq!(
            (troubles(&events), left(&account)[1]),
            (1, 1_000),
            "{content:?}"
        );
        send_all(&client(&account, &Stub::answering([])), 1).await;
        account.flush().await.unwrap();
        assert!(
            std::fs::read_to_string(&file)
                .unwrap()
                .contains("\"format\":1")
        );
        assert_eq!(troubles(&events), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_processes_with_one_folder_the_first_saves_until_it_ends() {
    let folder = folder("restart-two");
    let events = Events::default();
    // A store of its own has its own locks, like another process.
    let account = |events: &Events| {
        let builder = crawler().observer(events.observer());
        builder
            .quota_store(FileStore::new(&folder))
            .build()
            .unwrap()
    };
    let first = account(&Events::default());
    send_all(&client(&first, &Stub::answering([])), 5).await;
    first.flush().await.unwrap();
    let second = account(&events);
    for _ in 0..3 {
        send_all(&client(&second, &Stub::answering([])), 1).await;
        let error = second.flush().await.expect_err("in use");
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(
            error.to_string().contains("another process saves"),
            "{error}"
        );
    }
    assert_eq!(troubles(&events), 1, "told once");
    drop(first);
    while second.flush().await.is_err() {
        tokio::task::yield_now().await;
    }
    drop(second);
    assert_eq!(left(&account(&events))[1], 992);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_forgets_nothing() {
    let store = MemoryStore::new();
    let account = crawler().quota_store(store.clone()).build().unwrap();
    send_all(&client(&account, &Stub::answering([])), 50).await;
    account.flush().await.unwrap();
    let yesterday: SystemTime = noon() - seconds(24 * 60 * 60);
    let builder = crawler().clock(PausedClock::starting_at(yesterday));
    let account = builder.quota_store(store).build().unwrap();
    assert_eq!(left(&account), [70, 950]);
    sleep(seconds(61)).await;
    assert_eq!(
        client(&account, &Stub::answering([]))
            .get(API)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(
        left(&account),
        [119, 949],
        "a minute later the minute is over"
    );
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_added_later_finds_what_was_saved_of_it() {
    let store = MemoryStore::new();
    let search = || {
        Quota::new("search")
            .path("/search")
            .window(Window::per_day(10))
    };
    let account = crawler()
        .quota_store(store.clone())
        .quota(search())
        .build()
        .unwrap();
    let stub = Stub::answering([]);
    let url = format!("{API}/search");
    client(&account, &stub).get(url).send().await.unwrap();
    account.flush().await.unwrap();
    // A run that does not have it keeps it for the next.
    let between = crawler().quota_store(store.clone()).build().unwrap();
    client(&between, &stub).get(API).send().await.unwrap();
    between.flush().await.unwrap();
    let account = crawler().quota_store(store).build().unwrap();
    account.set_quota(search()).unwrap();
    assert_eq!(account.quotas()[1].windows()[0].remaining, 9);
}

/// A worker that names its quotas by customer would else save all that it ever had.
#[tokio::test(start_paused = true)]
async fn what_was_saved_of_a_quota_that_is_no_more_is_dropped_when_none_of_it_counts() {
    let folder = folder("restart-no-more");
    let search = Quota::new("search")
        .path("/search")
        .window(Window::per_minute(10));
    let stub = Stub::new(|request| {
        answer(200).after(match request.url().path() {
            "/search" => seconds(30),
            _ => seconds(0),
        })
    });
    let account = crawler()
        .quota_store(FileStore::new(&folder))
        .quota(search)
        .build()
        .unwrap();
    let url = format!("{API}/search");
    let hanging = tokio::spawn(client(&account, &stub).get(url).send());
    sleep(seconds(2)).await;
    // As after a kill -9: one is on the wire, and stays there.
    let again = crate::folder("restart-no-more-again");
    std::fs::create_dir_all(&again).unwrap();
    let saved = file_of_quotas(&folder);
    std::fs::copy(&saved, again.join(saved.file_name().unwrap())).unwrap();
    hanging.abort();

    let after = noon() + seconds(10);
    let builder = crawler().clock(PausedClock::starting_at(after));
    let account = builder.quota_store(FileStore::new(&again)).build().unwrap();
    let mut is_saved = Vec::new();
    for _ in 0..3 {
        client(&account, &stub).get(API).send().await.unwrap();
        account.flush().await.unwrap();
        let saved = std::fs::read_to_string(file_of_quotas(&again)).unwrap();
        is_saved.push(saved.contains("search"));
        sleep(seconds(40)).await;
    }
    assert_eq!(
        is_saved,
        [true, true, false],
        "for a minute from the restart"
    );
}

/// The file of the only account whose quotas are saved in this folder.
fn file_of_quotas(folder: &Path) -> PathBuf {
    let is_ours = |path: &PathBuf| path.extension().is_some_and(|end| end == "quotas");
    let mut files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files.find(is_ours).unwrap()
}

/// A long-lived process that makes and drops accounts would else keep a file open for each.
#[tokio::test(start_paused = true)]
async fn an_account_that_has_ended_lets_go_of_its_store() {
    let folder = folder("restart-let-go");
    let store = FileStore::new(&folder);
    let stub = Stub::answering([]);
    let first = crawler().quota_store(store.clone()).build().unwrap();
    send_all(&client(&first, &stub), 5).await;
    first.flush().await.unwrap();
    drop(first);
    // Another store has its own locks, like another process.
    let second = crawler()
        .quota_store(FileStore::new(&folder))
        .build()
        .unwrap();
    send_all(&client(&second, &stub), 1).await;
    flush_after_the_end_of_another(&second).await;
    drop(store);
}

/// The other saves once more, on a thread of its own.
async fn flush_after_the_end_of_another(account: &Account) {
    let mut tries = 0;
    while account.flush().await.is_err() {
        tries += 1;
        assert!(tries < 1_000, "the other has ended, and not let go");
        tokio::task::spawn_blocking(std::thread::yield_now)
            .await
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_configuration_file_names_the_store_of_one_account_or_of_all() {
    let folder = folder("restart-config");
    let store = format!("quota_store = {{ directory = '{}' }}", folder.display());
    let account = format!("[accounts.acme]\nbase_url = \"{API}\"\nwindows = [\"9/day\"]\n");
    let build = |toml: &str| {
        let config: Config = toml::from_str(toml).unwrap();
        let config = config.clock(PausedClock::starting_at(noon()));
        config
            .build()
            .map(|mut accounts| accounts.remove("acme").unwrap())
    };
    for (text, expected) in [
        (format!("{store}\n{account}"), 8),
        (account.clone() + &store, 7),
    ] {
        let account = build(&text).unwrap();
        client(&account, &Stub::answering([]))
            .get(API)
            .send()
            .await
            .unwrap();
        flush_after_the_end_of_another(&account).await;
        assert_eq!(left(&account), [expected]);
        drop(account);
    }
    for bad in ["7", "\"redis\"", "{ directory = \"x\", key = \"k\" }"] {
        let error = build(&format!("quota_store = {bad}\n{account}")).expect_err(bad);
        assert!(error.to_string().contains("quota_store: found"), "{error}");
    }
}

/// What a second account finds that one of a customer has used, of a thousand.
async fn left_after(first: AccountBuilder, second: AccountBuilder) -> u64 {
    let store = MemoryStore::new();
    let of = |builder: AccountBuilder| {
        let builder = builder.clock(PausedClock::starting_at(noon()));
        let builder = builder.window(Window::per_utc_day(1_000));
        builder.quota_store(store.clone()).build().unwrap()
    };
    let account = of(first);
    let permit = account.permit("/", &RequestOptions::new()).await.unwrap();
    assert!(permit.answered(StatusCode::OK, &HeaderMap::new()).is_none());
    account.flush().await.unwrap();
    left(&of(second))[0]
}

fn of_client(name: &str, client: &str) -> AccountBuilder {
    let builder = Account::builder(name, API).token_url("/token");
    builder.client_id(client).client_secret("its-secret")
}

#[tokio::test(start_paused = true)]
async fn two_customers_under_one_name_have_a_ledger_each() {
    let of = |name: &str| Account::builder(name, API);
    for (first, second) in [
        (of_client("acme", "one"), of_client("acme", "two")),
        (
            of("acme").header("X-Key", "one"),
            of("acme").header("X-Key", "two"),
        ),
        (
            of("acme").query("key", "one"),
            of("acme").query("key", "two"),
        ),
        (of("acme").bearer("one"), of("acme").bearer("two")),
        (
            of("acme").basic("one", "word"),
            of("acme").basic("two", "word"),
        ),
        // Where nothing else tells them apart, the name does.
        (of("acme"), of("team")),
        (of_client("acme", "one"), of("acme").bearer("one")),
    ] {
        assert_eq!(left_after(first, second).await, 1_000);
    }
    let elsewhere = Account::builder("acme", "https://api.other.example").bearer("one");
    assert_eq!(left_after(of("acme").bearer("one"), elsewhere).await, 1_000);
}

#[tokio::test(start_paused = true)]
async fn one_customer_under_two_names_has_one_ledger() {
    let of = |name: &str| Account::builder(name, API);
    for (first, second) in [
        (of_client("acme", "one"), of_client("crawler", "one")),
        (
            of("acme").header("X-Key", "one"),
            of("crawler").header("X-Key", "one"),
        ),
        (
            of("acme").query("key", "one"),
            of("crawler").query("key", "one"),
        ),
        (of("acme").bearer("one"), of("crawler").bearer("one")),
        // A password is renewed.
        (
            of("acme").basic("one", "word"),
            of("crawler").basic("one", "renewed"),
        ),
        (of("acme"), of("acme")),
    ] {
        assert_eq!(left_after(first, second).await, 999);
    }
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_file_of_quotas_shows_the_host_and_no_key() {
    let folder = folder("restart-name");
    let account = Account::builder("acme", API)
        .bearer("its-secret")
        .window(Window::per_utc_day(1_000))
        .quota_store(FileStore::new(&folder))
        .build()
        .unwrap();
    account.charge(Quota::DEFAULT, "requests", 1).unwrap();
    account.flush().await.unwrap();
    let file = file_of_quotas(&folder);
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("api.acme.example-"), "{name}");
    assert!(!name.contains("secret"), "{name}");
}

#[tokio::test(start_paused = true)]
async fn what_was_forgotten_stays_forgotten_over_a_restart() {
    let store = MemoryStore::new();
    let account = crawler()
        .options(RequestOptions::new().max_wait(seconds(60)))
        .quota_store(store.clone())
        .build()
        .unwrap();
    let closed = answer(429)
        .header("retry-after", 1_000_000)
        .after(seconds(1));
    let stub = Stub::answering([closed]);
    send_all(&client(&account, &stub), 1).await;
    account.reopen(Quota::DEFAULT).unwrap();
    account.flush().await.unwrap();
    let again = crawler().quota_store(store).build().unwrap();
    assert_eq!(left(&again), [119, 999]);
    let results = send_all(&client(&again, &stub), 1).await;
    assert!(results[0].is_ok());
}
