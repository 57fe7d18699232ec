//! Vendors whose keys are static.

use super::credential::{Place, What};
use super::words::Words;
use super::{Call, Vendor};

/// What the gateway of Mashery says for "too fast": observed as a page (KiCost issue 569), known to
/// its customers as a header.
pub(super) const MASHERY_RATE: &[Words] = &[
    Words::new(403, "<h1>Developer Over Qps</h1>"),
    Words::bare(403).with(&[("X-Mashery-Error-Code", "ERR_403_DEVELOPER_OVER_QPS")]),
    Words::bare(403).with(&[
        ("X-Mashery-Error-Code", "ERR_403_SERVICE_OVER_QPS"),
        ("X-Error-Detail-Header", "Rate Limit Exceeded"),
    ]),
];
/// And for "spent for today".
pub(super) const MASHERY_SPENT: &[Words] = &[
    Words::new(403, "<h1>Developer Over Rate</h1>"),
    Words::bare(403).with(&[("X-Mashery-Error-Code", "ERR_403_DEVELOPER_OVER_RATE")]),
];

/// One that answers as HTTP does, as far as anybody knows.
const fn plain(
    name: &'static str,
    host: &'static str,
    places: &'static [Place],
    path: &'static str,
    paths: &'static [&'static str],
) -> Vendor {
    Vendor {
        name,
        host,
        places,
        token: None,
        call: Call::get(path),
        paths,
        always: &[],
        refused: &[],
        other: &[],
        rate: &[],
        spent: &[],
    }
}

const ARROW_REFUSED: &str = r#"{"itemserviceresult":{"transactionArea":[{"response":{"success":false,"returnCode":"1","returnMsg":"invalid credentials"}}]}}"#;
/// Observed, in full.
const MOUSER_RATE: &str = r#"{"Errors":[{"Id":0,"Code":"TooManyRequests","Message":"Maximum calls per minute exceeded.","ResourceKey":"TooManyRequests","ResourceFormatString":null,"ResourceFormatString2":null,"PropertyName":null}],"SearchResults":null}"#;
const MOUSER_DAY: &str = r#"{"Errors":[{"Id":0,"Code":"TooManyRequests","Message":"Maximum calls per day exceeded.","ResourceKey":"MaxCallPerDay","ResourceFormatString":null,"ResourceFormatString2":null,"PropertyName":null}],"SearchResults":null}"#;
const MOUSER_KEY: &str = r#"{"Errors":[{"Id":0,"Code":"Invalid","Message":"Invalid unique identifier.","ResourceKey":"InvalidIdentifier","ResourceFormatString":null,"ResourceFormatString2":null,"PropertyName":"API Key"}],"SearchResults":null}"#;
const MOUSER_AUTHORIZATION: &str = r#"{"Errors":[{"Id":0,"Code":"InvalidAuthorization","Message":"Invalid authorization.","PropertyName":"API Key"}],"SearchResults":null}"#;

