//! One table `[accounts.NAME]`: from its keys to the calls of an [`AccountBuilder`].

use std::collections::HashSet;

use http::StatusCode;

use super::Shared;
use super::fields::Fields;
use super::grants::grant;
use super::limits::{costs, quota, span, window};
use super::plaintext_secrets::literals;
use super::stores;
use super::value::{Table, Value};
use crate::account::check::problems::Problems;
use crate::account::{Account, AccountBuilder, Environment, build};
use crate::auth::ClientAuth;
use crate::distributors::{PRESETS, Preset, Set};
use crate::options::{Priority, RequestOptions};
use crate::rate_limit::Quota;
use crate::response_rules::{Rule, Verdict};

const ENVIRONMENTS: [(&str, Environment); 2] = [
    ("production", Environment::Production),
    ("sandbox", Environment::Sandbox),
];

const CLIENT_AUTHS: [(&str, ClientAuth); 3] = [
    ("basic", ClientAuth::Basic),
    ("basic-raw", ClientAuth::BasicRaw),
    ("body", ClientAuth::Body),
];

const PRIORITIES: [(&str, Priority); 3] = [
    ("low", Priority::Low),
    ("normal", Priority::Normal),
    ("high", Priority::High),
];

/// The account, or everything that is wrong with its table.
pub(super) fn account(name: &str, table: Table, shared: &Shared) -> Result<Account, Problems> {
    let (builder, mut problems) = read(name, table, shared);
    match build::check(builder.settings) {
        Ok(account) => problems.into_result(account),
        Err(others) => {
            problems.add_other_fields(others);
            Err(problems)
        }
    }
}

/// A builder that was told what could be read, and what could not.
fn read(name: &str, table: Table, shared: &Shared) -> (AccountBuilder, Problems) {
    let mut fields = Fields::new(table);
    let names_a_preset = fields.has("distributor");
    let (builder, preset) = begin(&mut fields);
    let mut builder = builder.name(name);
    builder.settings.literals = literals(fields.rest(), preset);
    builder = own_keys(&mut fields, builder, preset);
    builder = place(&mut fields, builder);
    builder = credentials(&mut fields, builder);
    builder = token_request(&mut fields, builder);
    builder = refusals(&mut fields, builder);
    builder = limits(&mut fields, builder);
    builder = patience(&mut fields, builder);
    let store = fields.read("token_store", stores::token_store);
    let quota_store = fields.read("quota_store", stores::quota_store);
    shared.equip(&mut builder, store, quota_store);
    if names_a_preset && preset.is_none() {
        // What would be used by one that is not known cannot be said.
        builder.settings.noted.clear();
    }
    (builder, fields.finish())
}

/// The preset's builder, or an empty one; what it cannot do without is asked for here.
fn begin(fields: &mut Fields) -> (AccountBuilder, Option<&'static Preset>) {
    let choices: Vec<_> = PRESETS.iter().map(|preset| (preset.name, preset)).collect();
    let is_own = !fields.has("distributor");
    let preset = fields.choice::<&Preset>("distributor", &choices);
    let required = match preset {
        Some(preset) => preset.required().collect(),
        None if is_own => vec!["base_url"],
        // Of a distributor that is not known nobody can say what it needs.
        None => Vec::new(),
    };
    for key in required {
        if !fields.has(key) {
            fields.problems.add(key, "is missing");
        }
    }
    let builder = match preset {
        Some(preset) => preset.begin(),
        None if is_own => Account::builder("", ""),
        // Its URL is not known either, and that is told already.
        None => Account::builder("", "https://unknown.invalid"),
    };
    (builder, preset)
}

/// What this distributor asks for. It comes first: a key that every account may have (`client_id`)
/// can mean more to this one.
fn own_keys(
    fields: &mut Fields,
    mut builder: AccountBuilder,
    preset: Option<&Preset>,
) -> AccountBuilder {
    for key in preset.iter().flat_map(|preset| preset.keys) {
        builder = match key.set {
            Set::Secret(setter) => set(builder, fields.secret(key.name), setter),
            Set::Text(setter) => set(builder, fields.text(key.name), setter),
        };
    }
    builder
}

fn place(fields: &mut Fields, builder: AccountBuilder) -> AccountBuilder {
    let environment = fields.choice("environment", &ENVIRONMENTS);
    let builder = set(builder, environment, AccountBuilder::environment);
    let builder = set(builder, fields.text("base_url"), AccountBuilder::base_url);
    let origins = fields.texts("origins");
    let builder = origins.into_iter().fold(builder, AccountBuilder::origin);
    let headers = fields.named_secrets("headers").into_iter();
    let builder = headers.fold(builder, |builder, (name, value)| {
        builder.header(&name, value)
    });
    let query = fields.named_secrets("query").into_iter();
    query.fold(builder, |builder, (name, value)| {
        builder.query(&name, value)
    })
}

