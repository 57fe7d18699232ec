//! Quotas: the sets of windows that requests have to pass.

use super::window::Window;

/// A named set of windows that a request has to pass, all of them.
///
/// An account has a default quota (named `default`, made of the windows given to
/// [`AccountBuilder::window`](crate::AccountBuilder::window)) and any number of others. A request
/// belongs to the quota with the longest [`path`](Self::path) that its own path begins with, else
/// to the default one; [`RequestOptions::quota`](crate::RequestOptions::quota) chooses by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    pub(crate) name: String,
    pub(crate) paths: Vec<String>,
    pub(crate) windows: Vec<Window>,
}

impl Quota {
    /// The name of the quota that takes what no other quota does.
    pub const DEFAULT: &'static str = "default";

    /// A quota without windows of its own: it has those of the account's default quota, counted for
    /// itself.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            paths: Vec::new(),
            windows: Vec::new(),
        }
    }

    /// Requests whose path begins with `prefix` belong to this quota; may be called several times.
    ///
    /// The comparison is by characters, so `/products/v4` also takes `/products/v40`; end with a
    /// slash where that matters. The case of ASCII letters does not count: a vendor's own pages
    /// write `/Quoting/v4/` and `/quoting/v4/`, and a server that takes both counts them together.
    /// Without any prefix a quota is chosen by option only.
    #[must_use]
    pub fn path(mut self, prefix: impl Into<String>) -> Self {
        self.paths.push(prefix.into());
        self
    }

    /// Adds a window; it replaces the one of the same length and unit.
    #[must_use]
    pub fn window(mut self, window: Window) -> Self {
        self.set_window(window);
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn set_window(&mut self, window: Window) {
        self.windows.retain(|old| !old.is_alike(&window));
        self.windows.push(window);
        self.windows.sort_by_key(Window::length);
    }

    /// A path as it is compared: the case of ASCII letters does not count.
    pub(crate) fn folded(path: &str) -> String {
        path.to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_replaces_the_one_of_its_length() {
        let quota = Quota::new("q")
            .window(Window::per_day(1000))
            .window(Window::per_minute(120))
            .window(Window::per_minute(60));
        let windows: Vec<_> = quota.windows.iter().map(Window::to_string).collect();
        assert_eq!(windows, ["60/min", "1000/day"]);
    }

    #[test]
    fn windows_of_one_length_in_two_units_stand_side_by_side() {
        let quota = Quota::new("q")
            .window(Window::per_minute(100).unit("lines"))
            .window(Window::per_minute(60))
            .window(Window::per_minute(50).unit("lines"));
        assert_eq!(
            quota.windows,
            [Window::per_minute(60), Window::per_minute(50).unit("lines")]
        );
    }

    #[test]
    fn a_utc_day_replaces_a_rolling_day() {
        let quota = Quota::new("q")
            .window(Window::per_day(5))
            .window(Window::per_utc_day(7));
        assert_eq!(quota.windows, [Window::per_utc_day(7)]);
    }

    #[test]
    fn a_day_at_another_midnight_replaces_the_day_of_utc() {
        let quota = Quota::new("q")
            .window(Window::per_utc_day(5))
            .window(Window::per_local_day(7, "-06:00"));
        assert_eq!(quota.windows, [Window::per_local_day(7, "-06:00")]);
    }
}
