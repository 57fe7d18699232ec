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
//! assert_eq!(account.base_url().as_str(), "https://api.digikey.com/");
//! # Ok::<(), reqwest_tollgate::Error>(())
//! ```

pub mod digikey;

use crate::account::AccountBuilder;

/// A preset, as a configuration file finds it.
pub(crate) struct Preset {
    /// What `distributor` says.
    pub(crate) name: &'static str,
    /// The keys that it cannot do without.
    pub(crate) required: &'static [&'static str],
    /// The builder before those keys are set.
    pub(crate) builder: fn() -> AccountBuilder,
}

/// All presets, by name.
pub(crate) const PRESETS: &[Preset] = &[digikey::PRESET];
