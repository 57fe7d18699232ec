//! What is wrong with a TOML text, and where. `toml`'s own error shows the line as well, which may
//! hold a secret.

use toml::de::Error;

/// The position and the reason.
pub(crate) fn problem(text: &str, error: &Error) -> String {
    let start = error.span().map(|span| span.start);
    let Some(before) = start.and_then(|start| text.get(..start)) else {
        return error.message().to_owned();
    };
    let line = before.split('\n').count();
    let column = before.rsplit('\n').next().unwrap_or_default();
    let column = column.chars().count() + 1;
    format!("line {line}, column {column}: {}", error.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_text_names_the_place_and_shows_nothing_of_it() {
        for text in [
            "[accounts.a]\nclient_secret = s3cr3t",
            "[accounts.a]\nclient_secret = \"s3cr3t",
            "[accounts.a]\nclient_secret = 's3cr3t\n",
            "[accounts.a]\nclient_secret = \"\\s3cr3t\"",
            "[accounts.a]\nclient_secret = \"s3cr3t\" s3cr3t",
            "[accounts.a]\nclient_secret = 1s3cr3t",
            "[accounts.a]\nclient_secret = { env = s3cr3t",
            "[accounts.a]\nclient_secret = [\"s3cr3t\"",
            "[accounts.a]\nclient_secret \"s3cr3t\"",
            "[accounts.a]\ns3cr3t",
            "[accounts.a]\nbearer = \"s3cr3t\"\nbearer = \"s3cr3t\"",
        ] {
            let error = text.parse::<toml::Table>().unwrap_err();
            let shown = problem(text, &error);
            assert!(!shown.contains("s3cr3t"), "{text}: {shown}");
            let line = format!("line {}, column ", text.lines().count());
            assert!(shown.starts_with(&line), "{text}: {shown}");
            // Why this is not simply toml's own text.
            assert!(error.to_string().contains("s3cr3t"), "{text}: {error}");
        }
    }
}
