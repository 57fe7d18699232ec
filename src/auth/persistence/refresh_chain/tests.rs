//! Every cell of the decision tables, and one test for each rule.

use super::*;

const OLD: &str = "r0";
const NEW: &str = "r1";
const SECOND: Duration = Duration::from_secs(1);

/// So many seconds after the beginning, by both clocks.
fn at(seconds: u64) -> Now {
    let span = Duration::from_secs(seconds);
    Now {
        moment: Moment::ZERO + Duration::from_secs(1000) + span,
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30) + span,
    }
}

fn moment(seconds: u64) -> Moment {
    at(seconds).moment
}

fn chain_on(terms: Terms) -> RefreshChain {
    RefreshChain::new(true, terms)
}

fn chain() -> RefreshChain {
    chain_on(Terms::default())
}

/// What another process has written.
fn theirs(refresh_token: &str) -> Tokens {
    let mut tokens = Tokens::new(None, Some(refresh_token));
    tokens.login = Some(0);
    tokens.write = Some(new_id());
    tokens
}

fn mark(of: &str, n: u32, open: bool, made: Now) -> Mark {
    Mark {
        of: mark_of(of),
        n,
        id: new_id(),
        holder: "process 7".into(),
        at: seconds(made.wall),
        open,
        lost: None,
    }
}

fn marked(n: u32, open: bool, made: Now) -> Tokens {
    let mut tokens = theirs(OLD);
    tokens.presented = Some(mark(OLD, n, open, made));
    tokens
}

fn record(version: u64, tokens: &Tokens) -> Record {
    Record::new(version, tokens.to_bytes())
}

fn load(chain: &mut RefreshChain, record: Record, now: Now) -> Option<Conflict> {
    let loaded = chain.loaded(Some(record), chain.newest(), now);
    loaded.expect("readable").1
}

/// A chain under a right that nobody had before, which has read these tokens.
fn reading(tokens: &Tokens, now: Now) -> RefreshChain {
    let mut chain = chain();
    chain.granted("right", false, now);
    load(&mut chain, record(5, tokens), now);
    chain
}

fn next(chain: &mut RefreshChain, now: Now) -> Step {
    chain.next(None, now)
}

fn wait(step: Step) -> Wait {
    match step {
        Step::Wait(wait) => wait,
        other => panic!("expected a wait, found {other:?}"),
    }
}

fn write_mark(chain: &mut RefreshChain, n: u32, now: Now) -> Write {
    let write = chain.mark_as_presented(n, "process 1", now);
    write.expect("there is a store and a token")
}

/// As far as `Present`.
fn ready(now: Now) -> RefreshChain {
    let mut chain = reading(&theirs(OLD), now);
    let write = write_mark(&mut chain, 1, now);
    chain.written(write, now);
    assert_eq!(next(&mut chain, now), Step::Present);
    chain
}

/// Presented and answered with `NEW`, which is not saved.
fn unsaved(now: Now) -> RefreshChain {
    let mut chain = ready(now);
    chain.sent(now.moment);
    chain.answered(Tokens::new(None, Some(NEW)), true);
    chain
}

fn current(chain: &RefreshChain) -> String {
    chain
        .current()
        .map(|token| token.to_string())
        .unwrap_or_default()
}

// May it be presented: one test for each row of the table.

#[test]
fn a_refused_token_ends_the_chain_until_the_store_has_another() {
    let mut chain = ready(at(0));
    chain.sent(moment(0));
    chain.refuse();
    assert_eq!(next(&mut chain, at(1)), Step::LogIn);
    load(&mut chain, record(9, &theirs("another")), at(2));
    assert_eq!(next(&mut chain, at(2)), Step::Mark(1));
    assert_eq!(current(&chain), "another");
}

/// Rule 9.
#[test]
fn a_refresh_token_without_a_place_is_saved_and_not_presented() {
    let mut chain = unsaved(at(0));
    assert_eq!(current(&chain), NEW);
    for seconds in [0, 4, 8] {
        chain.granted("right", true, at(seconds));
        assert_eq!(next(&mut chain, at(seconds)), Step::Save);
    }
    let save = chain.save(at(8)).expect("it is unsaved");
    chain.written(save, at(8));
    assert_eq!(next(&mut chain, at(8)), Step::Mark(1));
}

