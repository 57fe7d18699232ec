//! `{part}` in a URL and in a body.

use anyhow::{Context as _, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

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
    /// `url` may be relative to `base`; a body comes with its content type.
    ///
    /// # Errors
    /// If it does not make a URL.
    pub(crate) fn new(base: &Url, url: &str, body: Option<(&str, &str)>) -> Result<Self> {
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
                let quoted = serde_json::Value::from(part).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
        };
        Some((media_type, text.replace(PLACE, &escaped)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(url: &str, body: Option<&str>) -> Template {
        let base = Url::parse("https://api.example/v4/").unwrap();
        let body = body.map(|text| ("application/json", text));
        Template::new(&base, url, body).unwrap()
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
        let template = Template::new(&base, "/find", body).unwrap();
        let expected = (FORM, "Plain=A%26B%20%2B&Country=PL".to_owned());
        assert_eq!(template.body("A&B +"), Some(expected));
    }

    #[test]
    fn a_template_that_makes_no_url_is_refused_at_once() {
        let base = Url::parse("https://api.example/").unwrap();
        let error = Template::new(&base, "http://[{part}", None).unwrap_err();
        assert!(error.to_string().contains("is not a URL"), "{error}");
    }

    #[test]
    fn a_template_without_a_place_for_the_part_is_noticed() {
        assert!(template("/search", Some("{}")).ignores_the_part());
        assert!(!template("/search", Some("{\"q\":\"{part}\"}")).ignores_the_part());
    }
}
