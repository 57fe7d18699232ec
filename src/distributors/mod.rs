//! Distributors that the crate knows: one module of constants each.
//!
//! A preset is an [`AccountBuilder`] with the vendor's URLs, names and numbers filled in, and every
//! one of them is overridden by the same setter that a hand-made account uses. Vendors change their
//! limits per customer, so the numbers are where to begin, not what must hold.
//!
//! ```
//! use reqwest_tollgate::{Window, distributors::digikey};
//!
//! let account = digikey::account("my-client-id", "my-client-secret")
//!     .window(Window::per_utc_day(25_000)) // as agreed with the vendor
//!     .build()?;
//! let client = account.client()?;
//! assert_eq!(account.base_url().as_str(), "https://api.digikey.com/");
//! # let _ = client;
//! # Ok::<(), reqwest_tollgate::Error>(())
//! ```
//!
//! [`Account::client`](crate::Account::client) serves each of them, and
//! [`http_client_builder`](crate::http_client_builder) makes one pool for several: their redirects
//! stay within an origin. With reqwest's own policy the keys of all vendors but those that want a
//! bearer token alone would go wherever a redirect leads.
//!
//! In a [configuration file](crate::Config) the module's name is what `distributor` says, beside
//! the keys of the column "needs"; `from_env` reads the environment. Confidence is that of the way
//! to authenticate, then that of the limits: **D** the vendor's own page, **D2** a copy of it,
//! **L** observed by somebody, **C** client code, **H** hearsay, **own** this crate's own caution,
//! and **?** nothing found.
//!
#![doc = include_str!("table.md")]

pub mod arrow_itemservice;
mod arrow_list;
pub mod avnet;
pub mod buerklin;
pub mod conrad;
pub mod digikey;
pub mod disruptive;
pub mod element14;
pub mod findchips;
pub mod future;
#[cfg(feature = "signing")]
pub mod jlcpcb;
#[cfg(feature = "signing")]
pub mod lcsc;
mod mashery;
pub mod masterelectronics;
pub mod mouser;
pub mod my_arrow;
pub mod nexar;
pub mod oemsecrets;
pub mod onlinecomponents;
pub mod renesas;
pub mod rs;
pub mod rutronik;
pub mod sager;
pub mod samtec;
pub mod sourcengine;
pub mod te;
pub mod ti;
#[cfg(feature = "signing")]
pub mod tme_v1;
pub mod tme_v2;
pub mod trusted_parts;
pub mod tti;

use crate::account::check::problems::Problems;
use crate::account::{AccountBuilder, Environment};
use crate::error::Error;
use crate::secret::{self, Secret};

/// A preset, as a configuration file and the environment find it.
pub(crate) struct Preset {
    /// What `distributor` says.
    pub(crate) name: &'static str,
    /// What the vendor gives to each customer.
    pub(crate) keys: &'static [Key],
    /// The environment variable that says `True` for the vendor's sandbox, where there is one.
    pub(crate) sandbox_variable: Option<&'static str>,
    /// The builder before those keys are set.
    pub(crate) builder: fn() -> AccountBuilder,
}

/// What a vendor gives to each customer: an id, a secret, a key.
pub(crate) struct Key {
    /// The key of a configuration file, and the argument of the preset.
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    /// Environment variables that hold it, by the names in use; the first that is set counts.
    pub(crate) variables: &'static [&'static str],
    pub(crate) set: Set,
}

impl Key {
    /// One that the vendor gives to every customer, and that is no secret.
    const fn text(
        name: &'static str,
        variables: &'static [&'static str],
        set: fn(AccountBuilder, String) -> AccountBuilder,
    ) -> Self {
        Self {
            name,
            required: true,
            variables,
            set: Set::Text(set),
        }
    }

    /// One that the vendor gives to every customer, and that is a secret.
    const fn secret(
        name: &'static str,
        variables: &'static [&'static str],
        set: fn(AccountBuilder, Secret) -> AccountBuilder,
    ) -> Self {
        Self {
            name,
            required: true,
            variables,
            set: Set::Secret(set),
        }
    }

    /// One that the account can do without.
    const fn optional(mut self) -> Self {
        self.required = false;
        self
    }
}