/// Rule 5, and the trap of a right that is counted from the answer of a slow call.
#[test]
fn a_right_that_ends_within_two_seconds_is_taken_anew() {
    let mut chain = reading(&theirs(OLD), at(0));
    assert_eq!(next(&mut chain, at(5)), Step::Mark(1));
    assert_eq!(next(&mut chain, at(6)), Step::TakeRight);
    // Asked for in second 6 and answered in second 11: it ends in second 14.
    chain.granted("right", false, at(6));
    assert_eq!(next(&mut chain, at(11)), Step::Mark(1));
    assert_eq!(next(&mut chain, at(12)), Step::TakeRight);
    chain.drop_right();
    assert_eq!(next(&mut chain, at(11)), Step::TakeRight);
}

#[test]
fn a_right_ends_by_whichever_clock_is_first() {
    let mut chain = reading(&theirs(OLD), at(0));
    let suspended = Now {
        wall: at(60).wall,
        ..at(1)
    };
    assert_eq!(next(&mut chain, suspended), Step::TakeRight);
    let set_back = Now {
        wall: at(0).wall,
        ..at(60)
    };
    assert_eq!(next(&mut chain, set_back), Step::TakeRight);
}

/// Rule 1: what was read before the right was had proves nothing.
#[test]
fn the_record_is_read_under_each_right_anew() {
    let mut chain = reading(&theirs(OLD), at(0));
    chain.granted("another right", false, at(1));
    assert_eq!(next(&mut chain, at(1)), Step::Load);
    // Prolonged in time: no one else can have had it.
    let mut chain = reading(&theirs(OLD), at(0));
    chain.granted("right", false, at(4));
    assert_eq!(next(&mut chain, at(4)), Step::Mark(1));
    // It had run out meanwhile.
    chain.granted("right", false, at(13));
    assert_eq!(next(&mut chain, at(13)), Step::Load);
}

#[test]
fn after_a_stop_a_mark_of_ours_is_read_again_before_it_is_presented() {
    let mut chain = ready(at(0));
    assert_eq!(next(&mut chain, at(100)), Step::TakeRight);
    chain.granted("right", false, at(100));
    assert_eq!(next(&mut chain, at(100)), Step::Load);
    // Another has taken it for dead and presented meanwhile.
    load(&mut chain, record(8, &marked(2, true, at(80))), at(101));
    let wait = wait(next(&mut chain, at(101)));
    assert_eq!(wait.until, moment(101) + PATIENCE);
}

#[test]
fn a_newer_record_is_adopted_and_its_refresh_token_is_next() {
    let mut chain = reading(&theirs(OLD), at(0));
    let newer = record(6, &theirs(NEW));
    let (loaded, conflict) = chain
        .loaded(Some(newer), chain.newest(), at(1))
        .expect("readable");
    assert!(matches!(loaded, Loaded::Newer(..)) && conflict.is_none());
    assert_eq!(
        (current(&chain).as_str(), next(&mut chain, at(1))),
        (NEW, Step::Mark(1))
    );
}

/// Rule 14: from the moment it was closed, whatever process was first to see it.
#[test]
fn a_closed_mark_is_followed_after_a_back_off_that_all_share() {
    for (n, span) in [(1, 1), (2, 2), (5, 16), (7, 60), (u32::MAX, 60)] {
        let mut chain = reading(&marked(n, false, at(0)), at(0));
        let pause = wait(next(&mut chain, at(0)));
        assert_eq!(pause.until, moment(span), "{n}");
        assert!(!pause.keeps_right);
    }
    let tokens = marked(2, false, at(0));
    let mut chain = chain();
    chain.granted("right", false, at(1));
    load(&mut chain, record(5, &tokens), at(1));
    assert_eq!(
        wait(next(&mut chain, at(1))).until,
        moment(2),
        "half of it is over"
    );
    assert_eq!(next(&mut chain, at(2)), Step::Mark(3));
}

#[test]
fn a_mark_closed_by_a_clock_that_is_ahead_is_waited_for_by_the_own_one() {
    let mut chain = reading(&marked(1, false, at(3600)), at(0));
    assert_eq!(wait(next(&mut chain, at(0))).until, moment(1));
}

