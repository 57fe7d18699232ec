//! The page that a person sees when they come back from the login. It holds no secret.

/// A page, as a whole HTTP response.
pub(crate) fn response(status: &str, title: &str, text: &str) -> String {
    let body = html(title, text, status.starts_with("200"));
    // The address holds the code of the login: it goes nowhere from here.
    format!(
        "HTTP/1.1 {status}\r\n\
         content-type: text/html; charset=utf-8\r\n\
         content-length: {}\r\n\
         cache-control: no-store\r\n\
         referrer-policy: no-referrer\r\n\
         content-security-policy: default-src 'none'; style-src 'unsafe-inline'\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
}

fn html(title: &str, text: &str, good: bool) -> String {
    let (sign, colour) = if good {
        ("✓", "#1a7f37")
    } else {
        ("✗", "#b42318")
    };
    let (title, text) = (escaped(title), escaped(text));
    format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  body {{ font: 17px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid;
         place-items: center; background: #f4f5f7; color: #1f2328; }}
  main {{ background: #fff; border-radius: 12px; padding: 2.5rem 3rem; max-width: 32rem; margin: 1rem;
         box-shadow: 0 1px 3px #0003; overflow-wrap: anywhere; }}
  h1 {{ font-size: 1.5rem; margin: 0 0 .75rem; }}
  h1 span {{ color: {colour}; margin-right: .5rem; }}
  p {{ margin: 0; }}
</style>
<main>
  <h1><span aria-hidden="true">{sign}</span>{title}</h1>
  <p>{text}</p>
</main>
</html>
"#
    )
}

/// An error may quote what a server said, and an address what anybody wrote.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_text_and_nothing_else() {
        let page = response("400 Bad Request", "No", "<script>alert(\"&\")</script>");
        assert!(
            page.contains("&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;"),
            "{page}"
        );
        assert!(!page.contains("<script"), "{page}");
    }

    #[test]
    fn the_length_is_that_of_the_body() {
        let page = response("200 OK", "Ünïcode", "");
        let (head, body) = page.split_once("\r\n\r\n").expect("a body");
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{head}"
        );
    }
}
