//! Proofs of the cache as a whole: a world whose every part (clock, token endpoint, store, API,
//! runtime) is turned by hand, so that a sequence of steps always ends in the same way.
//!
//! * [`model`]: any sequence of mishaps, against a model of what must hold (design, A1 to A11).
//! * [`found`]: what that has found, each as the shortest way there.
//! * [`cancel`]: every caller dropped after every number of polls, [`layers`] included.

mod cancel;
mod found;
mod layers;
mod model;
mod server;
mod shelf;
mod steps;
mod turning;
mod world;
