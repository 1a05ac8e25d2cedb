use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

fn reach() -> (Arc<Reach>, GatewayId, Instant) {
    (Reach::new(&Config::default()), GatewayId::new("gw-1").unwrap(), Instant::now())
}

fn fail(reach: &Arc<Reach>, id: &GatewayId, now: Instant) -> Duration {
    reach.admit(id, 1, now).unwrap_or_else(|wait| panic!("spared for {wait:?}")).failed(now)
}

#[test]
fn a_gateway_that_failed_is_spared_until_its_backoff_is_over_and_then_probed_once() {
    let (reach, id, now) = reach();

    let wait = fail(&reach, &id, now);
    assert!(reach.admit(&id, 1, now + wait / 4).is_err());
    let probe = reach.admit(&id, 1, now + wait).ok().unwrap();
    assert!(reach.admit(&id, 1, now + wait + MILLI).is_err(), "only one probes");
    probe.answered();

    assert!(reach.admit(&id, 1, now + wait + MILLI).is_ok());
    assert!(reach.admit(&id, 1, now + wait + MILLI).is_ok());
}

#[test]
fn a_dropped_probe_does_not_close_a_gateway_for_ever() {
    let (reach, id, now) = reach();
    let wait = fail(&reach, &id, now);

    drop(reach.admit(&id, 1, now + wait));

    assert!(reach.admit(&id, 1, now + wait + Config::default().deliver_deadline).is_ok());
}

#[test]
fn no_wait_is_longer_than_the_longest() {
    let (reach, id, mut now) = reach();
    for _ in 0..10 {
        let wait = fail(&reach, &id, now);
        assert!(wait <= 2 * SECOND, "{wait:?}");
        now += 2 * SECOND;
    }
}

#[test]
fn calls_that_fail_together_count_as_one_failure() {
    let (reach, id, now) = reach();
    let open: Vec<_> = (0..20).map(|_| reach.admit(&id, 1, now).ok().unwrap()).collect();

    let waits: Vec<_> = open.into_iter().map(|pass| pass.failed(now + SECOND)).collect();

    assert!(waits.iter().all(|wait| *wait <= 100 * MILLI), "{waits:?}");
}

#[test]
fn a_slow_gateway_keeps_its_share_and_a_fast_one_is_never_refused() {
    let (reach, id, now) = reach();
    let _open = reach.admit(&id, 1_000, now);

    let busy_but_fast = reach.admit(&id, 500, now + 50 * MILLI);
    assert!(busy_but_fast.is_ok());
    drop(busy_but_fast);
    assert!(reach.admit(&id, 500, now + 200 * MILLI).is_err(), "past its share and slow");
    assert!(reach.admit(&id, 20, now + 200 * MILLI).is_ok(), "within its share");

    drop(_open);
    assert!(reach.admit(&id, 500, now + 200 * MILLI).is_ok());
}

#[test]
fn gateways_that_nobody_calls_any_more_are_forgotten() {
    let (reach, id, now) = reach();
    drop(reach.admit(&id, 1, now));

    drop(reach.admit(&GatewayId::new("gw-2").unwrap(), 1, now + FORGET_AFTER));

    assert_eq!(reach.gateways.lock().len(), 1);
}
