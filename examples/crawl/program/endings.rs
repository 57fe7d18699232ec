//! Why a crawl ends, by which code, and how much it sends in vain.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest_tollgate::sandbox::Sandbox;

use super::{Scene, answering};

#[tokio::test]
async fn a_crawl_of_the_own_sandbox_needs_no_arguments() {
    let scene = Scene::with("").and(&["--requests", "200", "--json"]);
    let arguments = scene.arguments[2..].to_vec();
    let scene = Scene { arguments, ..scene };
    let ran = scene.run().await;
    ran.assert_code(0);
    assert_eq!(
        ran.says("200 parts, about 3 s at 120/2s, 1 day at 100000/day"),
        1
    );
    let json = ran.json();
    assert_eq!(
        (&json["requested"], &json["left"]),
        (&200.into(), &0.into())
    );
}

#[tokio::test]
async fn a_url_that_is_wrong_costs_twenty_requests_and_is_said_once() {
    let sandbox = answering(404).start().await.unwrap();
    let ran = Scene::at(&sandbox, "")
        .parts(200)
        .and(&["--json"])
        .run()
        .await;
    ran.assert_code(1);
    assert_eq!(sandbox.counters().requests, 20);
    let text = "404 Not Found: {\"detail\":\"told so\"}";
    assert_eq!(ran.says(text), 1, "{}", ran.stderr);
    assert_eq!(ran.says("20 parts in a row failed with status 404"), 1);
    let json = ran.json();
    assert_eq!(json["texts"]["status_404"], text);
    assert_eq!((&json["failed"], &json["left"]), (&20.into(), &180.into()));
    assert_eq!(json["exit_code"], 1);
}

#[tokio::test]
async fn how_many_may_fail_in_a_row_can_be_set() {
    let sandbox = answering(403).start().await.unwrap();
    let scene = Scene::at(&sandbox, "").parts(60);
    scene.and(&["--stop-after", "0"]).run().await.assert_code(1);
    assert_eq!(sandbox.counters().requests, 60);
}

#[tokio::test]
async fn a_dead_server_is_probed_now_and_then_and_given_up() {
    // What it accepts it closes.
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", server.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    std::thread::spawn(move || {
        for _ in server.incoming() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let scene = Scene::with(&format!("base_url = \"{url}\"")).parts(100);
    let scene = scene
        .and(&["--outage", "3s", "--json"])
        .out("answers.jsonl");
    let ran = scene.run().await;
    ran.assert_code(1);
    let text = "the server cannot be reached, looking again: the connection to 127.0.0.1:";
    assert_eq!(ran.says(text), 1, "{}", ran.stderr);
    let text = "stopped: the server could not be reached for 3 s";
    assert_eq!(ran.says(text), 1, "{}", ran.stderr);
    assert_eq!(ran.json()["left"], 100);
    // The first part with its retries, and probes after 1 s and 3 s.
    let accepted = accepted.load(Ordering::Relaxed);
    assert!((4 + 1..=4 + 2).contains(&accepted), "{accepted}");
    assert!(scene.has_no_empty_file());
}

#[tokio::test]
async fn a_server_that_comes_back_gets_what_it_could_not_answer() {
    let (asked, is_back) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let switch = is_back.clone();
    let sandbox = Sandbox::builder().resource(move |_| {
        let was_up = asked.fetch_add(1, Ordering::Relaxed) < 20;
        let mut response = http::Response::new("{}");
        *response.status_mut() = match was_up || is_back.load(Ordering::Relaxed) {
            true => http::StatusCode::OK,
            false => http::StatusCode::BAD_GATEWAY,
        };
        response
    });
    let sandbox = sandbox.start().await.unwrap();
    let scene = Scene::at(&sandbox, "").parts(100).out("answers.jsonl");
    let scene = scene.and(&["--workers", "4", "--json"]);
    let ran = tokio::task::spawn_blocking(move || {
        let mut running = scene.start();
        running.wait_for("the server cannot be reached, looking again: 502 Bad Gateway");
        switch.store(true, Ordering::Relaxed);
        running.end()
    });
    let ran = ran.await.unwrap();
    ran.assert_code(0);
    assert_eq!(ran.says("the server is back"), 1, "{}", ran.stderr);
    assert_eq!(ran.json()["succeeded"], 100);
    // Four workers with their tries, and a probe or two.
    assert!(sandbox.counters().requests < 100 + 4 * 4 + 10);
}