/// How a builder is told.
#[derive(Clone, Copy)]
pub(crate) enum Set {
    Text(fn(AccountBuilder, String) -> AccountBuilder),
    Secret(fn(AccountBuilder, Secret) -> AccountBuilder),
}

/// All presets, by name.
pub(crate) const PRESETS: &[Preset] = &[
    arrow_itemservice::PRESET,
    avnet::PRESET,
    buerklin::PRESET,
    conrad::PRESET,
    digikey::PRESET,
    disruptive::PRESET,
    element14::PRESET,
    findchips::PRESET,
    future::PRESET,
    #[cfg(feature = "signing")]
    jlcpcb::PRESET,
    #[cfg(feature = "signing")]
    lcsc::PRESET,
    masterelectronics::PRESET,
    mouser::PRESET,
    my_arrow::PRESET,
    nexar::PRESET,
    oemsecrets::PRESET,
    onlinecomponents::PRESET,
    renesas::PRESET,
    rs::PRESET,
    rutronik::PRESET,
    sager::PRESET,
    samtec::PRESET,
    sourcengine::PRESET,
    te::PRESET,
    ti::PRESET,
    #[cfg(feature = "signing")]
    tme_v1::PRESET,
    tme_v2::PRESET,
    trusted_parts::PRESET,
    tti::PRESET,
];

impl Preset {
    /// The keys that it cannot do without.
    pub(crate) fn required(&self) -> impl Iterator<Item = &'static str> {
        let required = self.keys.iter().filter(|key| key.required);
        required.map(|key| key.name)
    }

    /// The builder before the customer's keys are set: what it fills in need not have an effect.
    pub(crate) fn begin(&self) -> AccountBuilder {
        let mut builder = (self.builder)();
        builder.settings.noted.clear();
        builder
    }

    /// The builder with what the environment says.
    ///
    /// # Errors
    /// Every variable that is missing or cannot be read.
    fn built_from_env(&self) -> Result<AccountBuilder, Error> {
        self.built_from(|variable| std::env::var(variable).ok())
    }

    fn built_from(&self, read: impl Fn(&str) -> Option<String>) -> Result<AccountBuilder, Error> {
        let mut problems = Problems::default();
        let read = |variable: &str| {
            let value = read(variable)?;
            Some(secret::trimmed(&value).to_owned()).filter(|value| !value.is_empty())
        };
        let mut builder = self.begin();
        for key in self.keys {
            let found = key
                .variables
                .iter()
                .find_map(|name| Some((*name, read(name)?)));
            builder = match (found, key.set) {
                (Some((variable, value)), Set::Text(set)) => {
                    if let Some(flaw) = secret::flaw(&value) {
                        problems.add(variable, format!("has {flaw}"));
                    }
                    set(builder, value)
                }
                // By reference, so that a changed secret is read again once the old was refused.
                (Some((variable, _)), Set::Secret(set)) => set(builder, Secret::env(variable)),
                (None, _) if key.required => {
                    let text = "the environment variable is not set or empty";
                    problems.add(key.variables.join(" or "), text);
                    builder
                }
                (None, _) => builder,
            };
        }
        if let Some(variable) = self.sandbox_variable {
            let environment = problems.keep(variable, environment(read(variable)));
            builder = builder.environment(environment.unwrap_or_default());
        }
        match problems.is_empty() {
            true => Ok(builder),
            false => Err(problems.into_error()),
        }
    }
}

fn environment(sandbox: Option<String>) -> Result<Environment, String> {
    match sandbox.map(|text| text.to_lowercase()).as_deref() {
        None | Some("false") => Ok(Environment::Production),
        Some("true") => Ok(Environment::Sandbox),
        Some(other) => Err(format!("found {other:?}; expected True or False")),
    }
}

#[cfg(test)]
mod tests;
