//! `{part}` in a URL and in a body.

use anyhow::{Context as _, Result, bail};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use serde_json::Value;

const PLACE: &str = "{part}";
const FORM: &str = "application/x-www-form-urlencoded";

/// All but the unreserved characters of RFC 3986 section 2.3: a part number stays one segment of
/// the path, whatever it is made of. Unencoded, the `#` of `LT1763CS8#PBF` would end the URL.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What is asked about each part.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    base: Url,
    url: String,
    /// Its content type and its text.
    body: Option<(String, String)>,
}

impl Template {
    /// `url` may be relative to `base`; a body comes with its content type. `own` is what the
    /// account itself puts into a URL, such as `{apiKey}`.
    ///
    /// # Errors
    /// If it does not make a URL, or has a place in braces for something else than the part.
    pub(crate) fn new(
        base: &Url,
        url: &str,
        body: Option<(&str, &str)>,
        own: Option<&str>,
    ) -> Result<Self> {
        check_url(url, own).with_context(|| format!("--url {url:?}"))?;
        if let Some((media_type, text)) = body {
            check_body(media_type, text).context("--body")?;
        }
        let template = Self {
            base: base.clone(),
            url: url.to_owned(),
            body: body.map(|(media_type, text)| (media_type.to_owned(), text.to_owned())),
        };
        template.url("PART")?; // A mistake in the template shows now, not once per part.
        Ok(template)
    }

    /// Whether it asks the same about every part.
    pub(crate) fn ignores_the_part(&self) -> bool {
        let in_body = |(_, text): &(String, String)| text.contains(PLACE);
        !self.url.contains(PLACE) && !self.body.as_ref().is_some_and(in_body)
    }

    /// The URL that asks about `part`.
    pub(crate) fn url(&self, part: &str) -> Result<Url> {
        let encoded = utf8_percent_encode(part, ENCODED).to_string();
        let url = self.url.replace(PLACE, &encoded);
        self.base
            .join(&url)
            .with_context(|| format!("{url:?} is not a URL"))
    }

    /// The body that asks about `part`, and its content type. Within a JSON string any part number
    /// is safe, and so it is within a value of a form.
    pub(crate) fn body(&self, part: &str) -> Option<(&str, String)> {
        let (media_type, text) = self.body.as_ref()?;
        let escaped = match media_type.as_str() {
            FORM => utf8_percent_encode(part, ENCODED).to_string(),
            _ => {
                let quoted = Value::from(part).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
        };
        Some((media_type, text.replace(PLACE, &escaped)))
    }
}

/// In a URL a brace has no other meaning.
fn check_url(url: &str, own: Option<&str>) -> Result<()> {
    let mut rest = url;
    while let Some(start) = rest.find(['{', '}']) {
        rest = &rest[start..];
        let Some(end) = rest.find('}').filter(|_| rest.starts_with('{')) else {
            bail!("a brace is not closed: expected {PLACE}");
        };
        let place = &rest[..=end];
        if place != PLACE && Some(place) != own {
            bail!("there is no {place}: expected {PLACE}");
        }
        rest = &rest[end + 1..];
    }
    Ok(())
}

/// Braces of JSON and of GraphQL are none of ours. A value that is nothing but a place for another
/// word, or the beginning of ours, is a slip.
fn check_body(media_type: &str, text: &str) -> Result<()> {
    if text.replace(PLACE, "").contains("{part") {
        bail!("a brace is not closed: expected {PLACE}");
    }
    if media_type == FORM {
        let mut values = text.split(['&', '=']);
        return values.try_for_each(check_value);
    }
    if !media_type.contains("json") {
        return Ok(());
    }
    // A part number may stand where a number does.
    let json = serde_json::from_str(&text.replace(PLACE, "0")).context("it is not JSON")?;
    check_json(&json)
}

fn check_json(json: &Value) -> Result<()> {
    match json {
        Value::String(text) => check_value(text),
        Value::Array(list) => list.iter().try_for_each(check_json),
        Value::Object(object) => object.values().try_for_each(check_json),
        _ => Ok(()),
    }
}

fn check_value(value: &str) -> Result<()> {
    let word = value
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let is_word = |word: &str| {
        word.chars()
            .all(|c| c.is_alphanumeric() || "-_ ".contains(c))
    };
    if value != PLACE && word.is_some_and(is_word) {
        bail!("there is no {value}: expected {PLACE}");
    }
    Ok(())
}
#[cfg(test)]
mod tests {
    use super::*;

    fn template(url: &str, body: Option<&str>) -> Template {
        let base = Url::parse("https://api.example/v4/").unwrap();
        let body = body.map(|text| ("application/json", text));
        Template::new(&base, url, body, None).unwrap()
    }