/// The back-off begins when no answer will come, not when the request began.
#[test]
fn a_mark_seen_open_and_closed_later_has_its_back_off_yet() {
    let mut tokens = marked(3, true, at(0));
    let mut chain = reading(&tokens, at(0));
    let closed = tokens.presented.as_mut().expect("a mark");
    (closed.open, closed.at) = (false, seconds(at(30).wall));
    tokens.write = Some(new_id());
    chain.granted("right 2", false, at(30));
    load(&mut chain, record(6, &tokens), at(30));
    assert_eq!(wait(next(&mut chain, at(30))).until, moment(34));
    assert_eq!(next(&mut chain, at(34)), Step::Mark(4));
}

/// Rule 10: the request of a dead process may be under way.
#[test]
fn the_open_mark_of_the_dead_is_followed_after_three_seconds() {
    let mut chain = chain();
    chain.granted("right", true, at(0));
    load(&mut chain, record(5, &marked(1, true, at(0))), at(0));
    let usable = Some(moment(500));
    let wait = wait(chain.next(usable, at(1)));
    assert_eq!((wait.until, wait.keeps_right), (moment(3), true));
    assert_eq!(chain.next(usable, at(3)), Step::Mark(2));
}

/// Rule 15.
#[test]
fn the_open_mark_of_another_is_followed_within_the_grace_of_a_server_that_forgives() {
    let terms = Terms {
        grace: Some(10 * SECOND),
        ..Terms::default()
    };
    let cases = [
        (0, Some(3)),
        (1, Some(2)),
        (5, Some(0)),
        (9, Some(0)),
        (10, None),
    ];
    for (age, left) in cases {
        let mut chain = chain_on(terms);
        chain.granted("right", false, at(0));
        let record = record(5, &marked(1, true, at(0))).with_age(Duration::from_secs(age));
        load(&mut chain, record, at(0));
        match (next(&mut chain, at(0)), left) {
            (Step::Mark(2), Some(0)) => {}
            (Step::Wait(wait), Some(left)) => {
                assert_eq!(
                    (wait.until, wait.keeps_right),
                    (moment(left), true),
                    "{age}"
                );
            }
            (Step::Wait(wait), None) => assert_eq!(wait.until, moment(75), "{age}"),
            other => panic!("{age}: {other:?}"),
        }
    }
}

/// The clocks of two machines need not agree: without the store's own nothing is known.
#[test]
fn the_grace_does_not_count_where_the_store_has_no_clock() {
    let mut chain = chain_on(Terms {
        grace: Some(10 * SECOND),
        ..Terms::default()
    });
    chain.granted("right", false, at(0));
    load(&mut chain, record(5, &marked(1, true, at(0))), at(0));
    assert_eq!(wait(next(&mut chain, at(0))).until, moment(75));
}

/// Rule 16.
#[test]
fn the_open_mark_of_one_that_may_live_is_left_alone_for_75_s_and_while_the_token_is_good() {
    let mut chain = reading(&marked(1, true, at(0)), at(0));
    let pause = wait(chain.next(Some(moment(20)), at(0)));
    assert_eq!((pause.until, pause.keeps_right), (moment(75), false));
    assert!(pause.why.contains("process 7"), "{}", pause.why);
    let pause = wait(chain.next(Some(moment(500)), at(0)));
    assert_eq!(pause.until, moment(500));
    chain.granted("right 2", false, at(75));
    let same = record(5, &chain.known.as_ref().expect("a record").tokens);
    load(&mut chain, same, at(75));
    assert_eq!(next(&mut chain, at(75)), Step::Mark(2));
}

#[test]
fn the_patience_is_what_the_user_says() {
    let mut chain = chain_on(Terms {
        patience: 300 * SECOND,
        ..Terms::default()
    });
    chain.granted("right", false, at(0));
    load(&mut chain, record(5, &marked(1, true, at(0))), at(0));
    assert_eq!(wait(next(&mut chain, at(0))).until, moment(300));
}

#[test]
fn a_wall_clock_that_jumps_ends_no_patience() {
    let mut chain = reading(&marked(1, true, at(0)), at(0));
    let jumped = Now {
        wall: at(3600).wall,
        ..at(5)
    };
    chain.granted("right 2", false, jumped);
    let same = record(5, &chain.known.as_ref().expect("a record").tokens);
    load(&mut chain, same, jumped);
    assert_eq!(wait(next(&mut chain, jumped)).until, moment(75));
}

