//! Servers of other people, started by node.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};

/// A server that runs until this is dropped.
pub(crate) struct Server {
    process: Child,
    /// Held open: a server that writes to a closed pipe ends.
    _output: BufReader<ChildStdout>,
    url: String,
}

impl Server {
    /// Starts `tests/servers/NAME` on a free port of the loopback interface; none, after saying so,
    /// where there is no node. CI must have one.
    pub(crate) fn start(name: &str, environment: &[(&str, &str)]) -> Result<Option<Self>> {
        if !has("node") || !has("npm") {
            return skip(name, "node and npm");
        }
        let directory = installed(name).with_context(|| format!("cannot install {name}"))?;
        let mut process = Command::new("node")
            .arg("server.mjs")
            .current_dir(directory)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().context("the output is piped")?;
        let mut server = Self {
            process,
            _output: BufReader::new(output),
            url: String::new(),
        };
        server.url = server
            .wait()
            .with_context(|| format!("{name} did not start"))?;
        Ok(Some(server))
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Its own count of what was asked, by key.
    pub(crate) async fn stats(&self) -> Result<serde_json::Value> {
        let url = format!("{}/stats", self.url);
        Ok(reqwest::get(url).await?.json().await?)
    }

    fn wait(&mut self) -> Result<String> {
        let mut line = String::new();
        while self._output.read_line(&mut line)? > 0 {
            if let Some(url) = line.trim().strip_prefix("LISTENING ") {
                return Ok(url.to_owned());
            }
            line.clear();
        }
        bail!("its output ended")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn has(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// None, after saying so; but CI must not go without.
pub(crate) fn skip<T>(name: &str, needs: &str) -> Result<Option<T>> {
    if std::env::var_os("CI").is_some() {
        bail!("{name} needs {needs}, and CI must not go without");
    }
    // Not `eprintln!`, which the test harness would swallow.
    writeln!(io::stderr(), "SKIPPED: {name} needs {needs}")?;
    Ok(None)
}

/// A copy of the scripts beneath the target directory, with the packages they need.
pub(crate) fn installed(name: &str) -> Result<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);

    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/servers")
        .join(name);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("servers")
        .join(name);
    fs::create_dir_all(&target)?;
    for entry in fs::read_dir(&source)? {
        let entry = entry?.path();
        if entry
            .extension()
            .is_some_and(|extension| extension == "mjs")
        {
            copy(&entry, &target)?;
        }
    }

    let wanted = fs::read(source.join("package.json"))?;
    let done = target.join("installed.json");
    if fs::read(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(target);
    }
    fs::write(target.join("package.json"), &wanted)?;
    let status = Command::new("npm")
        .args([
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--no-package-lock",
        ])
        .current_dir(&target)
        .stdout(Stdio::null())
        .status()?;
    if !status.success() {
        bail!("npm install: {status}");
    }
    fs::write(done, wanted)?; // Last: an install that broke off is begun again.
    Ok(target)
}

fn copy(script: &Path, folder: &Path) -> Result<()> {
    let to = folder.join(script.file_name().context("a script has a name")?);
    let script = fs::read(script)?;
    if fs::read(&to).ok().as_ref() != Some(&script) {
        fs::write(to, script)?; // Only then: another test's node may be reading it.
    }
    Ok(())
}
