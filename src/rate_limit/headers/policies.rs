//! The IETF's own fields, which changed with every draft:
//!
//! | draft | quota policies                               | what is left                           |
//! |-------|----------------------------------------------|----------------------------------------|
//! | 06    | `RateLimit-Limit: 100, 100;w=60`             | `RateLimit-Remaining`, `-Reset`        |
//! | 07    | `RateLimit-Policy: 100;w=60`                 | `RateLimit: limit=100, remaining=5, …` |
//! | 08–10 | `RateLimit-Policy: "burst";q=100;w=60;pk=:…:` | `RateLimit: "burst";r=50;t=5`          |
//!
//! Several policies are one list or several header lines. The structured ones (RFC 9651) are
//! strict: a malformed line counts as absent.

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Duration;

use sfv::visitor::{EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ListVisitor};
use sfv::visitor::{ParameterVisitor, parameter_visitor_with};
use sfv::{BareItemFromInput, KeyRef, Parser};
use smallvec::SmallVec;

use crate::header_value::{self, MOST_MEMBERS};

/// A policy, and what is left of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Policy<'h> {
    pub(super) name: Option<Cow<'h, str>>,
    /// Whose part of the quota it is, in the server's own terms.
    pub(super) partition: Option<Vec<u8>>,
    pub(super) limit: Option<u64>,
    /// In seconds; servers round it up.
    pub(super) length: Option<u64>,
    pub(super) remaining: Option<u64>,
    pub(super) reset: Option<Reset>,
    pub(super) counts_something_else: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reset {
    Seconds(u64),
    /// A span, and whether it was a bare number.
    Told(Duration, bool),
}

pub(super) type Policies<'h> = SmallVec<[Policy<'h>; 2]>;

impl Policy<'_> {
    fn has_name_of(&self, other: &Self) -> bool {
        self.name.is_some() && self.name == other.name
    }

    /// Whether it tells more than the policy itself.
    pub(super) fn has_state(&self) -> bool {
        self.remaining.is_some() || self.reset.is_some()
    }
}

/// What one `RateLimit` line says: of drafts 08 and later, else of draft 07.
pub(super) fn states(line: &str) -> Policies<'_> {
    let mut states = list(line);
    states.retain(|state| state.remaining.is_some());
    if states.is_empty() {
        states.extend(draft_07(line));
    }
    states
}

/// The states, each with what its policy says, and the policies that have no state.
pub(super) fn resolved<'h>(policies: Policies<'h>, states: Policies<'h>) -> Policies<'h> {
    let mut told: SmallVec<[bool; 4]> = SmallVec::from_elem(false, policies.len());
    let mut resolved = states;
    for state in &mut resolved {
        if let Some(index) = policy_of(&policies, state) {
            if let (Some(policy), Some(told)) = (policies.get(index), told.get_mut(index)) {
                state.limit = state.limit.or(policy.limit);
                state.length = policy.length;
                state.counts_something_else |= policy.counts_something_else;
                *told = true;
            }
        }
    }
    let untold = policies.into_iter().zip(told).filter(|(_, told)| !told);
    resolved.extend(untold.map(|(policy, _)| policy));
    resolved.retain(|policy| !policy.counts_something_else);
    resolved
}

/// The policy of its name, and of its partition if there are several; of those without names, the
/// one of its limit, else the only one.
fn policy_of(policies: &Policies<'_>, state: &Policy<'_>) -> Option<usize> {
    if state.name.is_none() {
        return unnamed(policies, state.limit);
    }
    let of_name = |policy: &Policy<'_>| policy.has_name_of(state);
    let both = |policy: &Policy<'_>| of_name(policy) && policy.partition == state.partition;
    (policies.iter().position(both)).or_else(|| policies.iter().position(of_name))
}

fn unnamed(policies: &Policies<'_>, limit: Option<u64>) -> Option<usize> {
    let of_limit = |index: &usize| policies.get(*index).is_some_and(|one| one.limit == limit);
    let mut same = (0..policies.len()).filter(of_limit);
    match (same.next(), same.next()) {
        (None, _) if limit.is_none() && policies.len() == 1 => Some(0),
        (first, None) => first,
        _ => None,
    }
}