#[test]
fn a_watch_goes_on_while_the_version_moves_and_begins_anew_with_another_mark() {
    let mut tokens = marked(1, true, at(0));
    let mut chain = reading(&tokens, at(0));
    for seconds in [20, 40, 60] {
        tokens.write = Some(new_id());
        chain.granted(&seconds.to_string(), false, at(seconds));
        load(&mut chain, record(5 + seconds, &tokens), at(seconds));
        assert_eq!(wait(next(&mut chain, at(seconds))).until, moment(75));
    }
    let another = marked(2, true, at(60));
    load(&mut chain, record(99, &another), at(61));
    assert_eq!(wait(next(&mut chain, at(61))).until, moment(61 + 75));
}

#[test]
fn a_mark_of_another_refresh_token_holds_nothing_up() {
    let mut tokens = theirs(OLD);
    tokens.presented = Some(mark("one before", 4, true, at(0)));
    assert_eq!(next(&mut reading(&tokens, at(0)), at(0)), Step::Mark(1));
}

#[test]
fn our_mark_that_is_written_is_presented_without_a_second_write() {
    let mut chain = ready(at(0));
    assert_eq!(next(&mut chain, at(5)), Step::Present);
}

/// The process lives, and the flight was torn down.
#[test]
fn our_mark_that_was_sent_is_followed_after_its_back_off_and_never_presented_again() {
    for is_ended in [false, true] {
        let mut chain = ready(at(0));
        chain.sent(moment(0));
        if is_ended {
            chain.ended(true, moment(0));
        }
        assert_eq!(wait(next(&mut chain, at(0))).until, moment(1));
        assert_eq!(next(&mut chain, at(1)), Step::Mark(2));
    }
}

/// Rules 12 and 13: only a decisive answer ends a chain.
#[test]
fn answers_that_are_lost_again_and_again_forbid_nothing() {
    let mut chain = ready(at(0));
    for n in 1..50 {
        let now = at(u64::from(n) * 100);
        chain.granted(&n.to_string(), false, now);
        chain.sent(now.moment);
        chain.ended(true, now.moment);
        let later = at(u64::from(n) * 100 + 60);
        chain.granted(&format!("{n} b"), false, later);
        let same = chain.known.as_ref().expect("a record");
        let same = record(same.version, &same.tokens);
        load(&mut chain, same, later);
        assert_eq!(next(&mut chain, later), Step::Mark(n + 1));
        let write = write_mark(&mut chain, n + 1, later);
        chain.written(write, later);
        assert_eq!(next(&mut chain, later), Step::Present);
    }
    chain.refuse();
    let why = chain.why_refused().expect("it was lost");
    assert!(why.contains("lost"), "{why}");
}

/// The process that found the mark open was killed before it could say so (kill test, without
/// grace).
#[test]
fn whose_answer_was_lost_is_said_by_the_process_after_the_next_too() {
    let mut second = reading(&marked(1, true, at(0)), at(0));
    let write = write_mark(&mut second, 2, at(80));
    second.written(write, at(80));
    let closed = second.close_mark(at(81)).expect("it is ours");

    let mut third = reading(&closed.tokens, at(82));
    write_mark(&mut third, 3, at(90));
    third.refuse();
    let why = third.why_refused().expect("it was lost");
    assert!(why.starts_with("process 7 "), "{why}");
}

#[test]
fn an_answer_that_was_lost_is_known_to_other_processes() {
    let mut chain = ready(at(0));
    chain.sent(moment(0));
    chain.ended(true, moment(1));
    let closed = chain.close_mark(at(1)).expect("it is ours");

    let mut other = reading(&closed.tokens, at(2));
    write_mark(&mut other, 2, at(9));
    other.refuse();
    let why = other.why_refused().expect("it was lost");
    assert!(why.starts_with("process 1 "), "{why}");
}

#[test]
fn a_token_that_was_never_presented_is_marked_as_the_first_time() {
    assert_eq!(
        next(&mut reading(&theirs(OLD), at(0)), at(0)),
        Step::Mark(1)
    );
}

#[test]
fn without_a_record_the_configured_token_begins_and_its_mark_expects_none() {
    let mut chain = chain();
    chain.granted("right", false, at(0));
    assert_eq!(next(&mut chain, at(0)), Step::Load);
    let none = chain.loaded(None, chain.newest(), at(0)).expect("no error");
    assert!(matches!(none.0, Loaded::Same));
    assert_eq!(next(&mut chain, at(0)), Step::Begin);
    chain.begin("configured");
    assert_eq!(next(&mut chain, at(0)), Step::Mark(1));
    let write = write_mark(&mut chain, 1, at(0));
    assert_eq!((write.expected, write.record.version), (None, 1));
}

