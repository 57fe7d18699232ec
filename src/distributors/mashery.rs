//! What the gateway of Mashery says, which several distributors rent: a 403 for a quota, told in a
//! header (documented by Mashery's customers) and in a page of HTML (observed).

use crate::response_rules::{Rule, Verdict};

const STATUS: u16 = 403;
const HEADER: &str = "X-Mashery-Error-Code";

/// In any order: no answer says two of them.
pub(super) fn rules() -> [Rule; 5] {
    let second = Rule::new(STATUS, Verdict::RateExceeded);
    let day = Rule::new(STATUS, Verdict::QuotaSpent);
    [
        second.clone().header(HEADER, "DEVELOPER_OVER_QPS"),
        second.clone().body("Developer Over Qps"),
        // All developers together; `X-Error-Detail-Header` says "Rate Limit Exceeded" beside it.
        second.header(HEADER, "SERVICE_OVER_QPS"),
        day.clone().header(HEADER, "DEVELOPER_OVER_RATE"),
        day.body("Developer Over Rate"),
    ]
}
