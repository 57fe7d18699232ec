//! Contract prices: each search signed with the customer's secret.

use std::sync::Arc;
use std::time::SystemTime;

use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::super::Key;
use crate::account::AccountBuilder;
use crate::auth::credentials::scheme::Ingredients;
use crate::auth::{Attempt, Signer};
use crate::error::BoxError;
use crate::secret::Secret;
use crate::signing::{base64, hmac_sha1};

pub(super) const CUSTOMER_ID: Key =
    Key::text("customer_id", &["ELEMENT14_CUSTOMER_ID"], |builder, id| {
        builder.signing_secret("customer_id", id.into())
    })
    .optional();

pub(super) const SECRET: Key = Key::secret(
    "contract_secret",
    &["ELEMENT14_CONTRACT_SECRET"],
    |builder, secret| builder.signing_secret("contract_secret", secret),
)
.optional();

/// The operation that a search is, by the beginning of its `term`; the signature covers its name.
/// Source: partner.element14.com, "Calculating the Contract Pricing Signature".
const OPERATIONS: [(&str, &str); 3] = [
    ("any:", "searchByKeyword"),
    ("id:", "searchByPremierFarnellPartNumber"),
    ("manuPartNum:", "searchByManufacturerPartNumber"),
];

/// An account for the prices of a contract: the key as for [`account`](super::account), and the
/// customer's id and secret, which the vendor gives out by request.
///
/// Each search carries `userInfo.customerId`, `userInfo.timestamp` and `userInfo.signature`, the
/// last an HMAC-SHA-1 of the operation's name and the timestamp. The operation follows from the
/// beginning of the search's `term` (`any:`, `id:`, `manuPartNum:`); a request without one is not
/// sent, since it would be answered with other prices than those asked for. Source:
/// partner.element14.com, "Calculating the Contract Pricing Signature".
pub fn account_with_contract(
    api_key: impl Into<Secret>,
    customer_id: impl Into<String>,
    contract_secret: impl Into<Secret>,
) -> AccountBuilder {
    super::account(api_key)
        .signing_secret(CUSTOMER_ID.name, customer_id.into().into())
        .signing_secret(SECRET.name, contract_secret.into())
}

/// None for an account without a contract.
pub(super) fn signer(secrets: &Ingredients) -> Result<Option<Arc<dyn Signer>>, &'static str> {
    let (id, secret) = (CUSTOMER_ID.name, SECRET.name);
    if secrets.get(id).is_none() && secrets.get(secret).is_none() {
        return Ok(None);
    }
    Ok(Some(Arc::new(Contract {
        customer_id: secrets.need(id)?,
        secret: secrets.need(secret)?,
    })))
}

struct Contract {
    customer_id: Zeroizing<String>,
    secret: Zeroizing<String>,
}

impl Signer for Contract {
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<(), BoxError> {
        let operation = operation(attempt.request.url())
            .ok_or("the query has no term that begins with any:, id: or manuPartNum:")?;
        let timestamp = timestamp(attempt.now);
        let message = format!("{operation}{timestamp}");
        let signature = base64(&hmac_sha1(self.secret.as_bytes(), message.as_bytes()));
        attempt.set_query("userInfo.customerId", &self.customer_id);
        attempt.set_query("userInfo.timestamp", &timestamp);
        // It is percent-encoded there: a bare `+` would be read as a space.
        attempt.set_query("userInfo.signature", &signature);
        Ok(())
    }
}

fn operation(url: &url::Url) -> Option<&'static str> {
    let (_, term) = url.query_pairs().find(|(name, _)| name == "term")?;
    let mut operations = OPERATIONS.iter();
    let found = operations.find(|(beginning, _)| term.starts_with(beginning));
    found.map(|(_, operation)| *operation)
}

/// `yyyy-MM-ddThh:mm:ss.fff` in UTC.
fn timestamp(now: SystemTime) -> String {
    let time = OffsetDateTime::from(now);
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second, millisecond) = time.to_hms_milli();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::Method;
    use reqwest::Request;

    use super::*;

    const CUSTOMER: &str = "12345";

    fn signed(term: &str) -> Result<Vec<(String, String)>, BoxError> {
        let contract = Contract {
            customer_id: CUSTOMER.to_owned().into(),
            secret: "s3cr3t".to_owned().into(),
        };
        let url = format!("https://api.element14.com/catalog/products?{term}");
        let mut request = Request::new(Method::GET, url.parse()?);
        let now = UNIX_EPOCH + Duration::from_millis(1_795_262_400_123);
        contract.sign(&mut Attempt::new(&mut request, now, [0; 16]))?;
        Ok(request.url().query_pairs().into_owned().collect())
    }

    /// Derived with OpenSSL 3: `printf %s searchByKeyword2026-11-21T12:00:00.123 |
    /// openssl dgst -sha1 -hmac s3cr3t -binary | base64`, and the same for the others.
    #[test]
    fn each_kind_of_search_is_signed_as_its_operation() {
        for (term, expected) in [
            ("term=any:fuse", "X4teER5O0heJz2p1s8jpqzhyQNQ="),
            ("term=id%3A1278613", "74zQdddxcSqDV+qXmCX7ryY0qEY="),
            ("term=manuPartNum:LM358P", "Kp1qeBplr5pZPHUh3MC5u2ageX0="),
        ] {
            let pairs = signed(term).expect("signed");
            let [_, customer, timestamp, signature] = &*pairs else {
                panic!("{pairs:?}")
            };
            assert_eq!(customer.1, CUSTOMER);
            assert_eq!(timestamp.1, "2026-11-21T12:00:00.123");
            assert_eq!(signature.1, expected, "{term}");
        }
    }

    #[test]
    fn what_is_no_search_is_not_signed_as_one() {
        let error = signed("term=LM358P").expect_err("no kind");
        assert!(error.to_string().contains("manuPartNum:"), "{error}");
        assert!(signed("q=any:fuse").is_err());
    }

    #[test]
    fn a_contract_is_whole_or_none() {
        let built =
            |builder: AccountBuilder| builder.build().map(|_| ()).map_err(|e| e.to_string());
        assert_eq!(built(super::super::account("key")), Ok(()));
        let half = super::super::account("key").signing_secret(SECRET.name, "s".into());
        let error = built(half).expect_err("half a contract");
        assert!(error.contains("customer_id: is missing"), "{error}");
    }
}
