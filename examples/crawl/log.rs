//! The log, on stderr: each warning once, and more where that is asked for.

use std::collections::HashSet;
use std::fmt::{Debug, Write as _};
use std::sync::{Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt};

use crate::screen::Screen;

/// `RUST_LOG` goes before the command line.
pub(crate) fn install(verbose: u8, screen: &Screen) {
    let lines = fmt::layer().with_writer(screen.clone()).with_ansi(false);
    let filter = EnvFilter::try_from_default_env().ok();
    let filter = filter.or_else(|| match verbose {
        0 => None,
        1 => Some(EnvFilter::new("warn,reqwest_tollgate=debug")),
        _ => Some(EnvFilter::new("warn,reqwest_tollgate=trace")),
    });
    let registry = Registry::default();
    // It fails where there is a log already, as in tests.
    let _ = match filter {
        Some(filter) => registry.with(lines.with_filter(filter)).try_init(),
        None => registry.with(lines.with_filter(Once::default())).try_init(),
    };
}

/// Warnings alone, and of those that differ in numbers alone the first: what happens to a request
/// may happen to a thousand, and the summary counts it.
#[derive(Default)]
struct Once(Mutex<HashSet<String>>);

impl<S: Subscriber> Filter<S> for Once {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let mut words = Words(event.metadata().target().to_owned());
        event.record(&mut words);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(words.0)
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(tracing::level_filters::LevelFilter::WARN)
    }
}

/// All fields of an event, without words that have a digit: spans, times, numbers of requests.
struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // A value that fails to write itself is known by its name.
        let _ = write!(text, "{} {value:?}", field.name());
        for word in text.split_whitespace() {
            if !word.contains(|c: char| c.is_ascii_digit()) {
                self.0.push(' ');
                self.0.push_str(word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Shown(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn of_warnings_that_differ_in_numbers_the_first_is_shown() {
        let shown = Shown::default();
        let writer = shown.clone();
        let lines = fmt::layer().with_writer(move || writer.clone());
        let log = Registry::default().with(lines.with_filter(Once::default()));
        tracing::subscriber::with_default(log, || {
            for elapsed in ["3ms", "5ms"] {
                tracing::warn!(quota = "default", elapsed, "no answer came back");
                tracing::info!(elapsed, "of no concern");
            }
            for key in ["client_secret", "bearer"] {
                tracing::warn!(key, "a secret stands in the file");
            }
        });
        let text = String::from_utf8(shown.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}
