//! Why a crawl ends before its list does, and how its tasks learn of that.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest_tollgate::{Error, ErrorKind, Recovery};
use tokio::sync::watch;

use crate::text;

/// Why a crawl ends early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By Ctrl-C or SIGTERM.
    Interrupted,
    /// A person has to log in.
    LogIn(String),
    /// The configuration, the credentials or the request have to change.
    Reconfigure(String),
    /// Nothing may leave before that time.
    QuotaSpent(SystemTime),
    /// The deadline of the command line has passed.
    Deadline,
    /// So many parts in a row failed with this status.
    SameStatus { status: u16, parts: usize },
    /// The server could not be reached for this span; with the last reason.
    Unreachable { span: Duration, text: String },
    /// An answer could not be written.
    Output(String),
}

impl Ending {
    /// What an error of the crate means for all parts that are still to come, if it does.
    pub(crate) fn of(error: &Error) -> Option<Self> {
        match (error.kind(), error.recovery()) {
            (_, Recovery::LogIn) => Some(Self::LogIn(text::of_ours(error))),
            (_, Recovery::Reconfigure) => Some(Self::Reconfigure(text::of_ours(error))),
            (ErrorKind::QuotaExceeded, Recovery::WaitUntil(time)) => Some(Self::QuotaSpent(time)),
            (ErrorKind::DeadlineExceeded, _) => Some(Self::Deadline),
            _ => None,
        }
    }

    /// The code that the program ends with; `--help` has the list.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Reconfigure(_) => 2,
            Self::QuotaSpent(_) => 3,
            Self::LogIn(_) => 4,
            _ => 1,
        }
    }

    /// When the same command has a chance again, if that is known.
    pub(crate) fn until(&self) -> Option<SystemTime> {
        match self {
            Self::QuotaSpent(time) => Some(*time),
            _ => None,
        }
    }

    /// Whether the same command goes on where this crawl stopped.
    pub(crate) fn can_go_on(&self) -> bool {
        !matches!(self, Self::SameStatus { .. } | Self::Reconfigure(_))
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted"),
            Self::LogIn(text) => write!(f, "a person has to log in: {text}"),
            Self::Reconfigure(text) => f.write_str(text),
            Self::QuotaSpent(time) => {
                write!(f, "the quota is spent until {}", text::rfc_3339(*time))
            }
            Self::Deadline => f.write_str("the deadline has passed"),
            Self::SameStatus { status, parts } => {
                let parts = text::count(*parts, "part");
                write!(f, "{parts} in a row failed with status {status}")?;
                f.write_str(": is --url right? (--stop-after sets how many)")
            }
            Self::Unreachable { span, text } => {
                let span = text::span(*span);
                write!(f, "the server could not be reached for {span}: {text}")
            }
            Self::Output(text) => f.write_str(text),
        }
    }
}

/// Ends a crawl. Clones end the same one; the first reason stays.
#[derive(Clone, Debug)]
pub(crate) struct Stop(Arc<watch::Sender<Option<Ending>>>);

impl Stop {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    pub(crate) fn end(&self, ending: Ending) {
        self.0.send_if_modified(|present| {
            let is_first = present.is_none();
            present.get_or_insert(ending);
            is_first
        });
    }

    /// The reason, once there is one.
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.0.borrow().clone()
    }

    /// Returns once there is a reason.
    pub(crate) async fn ended(&self) {
        // It fails only if the sender is gone, which this one is not.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stays() {
        let stop = Stop::new();
        assert_eq!(stop.ending(), None);
        stop.end(Ending::Deadline);
        stop.clone().end(Ending::Interrupted);
        stop.ended().await;
        assert_eq!(stop.ending(), Some(Ending::Deadline));
    }

    #[test]
    fn the_codes_are_those_of_the_help() {
        let text = || "text".to_owned();
        for (ending, code) in [
            (Ending::Interrupted, 1),
            (Ending::Deadline, 1),
            (Ending::Output(text()), 1),
            (Ending::Reconfigure(text()), 2),
            (Ending::QuotaSpent(SystemTime::UNIX_EPOCH), 3),
            (Ending::LogIn(text()), 4),
        ] {
            assert_eq!(ending.code(), code, "{ending}");
        }
    }

    #[test]
    fn a_spent_quota_says_until_when() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        let text = Ending::QuotaSpent(time).to_string();
        assert_eq!(text, "the quota is spent until 1970-01-02T00:00:00Z");
    }
}