fn credentials(fields: &mut Fields, builder: AccountBuilder) -> AccountBuilder {
    let builder = set(builder, fields.text("client_id"), AccountBuilder::client_id);
    let builder = set(
        builder,
        fields.secret("client_secret"),
        AccountBuilder::client_secret,
    );
    let builder = set(builder, fields.secret("bearer"), AccountBuilder::bearer);
    let builder = basic(fields, builder);
    let client_auth = fields.choice("client_auth", &CLIENT_AUTHS);
    let builder = set(builder, client_auth, AccountBuilder::client_auth);
    set(builder, grant(fields), AccountBuilder::grant)
}

/// `basic = { user = "..", password = ".." }`.
fn basic(fields: &mut Fields, builder: AccountBuilder) -> AccountBuilder {
    let Some(table) = fields.read("basic", Value::into_table) else {
        return builder;
    };
    let mut inner = Fields::new(table);
    for key in ["user", "password"] {
        if !inner.has(key) {
            inner.problems.add(key, "is missing");
        }
    }
    let pair = inner.text("user").zip(inner.secret("password"));
    fields.problems.add_all("basic", inner.finish());
    set(builder, pair, |builder, (user, password)| {
        builder.basic(user, password)
    })
}

fn token_request(fields: &mut Fields, builder: AccountBuilder) -> AccountBuilder {
    let builder = set(builder, fields.text("token_url"), AccountBuilder::token_url);
    let url = fields.text("authorization_url");
    let builder = set(builder, url, AccountBuilder::authorization_url);
    let url = fields.text("revocation_url");
    let builder = set(builder, url, AccountBuilder::revocation_url);
    let builder = set(builder, fields.text("issuer"), AccountBuilder::issuer);
    let pkce = fields.read("pkce", Value::into_flag);
    let builder = set(builder, pkce, AccountBuilder::pkce);
    let builder = set(builder, fields.text("scope"), AccountBuilder::scope);
    let on_refresh = fields.read("scope_on_refresh", Value::into_flag);
    let builder = set(builder, on_refresh, AccountBuilder::scope_on_refresh);
    let grace = fields.read("refresh_token_grace", span);
    let builder = set(builder, grace, AccountBuilder::refresh_token_grace);
    let patience = fields.read("orphan_patience", span);
    let builder = set(builder, patience, AccountBuilder::orphan_patience);
    let headers = fields.named_secrets("token_headers").into_iter();
    let builder = headers.fold(builder, |builder, (name, value)| {
        builder.token_header(&name, value)
    });
    let form = fields.named_secrets("token_fields").into_iter();
    let builder = form.fold(builder, |builder, (name, value)| {
        builder.token_field(&name, value)
    });
    // The first of the file is the first to be asked.
    let rules = fields.list("token_rules", |value| rule(value, &TOKEN_VERDICTS));
    let builder = rules
        .into_iter()
        .rev()
        .fold(builder, AccountBuilder::token_rule);
    let windows = fields.list("token_windows", window).into_iter();
    let builder = windows.fold(builder, AccountBuilder::token_window);
    let builder = set(
        builder,
        fields.read("refresh_lead", span),
        AccountBuilder::refresh_lead,
    );
    let keep = fields.read("keep_warm", Value::into_flag);
    let builder = set(builder, keep, AccountBuilder::keep_warm);
    let lifetime = fields.read("fallback_lifetime", span);
    set(builder, lifetime, AccountBuilder::fallback_lifetime)
}

fn refusals(fields: &mut Fields, builder: AccountBuilder) -> AccountBuilder {
    let statuses = fields.list("rejection_statuses", |value| {
        status(value).map_err(Problems::of_value)
    });
    let builder = statuses
        .into_iter()
        .fold(builder, AccountBuilder::rejection_status);
    let phrases = fields.texts("not_the_token");
    let builder = phrases
        .into_iter()
        .fold(builder, AccountBuilder::not_the_token);
    // The first of the file is the first to be asked.
    let rules = fields.list("rules", |value| rule(value, &VERDICTS));
    let rules = rules.into_iter().rev();
    let builder = rules.fold(builder, AccountBuilder::rule);
    let replay = fields.read("replay_unauthorized", Value::into_flag);
    let builder = set(builder, replay, AccountBuilder::replay_unauthorized);
    // The first of the file is the first to be looked for.
    let names = fields.text_or_texts("request_id_header");
    let names = names.iter().rev();
    names.fold(builder, |builder, name| builder.request_id_header(name))
}

