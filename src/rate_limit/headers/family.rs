//! Fields that belong together: limit, remaining and reset, each of its own name.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::window::WindowHeaders;
use crate::header_value;

#[derive(Clone, Debug)]
pub(super) struct Family {
    /// Which of the usual ones it is; none: somebody named its fields.
    pub(super) usual: Option<Usual>,
    pub(super) limit: Option<HeaderName>,
    pub(super) remaining: Option<HeaderName>,
    pub(super) reset_time: Option<HeaderName>,
    pub(super) reset: Option<HeaderName>,
}

/// The families in common use, by the beginning of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usual {
    Rate,
    HyphenatedRate,
    Burst,
}

impl Usual {
    pub(super) const ALL: [Self; 3] = [Self::Rate, Self::HyphenatedRate, Self::Burst];

    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Rate => "x-ratelimit",
            Self::HyphenatedRate => "x-rate-limit",
            Self::Burst => "x-burstlimit",
        }
    }
}

impl Family {
    pub(super) fn named(headers: WindowHeaders) -> Self {
        Self {
            usual: None,
            limit: headers.limit,
            remaining: headers.remaining,
            reset_time: headers.reset_time,
            reset: headers.reset,
        }
    }

    pub(super) fn usual(usual: Usual) -> Self {
        let prefix = usual.prefix();
        let name = |suffix: &str| HeaderName::try_from(format!("{prefix}-{suffix}")).ok();
        Self {
            usual: Some(usual),
            limit: name("limit"),
            remaining: name("remaining"),
            reset_time: name("resettime"),
            reset: name("reset"),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        let names = [&self.limit, &self.remaining, &self.reset, &self.reset_time];
        names.into_iter().flatten()
    }

    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let names = [&self.limit, &self.remaining, &self.reset, &self.reset_time];
        names.into_iter().any(|name| field(headers, name).is_some())
    }

    /// What it says about a window that is configured as `wanted`: the limit, and what remains.
    pub(super) fn counts(&self, headers: &HeaderMap, wanted: u64) -> (Option<u64>, Option<u64>) {
        let text = |name| {
            let value = field(headers, name).and_then(|value| value.to_str().ok());
            value.unwrap_or("").trim()
        };
        let (limit, remaining) = (text(&self.limit), text(&self.remaining));
        if [limit, remaining].iter().any(|text| text.contains('=')) {
            return listed_counts(limit, remaining, wanted);
        }
        (
            header_value::integer(limit),
            header_value::integer(remaining),
        )
    }

    /// The limit alone.
    pub(super) fn limit(&self, headers: &HeaderMap, wanted: u64) -> Option<u64> {
        self.counts(headers, wanted).0
    }

    /// The date goes before the number.
    pub(super) fn resets<'h>(
        &self,
        headers: &'h HeaderMap,
    ) -> impl Iterator<Item = &'h HeaderValue> {
        let both = [
            field(headers, &self.reset_time),
            field(headers, &self.reset),
        ];
        both.into_iter().flatten()
    }
}

fn field<'h>(headers: &'h HeaderMap, name: &Option<HeaderName>) -> Option<&'h HeaderValue> {
    headers.get(name.as_ref()?)
}

/// Gateways that have several limits list them, `name=hourly,100; name=daily,1000;`: the one of the
/// wanted limit, else the only one.
fn listed_counts(limit: &str, remaining: &str, wanted: u64) -> (Option<u64>, Option<u64>) {
    let chosen = listed(limit)
        .find(|(_, limit)| *limit == wanted)
        .or_else(|| only(listed(limit)));
    let Some((name, limit)) = chosen else {
        return (header_value::integer(limit), None);
    };
    let left = listed(remaining).find(|(of, _)| *of == name);
    (Some(limit), left.map(|(_, left)| left))
}

fn listed(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.split(';').filter_map(|entry| {
        let (name, count) = entry.trim().strip_prefix("name=")?.split_once(',')?;
        Some((name.trim(), header_value::integer(count.trim())?))
    })
}

fn only<T>(mut entries: impl Iterator<Item = T>) -> Option<T> {
    let first = entries.next()?;
    match entries.next() {
        Some(_) => None,
        None => Some(first),
    }
}
