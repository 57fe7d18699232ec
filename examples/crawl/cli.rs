//! The command line. It is kept stable: scripts use it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args, Parser};
use reqwest::Method;
use reqwest_tollgate::Window;
use reqwest_tollgate::sandbox::{Enforcement, Fault, parse_range, parse_span};

use crate::course::Limits;
use crate::fields::Field;
use crate::output::Format;
use crate::plot::Ground;
use crate::progress::Mode;

/// What the program ends with.
const EXIT_CODES: &str = "\
Exit codes:
  0  every part was answered
  1  some parts failed, or were not asked about
  2  the command line or the configuration is wrong
  3  the quota is spent; stderr says until when
  4  a person has to log in (cargo run --example login)

The first Ctrl-C (or SIGTERM) lets what is on the wire come in, stores the tokens and reports; the
second one ends at once, with 130. With --out the same command goes on where it stopped.";

/// Asks an API about every part of a list, through both layers of reqwest-tollgate.
///
/// Without --config it starts a sandbox, a distributor in a box on a loopback port with short
/// windows and short-lived tokens, and crawls that.
#[derive(Debug, Parser)]
#[command(name = "crawl", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// The accounts, as in examples/tollgate.toml, instead of the sandbox
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Which of them; needed if there are several
    #[arg(long, value_name = "NAME", requires = "config")]
    pub(crate) account: Option<String>,

    /// Where to ask about a part; may be relative to the account's base URL. {part} becomes one
    /// segment of the path
    #[arg(
        long,
        value_name = "TEMPLATE",
        default_value = "/products/v4/search/{part}/productdetails"
    )]
    pub(crate) url: String,

    /// The method [default: GET, or POST with --body]
    #[arg(long, value_parser = method)]
    pub(crate) method: Option<Method>,

    /// What to send; {part} is escaped as its content type asks for
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) body: Option<String>,

    /// What the body is: JSON, or application/x-www-form-urlencoded
    #[arg(
        long,
        value_name = "TYPE",
        default_value = "application/json",
        requires = "body"
    )]
    pub(crate) content_type: String,

    /// The parts: a table with a column `part` or `MPN` (see --column), with commas, semicolons or
    /// tabs, or one part number per line; - is stdin [default: the example's]
    #[arg(long, value_name = "FILE", help_heading = "List")]
    pub(crate) parts: Option<PathBuf>,

    /// Which column of the table has the part numbers: its name, or its number from 1
    #[arg(long, value_name = "NAME", help_heading = "List")]
    pub(crate) column: Option<String>,

    /// How many requests to make, repeating the list if it is shorter [default: one per part]
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "List")]
    pub(crate) requests: Option<usize>,

    /// Asks about N parts at most; those that were answered before do not count
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Stops")]
    pub(crate) limit: Option<usize>,

    /// Says what it would do, and sends nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Stops once N parts in a row have failed with the same status; 0 never stops. A 404 counts
    /// only until the first part is found
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Stops")]
    pub(crate) stop_after: usize,

    /// Stops once the server could not be reached for this time. Meanwhile it is probed now and
    /// then, by one request
    #[arg(
        long,
        value_name = "SPAN",
        default_value = "10min",
        value_parser = parse_span,
        help_heading = "Stops"
    )]
    pub(crate) outage: Duration,

    /// How many parts are asked about at once
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = at_least_one)]
    pub(crate) workers: usize,

    /// Stops when this time is over, with all that waits for its turn then
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Stops")]
    pub(crate) deadline: Option<Duration>,

    /// Where the answers go, with the other columns of the list; parts that are answered there
    /// already are skipped. What is used of the quotas is kept beside it, in crawl-quotas, unless
    /// the configuration has a quota_store. With - to stdout, and the summary to stderr
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,

    /// How they are written [default: csv if the name of --out ends with .csv, else jsonl]
    #[arg(
        long,
        value_name = "HOW",
        value_enum,
        requires = "out",
        help_heading = "Output"
    )]
    pub(crate) format: Option<Format>,

    /// What is taken out of each answer instead of all of it, by JSON pointers, such as
    /// price=/Product/UnitPrice,/Product/Description
    #[arg(
        long,
        value_name = "[NAME=]POINTER,...",
        value_delimiter = ',',
        requires = "out",
        help_heading = "Output"
    )]
    pub(crate) fields: Vec<Field>,

    /// Draws the crawl as a picture: PNG if the name ends with .png, else SVG
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) plot: Option<PathBuf>,

    /// What the picture stands on
    #[arg(
        long,
        value_name = "GROUND",
        value_enum,
        default_value_t = Ground::Auto,
        requires = "plot",
        help_heading = "Output"
    )]
    pub(crate) plot_ground: Ground,

    /// Prints the summary as one JSON object too, as the last line
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,

    /// How the progress is shown, on stderr
    #[arg(
        long,
        value_name = "HOW",
        value_enum,
        default_value_t = Mode::Auto,
        help_heading = "Output"
    )]
    pub(crate) progress: Mode,

    /// Logs what happens to tokens and quotas, and given twice, each request too. RUST_LOG, if it
    /// is set, decides instead
    #[arg(short, long, action = ArgAction::Count, help_heading = "Output")]
    pub(crate) verbose: u8,

    #[command(flatten)]
    pub(crate) sandbox: SandboxOptions,
}

