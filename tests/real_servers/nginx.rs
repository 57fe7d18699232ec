//! nginx with `limit_req`: a leaky bucket, counted by the millisecond, that answers a bare 503, or
//! a bare 429 where it is told so.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use reqwest_tollgate::{Account, Rule, Verdict};

use crate::crawl::{Tally, client, crawl, parts, report};
use crate::node::skip;

/// Ten a second.
const RATE: usize = 10;

/// Ten at once, then ten a second.
const BUCKET: &str = "limit_req zone=clients burst=9 nodelay;";

/// Its default is 503.
const REJECT_BY_429: &str = "limit_req_status 429;";

#[tokio::test]
async fn limit_req_of_nginx_never_refuses_a_crawl_that_knows_its_rate() -> Result<()> {
    never_refuses("burst", BUCKET, "10/s").await
}

/// Then its capacity is one request, by the millisecond: ten a second are one in 100 ms.
#[tokio::test]
async fn limit_req_of_nginx_without_a_burst_is_a_limit_of_one() -> Result<()> {
    never_refuses("no_burst", "limit_req zone=clients;", "1/100ms").await
}

/// A 503 that does not say when to come back may mean anything, so it is the caller's.
#[tokio::test]
async fn a_bare_503_of_nginx_is_no_rejection_unless_a_rule_says_so() -> Result<()> {
    let Some(nginx) = Nginx::start("status_503", BUCKET)? else {
        return Ok(());
    };
    // Twice as many as nginx takes; nobody has told this client.
    let account = |name: &str| {
        let builder = Account::builder(name, &nginx.url);
        anyhow::Ok(builder.window("20/s".parse()?))
    };
    let ignorant = Tally::default();
    let unruled = account("unruled")?.observer(ignorant.clone()).build()?;
    let answers = crawl(&client(&unruled), &nginx.url, 30).await?;
    assert!(answers.contains_key(&503), "{answers:?}");
    assert_eq!(ignorant.rejections().len(), 0);

    let tally = Tally::default();
    let ruled = account("ruled")?
        .rule(Rule::new(503, Verdict::RateExceeded))
        .observer(tally.clone())
        .build()?;
    let parts = 60;
    let begin = Instant::now();
    let answers = crawl(&client(&ruled), &nginx.url, parts).await?;
    let refused = tally.rejections().len();
    report("nginx, 503 by a rule", parts, begin, refused);
    assert_eq!(answers, BTreeMap::from([(200, parts)]), "none is lost");
    assert!(refused > 0);
    Ok(())
}

async fn never_refuses(name: &str, rule: &str, window: &str) -> Result<()> {
    let Some(nginx) = Nginx::start(name, &format!("{rule} {REJECT_BY_429}"))? else {
        return Ok(());
    };
    let tally = Tally::default();
    let account = Account::builder("nginx", &nginx.url)
        .window(window.parse()?)
        .observer(tally.clone())
        .build()?;

    let parts = parts(RATE, Duration::from_secs(1));
    let begin = Instant::now();
    let answers = crawl(&client(&account), &nginx.url, parts).await?;
    let refused = tally.rejections().len();
    report(&format!("nginx, {name}"), parts, begin, refused);

    assert_eq!(answers, BTreeMap::from([(200, parts)]));
    assert_eq!(refused, 0);
    assert!(refuses_who_does_not_know(&nginx.url).await?);
    Ok(())
}

/// Or the test above would show nothing.
async fn refuses_who_does_not_know(url: &str) -> Result<bool> {
    for part in 0..30 {
        let answer = reqwest::get(format!("{url}/P{part}")).await?;
        if answer.status().as_u16() == 429 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// One process, which runs until this is dropped.
struct Nginx {
    process: Child,
    url: String,
}

impl Nginx {
    fn start(name: &str, rule: &str) -> Result<Option<Self>> {
        let Some(program) = program() else {
            return skip("nginx", "Debian's nginx-light");
        };
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("nginx")
            .join(name);
        fs::create_dir_all(&folder)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        fs::write(folder.join("part"), "{}")?;
        fs::write(
            folder.join("nginx.conf"),
            configuration(&folder, port, rule),
        )?;
        let process = Command::new(program)
            .arg("-p")
            .arg(&folder)
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stdout(Stdio::null())
            .spawn()?;
        let url = format!("http://127.0.0.1:{port}");
        let mut nginx = Self { process, url };
        nginx.wait_for(port)?;
        Ok(Some(nginx))
    }

    fn wait_for(&mut self, port: u16) -> Result<()> {
        for _ in 0..100 {
            if let Some(status) = self.process.try_wait()? {
                bail!("nginx ended: {status}");
            }
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("nginx does not answer")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Debian has it where only the administrator looks.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let mut programs = folders.map(|folder| folder.join("nginx"));
    programs.find(|program| program.is_file())
}

/// Without a master, so that no worker is left behind. `limit_req` looks at files, not at `return`.
fn configuration(folder: &Path, port: u16, rule: &str) -> String {
    let folder = folder.display();
    format!(
        r#"
daemon off;
master_process off;
pid "{folder}/nginx.pid";
events {{}}
http {{
    access_log off;
    client_body_temp_path "{folder}/body";
    proxy_temp_path "{folder}/proxy";
    fastcgi_temp_path "{folder}/fastcgi";
    uwsgi_temp_path "{folder}/uwsgi";
    scgi_temp_path "{folder}/scgi";
    limit_req_zone $binary_remote_addr zone=clients:1m rate=10r/s;
    server {{
        listen 127.0.0.1:{port};
        root "{folder}";
        location / {{
            {rule}
            try_files /part =404;
        }}
    }}
}}
"#
    )
}
