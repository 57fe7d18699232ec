//! The log, on stderr: warnings, and more where that is asked for.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

use crate::screen::Screen;

/// `RUST_LOG` goes before the command line.
pub(crate) fn install(verbose: u8, screen: &Screen) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| filter(verbose));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(screen.clone())
        .with_ansi(false);
    // It fails where there is a log already, as in tests.
    let _ = subscriber.try_init();
}

fn filter(verbose: u8) -> EnvFilter {
    let own = match verbose {
        0 => "reqwest_tollgate=warn",
        1 => "reqwest_tollgate=debug",
        _ => "reqwest_tollgate=trace",
    };
    let filter = EnvFilter::new("warn");
    match own.parse::<Directive>() {
        Ok(own) => filter.add_directive(own),
        Err(_) => filter,
    }
}
