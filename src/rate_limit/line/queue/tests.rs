//! The queue beside a walk through all that wait.

use super::*;
use crate::options::{Patience, Priority};
use crate::rate_limit::window::Window;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// One more waits; its ticket is drawn that much later than the last one.
    Insert(Priority, u64, Terms),
    /// The one at this place, of a hundred, gives up.
    Remove(usize),
    /// The first so many have left.
    Leave(usize),
    /// Refuses those that are not willing to wait until then, up to a given number.
    Refuse(u64, usize),
}

fn at(milliseconds: u64) -> Moment {
    Moment::after_start(Duration::from_millis(milliseconds))
}

fn terms() -> impl Strategy<Value = Terms> {
    let amount = prop_oneof![8 => 0..5_u64, 1 => Just(u64::MAX)];
    let unit = prop_oneof![Just("requests"), Just("lines"), Just("parts")];
    let costs = prop::collection::vec((unit, amount), 0..3);
    let max_wait = prop_oneof![1 => Just(u64::MAX), 3 => 0..500_u64];
    let deadline = prop::option::of(0..2_000_u64);
    (costs, max_wait, deadline).prop_map(|(costs, max_wait, deadline)| Terms {
        patience: Patience {
            deadline: deadline.map(at),
            max_wait: Duration::from_millis(max_wait),
        },
        costs: costs
            .iter()
            .fold(Costs::default(), |costs, (unit, amount)| {
                costs.with(unit, *amount)
            }),
    })
}

fn step() -> impl Strategy<Value = Step> {
    let priority = prop_oneof![
        Just(Priority::High),
        Just(Priority::Normal),
        Just(Priority::Low)
    ];
    prop_oneof![
        12 => (priority, 0..3_000_u64, terms())
            .prop_map(|(priority, later, terms)| Step::Insert(priority, later, terms)),
        3 => (0..100_usize).prop_map(Step::Remove),
        1 => (0..20_usize).prop_map(Step::Leave),
        1 => (0..600_u64, 0..9_usize).prop_map(|(span, most)| Step::Refuse(span, most)),
    ]
}

/// Each of them, one after another.
#[derive(Default)]
struct Walked(BTreeMap<Ticket, Terms>);

impl Walked {
    fn impatient(&self, moment: Moment, now: Now) -> Vec<(Ticket, Refusal)> {
        let refused = |(ticket, terms): (&Ticket, &Terms)| {
            Some((*ticket, refusal(terms.patience, now, moment)?))
        };
        self.0.iter().filter_map(refused).collect()
    }

    fn ahead(&self, ticket: Ticket, meter: &Meter) -> u64 {
        let costs = self.0.range(..ticket).map(|(_, terms)| &terms.costs);
        let costs = costs.filter_map(|costs| meter.cost(costs));
        costs.fold(0, u64::saturating_add)
    }
}

/// Refuses some, each of which the walk refuses too, and all if there is no bound.
fn refuse(queue: &mut Queue, walked: &mut Walked, moment: Moment, now: Now, most: usize) {
    let expected = walked.impatient(moment, now);
    let mut refused = Vec::new();
    while let Some(found) = queue
        .impatient(moment, now)
        .filter(|_| refused.len() < most)
    {
        assert!(queue.remove(found.0).is_some());
        walked.0.remove(&found.0);
        refused.push(found);
    }
    assert_eq!(refused.len(), expected.len().min(most));
    assert!(refused.iter().all(|found| expected.contains(found)));
}

proptest! {
    #[test]
    fn a_queue_answers_as_a_walk_through_all_of_it_would(
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let windows = [
            Window::per_minute(9),
            Window::per_minute(9).unit("lines"),
            Window::per_minute(9).unit("tonnes"),
        ];
        let meters: Vec<_> = windows.iter().map(Meter::new).collect();
        let (mut queue, mut walked) = (Queue::default(), Walked::default());
        let mut now = Now::after_start(Duration::ZERO);
        for (number, step) in (0..).zip(steps) {
            match step {
                Step::Insert(priority, later, terms) => {
                    let later = Duration::from_millis(later);
                    now = Now::after_start(now.moment - Moment::ZERO + later);
                    let ticket = Ticket::new(number, priority, now.moment);
                    let mut terms = terms;
                    let patience = &mut terms.patience;
                    patience.deadline = (patience.deadline)
                        .map(|deadline| now.moment + (deadline - Moment::ZERO));
                    queue.insert(ticket, &terms);
                    walked.0.insert(ticket, terms);
                }
                Step::Remove(place) => {
                    let place = place * walked.0.len() / 100;
                    if let Some(ticket) = walked.0.keys().nth(place).copied() {
                        walked.0.remove(&ticket);
                        prop_assert!(queue.remove(ticket).is_some());
                        prop_assert!(queue.remove(ticket).is_none());
                    }
                }
                Step::Leave(most) => {
                    for _ in 0..most {
                        let first = walked.0.pop_first();
                        let head = queue.head().map(|(ticket, costs)| (ticket, costs.clone()));
                        prop_assert_eq!(&head, &first.map(|(ticket, terms)| (ticket, terms.costs)));
                        if let Some((ticket, _)) = head {
                            queue.remove(ticket);
                        }
                    }
                }
                Step::Refuse(span, most) => {
                    let moment = now.moment + Duration::from_millis(span);
                    refuse(&mut queue, &mut walked, moment, now, most);
                }
            }
            let newcomer = Ticket::new(number, Priority::Normal, now.moment);
            let places = walked.0.keys().step_by(5).copied().chain([newcomer]);
            for (place, meter) in places.flat_map(|place| meters.iter().map(move |m| (place, m))) {
                prop_assert_eq!(queue.ahead(place, meter), walked.ahead(place, meter));
            }
            prop_assert_eq!(queue.len(), walked.0.len());
        }
        refuse(&mut queue, &mut walked, Moment::NEVER, now, usize::MAX);
    }
}

#[test]
fn one_that_comes_again_with_other_terms_is_asked_for_these() {
    let mut queue = Queue::default();
    let now = Now::after_start(Duration::ZERO);
    let ticket = Ticket::numbered(1);
    for max_wait in [5, 50] {
        let patience = Patience {
            deadline: Some(at(max_wait)),
            max_wait: Duration::from_millis(max_wait),
        };
        let costs = Costs::default().with("lines", max_wait);
        queue.insert(ticket, &Terms { patience, costs });
    }
    assert_eq!(queue.impatient(at(50), now), None);
    let meter = Meter::new(&Window::per_minute(9).unit("lines"));
    assert_eq!(queue.ahead(Ticket::numbered(2), &meter), 50);
    queue.remove(ticket);
    assert_eq!(queue.impatient(at(51), now), None);
    assert_eq!(queue.ahead(Ticket::numbered(2), &meter), 0);
}
