//! How far a crawl is: a line that ticks on a terminal, a line a minute elsewhere.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use reqwest_tollgate::{Account, Clock as _, QuotaSnapshot, SystemClock, WindowSnapshot};
use tokio::task::JoinHandle;

use crate::rate::{DAY, MONTH, window};
use crate::screen::Screen;
use crate::tally::Tally;

const TICK: Duration = Duration::from_millis(250);
const MINUTE: Duration = Duration::from_secs(60);

/// How the progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// A line that ticks if stderr is a terminal, else as plain
    Auto,
    /// A line a minute
    Plain,
    /// Not at all
    Off,
}

/// Shows the progress until it is dropped.
pub(crate) struct Progress {
    counts: Arc<Counts>,
    ticker: Option<JoinHandle<()>>,
    bar: Option<ProgressBar>,
}

#[derive(Default)]
struct Counts {
    done: AtomicUsize,
    is_outage: AtomicBool,
}

/// What the line is made of.
struct View<'a> {
    done: usize,
    total: usize,
    elapsed: Duration,
    quota: Option<&'a QuotaSnapshot>,
    rejected: u64,
    is_outage: bool,
    now: SystemTime,
    zone: &'a TimeZone,
}

impl Progress {
    pub(crate) fn start(
        mode: Mode,
        total: usize,
        account: &Account,
        tally: &Tally,
        screen: &Screen,
    ) -> Self {
        let counts = Arc::new(Counts::default());
        let bar = match mode {
            Mode::Auto if io::stderr().is_terminal() => Some(bar(total, screen)),
            _ => None,
        };
        let watch = Watch {
            counts: counts.clone(),
            total,
            account: account.clone(),
            tally: tally.clone(),
            zone: TimeZone::system(),
        };
        let ticker = match (&bar, mode) {
            (_, Mode::Off) => None,
            (Some(bar), _) => Some(tokio::spawn(tick(watch, bar.clone()))),
            (None, _) => Some(tokio::spawn(report(watch, screen.clone()))),
        };
        Self {
            counts,
            ticker,
            bar,
        }
    }