/// What the sandbox is like.
#[derive(Args, Debug)]
#[command(next_help_heading = "Sandbox")]
pub(crate) struct SandboxOptions {
    /// How it enforces its quotas: fixed-window, sliding-log, token-bucket or sliding-counter
    #[arg(
        long = "sandbox-enforcement",
        value_name = "HOW",
        default_value = "fixed-window",
        conflicts_with = "config"
    )]
    pub(crate) enforcement: Enforcement,

    /// Its burst quota
    #[arg(
        long = "sandbox-burst",
        value_name = "LIMIT/LENGTH",
        default_value = "120/2s",
        conflicts_with = "config"
    )]
    pub(crate) burst: Window,

    /// Its quota for a day that ends at 00:00 UTC
    #[arg(
        long = "sandbox-day",
        value_name = "LIMIT",
        default_value = "100000",
        value_parser = clap::value_parser!(u64).range(1..),
        conflicts_with = "config"
    )]
    pub(crate) day: u64,

    /// How long it takes to answer
    #[arg(
        long = "sandbox-latency",
        value_name = "FROM..TO",
        default_value = "5ms..40ms",
        value_parser = latency,
        conflicts_with = "config"
    )]
    pub(crate) latency: Range<Duration>,

    /// How long its tokens live
    #[arg(
        long = "sandbox-token-ttl",
        value_name = "SPAN",
        default_value = "5s",
        value_parser = parse_span,
        conflicts_with = "config"
    )]
    pub(crate) token_ttl: Duration,

    /// What goes wrong; may be given several times
    #[arg(
        long = "sandbox-fault",
        value_name = "NAME=ARG",
        conflicts_with = "config"
    )]
    pub(crate) faults: Vec<Fault>,
}

impl Cli {
    /// The method: what was said, else what suits.
    pub(crate) fn method(&self) -> Method {
        let fitting = match self.body {
            Some(_) => Method::POST,
            None => Method::GET,
        };
        self.method.clone().unwrap_or(fitting)
    }

