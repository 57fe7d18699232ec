use super::*;

#[test]
fn characters_that_change_how_a_line_reads_leave_error_texts() {
    let marks = [
        '\u{202a}',
        '\u{202b}',
        '\u{202c}',
        '\u{202d}',
        '\u{202e}',
        '\u{2066}',
        '\u{2067}',
        '\u{2068}',
        '\u{2069}',
        '\u{200e}',
        '\u{200f}',
        '\u{61c}',
        '\u{2028}',
        '\u{2029}',
        '\u{200b}',
        '\u{200c}',
        '\u{200d}',
        '\u{2060}',
        '\u{feff}',
        '\u{ad}',
        '\u{7f}',
        '\u{85}',
        '\r',
        '\n',
        '\t',
        '\0',
        '\u{1b}',
        '\u{e0041}',
    ];
    for mark in marks {
        let text = format!("left{mark}right");
        assert_eq!(presentable(&text, 99, &[]), "leftright", "{mark:?}");
        // Nor does one hide a secret.
        let text = format!("hun{mark}ter2");
        assert_eq!(presentable(&text, 99, &["hunter2"]), "***", "{mark:?}");
    }
    let words = "Zugriff verweigert – доступ запрещён 拒否 é";
    assert_eq!(presentable(words, 99, &[]), words);
}

#[test]
fn the_text_of_a_page_is_what_a_browser_would_show() {
    for (page, text) in [
        ("<p>a</p><p>b</p>", "a b"),
        ("<STYLE type=x>p{}</STYLE>a<script>b</script>c", "a c"),
        ("<script>never closed", ""),
        ("a < b", "a"),
        ("<title>T</title", "T"),
        ("", ""),
    ] {
        let words = without_markup(page);
        let words: Vec<&str> = words.split_whitespace().collect();
        assert_eq!(words.join(" "), text, "{page}");
    }
}

#[test]
fn what_looks_like_a_token_is_not_quoted() {
    for (word, shown) in [
        (
            "unauthorized_client_application",
            "unauthorized_client_application",
        ),
        ("18.2d4f1702", "18.2d4f1702"),
        ("token=abcdefghijklmnop1234,", "***,"),
        ("\"eyJhbGciOiJIUzI1NiJ9.e30.s\"", "\"***\""),
        ("日本語", "日本語"),
    ] {
        assert_eq!(obscured(word), shown);
    }
}

#[test]
fn half_a_secret_at_the_end_of_what_is_read_is_not_quoted() {
    let mut page = "<".to_owned() + &"a".repeat(LONGEST_PAGE - 20) + "> words ";
    page.push_str("hun");
    page.truncate(LONGEST_PAGE);
    let cut = page.len();
    page.push_str("ter2");
    assert!(cut <= LONGEST_PAGE);
    let quoted = quote(page.as_bytes(), &["hunter2"]);
    assert!(!quoted.contains("hun"), "{quoted}");
}
