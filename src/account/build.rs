//! placeholder: from what a builder was told to an account, or to the list of what is wrong.

use super::{Account, Settings};
use crate::error::Error;

pub(super) fn build(_settings: Settings) -> Result<Account, Error> {
    Err(Error::config("not built yet"))
}
