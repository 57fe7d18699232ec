//! placeholder
use super::LimiterSettings;

pub(crate) struct Limiter {
    settings: LimiterSettings,
}

impl Limiter {
    pub(crate) fn new(settings: LimiterSettings) -> Self {
        Self { settings }
    }
}
