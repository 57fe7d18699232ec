//! Ctrl-C and SIGTERM.

#![cfg(unix)]

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest_tollgate::sandbox::{Fault, Sandbox};

use super::{Running, Scene, until};

async fn end(running: Running) -> super::Ran {
    tokio::task::spawn_blocking(|| running.end()).await.unwrap()
}

#[tokio::test]
async fn the_first_signal_loses_no_answer_and_the_same_command_goes_on() {
    let sandbox = Sandbox::builder()
        .window("40/500ms".parse().unwrap())
        .latency(Duration::from_millis(20)..Duration::from_millis(120))
        .start()
        .await
        .unwrap();
    let scene = Scene::at(&sandbox, "windows = [\"40/500ms\"]").parts(200);
    let picture = scene.path("crawl.svg");
    let scene = scene.out("answers.jsonl").and(&["--json", "--plot"]);
    let scene = scene.and(&[picture.to_str().unwrap()]);
    for signal in ["-INT", "-TERM"] {
        let before = sandbox.counters().answered;
        let running = scene.start();
        until(|| sandbox.counters().answered >= before + 30).await;
        running.signal(signal);
        let ran = end(running).await;
        ran.assert_code(1);
        assert_eq!(ran.says("stopped: interrupted"), 1, "{}", ran.stderr);
        assert_eq!(ran.says("the same command goes on with them"), 1);
        assert_eq!(ran.json()["stopped"], "interrupted");
        let lines = scene.lines("answers.jsonl").len() as u64;
        assert_eq!(lines, sandbox.counters().answered);
        assert_eq!(sandbox.counters().requests, lines);
        assert!(scene.has_no_empty_file() && picture.exists());
    }
    scene.run().await.assert_code(0);
    let lines = scene.lines("answers.jsonl");
    let parts: BTreeSet<_> = lines.iter().map(|line| line["part"].to_string()).collect();
    assert_eq!((lines.len(), parts.len()), (200, 200));
    assert_eq!(sandbox.counters().requests, 200);
}

#[tokio::test]
async fn a_signal_during_a_renewal_costs_no_login() {
    let sandbox = Sandbox::builder()
        .token_lifetime(Duration::from_secs(1))
        .start()
        .await
        .unwrap();
    let token = sandbox.refresh_token();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("tokens");
    let table = format!(
        "grant = \"refresh_token\"\nrefresh_token = \"{token}\"\nwindows = [\"50/s\"]\n\
         token_store = {{ directory = {store:?} }}"
    );
    let scene = Scene::at(&sandbox, &table).parts(2_000);
    for _ in 0..3 {
        let rotated = sandbox.counters().rotations;
        let running = scene.start();
        until(|| sandbox.counters().rotations > rotated).await;
        sandbox.inject(Fault::TokenSlow(Duration::from_millis(400)));
        let asked = sandbox.counters().token_requests;
        until(|| sandbox.counters().token_requests > asked).await;
        running.signal("-INT");
        end(running).await.assert_code(1);
        sandbox.clear_faults();
    }
    scene.and(&["--limit", "5"]).run().await.assert_code(0);
    assert_eq!(sandbox.counters().families_revoked, 0);
}

#[tokio::test]
async fn the_second_signal_ends_at_once() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let (requests, span) = (1, Duration::from_secs(3_600));
    sandbox.inject(Fault::Hang { requests, span });
    let scene = Scene::at(&sandbox, "").parts(5).out("answers.jsonl");
    let mut running = scene.start();
    until(|| sandbox.counters().injected > 0).await;
    running.signal("-INT");
    running.wait_for("a second signal ends at once");
    running.signal("-INT");
    end(running).await.assert_code(130);
    assert!(scene.has_no_empty_file());
}

#[tokio::test]
async fn a_signal_while_nothing_is_on_the_wire_ends_a_crawl_that_would_wait_for_hours() {
    let sandbox = Sandbox::builder().window("3/h".parse().unwrap());
    let sandbox = sandbox.start().await.unwrap();
    let scene = Scene::at(&sandbox, "windows = [\"3/h\"]\nmax_wait = \"2h\"").parts(9);
    let scene = scene.out("answers.jsonl");
    let running = scene.start();
    until(|| sandbox.counters().answered == 3).await;
    running.signal("-TERM");
    end(running).await.assert_code(1);
    assert_eq!(scene.lines("answers.jsonl").len(), 3);
}

#[tokio::test]
async fn a_signal_while_there_is_no_token_yet_ends_a_crawl() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    sandbox.inject("token-down=1h".parse().unwrap());
    let scene = Scene::at(&sandbox, "").parts(3);
    let ran = tokio::task::spawn_blocking(move || {
        let mut running = scene.start();
        running.wait_for("there is no token yet, trying again");
        running.signal("-INT");
        running.end()
    });
    let ran = ran.await.unwrap();
    ran.assert_code(1);
    assert_eq!(ran.says("stopped: interrupted"), 1, "{}", ran.stderr);
    assert_eq!(sandbox.counters().requests, 0);
}
