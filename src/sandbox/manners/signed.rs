//! Vendors that want a signature, or a key in an odd place.

use super::credential::{Place, What};
use super::words::Words;
use super::{Call, Vendor, signatures};

const JSON: &str = "application/json";

/// The signatures' sources: the vendors' pages and client code; each vendor says its own.
pub(super) const VENDORS: &[Vendor] = &[
    #[cfg(feature = "signing")]
    ELEMENT14_CONTRACT,
    JLCPCB,
    #[cfg(feature = "signing")]
    LCSC,
    MASTER,
    ONLINECOMPONENTS,
    #[cfg(feature = "signing")]
    TME_V1,
    TRUSTED_PARTS,
];

/// partner.element14.com, "Calculating the Contract Pricing Signature"; `100005` as client code
/// lists it, its status is not documented.
#[cfg(feature = "signing")]
const ELEMENT14_CONTRACT: Vendor = Vendor {
    name: "element14_contract",
    host: "api.element14.com",
    places: &[
        Place::Query("callInfo.apiKey", What::Key),
        Place::Signature(signatures::contract),
        Place::Query("storeInfo.id", What::Text("uk.farnell.com")),
        Place::Query("callInfo.responseDataFormat", What::Text("json")),
    ],
    token: None,
    call: Call::get("/catalog/products?term=manuPartNum%3A{part}"),
    paths: &["/catalog/products"],
    always: &[],
    refused: &[Words::new(
        400,
        r#"{"Fault":{"Detail":{"searchException":{"exceptionCode":"100005"}}}}"#,
    )],
    other: &[],
    rate: super::keys::MASHERY_RATE,
    spent: super::keys::MASHERY_SPENT,
};

/// The vendor's "API request signature" and client code; the 401 was observed.
const JLCPCB: Vendor = Vendor {
    name: "jlcpcb",
    host: "open.jlcpcb.com",
    places: &[Place::Signature(signatures::jop)],
    token: None,
    call: Call::post(
        "/overseas/openapi/pcb/find?page=1",
        JSON,
        r#"{"part":"{part}"}"#,
    ),
    paths: &["/overseas/openapi/"],
    always: &[],
    refused: &[Words::new(
        401,
        r#"{"code":401,"message":"The request signature verify failed"}"#,
    )],
    other: &[],
    rate: &[],
    spent: &[],
};

/// Copies of the vendor's documentation (5zh.info, docs.roboalch.com/lcsc-api): 424 the key, 427
/// the signature, in an envelope whose status is not documented.
#[cfg(feature = "signing")]
const LCSC: Vendor = Vendor {
    name: "lcsc",
    host: "ips.lcsc.com",
    places: &[Place::Signature(signatures::lcsc)],
    token: None,
    call: Call::get("/rest/wmsc2agent/search/product?keyword={part}"),
    paths: &["/rest/wmsc2agent/"],
    always: &[],
    refused: &[
        Words::new(
            200,
            r#"{"success":false,"code":427,"message":"signature error"}"#,
        ),
        Words::new(200, r#"{"success":false,"code":424,"message":"key error"}"#),
    ],
    other: &[],
    rate: &[],
    spent: &[],
};

/// Client code; 401 answers a wrong path too.
const MASTER: Vendor = Vendor {
    name: "masterelectronics",
    host: "api.masterelectronics.com",
    places: &[Place::PathEnd(What::Secret)],
    token: None,
    call: Call::get("/wapi/v2/cgpriceavailability/{part}/0/1/10/{apiKey}"),
    paths: &["/wapi/v2/"],
    always: &[],
    refused: &[Words::bare(401)],
    other: &[],
    rate: &[],
    spent: &[],
};

/// onlinecomponents.com/gettingstarted: the same scheme.
const ONLINECOMPONENTS: Vendor = Vendor {
    name: "onlinecomponents",
    host: "api.onlinecomponents.com",
    ..MASTER
};

/// tme-dev/TME-API for the signature, client code for the errors; which status comes with
/// `E_TOO_MANY_REQUESTS` is not documented.
#[cfg(feature = "signing")]
const TME_V1: Vendor = Vendor {
    name: "tme_v1",
    host: "api.tme.eu",
    places: &[Place::Signature(signatures::tme)],
    token: None,
    call: Call::post(
        "/Products/Search.json",
        "application/x-www-form-urlencoded",
        "SearchPlain={part}",
    ),
    paths: &["/Products/", "/Utils/"],
    always: &[],
    refused: &[Words::new(
        403,
        r#"{"Status":"E_INVALID_SIGNATURE","ErrorCode":0,"ErrorMessage":"..."}"#,
    )],
    other: &[],
    rate: &[
        Words::new(403, r#"{"Status":"E_TOO_MANY_REQUESTS","ErrorCode":0}"#),
        Words::new(400, r#"{"Status":"E_TOO_MANY_REQUESTS","ErrorCode":0}"#),
        Words::new(429, r#"{"Status":"E_TOO_MANY_REQUESTS","ErrorCode":0}"#),
    ],
    spent: &[],
};

/// trustedparts.com/docs/trustedparts-api, "Requests" and "Credentials". Above the soft limits the
/// answers come from a cache, so nothing is refused.
const TRUSTED_PARTS: Vendor = Vendor {
    name: "trusted_parts",
    host: "api.trustedparts.com",
    places: &[
        Place::Json("CompanyId", What::Id),
        Place::Json("ApiKey", What::Secret),
    ],
    token: None,
    call: Call::post(
        "/v2/search",
        JSON,
        r#"{"Queries":[{"SearchToken":"{part}"}]}"#,
    ),
    paths: &["/v2/"],
    always: &[],
    refused: &[Words::bare(401)],
    other: &[],
    rate: &[],
    spent: &[],
};
