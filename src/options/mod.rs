//! Options of a single request, a task or a handle.
//!
//! The nearest one wins, field by field: the request's own extension, then the task's scope
//! ([`RequestOptions::scope`]), then the handle's defaults
//! ([`Account::with_options`](crate::Account::with_options)), then the account's.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Extensions;
use reqwest::Body;

use crate::clock::{Moment, Now};
use cost::Costs;

/// How long a request may wait and who goes first, and which account and quota it belongs to.
///
/// ```no_run
/// # use std::time::Duration;
/// # use reqwest_tollgate::RequestOptions;
/// # use reqwest_middleware::ClientWithMiddleware as Client;
/// # async fn example(client: Client) -> reqwest_middleware::Result<()> {
/// let urgent = RequestOptions::new().timeout(Duration::from_secs(2));
/// let response = client.get("https://api.digikey.com/").with_extension(urgent).send().await?;
/// # Ok(())
/// # }
/// ```
///
/// `execute()`, `build()` and tower's `call` drop a request's extensions; there the task's scope or
/// the handle's defaults serve.
#[derive(Clone, Default)]
pub struct RequestOptions {
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<SystemTime>,
    pub(crate) max_wait: Option<Duration>,
    pub(crate) quota: Option<Arc<str>>,
    pub(crate) account: Option<Arc<str>>,
    pub(crate) priority: Option<Priority>,
    pub(crate) costs: Costs,
    pub(crate) body_factory: Option<BodyFactory>,
}

/// Makes the body of a request anew.
#[derive(Clone)]
pub(crate) struct BodyFactory(Arc<dyn Fn() -> Body + Send + Sync>);

impl BodyFactory {
    pub(crate) fn body(&self) -> Body {
        (self.0)()
    }
}

/// Who goes first, of those who wait for the same quota.
///
/// The first of two of the same priority to come is the first to leave. Each level is a head start
/// of an hour: a request passes those of the next lower level that came up to an hour before it,
/// and those two levels lower that came up to two hours before. So a waiter gains a level for each
/// hour of its wait, and nobody waits for ever. A replay keeps its priority and its first arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Priority {
    /// After everybody else, such as a crawl in the background.
    Low,
    /// What a request has that says nothing.
    #[default]
    Normal,
    /// Before everybody else, such as one whose answer a person waits for.
    High,
}

impl Priority {
    /// What one level is worth.
    pub(crate) const HEAD_START: Duration = Duration::from_secs(60 * 60);
}

impl RequestOptions {
    /// How far off the quota's next permit may be, if nobody says otherwise.
    pub const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(5 * 60);

    /// Options that say nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long the request may wait for its permit and its token, both together; default: without
    /// limit.
    ///
    /// reqwest's own timeouts do not cover that time: they begin when the request leaves.
    #[must_use]
    pub fn timeout(mut self, span: Duration) -> Self {
        self.timeout = Some(span);
        self
    }

    /// The same as a moment; of both, the earlier one counts.
    #[must_use]
    pub fn deadline(mut self, moment: SystemTime) -> Self {
        self.deadline = Some(moment);
        self
    }

    /// How far off the quota's *next* permit, or the next attempt at a token, may be; default
    /// [`DEFAULT_MAX_WAIT`](Self::DEFAULT_MAX_WAIT).
    ///
    /// It does not bound the time in the queue: with a thousand requests ahead a request may wait
    /// long, while permits keep coming. Once the next one is further off than this (the day is
    /// spent), the request fails at once and says when.
    #[must_use]
    pub fn max_wait(mut self, span: Duration) -> Self {
        self.max_wait = Some(span);
        self
    }

    /// The quota the request belongs to, instead of the one that its path says.
    #[must_use]
    pub fn quota(mut self, name: &str) -> Self {
        self.quota = Some(name.into());
        self
    }

    /// The account that acts, where several accounts of one client share an origin; default: the
    /// outermost.
    #[must_use]
    pub fn account(mut self, name: &str) -> Self {
        self.account = Some(name.into());
        self
    }

