//! What the sandbox sells: product details, made up from the part number.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::answer::{Answer, error_answer, json_answer, missing_field};
use super::manners::Manners;

const SEARCH: &str = "/products/v4/search/";
const MAKERS: [&str; 8] = [
    "Texas Instruments",
    "Analog Devices Inc.",
    "STMicroelectronics",
    "Microchip Technology",
    "Murata Electronics",
    "Vishay Dale",
    "Würth Elektronik",
    "onsemi",
];

/// What the API answers once credential and quota are in order.
#[derive(Clone, Default)]
pub(super) struct Resource(Option<Arc<Closure>>);

type Closure = dyn Fn(&Request<Bytes>) -> Answer + Send + Sync;

impl Resource {
    pub(super) fn new<B: Into<Bytes>>(
        answer: impl Fn(&Request<Bytes>) -> Response<B> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(move |request| {
            answer(request).map(Into::into)
        })))
    }

    /// `id` is what the sandbox calls this request.
    pub(super) fn answer(&self, request: &Request<Bytes>, id: &str) -> Answer {
        match &self.0 {
            Some(answer) => answer(request),
            None => catalogue(request, id),
        }
    }

    /// The same for another vendor: at any path of its API there is something.
    pub(super) fn answer_as(&self, manners: Manners, request: &Request<Bytes>) -> Answer {
        match &self.0 {
            Some(answer) => answer(request),
            None => {
                let found = json!({ "vendor": manners.name(), "found": request.uri().path() });
                json_answer(StatusCode::OK, &found)
            }
        }
    }
}

fn catalogue(request: &Request<Bytes>, id: &str) -> Answer {
    let call = request.uri().path().strip_prefix(SEARCH);
    match (request.method(), call) {
        (&Method::POST, Some("keyword")) => keyword(request.body(), id),
        (&Method::GET, Some(call)) => call
            .strip_suffix("/productdetails")
            .and_then(part_number)
            .map_or_else(
                || not_found(id),
                |part| json_answer(StatusCode::OK, &json!({ "Product": product(&part) })),
            ),
        _ => not_found(id),
    }
}

/// One path segment, decoded. A slash of the part number itself is `%2F`.
fn part_number(segment: &str) -> Option<String> {
    let is_one = !segment.is_empty() && !segment.contains('/');
    let decoded = percent_decode_str(segment).decode_utf8().ok();
    decoded.filter(|_| is_one).map(Into::into)
}

fn keyword(body: &[u8], id: &str) -> Answer {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    match body["Keywords"].as_str() {
        None | Some("") => missing_field("Keywords", id),
        Some(keywords) => json_answer(
            StatusCode::OK,
            &json!({ "Products": [product(keywords)], "ProductsCount": 1 }),
        ),
    }
}

/// The same part number always gets the same product.
fn product(part: &str) -> Value {
    let hash = fnv(part);
    let maker = (hash % MAKERS.len() as u64) as usize;
    json!({
        "ManufacturerProductNumber": part,
        "Manufacturer": { "Id": maker + 1, "Name": MAKERS[maker] },
        "UnitPrice": ((hash >> 8) % 100_000) as f64 / 1_000.0,
        "QuantityAvailable": (hash >> 32) % 50_000,
        "ProductStatus": { "Id": 0, "Status": "Active" },
    })
}

/// FNV-1a, 64 bits: stable across runs and versions, which std's hasher does not promise.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn not_found(id: &str) -> Answer {
    error_answer(
        StatusCode::NOT_FOUND,
        "Not Found",
        "Requested resource does not exist",
        id,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, path: &str, body: &'static str) -> (StatusCode, Value) {
        let mut request = Request::new(Bytes::from_static(body.as_bytes()));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().expect(path);
        let answer = Resource::default().answer(&request, "id");
        let body = serde_json::from_slice(answer.body()).expect("JSON");
        (answer.status(), body)
    }

    #[test]
    fn a_part_number_with_slash_hash_plus_and_space_comes_back_as_it_is() {
        let path = "/products/v4/search/LTC3780EG%23PBF%2FA+%20%C2%B5/productdetails";
        let (status, body) = ask(Method::GET, path, "");
        assert_eq!(status, StatusCode::OK);
        let number = &body["Product"]["ManufacturerProductNumber"];
        assert_eq!(number, "LTC3780EG#PBF/A+ µ");
    }

    #[test]
    fn the_same_part_is_the_same_product_and_another_is_another() {
        let ask = |part: &str| {
            let path = format!("/products/v4/search/{part}/productdetails");
            ask(Method::GET, &path, "")
        };
        assert_eq!(ask("LM358P"), ask("LM358P"));
        let (one, other) = (ask("LM358P").1, ask("NE555P").1);
        assert_ne!(one["Product"]["UnitPrice"], other["Product"]["UnitPrice"]);
    }

    #[test]
    fn a_keyword_search_needs_its_keywords() {
        let path = "/products/v4/search/keyword";
        let (status, body) = ask(Method::POST, path, r#"{"Keywords": "1N4148"}"#);
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body["Products"][0]["ManufacturerProductNumber"], "1N4148");
        for wrong in ["", "{}", "not JSON", r#"{"Keywords": ""}"#] {
            let (status, body) = ask(Method::POST, path, wrong);
            assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
            assert_eq!(body["ValidationErrors"][0]["Field"], "Keywords");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for path in [
            "/",
            "/products/v4/search/keyword",
            "/products/v4/search//productdetails",
            "/products/v4/search/LTC3780EG/PBF/productdetails",
            "/products/v4/search/LM358P",
            "/v1/oauth2/authorize",
        ] {
            assert_eq!(
                ask(Method::GET, path, "").0,
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
    }
}