    /// A part is done with.
    pub(crate) fn done(&self) {
        self.counts.done.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn set_outage(&self, is_outage: bool) {
        self.counts.is_outage.store(is_outage, Ordering::Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.ticker.iter().for_each(JoinHandle::abort);
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

fn bar(total: usize, screen: &Screen) -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed} {bar:20} {wide_msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(total as u64).with_style(style);
    screen.bars().add(bar)
}

/// What is looked at again and again.
struct Watch {
    counts: Arc<Counts>,
    total: usize,
    account: Account,
    tally: Tally,
    zone: TimeZone,
}

impl Watch {
    fn line(&self) -> String {
        let quotas = self.account.quotas();
        let busiest = self.tally.busiest_quota();
        let quota = quotas
            .iter()
            .find(|quota| busiest.as_deref() == Some(quota.quota()));
        let view = View {
            done: self.counts.done.load(Ordering::Relaxed),
            total: self.total,
            elapsed: self.tally.elapsed(),
            quota,
            rejected: self.tally.rejected(),
            is_outage: self.counts.is_outage.load(Ordering::Relaxed),
            now: SystemClock.now().wall,
            zone: &self.zone,
        };
        view.line()
    }
}

async fn tick(watch: Watch, bar: ProgressBar) {
    loop {
        bar.set_position(watch.counts.done.load(Ordering::Relaxed) as u64);
        bar.set_message(watch.line());
        bar.tick();
        SystemClock.sleep(TICK).await;
    }
}

async fn report(watch: Watch, screen: Screen) {
    loop {
        SystemClock.sleep(MINUTE).await;
        screen.say(watch.line());
    }
}

impl View<'_> {
    /// `50/120 · 60/s · waiting for 120/min until 12:03:10 · 950 left today · 0 rejected`.
    fn line(&self) -> String {
        let mut parts = vec![format!("{}/{}", self.done, self.total), self.rate()];
        if self.is_outage {
            parts.push("the server cannot be reached".to_owned());
        } else if let Some(wait) = self.wait() {
            parts.push(wait);
        }
        let windows = self.quota.map(QuotaSnapshot::windows).unwrap_or_default();
        let long = (windows.iter()).filter(|window| window.length.is_some_and(|of| of >= DAY));
        parts.extend(long.map(left));
        parts.push(format!("{} rejected", self.rejected));
        parts.join(" · ")
    }

    fn rate(&self) -> String {
        let per_second = self.done as f64 / self.elapsed.as_secs_f64().max(1.0);
        match per_second {
            rate if rate >= 1.0 => format!("{rate:.0}/s"),
            rate if rate * 60.0 >= 1.0 => format!("{:.0}/min", rate * 60.0),
            rate => format!("{:.0}/h", rate * 3_600.0),
        }
    }

    /// What holds the parts up.
    fn wait(&self) -> Option<String> {
        let quota = self.quota?;
        if let Some(until) = quota.blocked_until().filter(|until| *until > self.now) {
            return Some(format!("pausing until {}", self.clock(until)));
        }
        let spent = quota
            .windows()
            .iter()
            .rfind(|window| window.remaining == 0)?;
        let name = match spent.length {
            Some(length) => window(spent.limit, length),
            None => format!("the server's {}", spent.limit),
        };
        Some(match spent.reset.filter(|reset| *reset > self.now) {
            Some(reset) => format!("waiting for {name} until {}", self.clock(reset)),
            None => format!("waiting for {name}"),
        })
    }

    /// The time by the clock on the wall, with the date if that is another day.
    fn clock(&self, time: SystemTime) -> String {
        let zoned =
            |time| Timestamp::try_from(time).map(|time| time.to_zoned_datetime(self.zone.clone()));
        let (Ok(time), Ok(now)) = (zoned(time), zoned(self.now)) else {
            return "a time far off".to_owned();
        };
        let format = match time.date() == now.date() {
            true => "%H:%M:%S",
            false => "%Y-%m-%d %H:%M",
        };
        time.strftime(format).to_string()
    }
}

fn left(window: &WindowSnapshot) -> String {
    let left = window.remaining;
    match window.length {
        Some(DAY) => format!("{left} left today"),
        Some(MONTH) => format!("{left} left this month"),
        Some(length) => format!(
            "{left} left of {}",
            crate::rate::window(window.limit, length)
        ),
        None => format!("{left} left of {}", window.limit),
    }
}

#[cfg(test)]
mod tests {
    use reqwest_tollgate::{RequestOptions, Window};

    use super::*;

    fn account() -> Account {
        let builder = Account::builder("acme", "https://api.acme.example");
        let builder = builder.window(Window::per_minute(2));
        builder.window(Window::per_utc_day(1_000)).build().unwrap()
    }

    fn line(quota: Option<&QuotaSnapshot>, done: usize, is_outage: bool) -> String {
        let view = View {
            done,
            total: 120,
            elapsed: Duration::from_secs(2),
            quota,
            rejected: 0,
            is_outage,
            now: SystemClock.now().wall,
            zone: &TimeZone::UTC,
        };
        view.line()
    }

    #[tokio::test]
    async fn the_line_says_how_far_it_is_what_it_waits_for_and_what_is_left() {
        let account = account();
        let quota = account.quotas().remove(0);
        assert_eq!(
            line(Some(&quota), 120, false),
            "120/120 · 60/s · 1000 left today · 0 rejected"
        );
        let options = RequestOptions::new();
        for _ in 0..2 {
            let permit = account.permit("/", &options).await.unwrap();
            permit.answered(http::StatusCode::OK, &http::HeaderMap::new());
        }
        let quota = account.quotas().remove(0);
        let shown = line(Some(&quota), 2, false);
        assert!(
            shown.starts_with("2/120 · 1/s · waiting for 2/min"),
            "{shown}"
        );
        assert!(shown.ends_with(" · 998 left today · 0 rejected"), "{shown}");
    }

    #[test]
    fn an_outage_is_shown_instead_of_a_wait() {
        assert_eq!(
            line(None, 0, true),
            "0/120 · 0/h · the server cannot be reached · 0 rejected"
        );
    }

    #[test]
    fn a_time_on_another_day_has_its_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(43_390);
        let view = View {
            done: 0,
            total: 0,
            elapsed: Duration::ZERO,
            quota: None,
            rejected: 0,
            is_outage: false,
            now,
            zone: &TimeZone::UTC,
        };
        assert_eq!(view.clock(now), "12:03:10");
        assert_eq!(view.clock(now + DAY), "1970-01-02 12:03");
    }
}
