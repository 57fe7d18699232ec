//! How a preset's signer is made of what the vendor gave to the customer.
//!
//! A signer needs several secrets at once, and they come one by one: as arguments, from a file,
//! from the environment. So a preset names what it needs and gives a function; the signer is made
//! when the account is built, and anew when a secret that is kept elsewhere has changed.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::signer::Signer;
use crate::secret::Secret;

/// Makes the signer; none where the customer has not asked for a signature, which shows in the
/// names of the secrets, never in their values: an account that signs does so all its life.
///
/// # Errors
/// The name of a secret that it cannot do without.
pub(crate) type Make = fn(&Ingredients) -> Result<Option<Arc<dyn Signer>>, &'static str>;

/// A vendor's way to sign, and where its secrets are kept.
#[derive(Clone)]
pub(crate) struct Scheme {
    make: Make,
    secrets: Vec<(&'static str, Secret)>,
}

impl Scheme {
    pub(crate) fn new(make: Make) -> Self {
        Self {
            make,
            secrets: Vec::new(),
        }
    }

    /// Replaces the one of that name.
    pub(crate) fn set(&mut self, name: &'static str, secret: Secret) {
        self.secrets.retain(|(other, _)| *other != name);
        self.secrets.push((name, secret));
    }

    /// # Errors
    /// The name of what is wrong, and a sentence; never a value.
    pub(crate) fn read(&self) -> Result<Signature, (&'static str, String)> {
        let pair = |(name, secret): &(&'static str, Secret)| match secret.read() {
            Ok(value) => Ok((*name, value)),
            Err(text) => Err((*name, text)),
        };
        let secrets: Result<_, _> = self.secrets.iter().map(pair).collect();
        let secrets = Ingredients(secrets?);
        let signer = (self.make)(&secrets).map_err(|name| (name, "is missing".to_owned()))?;
        Ok(Signature { secrets, signer })
    }

    /// Whether reading it again could give other secrets.
    pub(crate) fn has_references(&self) -> bool {
        self.secrets.iter().any(|(_, secret)| secret.is_reference())
    }
}

/// The secrets of a scheme, by name.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Ingredients(Vec<(&'static str, Zeroizing<String>)>);

impl Ingredients {
    pub(crate) fn get(&self, name: &str) -> Option<Zeroizing<String>> {
        let found = self.0.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| value.clone())
    }

    /// # Errors
    /// Its name, if it was not given.
    pub(crate) fn need(&self, name: &'static str) -> Result<Zeroizing<String>, &'static str> {
        self.get(name).ok_or(name)
    }
}

/// A signer, and what it was made of, which tells whether another one would be different.
#[derive(Clone, Default)]
pub(crate) struct Signature {
    secrets: Ingredients,
    pub(crate) signer: Option<Arc<dyn Signer>>,
}

impl Signature {
    /// What it was made of, by name.
    pub(in crate::auth) fn secrets(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let secrets = self.secrets.0.iter();
        secrets.map(|(name, value)| (*name, value.as_str()))
    }
}

impl PartialEq for Signature {
    fn eq(&self, other: &Self) -> bool {
        self.secrets == other.secrets
    }
}

impl Eq for Signature {}