#[test]
fn without_a_store_neither_right_nor_write_is_needed() {
    let mut chain = RefreshChain::new(false, Terms::default());
    assert_eq!(next(&mut chain, at(0)), Step::Begin);
    chain.begin("configured");
    assert_eq!(next(&mut chain, at(0)), Step::Mark(1));
    assert!(chain.mark_as_presented(1, "process 1", at(0)).is_none());
    assert_eq!(next(&mut chain, at(0)), Step::Present);
    chain.sent(moment(0));
    chain.answered(Tokens::new(None, Some(NEW)), true);
    assert_eq!(
        (next(&mut chain, at(0)), current(&chain).as_str()),
        (Step::Mark(1), NEW)
    );
}

// The mark.

#[test]
fn a_mark_says_which_token_which_time_and_by_whom_and_grows_by_one() {
    let mut chain = reading(&marked(4, false, at(0)), at(0));
    let write = write_mark(&mut chain, 5, at(9));
    let mark = write.tokens.presented.clone().expect("a mark");
    assert_eq!((mark.of, mark.n, mark.open), (mark_of(OLD), 5, true));
    assert_eq!(
        (mark.holder.as_str(), mark.at),
        ("process 1", seconds(at(9).wall))
    );
    assert_eq!((write.expected, write.record.version), (Some(5), 6));
    assert_eq!(write.tokens.write, Some(mark.id), "one name for both");
}

#[test]
fn a_mark_whose_end_is_unknown_is_the_same_swap_again() {
    let mut chain = reading(&theirs(OLD), at(0));
    let first = write_mark(&mut chain, 1, at(0));
    assert_eq!(next(&mut chain, at(5)), Step::Mark(1), "not on \"perhaps\"");
    let again = write_mark(&mut chain, 1, at(5));
    assert_eq!(first.expected, again.expected);
    assert_eq!(first.tokens.write, again.tokens.write);
    // One of both has landed.
    load(&mut chain, again.record, at(5));
    assert_eq!(next(&mut chain, at(5)), Step::Present);
}

#[test]
fn a_mark_that_another_was_faster_with_is_no_leave_to_present() {
    let mut chain = reading(&theirs(OLD), at(0));
    write_mark(&mut chain, 1, at(0));
    let conflict = chain.conflicted(
        Some(record(6, &marked(1, true, at(0)))),
        chain.newest(),
        at(0),
    );
    assert_eq!(conflict.ok().flatten(), None);
    assert_eq!(wait(next(&mut chain, at(0))).until, moment(75));
}

#[test]
fn a_mark_over_an_emptied_store_writes_what_is_known_at_the_next_version() {
    let mut chain = reading(&theirs(OLD), at(0));
    write_mark(&mut chain, 1, at(0));
    let conflict = chain.conflicted(None, chain.newest(), at(0));
    assert_eq!(conflict.ok().flatten(), Some(Conflict::Again));
    let save = chain.save(at(0)).expect("the newest in memory");
    assert_eq!((save.expected, save.record.version), (None, 6));
    assert_eq!(save.tokens.refresh_token.as_deref(), Some(OLD));
}

/// The trap: closed over the version of before, it would be a conflict, and all would wait 75 s.
#[test]
fn a_mark_is_closed_over_its_own_version() {
    let mut chain = ready(at(0));
    chain.sent(moment(0));
    chain.ended(false, moment(2));
    let write = chain.close_mark(at(2)).expect("it is ours");
    assert_eq!((write.expected, write.record.version), (Some(6), 7));
    let mark = write.tokens.presented.clone().expect("a mark");
    assert_eq!((mark.open, mark.at), (false, seconds(at(2).wall)));
}

#[test]
fn the_mark_of_another_is_not_closed() {
    let mut chain = reading(&marked(1, true, at(0)), at(0));
    assert!(chain.close_mark(at(0)).is_none());
    let mut chain = ready(at(0));
    load(&mut chain, record(7, &marked(2, true, at(0))), at(0));
    assert!(chain.close_mark(at(0)).is_none(), "ours was followed");
    assert!(
        unsaved(at(0)).close_mark(at(0)).is_none(),
        "its save closes it"
    );
}

