//! Vendors that want a signature, or a key in an odd place: a stub that checks every attempt as the
//! vendor would, with a recipe of its own, and refuses as the vendor does.

// Tests may panic, and read time.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::disallowed_methods)]

mod common;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::{API, Answer, Stub, Terminal, answer, auth_outside, client, noon};
use hmac::{Hmac, Mac};
use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use reqwest::Request;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, RequestBuilder};
use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
use reqwest_tollgate::distributors::{
    arrow_itemservice, element14, jlcpcb, lcsc, masterelectronics, onlinecomponents, tme_v1,
    trusted_parts,
};
use reqwest_tollgate::{
    Account, AccountBuilder, Config, Error, ErrorKind, PausedClock, RequestOptions, RetryStrategy,
    Secret,
};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use tokio::time::Instant;

const KEY: &str = "key-4711";
const SECRET: &str = "canary-0815";

/// What a vendor's server knows of a request: the secret, the time, and the nonces so far.
struct Checks {
    secret: String,
    start: Instant,
    nonces: Mutex<HashSet<String>>,
}

impl Checks {
    fn new() -> Self {
        Self {
            secret: SECRET.to_owned(),
            start: Instant::now(),
            nonces: Mutex::default(),
        }
    }

    fn is_new(&self, nonce: &str) -> bool {
        self.nonces.lock().unwrap().insert(nonce.to_owned())
    }

    fn unix_seconds(&self) -> u64 {
        let now = noon() + self.start.elapsed();
        now.duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    fn hmac_sha1(&self, message: &str) -> String {
        let mac = Hmac::<Sha1>::new_from_slice(self.secret.as_bytes()).unwrap();
        STANDARD.encode(mac.chain_update(message).finalize().into_bytes())
    }

    fn hmac_sha256(&self, message: &[u8]) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
        STANDARD.encode(mac.chain_update(message).finalize().into_bytes())
    }
}

