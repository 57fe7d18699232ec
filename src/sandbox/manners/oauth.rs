//! Vendors with a token endpoint.

use super::credential::{Place, What};
use super::token::{Client, TokenWay};
use super::words::Words;
use super::{Call, Vendor};

const JSON: &str = "application/json";
const CLIENT_CREDENTIALS: (&str, What) = ("grant_type", What::Text("client_credentials"));

const fn token(path: &'static str, client: Client, lifetime: u64) -> TokenWay {
    TokenWay {
        host: None,
        path,
        client,
        headers: &[],
        form: &[CLIENT_CREDENTIALS],
        lifetime,
        refreshes: false,
    }
}

/// One whose refusals are HTTP's own, as far as anybody knows.
const fn plain(name: &'static str, host: &'static str, token: TokenWay, call: Call) -> Vendor {
    Vendor {
        name,
        host,
        places: &[Place::Token],
        token: Some(token),
        call,
        paths: &["/"],
        always: &[],
        refused: &[],
        other: &[],
        rate: &[],
        spent: &[],
    }
}

/// Both shapes of DigiKey's errors: the older one, observed, with its two spaces, and problem
/// details (Binner issue 455).
const DIGIKEY_EXPIRED: &str = r#"{"ErrorResponseVersion":"3.0.0.0","StatusCode":401,"ErrorMessage":"Bearer token  expired","ErrorDetails":"Please use your refresh token.","RequestId":"{id}","ValidationErrors":[]}"#;
const DIGIKEY_EXPIRED_PROBLEM: &str = r#"{"type":"https://tools.ietf.org/html/rfc7235#section-3.1","title":"Unauthorized","status":401,"detail":"Bearer token is expired. Please use your refresh token to obtain a new Bearer token, or acquire a new set of tokens from the OAuth endpoint.","instance":"/products/v4/search","correlationId":"{id}","errors":{}}"#;
const DIGIKEY_CLIENT: &str = r#"{"ErrorResponseVersion":"3.0.0.0","StatusCode":401,"ErrorMessage":"Invalid clientId","ErrorDetails":"X-DIGIKEY-Client-Id invalid for requested resource","RequestId":"{id}","ValidationErrors":[]}"#;
const DIGIKEY_MINUTE: &str = r#"{"ErrorResponseVersion":"3.0.0.0","StatusCode":429,"ErrorMessage":"BurstLimit exceeded","ErrorDetails":"Please try again after the number of seconds in the Retry-After header","RequestId":"{id}","ValidationErrors":[]}"#;
const DIGIKEY_DAY: &str = r#"{"ErrorResponseVersion":"3.0.0.0","StatusCode":429,"ErrorMessage":"Daily Ratelimit exceeded","ErrorDetails":"Please try again after the number of seconds in the Retry-After header","RequestId":"{id}","ValidationErrors":[]}"#;
const DIGIKEY_DAY_PROBLEM: &str = r#"{"title":"Too Many Requests","status":429,"detail":"Daily Ratelimit exceeded. Please try again after the number of seconds in the Retry-After header","correlationId":"{id}"}"#;

/// developer.digikey.com, "Shared Concepts": the day's numbers come with every answer, those of the
/// minute with its 429 alone.
const DIGIKEY: Vendor = Vendor {
    places: &[Place::Token, Place::Header("X-DIGIKEY-Client-Id", What::Id)],
    always: &[
        ("X-RateLimit-Limit", "{limit}"),
        ("X-RateLimit-Remaining", "{remaining}"),
    ],
    refused: &[
        Words::new(401, DIGIKEY_EXPIRED),
        Words::new(401, DIGIKEY_EXPIRED_PROBLEM),
    ],
    other: &[Words::new(401, DIGIKEY_CLIENT)],
    rate: &[
        Words::new(429, DIGIKEY_MINUTE).with(&[
            ("Retry-After", "{wait}"),
            ("X-BurstLimit-Limit", "{limit}"),
            ("X-BurstLimit-Remaining", "0"),
            ("X-BurstLimit-Reset", "{seconds}"),
            ("X-BurstLimit-ResetTime", "{iso}"),
        ]),
        // "Sometimes none at all": a client's README.
        Words::new(429, DIGIKEY_MINUTE),
    ],
    spent: &[
        Words::new(429, DIGIKEY_DAY).with(&[
            ("Retry-After", "{wait}"),
            ("X-RateLimit-Limit", "{limit}"),
            ("X-RateLimit-Remaining", "0"),
            ("X-RateLimit-Reset", "{seconds}"),
            ("X-RateLimit-ResetTime", "{iso}"),
        ]),
        Words::new(429, DIGIKEY_DAY_PROBLEM).with(&[("Retry-After", "{wait}")]),
    ],
    paths: &["/products/v4/", "/Ordering/v3/"],
    ..plain(
        "digikey",
        "api.digikey.com",
        token("/v1/oauth2/token", Client::Form, 599),
        Call::get("/products/v4/search/{part}/productdetails"),
    )
};

