//! Units that nothing counts.

use super::Limiter;
use crate::cost::{Costs, REQUESTS, listed};
use crate::error::Error;

impl Limiter {
    /// # Errors
    /// A request names a cost in a unit that no window counts, beside other units that windows do:
    /// a slip of the pen. It would leave without that cost, and the server would reject it.
    pub(in crate::rate_limit) fn check_units(&self, costs: &Costs) -> Result<(), Error> {
        costs.units().try_for_each(|unit| self.check_unit(unit))
    }

    /// Of an account that counts requests alone nothing is said: the same options may serve several
    /// accounts. Nor of a unit that a window counted until its quota was changed.
    pub(super) fn check_unit(&self, unit: &str) -> Result<(), Error> {
        let is_known = unit == REQUESTS || self.quotas.have_unit(|known| known == unit);
        if is_known || !self.quotas.have_unit(|known| known != REQUESTS) {
            return Ok(());
        }
        let mut known = Vec::new();
        self.quotas.have_unit(|unit| {
            known.push(unit.to_owned());
            false
        });
        let known = listed(known.iter().map(String::as_str));
        let text = format!("no window counts {unit:?}: the account counts {known}");
        Err(Error::config(text).with_account(&self.settings.account))
    }
}