pub(super) const VENDORS: &[Vendor] = &[
    // developers.arrow.com, "Search Token" and "Best Practices": every valid answer is a 200. The
    // words of a refusal are not documented, so these are the sandbox's own.
    Vendor {
        refused: &[Words::new(200, ARROW_REFUSED)],
        ..plain(
            "arrow_itemservice",
            "api.arrow.com",
            &[
                Place::Query("login", What::Id),
                Place::Query("apikey", What::Secret),
            ],
            "/itemservice/v4/en/search/token?search_token={part}",
            &["/itemservice/"],
        )
    },
    // Client code of Part-DB.
    plain(
        "conrad",
        "api.conrad.com",
        &[Place::Query("apikey", What::Secret)],
        "/search/1/v3/facetSearch/conrad?q={part}",
        &["/"],
    ),
    // partner.element14.com; the gateway as above. How it refuses a key is not known.
    Vendor {
        refused: &[Words::bare(403)],
        rate: MASHERY_RATE,
        spent: MASHERY_SPENT,
        ..plain(
            "element14",
            "api.element14.com",
            &[
                Place::Query("callInfo.apiKey", What::Key),
                Place::Query("storeInfo.id", What::Text("uk.farnell.com")),
                Place::Query("callInfo.responseDataFormat", What::Text("json")),
            ],
            "/catalog/products?term=any%3A{part}",
            &["/catalog/products"],
        )
    },
    // Client code.
    plain(
        "findchips",
        "api.findchips.com",
        &[Place::Query("apiKey", What::Secret)],
        "/v1/search?part={part}",
        &["/v1/"],
    ),
    // The vendor's Postman collection: 406 is an expired key, 429 its own.
    Vendor {
        refused: &[Words::bare(401), Words::bare(406)],
        rate: &[Words::bare(429)],
        ..plain(
            "future",
            "api.futureelectronics.com",
            &[Place::Header("x-orbweaver-licensekey", What::Secret)],
            "/api/v1/pim-future/lookup?part_number={part}",
            &["/api/v1/pim-future/"],
        )
    },
    // mouser.com/api-search as public clients quote it; the answers were observed, each with each
    // of these statuses.
    Vendor {
        refused: &[
            Words::new(200, MOUSER_KEY),
            Words::new(401, MOUSER_AUTHORIZATION),
            Words::new(403, MOUSER_KEY),
        ],
        rate: &[
            Words::new(403, MOUSER_RATE),
            Words::new(429, MOUSER_RATE),
            Words::new(200, MOUSER_RATE),
        ],
        spent: &[
            Words::new(403, MOUSER_DAY),
            Words::new(429, MOUSER_DAY),
            Words::new(200, MOUSER_DAY),
        ],
        ..plain(
            "mouser",
            "api.mouser.com",
            &[Place::Query("apiKey", What::Secret)],
            "/api/v2/search/partnumber?partNumber={part}",
            &["/api/v1/", "/api/v2/"],
        )
    },
    // Client code of Part-DB.
    plain(
        "oemsecrets",
        "oemsecretsapi.com",
        &[Place::Query("apiKey", What::Secret)],
        "/partsearch?searchTerm={part}",
        &["/partsearch"],
    ),
    // developer.renesas.com.
    plain(
        "renesas",
        "api.renesas.com",
        &[Place::Header("x-api-key", What::Secret)],
        "/parts/{part}",
        &["/"],
    ),
    // Observed.
    plain(
        "rs",
        "api.rs-online.com",
        &[
            Place::Header("Client-Id", What::Id),
            Place::Header("Client-Secret", What::Secret),
        ],
        "/digiproc/parts/{part}",
        &["/digiproc"],
    ),
    // Rutronik Shop API 1.3 (KiCost issue 574).
    plain(
        "rutronik",
        "www.rutronik24.com",
        &[Place::Query("apikey", What::Secret)],
        "/api/search/?searchterm={part}",
        &["/api/"],
    ),
    // Client code; the gateway as above.
    Vendor {
        refused: &[Words::bare(403)],
        rate: MASHERY_RATE,
        spent: MASHERY_SPENT,
        ..plain(
            "sager",
            "sagerelectronics.api.mashery.com",
            &[Place::Header("api_key", What::Secret)],
            "/customer-price-availability/v1?part={part}",
            &["/customer-price-availability/"],
        )
    },
    // Client code.
    plain(
        "samtec",
        "api.samtec.com",
        &[Place::Bearer(What::Secret)],
        "/catalog/v3/{part}",
        &["/"],
    ),
    // dev.sourcengine.com, "Rate limits": the reset is a time since 1970.
    Vendor {
        always: &[
            ("X-RateLimit-Limit", "{limit}"),
            ("X-RateLimit-Remaining", "{remaining}"),
            ("X-RateLimit-Reset", "{unix}"),
        ],
        rate: &[Words::bare(429)],
        spent: &[Words::bare(429).with(SOURCENGINE_SPENT)],
        ..plain(
            "sourcengine",
            "api.sourcengine.com",
            &[Place::Bearer(What::Secret)],
            "/search?query={part}",
            &["/"],
        )
    },
    // TE's page "Security and Rate Limits": the reset is in milliseconds to go. They are those of
    // the day.
    Vendor {
        always: TE_DAY,
        refused: &[Words::new(401, r#"{"error":"Invalid Client"}"#)],
        rate: &[Words::bare(429)],
        spent: &[Words::bare(429).with(TE_DAY)],
        ..plain(
            "te",
            "api.te.com",
            &[
                Place::Header("client_id", What::Id),
                Place::Header("client_secret", What::Secret),
            ],
            "/products/{part}",
            &["/"],
        )
    },
    // Client code; the limits are hearsay, and how they show is not known.
    plain(
        "tti",
        "api.tti.com",
        &[Place::Header("apiKey", What::Secret)],
        "/service/api/v1/search/keyword?searchTerms={part}",
        &["/service/api/v1/"],
    ),
];

const SOURCENGINE_SPENT: &[(&str, &str)] = &[
    ("X-RateLimit-Limit", "{limit}"),
    ("X-RateLimit-Remaining", "0"),
    ("X-RateLimit-Reset", "{unix}"),
];

const TE_DAY: &[(&str, &str)] = &[
    ("X-RateLimit-Limit", "{limit}"),
    ("X-RateLimit-Remaining", "{remaining}"),
    ("X-RateLimit-Reset", "{millis}"),
];