// The answer.

#[test]
fn a_rotated_token_says_which_presentation_brought_it_and_its_save_ends_the_mark() {
    let mut chain = unsaved(at(0));
    let save = chain.save(at(0)).expect("it is unsaved");
    let parent = Parent {
        of: mark_of(OLD),
        n: 1,
    };
    assert_eq!(save.tokens.parent, Some(parent));
    assert_eq!((save.expected, save.record.version), (Some(6), 7));
    assert!(save.tokens.presented.is_none());
}

#[test]
fn an_answer_without_a_new_refresh_token_keeps_the_one_it_was_asked_with() {
    for refresh_token in [None, Some(OLD)] {
        let mut chain = ready(at(0));
        chain.sent(moment(0));
        let (_, is_new) = chain.answered(Tokens::new(None, refresh_token), true);
        assert!(!is_new);
        let save = chain.save(at(0)).expect("the access token has to be saved");
        assert_eq!(save.tokens.refresh_token.as_deref(), Some(OLD));
        assert!(save.tokens.presented.is_none(), "the mark is over");
        assert!(!chain.has_unsaved_refresh_token());
    }
}

#[test]
fn an_answer_ends_what_was_lost_or_refused_before() {
    // A reusable refresh token is none that was lost, either.
    for refresh_token in [Some(NEW), Some(OLD), None] {
        let mut chain = ready(at(0));
        chain.sent(moment(0));
        chain.ended(true, moment(0));
        chain.refuse();
        chain.answered(Tokens::new(None, refresh_token), true);
        assert!(!chain.is_refused() && chain.why_refused().is_none());
    }
}

#[test]
fn a_reusable_refresh_token_is_not_lost_by_giving_way_to_a_login() {
    for (refresh_token, lost) in [(None, false), (Some(OLD), false), (Some(NEW), true)] {
        let mut chain = ready(at(0));
        chain.sent(moment(0));
        let mut tokens = Tokens::new(None, refresh_token);
        tokens.access_token = Some("a1".to_owned());
        chain.answered(tokens, true);
        chain.save(at(0));
        let mut login = theirs("login");
        login.login = Some(1);
        let conflict = chain.conflicted(Some(record(9, &login)), chain.newest(), at(1));
        assert_eq!(
            conflict.expect("readable"),
            Some(Conflict::GaveWay { lost })
        );
        assert_eq!(current(&chain), "login");
    }
}

// Conflicts.

/// Ours, unsaved and grown from `OLD` by its first mark, meets theirs.
fn meets(theirs: &Tokens) -> Option<Conflict> {
    let mut chain = unsaved(at(0));
    chain.save(at(0));
    let met = chain.conflicted(Some(record(9, theirs)), chain.newest(), at(1));
    met.expect("readable")
}

fn child(of: &str, n: u32) -> Tokens {
    let mut tokens = theirs("sibling");
    tokens.parent = Some(Parent { of: mark_of(of), n });
    tokens
}

const GAVE_WAY: Option<Conflict> = Some(Conflict::GaveWay { lost: true });

/// Rule 7.
#[test]
fn lineage_decides_which_of_two_records_stays() {
    assert_eq!(meets(&theirs(NEW)), Some(Conflict::Saved), "the same token");
    assert_eq!(meets(&theirs(OLD)), Some(Conflict::Again), "our parent");
    let marked_parent = marked(2, true, at(0));
    assert_eq!(meets(&marked_parent), Some(Conflict::Again), "marked, too");
    assert_eq!(meets(&child(OLD, 2)), GAVE_WAY, "asked for later");
    assert_eq!(
        meets(&child(OLD, 0)),
        Some(Conflict::Again),
        "asked for earlier"
    );
    assert_eq!(meets(&child("other", 1)), GAVE_WAY, "not known");
    assert_eq!(meets(&theirs("other")), GAVE_WAY, "not known either");
    for (login, conflict) in [(1, GAVE_WAY), (0, Some(Conflict::Again))] {
        let mut theirs = theirs(OLD);
        theirs.login = Some(login);
        assert_eq!(meets(&theirs), conflict, "login {login}");
    }
}