#[tokio::test]
async fn a_login_that_is_over_ends_a_crawl_before_its_first_request() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let token = sandbox.refresh_token();
    sandbox.revoke_refresh_tokens();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("tokens");
    let table = format!(
        "grant = \"refresh_token\"\nrefresh_token = \"{token}\"\n\
         token_store = {{ directory = {store:?} }}"
    );
    let ran = Scene::at(&sandbox, &table).parts(10).run().await;
    ran.assert_code(4);
    assert_eq!(
        ran.says("stopped: a person has to log in"),
        1,
        "{}",
        ran.stderr
    );
    assert_eq!(ran.says("cargo run --example login -- --config "), 1);
    assert_eq!(sandbox.counters().requests, 0);
}

#[tokio::test]
async fn a_wrong_secret_ends_a_crawl_before_its_first_request() {
    let sandbox = Sandbox::builder()
        .client("another", "x")
        .start()
        .await
        .unwrap();
    Scene::at(&sandbox, "").parts(10).run().await.assert_code(2);
    assert_eq!(sandbox.counters().requests, 0);
    assert_eq!(sandbox.counters().token_requests, 1);
}

#[tokio::test]
async fn a_spent_day_ends_a_crawl_and_says_until_when() {
    let sandbox = Sandbox::builder().window("30/12h".parse().unwrap());
    let sandbox = sandbox.start().await.unwrap();
    let scene = Scene::at(&sandbox, "windows = [\"30/12h\"]").parts(100);
    let ran = scene.and(&["--json"]).run().await;
    ran.assert_code(3);
    assert_eq!(
        ran.says("stopped: the quota is spent until 2"),
        1,
        "{}",
        ran.stderr
    );
    assert!(ran.json()["until"].is_string());
    assert_eq!(sandbox.counters().answered, 30);
    assert_eq!(ran.json()["left"], 70);
}

#[tokio::test]
async fn a_url_to_another_host_is_refused_unless_the_account_acts_there() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let other = answering(200).start().await.unwrap();
    let url = format!("{}x/{{part}}", other.url());
    let ran = Scene::at(&sandbox, "").and(&["--url", &url]).run().await;
    ran.assert_code(2);
    assert_eq!(ran.says("which is not the account's"), 1, "{}", ran.stderr);
    assert_eq!(other.counters().requests, 0);

    let table = format!("origins = [\"{}\"]", other.url());
    let scene = Scene::at(&sandbox, &table).parts(3).and(&["--url", &url]);
    // Its tokens are the other one's, so it refuses; but it was asked.
    scene.run().await.assert_code(1);
    assert!(other.counters().requests >= 3);
}

#[tokio::test]
async fn a_slip_in_the_template_is_refused() {
    for url in ["/search/{mpn}", "/search/{part"] {
        let ran = Scene::with("base_url = \"http://127.0.0.1:1\"");
        ran.and(&["--url", url]).run().await.assert_code(2);
    }
}

#[tokio::test]
async fn a_deadline_ends_a_crawl() {
    let sandbox = Sandbox::builder().window("5/h".parse().unwrap());
    let sandbox = sandbox.start().await.unwrap();
    let scene = Scene::at(&sandbox, "windows = [\"5/h\"]\nmax_wait = \"2h\"").parts(20);
    let ran = scene.and(&["--deadline", "2", "--json"]).run().await;
    ran.assert_code(1);
    assert_eq!(
        ran.says("stopped: the deadline has passed"),
        1,
        "{}",
        ran.stderr
    );
    // How many it got to ask before is up to the machine: five at most.
    assert!(ran.json()["left"].as_u64() >= Some(15));
}