const VERDICTS: [(&str, Verdict); 6] = [
    ("fine", Verdict::Fine),
    ("token-rejected", Verdict::TokenRejected),
    ("not-the-token", Verdict::NotTheToken),
    ("rate-exceeded", Verdict::RateExceeded),
    ("rate-suspected", Verdict::RateSuspected),
    ("quota-spent", Verdict::QuotaSpent),
];

const TOKEN_VERDICTS: [(&str, Verdict); 4] = [
    ("grant-rejected", Verdict::GrantRejected),
    ("client-rejected", Verdict::ClientRejected),
    ("rate-exceeded", Verdict::RateExceeded),
    ("unavailable", Verdict::Unavailable),
];

/// `{ status = 403, body = ["phrase"], headers = { Name = "phrase" }, header_is = { Name = "0" },
/// verdict = "rate-exceeded" }`.
fn rule(value: Value, verdicts: &[(&str, Verdict)]) -> Result<Rule, Problems> {
    let mut fields = Fields::new(value.into_table().map_err(Problems::of_value)?);
    for key in ["status", "verdict"] {
        if !fields.has(key) {
            fields.problems.add(key, "is missing");
        }
    }
    let status = fields.read("status", Value::into_integer);
    let verdict = fields.choice("verdict", verdicts);
    // Without them the other keys are still checked, on a rule that nobody gets.
    let rule = Rule::new(
        status.unwrap_or(400),
        verdict.unwrap_or(Verdict::RateExceeded),
    );
    let phrases = fields.texts("body");
    let rule = phrases.iter().fold(rule, |rule, phrase| rule.body(phrase));
    let rule = of_headers(&mut fields, "headers", rule, Rule::header);
    let rule = of_headers(&mut fields, "header_is", rule, Rule::header_is);
    fields.finish().into_result(rule)
}

fn of_headers(
    fields: &mut Fields,
    key: &'static str,
    mut rule: Rule,
    set: fn(Rule, &str, &str) -> Rule,
) -> Rule {
    let headers = fields.read(key, Value::into_table).unwrap_or_default();
    for (name, value) in headers {
        let field = format!("{key}.{name}");
        let text = fields.problems.keep(&field, value.into_text());
        rule = set(rule, &name, &text.unwrap_or_default());
    }
    rule
}

fn status(value: Value) -> Result<StatusCode, String> {
    let number: u16 = value.into_integer()?;
    StatusCode::from_u16(number).map_err(|_| format!("found {number}; expected a status"))
}

/// Quotas first: one named `default` replaces the windows so far, and those of `windows` add to it.
fn limits(fields: &mut Fields, builder: AccountBuilder) -> AccountBuilder {
    let quotas = fields.list("quotas", quota);
    check_names(fields, &quotas);
    let builder = quotas.into_iter().fold(builder, AccountBuilder::quota);
    let windows = fields.list("windows", window);
    let builder = windows.into_iter().fold(builder, AccountBuilder::window);
    let replays = fields.read("max_replays", Value::into_integer);
    let builder = set(builder, replays, AccountBuilder::max_replays);
    let in_flight = fields.read("max_in_flight", Value::into_integer);
    let builder = set(builder, in_flight, AccountBuilder::max_in_flight);
    let queue = fields.read("max_queue", Value::into_integer);
    let builder = set(builder, queue, AccountBuilder::max_queue);
    let unanswered = fields.read("unanswered_after", span);
    set(builder, unanswered, AccountBuilder::unanswered_after)
}

fn check_names(fields: &mut Fields, quotas: &[Quota]) {
    let mut names = HashSet::new();
    for (index, quota) in quotas.iter().enumerate() {
        if !names.insert(&quota.name) {
            let text = format!("found {:?}, the name of an earlier quota", quota.name);
            fields.problems.add(format!("quotas[{index}].name"), text);
        }
    }
}

fn patience(fields: &mut Fields, builder: AccountBuilder) -> AccountBuilder {
    let options = RequestOptions::new();
    let options = set(
        options,
        fields.read("max_wait", span),
        RequestOptions::max_wait,
    );
    let options = set(
        options,
        fields.read("timeout", span),
        RequestOptions::timeout,
    );
    let priority = fields.choice("priority", &PRIORITIES);
    let options = set(options, priority, RequestOptions::priority);
    let costs = costs(fields).into_iter();
    let options = costs.fold(options, |options, (unit, amount)| {
        options.cost(&unit, amount)
    });
    builder.options(options)
}

fn set<B, T>(builder: B, value: Option<T>, setter: impl FnOnce(B, T) -> B) -> B {
    match value {
        Some(value) => setter(builder, value),
        None => builder,
    }
}

#[cfg(test)]
mod tests;
