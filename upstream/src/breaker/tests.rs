use super::*;

const OPEN_FOR: Duration = Duration::from_secs(5);

fn breaker() -> Breaker {
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    Breaker::new(NonZeroU32::new(3).unwrap(), OPEN_FOR, metrics)
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

async fn in_a_while() -> Instant {
    tokio::time::advance(FAILURES_INTERVAL).await;
    Instant::now()
}

/// Calls of one user, one after the other.
async fn fail(breaker: &Breaker, times: usize) {
    for _ in 0..times {
        let (ada, now) = (user("ada"), in_a_while().await);
        breaker.admit(&ada, now).ok().unwrap().failed(now);
    }
}

async fn open(breaker: &Breaker) {
    fail(breaker, 3).await;
    assert_eq!(spared(breaker), Some(OPEN_FOR));
}

fn spared(breaker: &Breaker) -> Option<Duration> {
    breaker.admit(&user("bob"), Instant::now()).err()
}

#[tokio::test(start_paused = true)]
async fn it_opens_after_failures_with_no_success_between_and_says_for_how_long() {
    let (breaker, bob) = (breaker(), user("bob"));
    fail(&breaker, 2).await;
    breaker.admit(&bob, Instant::now()).ok().unwrap().succeeded(Instant::now());
    fail(&breaker, 2).await;
    assert_eq!(spared(&breaker), None, "a success between starts the count anew");
    fail(&breaker, 1).await;
    assert_eq!(spared(&breaker), Some(OPEN_FOR));
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(spared(&breaker), Some(Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn failures_of_calls_that_began_before_a_success_do_not_count() {
    let (breaker, users) = (breaker(), ["a", "b", "c", "d"].map(user));
    let slow = users.each_ref().map(|user| breaker.admit(user, Instant::now()).ok().unwrap());
    let ada = user("ada");
    breaker.admit(&ada, in_a_while().await).ok().unwrap().succeeded(Instant::now());

    let now = in_a_while().await;
    slow.into_iter().for_each(|permit| permit.failed(now));

    assert_eq!(spared(&breaker), None);
    fail(&breaker, 2).await;
    assert_eq!(spared(&breaker), None, "none of them is in the count");
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_user_that_fail_together_or_at_once_after_another_count_once() {
    let (breaker, eve) = (breaker(), user("eve"));
    let together: [_; 12] = std::array::from_fn(|_| breaker.admit(&eve, Instant::now()).ok().unwrap());
    let now = in_a_while().await;
    together.into_iter().for_each(|permit| permit.failed(now));
    for _ in 0..12 {
        breaker.admit(&eve, now).ok().unwrap().failed(now);
    }

    fail(&breaker, 1).await;
    assert_eq!(spared(&breaker), None);
    fail(&breaker, 1).await;
    assert_eq!(spared(&breaker), Some(OPEN_FOR));
}

#[tokio::test(start_paused = true)]
async fn calls_of_several_users_that_fail_together_open_it() {
    let (breaker, users) = (breaker(), ["a", "b", "c"].map(user));
    let together = users.each_ref().map(|user| breaker.admit(user, Instant::now()).ok().unwrap());
    let now = in_a_while().await;
    together.into_iter().for_each(|permit| permit.failed(now));
    assert_eq!(spared(&breaker), Some(OPEN_FOR));
}

#[tokio::test(start_paused = true)]
async fn then_a_few_calls_probe_each_of_another_user_and_the_first_success_closes_it() {
    let (breaker, users) = (breaker(), ["eve", "ada", "cleo"].map(user));
    open(&breaker).await;
    tokio::time::advance(OPEN_FOR).await;
    let [eve, ada, cleo] = &users;

    let slow = breaker.admit(eve, Instant::now()).ok().unwrap();
    assert!(breaker.admit(eve, Instant::now()).is_err(), "one user, one probe");
    let quick = breaker.admit(ada, Instant::now()).ok().unwrap();
    let _third = breaker.admit(cleo, Instant::now()).ok().unwrap();
    assert!(spared(&breaker).is_some(), "three at a time");
    quick.succeeded(in_a_while().await);
    assert_eq!(spared(&breaker), None);

    slow.failed(in_a_while().await);
    fail(&breaker, 2).await;
    assert_eq!(spared(&breaker), None, "the slow one says nothing");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_opens_it_anew_and_one_that_succeeds_later_closes_it() {
    let (breaker, eve) = (breaker(), user("eve"));
    open(&breaker).await;
    tokio::time::advance(OPEN_FOR).await;
    let slow = breaker.admit(&eve, Instant::now()).ok().unwrap();
    fail(&breaker, 1).await;
    assert_eq!(spared(&breaker), Some(OPEN_FOR));
    slow.succeeded(in_a_while().await);
    assert_eq!(spared(&breaker), None);
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_caller_went_away_is_followed_by_another() {
    let (breaker, ada) = (breaker(), user("ada"));
    open(&breaker).await;
    tokio::time::advance(OPEN_FOR).await;
    drop(breaker.admit(&ada, Instant::now()).ok().unwrap());
    assert!(breaker.admit(&ada, Instant::now()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn calls_from_before_it_opened_change_nothing() {
    let (breaker, bob) = (breaker(), user("bob"));
    let late = breaker.admit(&bob, Instant::now()).ok().unwrap();
    let later = breaker.admit(&bob, Instant::now()).ok().unwrap();
    open(&breaker).await;
    late.succeeded(Instant::now());
    tokio::time::advance(Duration::from_secs(4)).await;
    later.failed(Instant::now());
    assert_eq!(spared(&breaker), Some(Duration::from_secs(1)));
}
