use super::*;

const SECOND: Duration = Duration::from_secs(1);
const LEAD: Duration = Duration::from_secs(300);

fn at(seconds: f64) -> Now {
    let span = Duration::from_secs_f64(seconds);
    Now {
        moment: Moment::after_start(1_000 * SECOND) + span,
        wall: SystemTime::UNIX_EPOCH + 1_000_000 * SECOND + span,
    }
}

fn times(seconds: f64, draw: f64) -> Times {
    let lifetime = Lifetime::Stated(Duration::from_secs_f64(seconds));
    Times::new(at(0.0), lifetime, LEAD, draw)
}

#[test]
fn every_token_is_fresh_for_most_of_its_life() {
    for seconds in [0.05, 1.0, 10.0, 300.0, 599.0, 1_800.0, 86_400.0, 3e7] {
        for draw in [0.0, 0.5, 1.0] {
            let times = times(seconds, draw);
            assert!(!times.is_stale(at(seconds * 0.69)), "{seconds} {draw}");
            assert!(times.is_expired(at(seconds)), "{seconds} {draw}");
            assert!(!times.is_expired(at(seconds * 0.89)), "{seconds} {draw}");
        }
    }
}

#[test]
fn a_token_is_stale_before_it_expires_whatever_the_lead() {
    for configured in [Duration::ZERO, SECOND, LEAD, Duration::MAX] {
        let lifetime = Lifetime::Stated(600 * SECOND);
        let times = Times::new(at(0.0), lifetime, configured, 0.0);
        assert!(times.is_stale(at(570.0)), "{configured:?}");
        assert!(!times.is_stale(at(400.0)), "{configured:?}");
    }
}

#[test]
fn an_hour_is_stale_five_to_six_minutes_before_its_end_and_expires_thirty_seconds_before() {
    assert!(!times(3_600.0, 0.0).is_stale(at(3_299.9)));
    assert!(times(3_600.0, 0.0).is_stale(at(3_300.0)));
    assert!(times(3_600.0, 1.0).is_stale(at(3_240.0)));
    assert!(!times(3_600.0, 0.0).is_expired(at(3_569.9)));
    assert!(times(3_600.0, 0.0).is_expired(at(3_570.0)));
}

#[test]
fn either_clock_alone_ends_a_token() {
    let times = times(100.0, 0.0);
    let slept = Now {
        moment: at(1.0).moment,
        wall: at(95.0).wall,
    };
    let set_back = Now {
        moment: at(95.0).moment,
        wall: at(-0.0).wall - 5_000 * SECOND,
    };
    assert!(times.is_expired(slept) && times.is_expired(set_back));
    assert_eq!(times.left(slept), Duration::ZERO);
}

#[test]
fn a_lifetime_nobody_knows_turns_stale_and_never_expires() {
    let lifetime = Lifetime::new(None, None, None);
    assert_eq!(lifetime, Lifetime::Unknown(300 * SECOND));
    let times = Times::new(at(0.0), lifetime, LEAD, 0.0);
    assert!(times.is_stale(at(225.0)) && !times.is_stale(at(224.0)));
    assert!(!times.is_expired(at(1e6)));
    assert_eq!(times.expires_at(), None);
}

#[test]
fn the_usual_lifetime_stands_in_for_a_missing_one_and_expires() {
    let lifetime = Lifetime::new(None, Some(600 * SECOND), None);
    let times = Times::new(at(0.0), lifetime, LEAD, 0.0);
    assert!(times.is_expired(at(570.0)));
    assert_eq!(times.expires_at(), None);
}

#[test]
fn a_lifetime_of_ages_is_a_year() {
    let lifetime = Lifetime::new(Some(Duration::MAX), None, None);
    assert_eq!(lifetime, Lifetime::Stated(YEAR));
}

#[test]
fn a_refusal_at_age_a_caps_the_next_unknown_lifetime_at_nine_tenths_of_it() {
    let cap = cap_after_refusal(100 * SECOND);
    assert_eq!(
        Lifetime::new(None, None, Some(cap)),
        Lifetime::Unknown(90 * SECOND)
    );
    let stated = Lifetime::new(Some(200 * SECOND), None, Some(cap));
    assert_eq!(stated, Lifetime::Stated(200 * SECOND));
    assert_eq!(cap_after_refusal(Duration::ZERO), SECOND);
}