/// Copies of Avnet's documentation. No status is documented for a spent quota, so a few are taken
/// in turn; the wording is Avnet's.
const AVNET_RATE: &str = "040 'Rate limit (call lines per minute) exceeded: 101'";
const AVNET: Vendor = Vendor {
    places: &[
        Place::Token,
        Place::Header("Ocp-Apim-Subscription-Key", What::Key),
    ],
    refused: &[Words::new(
        401,
        r#"{"statusCode":401,"message":"access token is missing or invalid"}"#,
    )],
    // The gateway's own words, as those of a spent day below.
    other: &[Words::new(
        401,
        r#"{"statusCode":401,"message":"Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription."}"#,
    )],
    spent: &[Words::new(
        403,
        r#"{"statusCode":403,"message":"Out of call volume quota. Quota will be replenished in 05:12:30."}"#,
    )],
    rate: &[
        Words::new(200, AVNET_RATE),
        Words::new(403, AVNET_RATE),
        Words::new(429, AVNET_RATE),
    ],
    paths: &["/external/customer/"],
    ..plain(
        "avnet",
        "apigw.avnet.com",
        TokenWay {
            headers: &[("Ocp-Apim-Subscription-Key", What::Key)],
            form: &[
                CLIENT_CREDENTIALS,
                ("scope", What::Text("api://sandbox/.default")),
            ],
            ..token("/external/getToken/oauth2/v2.0/token", Client::Form, 3599)
        },
        Call::post("/external/customer/price/v1/", JSON, r#"{"part":"{part}"}"#),
    )
};

/// Documentation and code of a public client.
const BUERKLIN: Vendor = Vendor {
    paths: &["/buerklinws/v2/"],
    ..plain(
        "buerklin",
        "www.buerklin.com",
        TokenWay {
            form: &[
                ("grant_type", What::Text("password")),
                ("username", What::Text("sandbox-user")),
                ("password", What::Key),
            ],
            refreshes: true,
            ..token("/authorizationserver/oauth/token/", Client::Form, 3600)
        },
        Call::get("/buerklinws/v2/buerklin/products/search/?query={part}"),
    )
};

/// The vendor's guide "Refreshing Access Token" and its page of error codes.
const DISRUPTIVE: Vendor = Vendor {
    refused: &[Words::new(
        401,
        r#"{"error":"invalid token","code":401,"help":"https://developer.example/401"}"#,
    )],
    paths: &["/v2/"],
    ..plain(
        "disruptive",
        "api.disruptive-technologies.com",
        TokenWay {
            host: Some("identity.disruptive-technologies.com"),
            form: &[(
                "grant_type",
                What::Text("urn:ietf:params:oauth:grant-type:jwt-bearer"),
            )],
            ..token("/oauth2/token", Client::Assertion, 3600)
        },
        Call::get("/v2/projects?query={part}"),
    )
};

/// Client code; nothing is known of its refusals.
const MY_ARROW: Vendor = Vendor {
    places: &[Place::Token, Place::Header("client_id", What::Id)],
    paths: &["/api/priceandavail/"],
    ..plain(
        "my_arrow",
        "my.arrow.com",
        TokenWay {
            headers: &[("client_id", What::Id)],
            ..token("/api/security/oauth/token", Client::Basic, 3600)
        },
        Call::get("/api/priceandavail/search?search={part}"),
    )
};

const NEXAR_SPENT: &str = r#"{"errors":[{"message":"You have exceeded your part limit of 1000.","locations":[],"path":["supSearch"]}],"data":null}"#;
const NEXAR_EXPIRED: &str = r#"{"errors":[{"message":"The current user is not authorized to access this resource.","extensions":{"code":"AuthExpiredToken"}}]}"#;
const NEXAR_INVALID: &str = r#"{"errors":[{"message":"The current user is not authorized to access this resource.","extensions":{"code":"AuthInvalidToken"}}]}"#;

/// altium.com for the token and the 401, an older page for the errors in a 200; the spent month was
/// observed (Limas issue 11).
const NEXAR: Vendor = Vendor {
    refused: &[
        Words::bare(401),
        Words::new(200, NEXAR_EXPIRED),
        Words::new(200, NEXAR_INVALID),
    ],
    spent: &[Words::new(200, NEXAR_SPENT)],
    paths: &["/graphql"],
    ..plain(
        "nexar",
        "api.nexar.com",
        TokenWay {
            host: Some("identity.nexar.com"),
            form: &[CLIENT_CREDENTIALS, ("scope", What::Text("supply.domain"))],
            ..token("/connect/token", Client::Form, 86_400)
        },
        Call::post(
            "/graphql",
            JSON,
            r#"{"query":"query { supSearchMpn(q: \"{part}\") { hits } }"}"#,
        ),
    )
};

/// api-portal.ti.com and client code; nothing is known of its refusals.
const TI: Vendor = Vendor {
    paths: &["/v2/store/products"],
    ..plain(
        "ti",
        "transact.ti.com",
        token("/v1/oauth/accesstoken", Client::Form, 3599),
        Call::get("/v2/store/products/{part}"),
    )
};

/// Copies of TME's OpenAPI document; that both statuses mean "too fast" is how public clients read
/// them.
const TME_V2: Vendor = Vendor {
    rate: &[Words::bare(403), Words::bare(429)],
    paths: &["/products"],
    ..plain(
        "tme_v2",
        "api.tme.eu",
        TokenWay {
            refreshes: true,
            ..token("/auth/token", Client::Basic, 300)
        },
        Call::get("/products/search?phrase={part}&country=PL"),
    )
};

pub(super) const VENDORS: &[Vendor] = &[
    AVNET, BUERKLIN, DIGIKEY, DISRUPTIVE, MY_ARROW, NEXAR, TI, TME_V2,
];
