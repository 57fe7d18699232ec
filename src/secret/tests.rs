use super::*;

const SECRET: &str = "s3cr3t";
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\r\n\tBBBB\n-----END PRIVATE KEY-----";

fn variable(value: &str) -> Result<String, String> {
    let value = of_variable("NAME", Ok(Zeroizing::new(value.to_owned())));
    value.map(|value| value.to_string())
}

fn file(content: &[u8]) -> Result<String, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    std::fs::write(&path, content).expect("a file");
    let value = Secret::file(&path).read();
    // The folder's name is another one each time.
    let place = path.display().to_string();
    value
        .map(|value| value.to_string())
        .map_err(|error| error.replace(&place, "FILE"))
}

#[test]
fn debug_shows_the_place_and_never_the_value() {
    assert_eq!(format!("{:?}", Secret::from("hunter2")), "Secret(***)");
    assert_eq!(format!("{:?}", Secret::env("NAME")), "Secret(env NAME)");
}

#[test]
fn a_missing_variable_is_named() {
    let error = Secret::env("TOLLGATE_NO_SUCH_VARIABLE").read().unwrap_err();
    assert_eq!(
        error,
        "environment variable TOLLGATE_NO_SUCH_VARIABLE is not set"
    );
}

#[test]
fn what_surrounds_a_secret_is_cut_off_in_a_variable_and_in_a_file() {
    for before in ["", " ", "\t", "\n", "\u{feff}", "\u{200b}", "\u{a0}"] {
        for after in [
            "",
            "\n",
            "\r\n",
            " \n\n",
            "\u{a0}",
            "\u{200b}\n",
            "\u{2028}",
        ] {
            let text = format!("{before}{SECRET}{after}");
            assert_eq!(variable(&text).as_deref(), Ok(SECRET), "{text:?}");
            assert_eq!(file(text.as_bytes()).as_deref(), Ok(SECRET), "{text:?}");
        }
    }
    assert_eq!(variable("two words\n").as_deref(), Ok("two words"));
}

#[test]
fn a_blank_variable_or_file_is_empty() {
    for blank in ["", " ", "\n", "\r\n\t ", "\u{feff}", "\u{200b}\u{a0}\n"] {
        let expected = "environment variable NAME is empty";
        assert_eq!(variable(blank).unwrap_err(), expected, "{blank:?}");
        assert_eq!(file(blank.as_bytes()).unwrap_err(), "FILE is empty");
    }
}

#[test]
fn a_control_character_within_is_refused_with_the_place_and_without_the_value() {
    for (within, flaw) in [
        ("\n", "a line break within; expected one line, or a PEM key"),
        ("\r", "a line break within; expected one line, or a PEM key"),
        ("\t", "a tab within"),
        ("\0", "a control character within"),
        ("\u{1b}", "a control character within"),
        ("\u{85}", "a control character within"),
        ("\u{200b}", "an invisible character within"),
        ("\u{202e}", "an invisible character within"),
        ("\u{feff}", "an invisible character within"),
    ] {
        let text = format!("canary{within}canary");
        let expected = format!("environment variable NAME has {flaw}");
        assert_eq!(variable(&text).unwrap_err(), expected);
        assert_eq!(
            file(text.as_bytes()).unwrap_err(),
            format!("FILE has {flaw}")
        );
        let literal = Secret::from(text).read().unwrap_err();
        assert_eq!(literal, format!("found {flaw}"));
    }
}

#[test]
fn a_pem_key_keeps_the_line_breaks_within_it_and_no_other_control_character() {
    let surrounded = format!("\u{feff}\n{PEM}\n\n");
    assert_eq!(variable(&surrounded).as_deref(), Ok(PEM));
    assert_eq!(file(surrounded.as_bytes()).as_deref(), Ok(PEM));
    let literal = Secret::from(PEM).read().expect("as it is");
    assert_eq!(literal.as_str(), PEM);
    assert!(variable(&format!("{PEM}\0{PEM}")).is_err());
}

/// It is the only way to give a password that begins or ends with a blank.
#[test]
fn a_literal_keeps_the_blanks_at_its_ends_and_may_have_no_line_break_there() {
    let literal = Secret::from(" pass word ").read().expect("as it is");
    assert_eq!(literal.as_str(), " pass word ");
    assert!(Secret::from("s3cr3t\n").read().is_err());
}

#[test]
fn a_file_that_is_no_utf_8_or_too_large_is_refused_without_its_content() {
    assert_eq!(file(b"canary\xff").unwrap_err(), "FILE is not valid UTF-8");
    assert_eq!(
        file(b"\xff\xfec\0").unwrap_err(),
        "FILE is UTF-16; expected UTF-8"
    );
    let limit = usize::try_from(LARGEST_FILE).expect("a size");
    assert!(file(&vec![b'x'; limit]).is_ok());
    assert_eq!(
        file(&vec![b'x'; limit + 1]).unwrap_err(),
        "FILE is larger than 1 MiB: no secret is"
    );
}

#[cfg(unix)]
#[test]
fn a_device_without_an_end_is_read_no_further_than_the_limit() {
    let error = Secret::file("/dev/zero").read().unwrap_err();
    assert_eq!(error, "/dev/zero is larger than 1 MiB: no secret is");
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_unicode_is_not_shown() {
    use std::os::unix::ffi::OsStringExt as _;
    let value = std::ffi::OsString::from_vec(b"canary\xff".to_vec());
    let error = of_variable("NAME", Err(VarError::NotUnicode(value))).unwrap_err();
    assert_eq!(error, "environment variable NAME is not valid Unicode");
}
