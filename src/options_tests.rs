use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_nearest_options_win_field_by_field() {
    let far = RequestOptions::new().timeout(SECOND).quota("far");
    let far = far.priority(Priority::Low);
    let near = RequestOptions::new().quota("near");
    let merged = near.over(&far);
    assert_eq!(merged.quota.as_deref(), Some("near"));
    assert_eq!(merged.timeout, Some(SECOND));
    assert_eq!(merged.priority, Some(Priority::Low));
}

#[test]
fn of_timeout_and_deadline_the_earlier_counts() {
    let now = Now {
        moment: Moment::ZERO,
        wall: SystemTime::UNIX_EPOCH,
    };
    let options = RequestOptions::new().timeout(3 * SECOND);
    let both = options
        .clone()
        .deadline(now.wall + 2 * SECOND)
        .patience(now);
    assert_eq!(both.deadline, Some(Moment::after_start(2 * SECOND)));
    assert_eq!(
        options.patience(now).deadline,
        Some(Moment::after_start(3 * SECOND))
    );
}
