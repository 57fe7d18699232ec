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

/// The request's own, the task's, the handle's: each with its own span.
fn stated(timeout: u32, deadline: u32, max_wait: u32) -> RequestOptions {
    RequestOptions::new()
        .timeout(timeout * SECOND)
        .deadline(SystemTime::UNIX_EPOCH + deadline * SECOND)
        .max_wait(max_wait * SECOND)
}

fn patience_of(options: &RequestOptions) -> (Option<Moment>, Duration) {
    let patience = options.patience(Now {
        moment: Moment::ZERO,
        wall: SystemTime::UNIX_EPOCH,
    });
    (patience.deadline, patience.max_wait)
}

#[test]
fn the_nearer_timeout_deadline_and_max_wait_win_though_they_are_longer() {
    let near = stated(30, 300, 3);
    let far = stated(10, 100, 1);
    let merged = near.clone().over(&far);
    assert_eq!(merged.timeout, Some(30 * SECOND));
    let deadline = SystemTime::UNIX_EPOCH + 300 * SECOND;
    assert_eq!(merged.deadline, Some(deadline));
    assert_eq!(merged.max_wait, Some(3 * SECOND));
    let expected = (Some(Moment::after_start(30 * SECOND)), 3 * SECOND);
    assert_eq!(patience_of(&merged), expected);
    // The other way round, so that it is not the longer that wins.
    let expected = (Some(Moment::after_start(10 * SECOND)), SECOND);
    assert_eq!(patience_of(&far.over(&near)), expected);
}

#[test]
fn a_requests_own_timeout_wins_over_that_of_its_handle() {
    let handle = RequestOptions::new().timeout(10 * SECOND);
    let mut extensions = Extensions::new();
    let of = |extensions: &Extensions| RequestOptions::of(extensions, &handle).timeout;
    assert_eq!(of(&extensions), Some(10 * SECOND));
    extensions.insert(RequestOptions::new().timeout(30 * SECOND));
    assert_eq!(of(&extensions), Some(30 * SECOND));
    extensions.insert(RequestOptions::new().quota("says nothing of time"));
    assert_eq!(of(&extensions), Some(10 * SECOND));
    let own = RequestOptions::new().timeout(30 * SECOND);
    assert_eq!(own.on_this_task(&handle).timeout, Some(30 * SECOND));
}

#[cfg(feature = "task-local")]
#[tokio::test]
async fn of_request_task_and_handle_the_nearest_timeout_wins() {
    let handle = RequestOptions::new().timeout(10 * SECOND);
    let outer = RequestOptions::new().timeout(20 * SECOND);
    let inner = RequestOptions::new().timeout(25 * SECOND);
    let own = RequestOptions::new().timeout(30 * SECOND);
    let mut extensions = Extensions::new();
    let timeout = |extensions: &Extensions| RequestOptions::of(extensions, &handle).timeout;
    let within = |options: RequestOptions, extensions: Extensions| async move {
        let handle = RequestOptions::new().timeout(10 * SECOND);
        let look = async { RequestOptions::of(&extensions, &handle).timeout };
        options.scope(look).await
    };
    assert_eq!(timeout(&extensions), Some(10 * SECOND));
    assert_eq!(
        within(outer.clone(), extensions.clone()).await,
        Some(20 * SECOND)
    );
    let nested = outer.clone().scope(within(inner, extensions.clone())).await;
    assert_eq!(nested, Some(25 * SECOND));
    extensions.insert(own.clone());
    assert_eq!(within(outer.clone(), extensions).await, Some(30 * SECOND));
    let of_permit = outer
        .scope(async { own.on_this_task(&handle).timeout })
        .await;
    assert_eq!(of_permit, Some(30 * SECOND));
}