/// RFC 3986 section 2.1.
fn percent(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn query(request: &Request) -> BTreeMap<String, String> {
    request.url().query_pairs().into_owned().collect()
}

fn body(request: &Request) -> &[u8] {
    request.body().and_then(|body| body.as_bytes()).unwrap()
}

fn lcsc_accepts(checks: &Checks, request: &Request) -> bool {
    let query = query(request);
    let (nonce, timestamp) = (&query["nonce"], &query["timestamp"]);
    let secret = &checks.secret;
    let text = format!("key={KEY}&nonce={nonce}&secret={secret}&timestamp={timestamp}");
    let digest = Sha1::digest(text.as_bytes());
    let expected: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    query["key"] == KEY
        && nonce.len() == 16
        && checks.is_new(nonce)
        && *timestamp == checks.unix_seconds().to_string()
        && query["signature"] == expected
        && query["keyword"] == "LM 358"
}

fn jlcpcb_accepts(checks: &Checks, request: &Request) -> bool {
    let header = request.headers()[AUTHORIZATION].to_str().unwrap();
    let fields = header.strip_prefix("JOP ").unwrap().split(',');
    let fields: BTreeMap<_, _> = fields
        .map(|field| field.split_once('=').unwrap())
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect();
    let (nonce, timestamp) = (fields["nonce"], fields["timestamp"]);
    let head = format!("POST\n/open/find?page=2\n{timestamp}\n{nonce}\n");
    let message = [head.as_bytes(), br#"{"part":"LM358"}"#, b"\n"].concat();
    fields["appid"] == "app-1"
        && fields["accesskey"] == KEY
        && nonce.len() == 32
        && checks.is_new(nonce)
        && timestamp == checks.unix_seconds().to_string()
        // A base64 text may end in `=`, which the cut at the first one leaves whole.
        && fields["signature"] == checks.hmac_sha256(&message)
        && body(request) == br#"{"part":"LM358"}"#
}

fn tme_accepts(checks: &Checks, request: &Request) -> bool {
    let form = url::form_urlencoded::parse(body(request)).into_owned();
    let mut form: BTreeMap<String, String> = form.collect();
    let signature = form.remove("ApiSignature").unwrap();
    let pairs = form
        .iter()
        .map(|(name, value)| format!("{}={}", percent(name), percent(value)));
    let pairs = pairs.collect::<Vec<_>>().join("&");
    let url = percent(request.url().as_str());
    let message = format!("POST&{url}&{}", percent(&pairs));
    form["Token"] == KEY
        && form["Country"] == "DE"
        && form["Language"] == "EN"
        && form["SearchPlain"] == "LM 358+ż"
        && signature == checks.hmac_sha1(&message)
        && request.headers().get(CONTENT_LENGTH).is_none()
}

fn element14_accepts(checks: &Checks, request: &Request) -> bool {
    let query = query(request);
    let timestamp = &query["userInfo.timestamp"];
    let seconds = checks.unix_seconds() - 1_795_262_400;
    let message = format!("searchByManufacturerPartNumber{timestamp}");
    let raw = request.url().query().unwrap();
    query["callInfo.apiKey"] == KEY
        && query["storeInfo.id"] == "www.newark.com"
        && query["callInfo.responseDataFormat"] == "json"
        && query["userInfo.customerId"] == "customer-1"
        && timestamp.starts_with(&format!("2026-11-21T12:00:{seconds:02}."))
        && query["userInfo.signature"] == checks.hmac_sha1(&message)
        && !raw.contains('+')
}

fn trusted_parts_accepts(_: &Checks, request: &Request) -> bool {
    let body: serde_json::Value = serde_json::from_slice(body(request)).unwrap();
    let queries = serde_json::json!([{ "SearchToken": "LM358" }]);
    body["CompanyId"] == "company-1" && body["ApiKey"] == SECRET && body["Queries"] == queries
}

fn masterelectronics_accepts(_: &Checks, request: &Request) -> bool {
    request.url().path() == format!("/wapi/v2/cgpriceavailability/LM358/0/1/10/{SECRET}")
}

fn arrow_accepts(_: &Checks, request: &Request) -> bool {
    let query = query(request);
    let list: serde_json::Value = serde_json::from_str(&query["req"]).unwrap();
    let request = &list["request"];
    query.len() == 1
        && request["login"] == KEY
        && request["apikey"] == SECRET
        && request["parts"][0]["partNum"] == "LM358"
}

struct Vendor {
    name: &'static str,
    account: fn() -> AccountBuilder,
    request: fn(&ClientWithMiddleware) -> RequestBuilder,
    accepts: fn(&Checks, &Request) -> bool,
}

const LIST: &str = "{\"request\":{\"parts\":[{\"partNum\":\"LM358\"}]}}";

const VENDORS: [Vendor; 8] = [
    Vendor {
        name: "lcsc",
        account: || lcsc::account(KEY, SECRET),
        request: |client| client.get(format!("{API}/rest/wmsc2agent/search?keyword=LM%20358")),
        accepts: lcsc_accepts,
    },
    Vendor {
        name: "jlcpcb",
        account: || jlcpcb::account("app-1", KEY, SECRET),
        request: |client| {
            let request = client.post(format!("{API}/open/find?page=2"));
            request.body(r#"{"part":"LM358"}"#)
        },
        accepts: jlcpcb_accepts,
    },
    Vendor {
        name: "tme_v1",
        account: || tme_v1::account(KEY, SECRET),
        request: |client| {
            let request = client.post(format!("{API}/Products/Search.json"));
            let form = "SearchPlain=LM+358%2B%C5%BC&Country=DE";
            // A length that the signature makes wrong.
            request.header(CONTENT_LENGTH, form.len()).body(form)
        },
        accepts: tme_accepts,
    },
    Vendor {
        name: "element14",
        account: || {
            let builder = element14::account_with_contract(KEY, "customer-1", SECRET);
            builder.query("storeInfo.id", "www.newark.com")
        },
        request: |client| client.get(format!("{API}/catalog/products?term=manuPartNum:LM358")),
        accepts: element14_accepts,
    },
    Vendor {
        name: "trusted_parts",
        account: || trusted_parts::account("company-1", SECRET),
        request: |client| {
            let request = client.post(format!("{API}/v2/search"));
            request.body(r#"{"Queries":[{"SearchToken":"LM358"}]}"#)
        },
        accepts: trusted_parts_accepts,
    },
    Vendor {
        name: "masterelectronics",
        account: || masterelectronics::account(SECRET),
        request: |client| {
            let path = "wapi/v2/cgpriceavailability/LM358/0/1/10/{apiKey}";
            client.get(format!("{API}/{path}"))
        },
        accepts: masterelectronics_accepts,
    },
    Vendor {
        name: "onlinecomponents",
        account: || onlinecomponents::account(SECRET),
        request: |client| {
            let path = "wapi/v2/cgpriceavailability/LM358/0/1/10/{apiKey}";
            client.get(format!("{API}/{path}"))
        },
        accepts: masterelectronics_accepts,
    },
    Vendor {
        name: "arrow_itemservice",
        account: || arrow_itemservice::account(KEY, SECRET),
        request: |client| {
            let mut url = url::Url::parse(API).unwrap();
            url.query_pairs_mut().append_pair("req", LIST);
            client.get(url)
        },
        accepts: arrow_accepts,
    },
];

fn built(builder: AccountBuilder) -> Account {
    let clock = PausedClock::starting_at(noon());
    builder.base_url(API).clock(clock).build().unwrap()
}

fn retry_outside(account: &Account, stub: &Arc<Stub>) -> ClientWithMiddleware {
    let none = std::time::Duration::ZERO;
    let policy = ExponentialBackoff::builder()
        .retry_bounds(none, none)
        .build_with_max_retries(2);
    let retry =
        RetryTransientMiddleware::new_with_policy_and_strategy(policy, RetryStrategy::default());
    let builder = ClientBuilder::new(reqwest::Client::new()).with(retry);
    account.attach(builder).with(Terminal(stub.clone())).build()
}

/// These answers in order, then 200; but 400 to whatever the vendor would not accept.
fn strict(vendor: &'static Vendor, checks: Checks, answers: &[Answer]) -> Arc<Stub> {
    let answers: Mutex<VecDeque<_>> = Mutex::new(answers.iter().cloned().collect());
    Stub::new(move |request| match (vendor.accepts)(&checks, request) {
        true => answers
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or_else(|| answer(200)),
        false => answer(400),
    })
}

fn vendor(name: &str) -> &'static Vendor {
    VENDORS.iter().find(|vendor| vendor.name == name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_vendor_accepts_every_attempt_in_both_orders_and_beneath_a_retry() {
    type Stack = fn(&Account, &Arc<Stub>) -> ClientWithMiddleware;
    let late = || answer(429).header("retry-after", 2);
    let stacks: [(Stack, [Answer; 2]); 3] = [
        (client, [late(), late()]),
        (auth_outside, [late(), late()]),
        (retry_outside, [answer(503), late()]),
    ];
    for vendor in &VENDORS {
        for (stack, answers) in &stacks {
            let stub = strict(vendor, Checks::new(), answers);
            let account = built((vendor.account)());
            let client = stack(&account, &stub);
            let response = (vendor.request)(&client).send().await.unwrap();
            assert_eq!(response.status(), 200, "{}", vendor.name);
            assert_eq!(stub.count(), 3, "{}", vendor.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_key_and_no_signature_shows_in_url_error_or_debug() {
    for vendor in &VENDORS {
        let stub = Stub::answering([answer(403)]);
        let account = built((vendor.account)());
        let client = client(&account, &stub);
        let asked = (vendor.request)(&client).build().unwrap().url().clone();
        let response = (vendor.request)(&client).send().await.unwrap();
        assert_eq!(*response.url(), asked, "{}", vendor.name);
        let shown = format!("{account:?} {response:?}");
        let error = response.error_for_status().unwrap_err();
        let shown = format!("{shown} {error} {error:?}");
        assert!(!shown.contains(SECRET) && !shown.contains(KEY), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_origin_gets_its_request_as_it_was_written() {
    for vendor in &VENDORS {
        let stub = Stub::answering([]);
        let account = built((vendor.account)().base_url("https://other.example"));
        let client = client(&account, &stub);
        let url = "https://elsewhere.example/a?req=1";
        client.post(url).body("{}").send().await.unwrap();
        let seen = &stub.seen()[0];
        assert_eq!(seen.query.as_deref(), Some("req=1"), "{}", vendor.name);
        assert_eq!(seen.body.as_deref(), Some(&b"{}"[..]), "{}", vendor.name);
        assert!(seen.headers.get(AUTHORIZATION).is_none(), "{}", vendor.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_not_signed_where_the_body_counts() {
    for name in ["jlcpcb", "tme_v1", "trusted_parts"] {
        let stub = Stub::answering([]);
        let account = built((vendor(name).account)());
        let stream = futures_util::stream::iter([Ok::<_, std::io::Error>("x")]);
        let request = client(&account, &stub).post(API);
        let request = request.body(reqwest::Body::wrap_stream(stream));
        let error = request.send().await.unwrap_err();
        let error = Error::find(&error).unwrap();
        assert_eq!(error.kind(), ErrorKind::Signature, "{name}");
        assert!(
            error.to_string().contains("the body is a stream"),
            "{error}"
        );
        assert_eq!(stub.count(), 0);
    }
}

async fn send(name: &str, answers: &[Answer]) -> (Arc<Stub>, reqwest_middleware::Result<u16>) {
    let vendor = vendor(name);
    let stub = strict(vendor, Checks::new(), answers);
    let account = built((vendor.account)());
    let client = client(&account, &stub);
    let result = (vendor.request)(&client).send().await;
    (stub, result.map(|response| response.status().as_u16()))
}

#[tokio::test(start_paused = true)]
async fn element14_says_403_for_too_many_in_a_second() {
    let page = answer(403).body("<h1>Developer Over Qps</h1>");
    let header = answer(403).header("X-Mashery-Error-Code", "ERR_403_DEVELOPER_OVER_QPS");
    let (stub, status) = send("element14", &[page, header]).await;
    assert_eq!(status.unwrap(), 200);
    assert_eq!(stub.arrivals(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn element14_says_403_for_a_spent_day_too_and_that_fails_at_once() {
    let page = answer(403).body("<h1>Developer Over Rate</h1>");
    let header = answer(403).header("X-Mashery-Error-Code", "ERR_403_DEVELOPER_OVER_RATE");
    for spent in [page, header] {
        let (stub, result) = send("element14", &[spent]).await;
        let error = result.unwrap_err();
        let error = Error::find(&error).unwrap();
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
        assert_eq!(stub.count(), 1);
    }
    let (stub, status) = send("element14", &[answer(403).body("Not Authorized")]).await;
    assert_eq!((status.unwrap(), stub.count()), (403, 1));
}

#[tokio::test(start_paused = true)]
async fn element14_without_a_contract_is_a_key_in_the_query() {
    let stub = Stub::answering([]);
    let account = built(element14::account(KEY));
    let url = format!("{API}/catalog/products?term=any:fuse");
    client(&account, &stub).get(url).send().await.unwrap();
    let query = stub.seen()[0].query.clone().unwrap();
    assert!(query.contains(&format!("callInfo.apiKey={KEY}")), "{query}");
    assert!(query.contains("storeInfo.id=uk.farnell.com"), "{query}");
    assert!(!query.contains("userInfo"), "{query}");
}

#[tokio::test(start_paused = true)]
async fn element14_with_a_contract_does_not_send_what_it_cannot_sign() {
    let stub = Stub::answering([]);
    let account = built((vendor("element14").account)());
    let error = client(&account, &stub).get(API).send().await.unwrap_err();
    assert_eq!(Error::find(&error).unwrap().kind(), ErrorKind::Signature);
    assert_eq!(stub.count(), 0);
}

fn tme_error(status: u16, code: &str) -> Answer {
    answer(status).body(&format!(r#"{{"Status":"{code}","ErrorMessage":"…"}}"#))
}

#[tokio::test(start_paused = true)]
async fn tme_says_403_for_too_many_requests_and_for_a_forbidden_action() {
    let (stub, status) = send("tme_v1", &[tme_error(403, "E_TOO_MANY_REQUESTS")]).await;
    assert_eq!(status.unwrap(), 200);
    assert_eq!(stub.arrivals(), [0, 1]);
    let (stub, status) = send("tme_v1", &[tme_error(403, "E_ACTION_FORBIDDEN")]).await;
    assert_eq!((status.unwrap(), stub.count()), (403, 1));
}

#[tokio::test(start_paused = true)]
async fn tme_has_two_requests_a_second_for_prices_and_eight_for_the_rest() {
    let stub = Stub::answering([]);
    let account = built(tme_v1::account(KEY, SECRET));
    let client = client(&account, &stub);
    let actions = ["GetPrices", "GetPricesAndStocks", "GetStocks"];
    let prices = actions.map(|action| format!("{API}/Products/{action}.json"));
    let others = (0..9).map(|number| format!("{API}/Products/Get{number}.json"));
    let urls = prices.into_iter().chain(others);
    let sent = urls.map(|url| client.post(url).send());
    futures_util::future::join_all(sent).await;
    let late: Vec<_> = stub
        .seen()
        .into_iter()
        .filter(|seen| seen.at.as_secs() > 0)
        .collect();
    let paths: HashSet<_> = late.iter().map(|seen| &*seen.path).collect();
    assert_eq!(stub.count(), 12);
    assert_eq!(
        paths,
        ["/Products/GetStocks.json", "/Products/Get8.json"].into()
    );
}

/// Fifty parts in ten seconds, a hundred and fifty in a minute.
#[tokio::test(start_paused = true)]
async fn trusted_parts_counts_parts_and_not_requests() {
    let stub = Stub::answering([]);
    let account = built((vendor("trusted_parts").account)());
    let client = client(&account, &stub);
    let forty = RequestOptions::new().cost(trusted_parts::PARTS, 40);
    let search = client.post(format!("{API}/v2/search")).body("{}");
    let asked = |options: &RequestOptions| {
        let search = search.try_clone().unwrap();
        search.with_extension(options.clone()).send()
    };
    for _ in 0..4 {
        asked(&forty).await.unwrap();
    }
    assert_eq!(stub.arrivals(), [0, 10, 20, 60]);
    let too_many = RequestOptions::new().cost(trusted_parts::PARTS, 51);
    let error = asked(&too_many).await.unwrap_err();
    let error = Error::find(&error).unwrap();
    assert_eq!(error.kind(), ErrorKind::CostExceedsLimit);
    let before = stub.count();
    for _ in 0..10 {
        search.try_clone().unwrap().send().await.unwrap();
    }
    assert_eq!(
        stub.count(),
        before + 10,
        "one part each where nothing is said"
    );
    let parts = account.quotas()[0].windows()[0].remaining;
    assert_eq!(parts, 0);
}

#[tokio::test(start_paused = true)]
async fn lcsc_says_200_around_an_error_that_no_new_key_cures() {
    let nonce = r#"{"success": false, "code": 425, "message": "nonce"}"#;
    let (stub, status) = send("lcsc", &[answer(200).body(nonce)]).await;
    assert_eq!((status.unwrap(), stub.count()), (200, 1));
}

/// The secret as the server knows it is put into the file after the account was built.
async fn with_a_changed_secret(
    name: &'static str,
    refusal: Answer,
    account: impl FnOnce(Secret) -> AccountBuilder,
) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "old").unwrap();
    let builder = account(Secret::file(&file)).base_url(API);
    let account = builder
        .clock(PausedClock::starting_at(noon()))
        .build()
        .unwrap();
    std::fs::write(&file, SECRET).unwrap();
    let (vendor, checks) = (vendor(name), Checks::new());
    let stub = Stub::new(move |request| match (vendor.accepts)(&checks, request) {
        true => answer(200),
        false => refusal.clone(),
    });
    let client = client(&account, &stub);
    let response = (vendor.request)(&client).send().await.unwrap();
    assert_eq!(response.status(), 200, "{name}");
    let text = response.text().await.unwrap();
    assert_eq!(text, "answer 200", "{name}: the refusal was handed on");
    stub.count()
}

#[tokio::test(start_paused = true)]
async fn a_configuration_file_gives_what_a_signature_is_made_of() {
    let file = format!(
        r#"
        [accounts.lcsc]
        distributor = "lcsc"
        base_url = "{API}"
        api_key = "{KEY}"
        api_secret = "{SECRET}"
        [accounts.tme_v1]
        distributor = "tme_v1"
        base_url = "{API}"
        token = "{KEY}"
        app_secret = "{SECRET}"
        country = "DE"
        [accounts.element14]
        distributor = "element14"
        base_url = "{API}"
        api_key = "{KEY}"
        store = "www.newark.com"
        customer_id = "customer-1"
        contract_secret = "{SECRET}"
    "#
    );
    let config: Config = toml::from_str(&file).unwrap();
    let config = config.clock(PausedClock::starting_at(noon()));
    for (name, account) in config.build().unwrap() {
        let vendor = vendor(&name);
        let stub = strict(vendor, Checks::new(), &[]);
        let request = (vendor.request)(&client(&account, &stub));
        assert_eq!(request.send().await.unwrap().status(), 200, "{name}");
    }
}

#[test]
fn a_configuration_file_is_told_what_a_signature_lacks() {
    let file = r#"
        [accounts.lcsc]
        distributor = "lcsc"
        api_key = { env = "TOLLGATE_NO_SUCH_VARIABLE" }
        [accounts.contract]
        distributor = "element14"
        api_key = "k"
        contract_secret = "s"
    "#;
    let config = toml::from_str::<Config>(file).unwrap();
    let error = config.build().err().unwrap().to_string();
    for expected in [
        "lcsc.api_key: environment variable TOLLGATE_NO_SUCH_VARIABLE is not set",
        "lcsc.api_secret: is missing",
        "contract.customer_id: is missing",
    ] {
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_refused_signature_is_made_anew_of_the_secret_that_is_there_by_now() {
    let lcsc_says = answer(200).body(r#"{"success":false,"code":427,"message":"signature"}"#);
    let jlcpcb_says =
        answer(401).body(r#"{"code":401,"message":"request signature verify failed"}"#);
    let tme_says = tme_error(403, "E_INVALID_SIGNATURE");
    let lcsc = with_a_changed_secret("lcsc", lcsc_says, |secret| lcsc::account(KEY, secret));
    assert_eq!(lcsc.await, 2);
    let jlcpcb = with_a_changed_secret("jlcpcb", jlcpcb_says, |secret| {
        jlcpcb::account("app-1", KEY, secret)
    });
    assert_eq!(jlcpcb.await, 2);
    let tme = with_a_changed_secret("tme_v1", tme_says, |secret| tme_v1::account(KEY, secret));
    assert_eq!(tme.await, 2);
}

/// A server that has moved its search and sends everything that it was asked along.
#[tokio::test]
async fn a_redirect_that_carries_the_keys_along_shows_none_of_them() {
    let server = httpmock::MockServer::start_async().await;
    let moved = server.mock_async(|when, then| {
        when.path("/list");
        then.respond_with(|request: &httpmock::HttpMockRequest| {
            let query = request.uri().query().unwrap().to_owned();
            let location = format!("/v5/list?{query}&asked={}", percent(&query));
            let answer = http::Response::builder().status(302);
            answer.header("location", location).body("").unwrap().into()
        });
    });
    moved.await;
    let found = server.mock_async(|when, then| {
        when.path("/v5/list").query_param_exists("req");
        then.status(200);
    });
    found.await;
    let account = arrow_itemservice::account(KEY, SECRET).base_url(server.base_url());
    let account = account.build().unwrap();
    let client = account
        .attach(ClientBuilder::new(reqwest::Client::new()))
        .build();
    let url = format!("{}?rows=5&req={}", server.url("/list"), percent(LIST));
    let response = client.get(url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.url().as_str(), server.url("/v5/list?rows=5"));
}

#[tokio::test]
async fn a_rewritten_body_arrives_whole_on_a_real_connection() {
    let server = httpmock::MockServer::start_async().await;
    let whole = server.mock_async(|when, then| {
        when.path("/v2/search").body(format!(
            r#"{{"CompanyId":"company-1","ApiKey":"{SECRET}","Queries":[]}}"#
        ));
        then.status(200);
    });
    let whole = whole.await;
    let account = trusted_parts::account("company-1", SECRET).base_url(server.base_url());
    let account = account.build().unwrap();
    let client = account
        .attach(ClientBuilder::new(reqwest::Client::new()))
        .build();
    let request = client
        .post(server.url("/v2/search"))
        .body(r#"{"Queries":[]}"#);
    let response = request.header(CONTENT_LENGTH, 14).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(whole.calls_async().await, 1);
}