#[test]
fn a_login_goes_over_whatever_a_renewal_wrote() {
    let mut chain = ready(at(0));
    chain.log_in(Tokens::new(None, Some("login")));
    chain.save(at(0));
    let conflict = chain.conflicted(Some(record(9, &child(OLD, 7))), chain.newest(), at(1));
    assert_eq!(conflict.ok().flatten(), Some(Conflict::Again));
    let save = chain.save(at(1)).expect("once more");
    assert_eq!((save.expected, save.record.version), (Some(9), 10));
    assert_eq!(save.tokens.login, Some(1));
}

#[test]
fn who_gives_way_presents_theirs() {
    let mut chain = unsaved(at(0));
    chain.save(at(0));
    let _ = chain.conflicted(Some(record(9, &child(OLD, 2))), chain.newest(), at(1));
    assert_eq!(current(&chain), "sibling");
    assert_eq!(next(&mut chain, at(1)), Step::Mark(1));
    assert!(chain.save(at(1)).is_none(), "nothing is left to save");
}

/// Rule 8: an older swap of ours, which the store took late, is not another's.
#[test]
fn an_own_swap_that_landed_late_is_gone_over() {
    let mut chain = ready(at(0));
    chain.sent(moment(0));
    chain.answered(Tokens::new(None, Some("middle")), true);
    let late = chain.save(at(0)).expect("it is unsaved");
    // A login takes its place before it has landed.
    chain.log_in(Tokens::new(None, Some("newest")));
    chain.save(at(1));
    let conflict = chain.conflicted(Some(late.record), chain.newest(), at(2));
    assert_eq!(conflict.ok().flatten(), Some(Conflict::Again));
    assert_eq!(current(&chain), "newest");
    let save = chain.save(at(2)).expect("it is unsaved yet");
    assert_eq!((save.expected, save.record.version), (Some(7), 8));
}

/// Lineage cannot tell them apart: the server gave no new refresh token.
#[test]
fn an_own_access_token_that_landed_late_displaces_no_newer_one() {
    let mut chain = ready(at(0));
    let answer = |access_token: &str| {
        let mut tokens = Tokens::new(None, None);
        tokens.access_token = Some(access_token.to_owned());
        tokens
    };
    chain.sent(moment(0));
    chain.answered(answer("a1"), true);
    let late = chain.save(at(0)).expect("it is unsaved");
    chain.answered(answer("a2"), true);
    chain.save(at(1));
    let conflict = chain.conflicted(Some(late.record), chain.newest(), at(2));
    assert_eq!(conflict.expect("readable"), Some(Conflict::Again));
    let save = chain.save(at(2)).expect("it is unsaved yet");
    assert_eq!(save.tokens.access_token.as_deref(), Some("a2"));
}

#[test]
fn an_own_save_that_landed_late_is_saved() {
    let mut chain = unsaved(at(0));
    let save = chain.save(at(0)).expect("it is unsaved");
    let conflict = chain.conflicted(Some(save.record), chain.newest(), at(40));
    assert_eq!(conflict.ok().flatten(), Some(Conflict::Saved));
    assert_eq!(next(&mut chain, at(5)), Step::Mark(1));
}

/// The wall clock was set back after the first of them (proof world).
#[test]
fn an_answer_that_comes_after_a_later_save_shows_no_store_that_went_back_in_time() {
    for is_empty in [false, true] {
        let mut chain = ready(at(9));
        let asked = chain.newest();
        let mut before = marked(1, true, at(9));
        before.saved_at = Some(seconds(at(9).wall));
        chain.sent(moment(9));
        chain.answered(Tokens::new(None, Some(NEW)), true);
        let save = chain.save(at(0)).expect("it is unsaved");
        chain.written(save, at(0));
        let late = (!is_empty).then(|| record(6, &before));
        let conflict = chain.conflicted(late.clone(), asked, at(1));
        assert_eq!(conflict.expect("readable"), None);
        let (loaded, _) = chain.loaded(late, asked, at(1)).expect("readable");
        assert!(matches!(loaded, Loaded::Same));
        assert_eq!(current(&chain), NEW);
        assert!(chain.save(at(1)).is_none(), "nothing is left to save");
    }
}

#[test]
fn an_answer_that_is_out_of_date_is_no_look_under_the_right() {
    let mut chain = ready(at(0));
    let asked = chain.newest();
    load(&mut chain, record(7, &theirs(NEW)), at(0));
    chain.drop_right();
    chain.granted("another", false, at(1));
    let late = chain.loaded(Some(record(6, &theirs(OLD))), asked, at(1));
    assert!(late.is_ok());
    assert_eq!(next(&mut chain, at(1)), Step::Load);
}

