//! The whole program, in a process of its own, at servers that this process sees.

mod endings;
mod lists;
mod signals;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use clap::Parser as _;
use reqwest_tollgate::sandbox::{Sandbox, SandboxBuilder};
use reqwest_tollgate::{Clock as _, SystemClock};
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::Cli;

const ARGUMENTS: &str = "CRAWL_ARGUMENTS";

/// Not a test but the program, which the tests start.
#[test]
#[ignore = "the tests of the program start it"]
fn the_program() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else {
        return;
    };
    let all = std::iter::once("crawl").chain(arguments.split('\n'));
    let code = match Cli::try_parse_from(all) {
        Ok(cli) => {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(crate::start(cli)).into()
        }
        Err(error) => {
            error.print().unwrap();
            error.exit_code()
        }
    };
    std::process::exit(code);
}

/// A folder with a list of parts and a configuration.
struct Scene {
    folder: TempDir,
    arguments: Vec<String>,
}

/// What a run left.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// A run that goes on.
struct Running {
    child: Child,
    /// Reads what the tests do not wait for, and gives all of it.
    stderr: BufReader<ChildStderr>,
    said: String,
    stdout: JoinHandle<String>,
}

impl Scene {
    /// With an account at this sandbox, and more of its table.
    fn at(sandbox: &Sandbox, table: &str) -> Self {
        let url = sandbox.url();
        let token_url = sandbox.token_url();
        let account = format!(
            "base_url = \"{url}\"\ntoken_url = \"{token_url}\"\nclient_id = \"{}\"\n\
             client_secret = \"{}\"\nclient_auth = \"body\"\n{table}",
            Sandbox::CLIENT_ID,
            Sandbox::CLIENT_SECRET,
        );
        Self::with(&account)
    }

    /// With this table for an account.
    fn with(account: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("tollgate.toml");
        std::fs::write(&config, format!("[accounts.acme]\n{account}\n")).unwrap();
        let config = config.to_str().unwrap().to_owned();
        let arguments = vec!["--config".to_owned(), config];
        Self { folder, arguments }
    }

    /// With a list of so many parts.
    fn parts(self, count: usize) -> Self {
        let list: String = (0..count).map(|part| format!("P{part}\n")).collect();
        let path = self.file("parts.txt", list.as_bytes());
        self.and(&["--parts", &path])
    }

    fn and(mut self, arguments: &[&str]) -> Self {
        let more = arguments.iter().map(|&argument| argument.to_owned());
        self.arguments.extend(more);
        self
    }

    /// Answers go to a file.
    fn out(self, name: &str) -> Self {
        let path = self.path(name);
        let path = path.to_str().unwrap().to_owned();
        self.and(&["--out", &path])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a file; its path.
    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The lines of a file as JSON.
    fn lines(&self, name: &str) -> Vec<Value> {
        let text = self.read(name);
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let name = "program::the_program";
        command
            .args(["--exact", name, "--ignored", "--nocapture", "--quiet"])
            .env(ARGUMENTS, self.arguments.join("\n"))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    async fn run(&self) -> Ran {
        Self::ended(self.command()).await
    }

    /// Elsewhere than on this thread, which may have a sandbox to see to.
    async fn ended(mut command: Command) -> Ran {
        let ran = tokio::task::spawn_blocking(move || command.output());
        Ran::of(ran.await.unwrap().unwrap())
    }

    async fn fed(&self, stdin: &str) -> Ran {
        let mut command = self.command();
        command.stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(stdin.as_bytes()).unwrap();
        drop(pipe);
        let ran = tokio::task::spawn_blocking(move || child.wait_with_output());
        Ran::of(ran.await.unwrap().unwrap())
    }

    fn start(&self) -> Running {
        let mut child = self.command().spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut stdout = child.stdout.take().unwrap();
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        Running {
            child,
            stderr,
            said: String::new(),
            stdout,
        }
    }

    /// No file of no bytes.
    fn has_no_empty_file(&self) -> bool {
        is_without_empty_file(self.folder.path())
    }
}

fn is_without_empty_file(folder: &Path) -> bool {
    let mut entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.all(|entry| {
        let path = entry.path();
        match path.is_dir() {
            // The locks of a store are its own matter.
            true => true,
            false => path.metadata().unwrap().len() > 0,
        }
    })
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The last line of stdout.
    fn json(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|_| panic!("{}{}", self.stdout, self.stderr))
    }

    /// How often stderr has a text.
    fn says(&self, text: &str) -> usize {
        self.stderr.matches(text).count()
    }

    #[track_caller]
    fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self
    }
}

impl Running {
    /// Waits until stderr has a line with this text.
    fn wait_for(&mut self, text: &str) {
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).unwrap();
            self.said.push_str(&line);
            if line.contains(text) {
                return;
            }
            assert!(read > 0, "it ended without {text:?}: {}", self.said);
        }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &id]).status().unwrap();
        assert!(sent.success());
    }

    fn end(mut self) -> Ran {
        self.stderr.read_to_string(&mut self.said).unwrap();
        Ran {
            code: self.child.wait().unwrap().code(),
            stdout: self.stdout.join().unwrap(),
            stderr: self.said,
        }
    }
}

/// A sandbox whose API answers each request with this status.
fn answering(status: u16) -> SandboxBuilder {
    Sandbox::builder().resource(move |_| {
        let mut response = http::Response::new("{\"detail\":\"told so\"}");
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        response
    })
}

/// Waits until something holds.
async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        SystemClock.sleep(Duration::from_millis(5)).await;
    }
}
