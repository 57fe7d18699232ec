//! What requests find out about one token, all at once.

use std::sync::Arc;
use std::time::Duration;

use shuttle::thread;

use super::explore;
use crate::auth::token::Evidence;
use crate::clock::Moment;

fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

/// Runs all of them at once, and waits for their end.
fn together(evidence: &Arc<Evidence>, acts: &[fn(&Evidence)]) {
    let run = |act: &fn(&Evidence)| {
        let (evidence, act) = (evidence.clone(), *act);
        thread::spawn(move || act(&evidence))
    };
    let threads: Vec<_> = acts.iter().map(run).collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("no panic"));
}

pub fn of_two_refusals_the_later_counts_whichever_is_told_first() {
    explore(|| {
        let evidence = Arc::new(Evidence::default());
        let later: fn(&Evidence) = |evidence| evidence.note_refused_replay(at(7));
        together(
            &evidence,
            &[later, |evidence| evidence.note_refused_replay(at(5))],
        );
        evidence.note_success(at(6), at(8));
        assert!(
            !evidence.exonerates(at(8)),
            "it left before the later refusal"
        );
        evidence.note_success(at(8), at(9));
        assert!(evidence.exonerates(at(9)));
    });
}

pub fn of_two_successes_the_later_counts_whichever_is_told_first() {
    explore(|| {
        let evidence = Arc::new(Evidence::default());
        evidence.note_refused_replay(at(5));
        let later: fn(&Evidence) = |evidence| evidence.note_success(at(6), at(20));
        together(
            &evidence,
            &[later, |evidence| evidence.note_success(at(6), at(8))],
        );
        assert!(evidence.exonerates(at(30)) && !evidence.exonerates(at(31)));
    });
}

pub fn a_success_from_before_the_refusal_never_exonerates() {
    explore(|| {
        let evidence = Arc::new(Evidence::default());
        let refusal: fn(&Evidence) = |evidence| evidence.note_refused_replay(at(5));
        together(
            &evidence,
            &[
                refusal,
                |evidence| evidence.note_success(at(4), at(6)),
                |evidence| assert!(!evidence.exonerates(at(6))),
            ],
        );
        assert!(!evidence.exonerates(at(6)));
    });
}