#[test]
fn an_emptied_store_gets_the_newest_at_the_next_version() {
    let mut chain = unsaved(at(0));
    chain.save(at(0));
    let conflict = chain.conflicted(None, chain.newest(), at(1));
    assert_eq!(conflict.ok().flatten(), Some(Conflict::Again));
    let save = chain.save(at(1)).expect("it is unsaved yet");
    assert_eq!((save.expected, save.record.version), (None, 7));
    assert_eq!(save.tokens.refresh_token.as_deref(), Some(NEW));
}

#[test]
fn a_store_that_goes_back_in_time_gets_the_newest_back() {
    let before = theirs(OLD);
    let mut chain = reading(&before, at(0));
    let mut newer = theirs(NEW);
    newer.parent = Some(Parent {
        of: mark_of(OLD),
        n: 1,
    });
    load(&mut chain, record(8, &newer), at(1));
    assert_eq!(
        load(&mut chain, record(5, &before), at(2)),
        Some(Conflict::Again)
    );
    assert_eq!(current(&chain), NEW);
    assert_eq!(next(&mut chain, at(2)), Step::Save);
    let save = chain.save(at(2)).expect("the newest in memory");
    assert_eq!((save.expected, save.record.version), (Some(5), 9));
}

/// What the contract forbids: it may cost an answer, and not the chain's newest token.
#[test]
fn a_version_that_comes_again_with_other_bytes_is_gone_over() {
    let mut chain = reading(&theirs(OLD), at(0));
    let conflict = load(&mut chain, record(5, &theirs("another")), at(1));
    assert_eq!(conflict, Some(Conflict::Again));
    assert_eq!(current(&chain), OLD);
}

// What is found.

#[test]
fn what_cannot_be_read_changes_nothing_and_is_not_read_under_the_right() {
    let flaws = [
        ("{", Unreadable::Damaged),
        (r#"{"format":2}"#, Unreadable::TooNew),
    ];
    for (bytes, flaw) in flaws {
        let mut chain = chain();
        chain.granted("right", false, at(0));
        let loaded = chain.loaded(Some(Record::new(1, bytes)), chain.newest(), at(0));
        assert_eq!(loaded.err(), Some(flaw));
        assert_eq!(
            next(&mut chain, at(0)),
            Step::Load,
            "and never the configured token"
        );
    }
}

// The right.

/// Before the request left: start over. After it: the mark protects, and the save goes on.
#[test]
fn a_lost_right_stops_a_presentation_and_no_save() {
    let mut chain = ready(at(0));
    chain.drop_right();
    assert_eq!(next(&mut chain, at(1)), Step::TakeRight);
    let mut chain = unsaved(at(0));
    chain.drop_right();
    assert!(chain.save(at(1)).is_some());
}

#[test]
fn the_right_is_given_back_under_the_id_it_was_taken_with() {
    let mut chain = chain();
    chain.granted("one", false, at(0));
    chain.granted("two", true, at(1));
    assert_eq!(chain.drop_right().as_deref(), Some("two"));
    assert_eq!(chain.drop_right(), None);
    assert_ne!(new_id(), new_id());
}

// Logins.

#[test]
fn a_proof_of_the_store_touches_nothing_but_its_own_field() {
    let mut tokens = marked(3, true, at(0));
    tokens.parent = Some(Parent {
        of: mark_of("r"),
        n: 2,
    });
    let mut chain = reading(&tokens, at(0));
    let write = chain.prove(at(1));
    assert_eq!((write.expected, write.record.version), (Some(5), 6));
    let mut written = write.tokens;
    assert!(written.login_pending.take().is_some());
    (written.write, written.saved_at) = (tokens.write.clone(), None);
    assert_eq!(written.to_bytes(), tokens.to_bytes());
}

#[test]
fn the_login_of_one_process_ends_the_chain_of_another() {
    let mut chain = unsaved(at(0));
    let mut login = theirs("login");
    login.login = Some(1);
    assert_eq!(load(&mut chain, record(9, &login), at(1)), GAVE_WAY);
    assert_eq!(
        (current(&chain).as_str(), next(&mut chain, at(1))),
        ("login", Step::Mark(1))
    );
}