    /// When the crawl stops by itself.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            workers: self.workers,
            stop_after: (self.stop_after > 0).then_some(self.stop_after),
            outage: self.outage,
        }
    }

    /// The format: what was said, else what the name of the file says.
    pub(crate) fn format(&self) -> Format {
        let ending = self.out.as_deref().and_then(Path::extension);
        let is_csv = ending.is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
        self.format.unwrap_or(match is_csv {
            true => Format::Csv,
            false => Format::Jsonl,
        })
    }

    /// The folder in which what is used of the quotas is kept.
    pub(crate) fn quotas(&self) -> Option<PathBuf> {
        let out = self.out_file()?;
        if self.dry_run {
            return None; // It leaves nothing behind.
        }
        Some(out.with_file_name("crawl-quotas"))
    }

    /// The file that the answers go to.
    pub(crate) fn out_file(&self) -> Option<&PathBuf> {
        self.out.as_ref().filter(|_| !self.answers_to_stdout())
    }

    /// Whether the answers go to stdout.
    pub(crate) fn answers_to_stdout(&self) -> bool {
        self.out.as_deref() == Some(Path::new("-"))
    }
}

impl SandboxOptions {
    /// Both of its windows.
    pub(crate) fn windows(&self) -> [Window; 2] {
        [self.burst.clone(), Window::per_utc_day(self.day)]
    }
}

fn method(text: &str) -> Result<Method, String> {
    let upper = text.to_ascii_uppercase();
    Method::from_bytes(upper.as_bytes()).map_err(|_| "expected a method such as POST".to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "expected a whole number, at least 1".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|span| !span.is_zero())
        .ok_or_else(|| "expected seconds, such as 90 or 0.5".to_owned())
}

/// An empty range is fine, a reversed one a slip.
fn latency(text: &str) -> Result<Range<Duration>, String> {
    let range = parse_range(text).map_err(|error| error.to_string())?;
    match range.start > range.end {
        true => Err("the range ends before it begins".to_owned()),
        false => Ok(range),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Cli, String> {
        let all = ["crawl"].iter().chain(arguments);
        Cli::try_parse_from(all).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_those_of_the_help() {
        let cli = parse(&[]).unwrap();
        assert_eq!(cli.workers, 32);
        assert_eq!(cli.sandbox.burst.to_string(), "120/2s");
        assert_eq!(cli.sandbox.token_ttl, Duration::from_secs(5));
        let latency = Duration::from_millis(5)..Duration::from_millis(40);
        assert_eq!(cli.sandbox.latency, latency);
    }

    #[test]
    fn nonsense_is_refused_with_what_was_expected() {
        for (arguments, expected) in [
            (["--workers", "0"], "at least 1"),
            (["--deadline", "0"], "expected seconds"),
            (["--sandbox-token-ttl", "5"], "is not a span of time"),
            (["--sandbox-latency", "5ms.."], "is not a span of time"),
            (["--sandbox-latency", "9ms..5ms"], "ends before it begins"),
            (["--sandbox-burst", "120"], "expected LIMIT/LENGTH"),
            (["--account", "digikey"], "--config"),
        ] {
            let error = parse(&arguments).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_sandbox_option_beside_a_configuration_is_refused() {
        let error = parse(&["--config", "x.toml", "--sandbox-day", "5"]).unwrap_err();
        assert!(error.contains("cannot be used with"), "{error}");
    }

    #[test]
    fn the_format_is_what_was_said_or_what_the_name_says() {
        for (arguments, format) in [
            (["--out", "x.jsonl", "--workers", "1"], Format::Jsonl),
            (["--out", "x.CSV", "--workers", "1"], Format::Csv),
            (["--out", "-", "--format", "csv"], Format::Csv),
            (["--out", "x.csv", "--format", "jsonl"], Format::Jsonl),
        ] {
            assert_eq!(parse(&arguments).unwrap().format(), format);
        }
        let folder = |out| parse(&["--out", out]).unwrap().quotas();
        assert_eq!(folder("a/x.csv"), Some(PathBuf::from("a/crawl-quotas")));
        assert_eq!(folder("-"), None);
    }

    #[test]
    fn methods_may_be_written_small() {
        let cli = parse(&["--method", "post"]).unwrap();
        assert_eq!(cli.method, Some(Method::POST));
    }
}
