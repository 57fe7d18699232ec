//! stderr, which texts, log lines and progress share.

use std::io::{self, Write as _};

use indicatif::MultiProgress;
use tracing_subscriber::fmt::MakeWriter;

/// Writes to stderr without tearing the line that shows the progress. Clones write to the same.
#[derive(Clone, Default)]
pub(crate) struct Screen(MultiProgress);

impl Screen {
    /// A line of its own.
    pub(crate) fn say(&self, text: impl std::fmt::Display) {
        self.write(format!("crawl: {text}\n").as_bytes());
    }

    /// The lines that are drawn anew again and again.
    pub(crate) fn bars(&self) -> &MultiProgress {
        &self.0
    }

    fn write(&self, bytes: &[u8]) {
        // Where stderr is closed there is nothing left to say it with.
        self.0.suspend(|| {
            let _ = io::stderr().write_all(bytes);
        });
    }
}

/// One line of the log.
pub(crate) struct LogLine<'a> {
    screen: &'a Screen,
    bytes: Vec<u8>,
}

impl io::Write for LogLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine<'_> {
    fn drop(&mut self) {
        self.screen.write(&self.bytes);
    }
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = LogLine<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        LogLine {
            screen: self,
            bytes: Vec::new(),
        }
    }
}
