use super::*;

fn spent() -> Error {
    let until = SystemTime::UNIX_EPOCH;
    Error::new(
        ErrorKind::QuotaExceeded,
        Recovery::WaitUntil(until),
        "the day is spent",
    )
}

#[test]
fn our_error_is_found_beneath_reqwest_middleware() {
    let wrapped = reqwest_middleware::Error::from(spent());
    assert_eq!(
        Error::find(&wrapped).map(Error::kind),
        Some(ErrorKind::QuotaExceeded)
    );
}

#[test]
fn our_error_is_found_beneath_two_transparent_layers() {
    let wrapped = std::io::Error::other(reqwest_middleware::Error::middleware(
        reqwest_middleware::Error::from(spent()),
    ));
    let found = Error::find(&wrapped).map(Error::recovery);
    assert_eq!(found, Some(Recovery::WaitUntil(SystemTime::UNIX_EPOCH)));
}

#[test]
fn a_foreign_error_is_not_taken_for_ours() {
    assert!(Error::find(&std::io::Error::other("no")).is_none());
}

#[test]
fn the_chain_of_sources_ends_with_what_lies_beneath() {
    let error = spent().with_source(std::io::Error::other("beneath"));
    let cause = std::error::Error::source(&error).expect("a cause");
    assert_eq!(cause.to_string(), "quota_exceeded");
    assert_eq!(cause.source().expect("a source").to_string(), "beneath");
}

#[test]
fn no_text_of_an_error_turns_or_breaks_a_line_and_an_id_has_128_characters_at_most() {
    let text = "the\u{202e}store\u{2028}says\r\nno\u{7}";
    let error = Error::new(ErrorKind::Store, Recovery::Retry, text);
    let id = format!("id\n\u{202e}{}", "x".repeat(1000));
    let error = error.with_request_id(Some(id));
    let expected = format!("id {}", "x".repeat(125));
    assert_eq!(error.request_id(), Some(&*expected));
    let shown = error.to_string();
    assert_eq!(shown, format!("thestoresays  no  (request id {expected})"));
    // One that cannot be shown is none, and does not replace one that can.
    let error = error.with_request_id(Some("\u{200b} ".to_owned()));
    assert_eq!(error.request_id(), Some(&*expected));
}