/// `limit=100, remaining=50, reset=5`. Read leniently: it was a dictionary on paper only.
fn draft_07<'h>(line: &str) -> Option<Policy<'h>> {
    let mut state = Policy::default();
    for (key, value) in line
        .split([',', ';'])
        .filter_map(|part| part.split_once('='))
    {
        let number = header_value::integer(value.trim());
        match key.trim() {
            key if key.eq_ignore_ascii_case("limit") => state.limit = number,
            key if key.eq_ignore_ascii_case("remaining") => state.remaining = number,
            key if key.eq_ignore_ascii_case("reset") => state.reset = number.map(Reset::Seconds),
            _ => {}
        }
    }
    (state.limit.is_some() || state.has_state()).then_some(state)
}

/// The first members of one line; none if it is malformed.
pub(super) fn list(line: &str) -> Policies<'_> {
    let mut members = Members(Policies::new());
    match Parser::new(line).parse_list_with_visitor(&mut members) {
        Ok(()) => members.0,
        Err(_) => Policies::new(),
    }
}

struct Members<'h>(Policies<'h>);

impl<'h> ListVisitor<'h> for &mut Members<'h> {
    type Out = ();
    type Error = Infallible;

    fn entry(&mut self) -> Result<impl EntryVisitor<'h>, Infallible> {
        Ok(Member(&mut self.0))
    }

    fn finish(self) -> Result<(), Infallible> {
        Ok(())
    }
}

struct Member<'m, 'h>(&'m mut Policies<'h>);

impl<'h> EntryVisitor<'h> for Member<'_, 'h> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'h>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'h>, Infallible> {
        Ok(Ignored)
    }
}

impl<'h> ItemVisitor<'h> for Member<'_, 'h> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        item: BareItemFromInput<'h>,
    ) -> Result<impl ParameterVisitor<'h, Out = ()>, Infallible> {
        let mut policy = Policy::default();
        match item {
            BareItemFromInput::String(Cow::Borrowed(name)) => {
                policy.name = Some(name.as_str().into())
            }
            BareItemFromInput::String(Cow::Owned(name)) => {
                policy.name = Some(String::from(name).into())
            }
            BareItemFromInput::Token(name) => policy.name = Some(name.as_str().into()),
            item => policy.limit = integer(&item),
        }
        let known = policy.name.is_some() || policy.limit.is_some();
        let policies = self.0;
        let keep = move |policy| {
            if known && policies.len() < MOST_MEMBERS {
                policies.push(policy);
            }
            Ok(())
        };
        Ok(parameter_visitor_with(policy, keep))
    }
}

impl<'h> ParameterVisitor<'h> for Policy<'h> {
    type Out = Self;
    type Error = Infallible;

    fn parameter(
        &mut self,
        key: &'h KeyRef,
        item: BareItemFromInput<'h>,
    ) -> Result<(), Infallible> {
        match key.as_str() {
            "q" => self.limit = integer(&item),
            "w" => self.length = integer(&item),
            "r" => self.remaining = integer(&item),
            "t" => self.reset = integer(&item).map(Reset::Seconds),
            "pk" => self.partition = item.as_byte_sequence().map(<[u8]>::to_vec),
            // Bytes of content, or requests at the same time.
            "qu" => self.counts_something_else = !is_requests(&item),
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Self, Infallible> {
        Ok(self)
    }
}

fn integer(item: &BareItemFromInput<'_>) -> Option<u64> {
    match item {
        BareItemFromInput::Integer(number) => u64::try_from(i64::from(*number)).ok(),
        _ => None,
    }
}

fn is_requests(item: &BareItemFromInput<'_>) -> bool {
    match item {
        BareItemFromInput::String(unit) => unit.as_str() == "requests",
        BareItemFromInput::Token(unit) => unit.as_str() == "requests",
        _ => false,
    }
}