    /// Who goes first, of those who wait for the quota; default [`Priority::Normal`].
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// What the request costs in a unit that windows count
    /// ([`Window::unit`](crate::Window::unit)); in `"requests"` one, and in units that are not
    /// named nothing: windows in such a unit are not concerned. A unit that no window of the
    /// account counts, beside others that they do (`"line"` beside `"lines"`), is an
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) before anything is sent; an account that
    /// counts requests alone takes any.
    ///
    /// A cost that shows only in the answer is 0 here, and told then by
    /// [`Account::charge`](crate::Account::charge): such a request leaves as soon as anything is
    /// left. A request that costs more than a window's limit fails at once
    /// ([`ErrorKind::CostExceedsLimit`](crate::ErrorKind::CostExceedsLimit)). Each attempt costs
    /// anew, replays too. The nearest cost wins unit by unit.
    #[must_use]
    pub fn cost(mut self, unit: &str, amount: u64) -> Self {
        self.costs = self.costs.with(unit, amount);
        self
    }

    /// Makes the body anew, should a request whose body is a stream have to be sent again after a
    /// 401 or a 429. Without it a stream is sent once, and such an answer returned.
    ///
    /// It is not asked for the first attempt, nor for a body that is held in memory. Layers outside
    /// (`reqwest-retry`) do not know of it: they cannot clone a stream.
    #[must_use]
    pub fn body_factory(mut self, body: impl Fn() -> Body + Send + Sync + 'static) -> Self {
        self.body_factory = Some(BodyFactory(Arc::new(body)));
        self
    }

    /// Runs `future` with these options for every request it sends, over those of an enclosing
    /// scope.
    ///
    /// It does not cross `tokio::spawn`: a spawned task begins without options.
    ///
    /// # Cancel safety
    /// Dropping it drops `future` and nothing else.
    #[cfg(feature = "task-local")]
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        scope::run(self, future).await
    }

    /// These, and where they say nothing, those beneath.
    #[must_use]
    pub(crate) fn over(self, beneath: &Self) -> Self {
        Self {
            timeout: self.timeout.or(beneath.timeout),
            deadline: self.deadline.or(beneath.deadline),
            max_wait: self.max_wait.or(beneath.max_wait),
            quota: self.quota.or_else(|| beneath.quota.clone()),
            account: self.account.or_else(|| beneath.account.clone()),
            priority: self.priority.or(beneath.priority),
            costs: self.costs.over(&beneath.costs),
            body_factory: self.body_factory.or_else(|| beneath.body_factory.clone()),
        }
    }

    /// What holds for a request with these extensions, on this task.
    pub(crate) fn of<'a>(extensions: &Extensions, defaults: &'a Self) -> Cow<'a, Self> {
        match extensions.get::<Self>() {
            Some(own) => Cow::Owned(own.on_this_task(defaults).into_owned()),
            // Mostly nobody says anything: a copy for each layer takes 40 ns of a request.
            None => match scope() {
                Some(scope) => Cow::Owned(Self::clone(&scope).over(defaults)),
                None => Cow::Borrowed(defaults),
            },
        }
    }

    /// These, over those of this task's scope, over `defaults`.
    pub(crate) fn on_this_task<'a>(&'a self, defaults: &'a Self) -> Cow<'a, Self> {
        match scope() {
            Some(scope) => Cow::Owned(self.clone().over(&scope).over(defaults)),
            // Mostly one of both says nothing.
            None if self.are_plain() => Cow::Borrowed(defaults),
            None if defaults.are_plain() => Cow::Borrowed(self),
            None => Cow::Owned(self.clone().over(defaults)),
        }
    }

    /// Whether they say nothing.
    fn are_plain(&self) -> bool {
        let Self {
            timeout,
            deadline,
            max_wait,
            quota,
            account,
            priority,
            costs,
            body_factory,
        } = self;
        let are_timeless = timeout.is_none() && deadline.is_none() && max_wait.is_none();
        let is_nobodys = quota.is_none() && account.is_none() && priority.is_none();
        are_timeless && is_nobodys && costs.are_plain() && body_factory.is_none()
    }

    /// On what terms a request asks for a permit now.
    pub(crate) fn terms(&self, now: &Now) -> Terms {
        Terms {
            patience: self.patience(*now),
            costs: self.costs.clone(),
        }
    }

    /// The patience of a request that begins to wait now.
    #[inline]
    pub(crate) fn patience(&self, now: Now) -> Patience {
        let by_span = self.timeout.map(|span| now.moment + span);
        let by_moment = self.deadline.map(|time| now.moment_at(time));
        Patience {
            deadline: by_span.into_iter().chain(by_moment).min(),
            max_wait: self.max_wait.unwrap_or(Self::DEFAULT_MAX_WAIT),
        }
    }
}

/// The options of this task.
fn scope() -> Option<Arc<RequestOptions>> {
    #[cfg(feature = "task-local")]
    return scope::current();
    #[cfg(not(feature = "task-local"))]
    None
}

impl fmt::Debug for RequestOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestOptions")
            .field("timeout", &self.timeout)
            .field("deadline", &self.deadline)
            .field("max_wait", &self.max_wait)
            .field("quota", &self.quota)
            .field("account", &self.account)
            .field("priority", &self.priority)
            .field("costs", &self.costs)
            .field("has_body_factory", &self.body_factory.is_some())
            .finish()
    }
}

/// On what terms a request asks for a permit.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) patience: Patience,
    pub(crate) costs: Costs,
}

/// How long a request is willing to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Permit and token must be there by then.
    pub(crate) deadline: Option<Moment>,
    /// How far off the next chance may be.
    pub(crate) max_wait: Duration,
}

impl Patience {
    /// Whether waiting until `moment` is worth it: within `max_wait` from now and before the
    /// deadline.
    pub(crate) fn reaches(&self, now: Moment, moment: Moment) -> bool {
        moment - now <= self.max_wait && self.deadline.is_none_or(|deadline| moment <= deadline)
    }
}

pub(super) mod cost;
#[cfg(feature = "task-local")]
pub(super) mod scope;
#[cfg(test)]
mod tests;