#[test]
fn a_lifetime_of_nothing_is_none() {
    let nothing = Lifetime::new(Some(Duration::ZERO), Some(600 * SECOND), None);
    assert_eq!(nothing, Lifetime::Usual(600 * SECOND));
}

#[test]
fn the_header_is_sensitive_and_debug_shows_nothing_of_it() {
    let token = Token::new(1, "s3cr3t", times(1.0, 0.0)).expect("a token");
    assert!(token.header().is_sensitive());
    assert_eq!(token.header(), "Bearer s3cr3t");
    assert_eq!(token.secret(), "s3cr3t");
    assert!(!format!("{token:?}").contains("s3cr3t"));
    assert!(Token::new(1, "line\nbreak", times(1.0, 0.0)).is_none());
}

#[test]
fn a_refused_replay_and_a_later_success_exonerate_a_token_for_ten_seconds() {
    let evidence = Evidence::default();
    let moment = |seconds| at(seconds).moment;
    evidence.note_success(moment(0.0), moment(1.0));
    assert!(!evidence.exonerates(moment(1.0)), "nothing was refused");

    evidence.note_refused_replay(moment(2.0));
    evidence.note_success(moment(1.5), moment(3.0));
    assert!(!evidence.exonerates(moment(3.0)), "it started before");

    evidence.note_success(moment(2.5), moment(4.0));
    assert!(evidence.exonerates(moment(14.0)));
    assert!(!evidence.exonerates(moment(14.1)), "too long ago");

    evidence.note_refused_replay(moment(5.0));
    assert!(!evidence.exonerates(moment(6.0)), "nothing worked since");
}

#[test]
fn only_visible_ascii_is_sent_and_white_space_around_it_is_not() {
    for text in ["abc", " abc", "abc\n", "\t abc \r\n"] {
        let token = Token::new(1, text, times(1.0, 0.0)).expect("a token");
        assert_eq!(token.header(), "Bearer abc", "{text:?}");
        assert_eq!(token.secret(), "abc");
        assert_eq!(token.fingerprint(), fingerprint("abc"));
        assert_eq!(fingerprint(text), fingerprint("abc"));
    }
    for text in [
        "",
        " ",
        "\n",
        "a b",
        "é",
        "a\u{7f}",
        "a\u{a0}b",
        "\u{feff}a",
    ] {
        assert!(Token::new(1, text, times(1.0, 0.0)).is_none(), "{text:?}");
    }
    assert_eq!(sendable(" \n"), Err("is empty".to_owned()));
    let reason = sendable(" s3cr é").expect_err("not ASCII");
    assert_eq!(
        reason,
        "holds a character that no header can carry at position 5"
    );
    let all: String = ('!'..='~').collect();
    assert_eq!(sendable(&all), Ok(&*all));
}

#[test]
fn a_token_works_for_ten_seconds_after_a_success_unless_a_replay_with_it_is_refused() {
    let evidence = Evidence::default();
    let moment = |seconds| at(seconds).moment;
    assert!(!evidence.works(moment(0.0)), "nothing is known");
    evidence.note_success(moment(1.0), moment(2.0));
    assert!(evidence.works(moment(12.0)) && !evidence.works(moment(12.1)));

    evidence.note_refused_replay(moment(3.0));
    assert!(!evidence.works(moment(3.0)), "the request left before");
    evidence.note_success(moment(2.5), moment(4.0));
    assert!(!evidence.works(moment(4.0)), "so did this one");
    evidence.note_success(moment(3.5), moment(5.0));
    assert!(evidence.works(moment(15.0)) && !evidence.works(moment(15.1)));
}

/// Noting it takes a reading of the clock, and two writes that all threads would contend for.
#[test]
fn a_success_is_news_once_a_second_and_at_once_after_a_refused_replay() {
    let evidence = Evidence::default();
    let moment = |seconds| at(seconds).moment;
    assert!(evidence.is_sought(moment(1.0)), "the first");
    evidence.note_success(moment(1.0), moment(1.1));
    assert!(!evidence.is_sought(moment(0.5)) && !evidence.is_sought(moment(1.9)));
    assert!(evidence.is_sought(moment(2.0)));

    evidence.note_refused_replay(moment(1.2));
    assert!(!evidence.is_sought(moment(1.1)), "it left before");
    assert!(evidence.is_sought(moment(1.3)));
}