#[tokio::test]
async fn a_dry_run_shows_the_requests_and_sends_none() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let scene = Scene::at(&sandbox, "windows = [\"120/min\"]").parts(10);
    let scene = scene.out("answers.jsonl").and(&["--dry-run"]);
    let ran = scene.run().await;
    ran.assert_code(0);
    let url = format!("GET {}products/v4/search/P2/productdetails", sandbox.url());
    assert!(ran.stdout.contains(&url), "{}", ran.stdout);
    assert!(ran.stdout.contains("... and 7 more"), "{}", ran.stdout);
    assert_eq!(
        ran.says("10 parts, about 5 s at 120/min"),
        1,
        "{}",
        ran.stderr
    );
    let counters = sandbox.counters();
    assert_eq!((counters.requests, counters.token_requests), (0, 0));
    // The list and the configuration.
    let files = std::fs::read_dir(scene.folder.path()).unwrap();
    assert_eq!(files.count(), 2);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_noticed_before_anything_is_sent_or_made() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    for option in ["--out", "--plot"] {
        let scene = Scene::at(&sandbox, "").parts(3);
        let path = scene.path("missing").join("file");
        let scene = scene.and(&[option, path.to_str().unwrap()]);
        let ran = scene.run().await;
        ran.assert_code(2);
        assert_eq!(ran.says("cannot write"), 1, "{}", ran.stderr);
        assert!(!scene.path("missing").exists());
    }
    assert_eq!(sandbox.counters().token_requests, 0);
}

#[tokio::test]
async fn a_limit_counts_what_is_asked_now() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let scene = Scene::at(&sandbox, "").parts(10).out("answers.jsonl");
    let scene = scene.and(&["--limit", "4"]);
    for (run, lines) in [(1, 4), (2, 8), (3, 10)] {
        scene.run().await.assert_code(0);
        assert_eq!(scene.lines("answers.jsonl").len(), lines, "run {run}");
    }
}

#[tokio::test]
async fn answers_may_go_to_stdout_and_parts_come_from_stdin() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let scene = Scene::at(&sandbox, "").and(&["--parts", "-", "--out", "-", "--json"]);
    let ran = scene.fed("A\nB\n").await;
    ran.assert_code(0);
    let lines = ran.stdout.lines().filter(|line| line.starts_with('{'));
    assert_eq!(lines.count(), 2, "{}", ran.stdout);
    assert_eq!(ran.says("\"succeeded\":2"), 1, "{}", ran.stderr);
}

#[tokio::test]
async fn the_help_has_the_exit_codes_and_the_version_is_there() {
    let help = Scene::with("").and(&["--help"]).run().await;
    help.assert_code(0);
    assert!(
        help.stdout.contains("3  the quota is spent"),
        "{}",
        help.stdout
    );
    let version = Scene::with("").and(&["--version"]).run().await;
    let expected = concat!("crawl ", env!("CARGO_PKG_VERSION"));
    assert!(version.stdout.contains(expected), "{}", version.stdout);
}

#[tokio::test]
async fn a_secret_in_the_configuration_is_warned_of_and_the_log_can_be_turned_up() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let scene = Scene::at(&sandbox, "").parts(1);
    let quiet = scene.run().await;
    quiet.assert_code(0);
    assert!(quiet.stderr.contains("client_secret"), "{}", quiet.stderr);
    assert!(!quiet.stderr.contains("DEBUG"), "{}", quiet.stderr);
    let mut command = scene.command();
    command.env("RUST_LOG", "reqwest_tollgate=debug");
    let traced = Scene::ended(command).await;
    assert!(traced.stderr.contains("DEBUG"), "{}", traced.stderr);
    let verbose = scene.and(&["-v"]).run().await;
    assert!(verbose.stderr.contains("DEBUG"), "{}", verbose.stderr);
    assert!(!verbose.stderr.contains(Sandbox::CLIENT_SECRET));
}