    #[test]
    fn a_part_number_is_one_segment_of_the_path() {
        let template = template("/search/{part}/productdetails", None);
        for (part, segment) in [
            ("LM2596S-5.0/NOPB", "LM2596S-5.0%2FNOPB"),
            ("LT1763CS8-3.3#PBF", "LT1763CS8-3.3%23PBF"),
            ("MAX232ESE+", "MAX232ESE%2B"),
            ("BAV99,215", "BAV99%2C215"),
            ("TSR 1-2450", "TSR%201-2450"),
            ("100%?&=:@;µ", "100%25%3F%26%3D%3A%40%3B%C2%B5"),
        ] {
            let url = template.url(part).unwrap();
            assert_eq!(url.path(), format!("/search/{segment}/productdetails"));
            assert_eq!((url.query(), url.fragment()), (None, None));
        }
    }

    #[test]
    fn a_part_number_in_a_query_does_not_end_its_value() {
        let url = template("parts?q={part}&n=1", None).url("A&n=2#+").unwrap();
        assert_eq!(
            url.as_str(),
            "https://api.example/v4/parts?q=A%26n%3D2%23%2B&n=1"
        );
    }

    #[test]
    fn an_absolute_url_stays_as_it_is() {
        let url = template("http://127.0.0.1:8080/x/{part}", None)
            .url("A")
            .unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:8080/x/A");
    }

    #[test]
    fn a_part_number_in_a_body_is_escaped_as_json() {
        let template = template("/", Some(r#"{"Keywords":"{part}","Limit":1}"#));
        let (_, body) = template.body("3/8\" \\ µ").unwrap();
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(value["Keywords"], "3/8\" \\ µ");
    }

    #[test]
    fn a_part_number_in_a_form_is_percent_encoded() {
        let base = Url::parse("https://api.example/").unwrap();
        let body = Some((FORM, "Plain={part}&Country=PL"));
        let template = Template::new(&base, "/find", body, None).unwrap();
        let expected = (FORM, "Plain=A%26B%20%2B&Country=PL".to_owned());
        assert_eq!(template.body("A&B +"), Some(expected));
    }

    #[test]
    fn a_template_that_makes_no_url_is_refused_at_once() {
        let base = Url::parse("https://api.example/").unwrap();
        let error = Template::new(&base, "http://[{part}", None, None).unwrap_err();
        assert!(error.to_string().contains("is not a URL"), "{error}");
    }

    #[test]
    fn a_template_without_a_place_for_the_part_is_noticed() {
        assert!(template("/search", Some("{}")).ignores_the_part());
        assert!(!template("/search", Some("{\"q\":\"{part}\"}")).ignores_the_part());
    }

    fn problem(url: &str, body: Option<(&str, &str)>) -> Option<String> {
        let base = Url::parse("https://api.example/").unwrap();
        let made = Template::new(&base, url, body, Some("{apiKey}"));
        made.err().map(|error| format!("{error:#}"))
    }

    #[test]
    fn a_place_for_another_word_and_a_brace_that_is_not_closed_are_refused() {
        for (url, text) in [
            ("/search/{mpn}", "there is no {mpn}: expected {part}"),
            ("/search/{part}/{x}", "there is no {x}"),
            ("/search/{part", "a brace is not closed"),
            ("/search/part}", "a brace is not closed"),
            ("/search/{}", "there is no {}"),
        ] {
            let problem = problem(url, None).unwrap();
            assert!(problem.contains(text), "{problem}");
        }
        assert_eq!(problem("/search/{part}/{apiKey}", None), None);
    }

    #[test]
    fn the_braces_of_a_body_are_its_own_but_a_slip_is_noticed() {
        const JSON: &str = "application/json";
        for (media_type, body, text) in [
            (JSON, r#"{"q":"{mpn}"}"#, "there is no {mpn}"),
            (JSON, r#"{"q":["{part"]}"#, "a brace is not closed"),
            (JSON, r#"{"q":"{part}""#, "it is not JSON"),
            (FORM, "q={Part}&n=1", "there is no {Part}"),
        ] {
            let problem = problem("/", Some((media_type, body))).unwrap();
            assert!(problem.contains(text), "{problem}");
        }
        let query = r#"{"query":"query { find(q: \"{part}\") {hits} }"}"#;
        assert_eq!(problem("/", Some((JSON, query))), None);
        assert_eq!(problem("/", Some((JSON, r#"{"id":{part}}"#))), None);
        assert_eq!(problem("/", Some((FORM, "q={part}&n=1"))), None);
        assert_eq!(problem("/", Some(("text/xml", "<q>{part}</q>"))), None);
    }
}
