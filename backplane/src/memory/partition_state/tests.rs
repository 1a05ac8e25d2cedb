use doorbell_protocol::{Generation, Hint, Stamp, TopicId, Version};

use super::*;
use crate::News;

const TTL: Duration = Duration::from_secs(5);
const LEASE: Duration = Duration::from_secs(5);
const TOKEN: ClaimToken = ClaimToken(7);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn gateway() -> GatewayId {
    GatewayId::new("g").unwrap()
}

fn enter(user: &str, epoch: Epoch) -> Enter {
    let stamp = Stamp { epoch, generation: Generation(1) };
    Enter { user: UserId::new(user).unwrap(), entry: Entry { gateway: gateway(), stamp } }
}

fn hint(state: &mut PartitionState, user: &str, now: Timestamp) -> HintReport {
    let hint = Hint { topic: TopicId::new("t:a").unwrap(), version: Version::new(1).unwrap() };
    let mut report = HintReport::default();
    state.hint(UserHint { user: UserId::new(user).unwrap(), news: News::Hint(hint) }, &mut report, now);
    report
}

fn online(user: &str) -> (PartitionState, Epoch) {
    let mut state = PartitionState::new(2);
    let epoch = state.take_lease(&gateway(), TTL, at(1_000));
    assert_eq!(state.enter(enter(user, epoch), at(1_000)), Entered::Registered);
    (state, epoch)
}

fn ack(state: &mut PartitionState, claim: &Claim, now: Timestamp) -> Settled {
    let settlement =
        Settlement { user: claim.user.clone(), token: claim.token, absent: vec![], unreachable: vec![] };
    state.settle(&settlement, Duration::ZERO, now)
}

#[test]
fn nothing_is_kept_of_users_and_gateways_that_are_gone() {
    let (mut state, epoch) = online("u");
    hint(&mut state, "u", at(1_000));
    state.leave(&enter("u", epoch));
    let claimed = state.claim(1, LEASE, &|| TOKEN, at(1_000));

    assert_eq!(
        ack(&mut state, &claimed.claims[0], at(1_000)),
        Settled::Acked { requeued: false, online: false }
    );

    assert_eq!((state.backlog.size(), state.directory.size()), (0, (0, 1)));
    state.end_lease(&gateway(), epoch);
    let other = GatewayId::new("h").unwrap();
    state.take_lease(&other, TTL, at(1_000));
    assert_eq!(state.directory.size(), (0, 1), "only the gateway that is there");
}

#[test]
fn time_that_goes_back_revives_nothing() {
    let (mut state, epoch) = online("u");

    assert_eq!(state.renew_lease(&gateway(), epoch, TTL, at(6_000)), Renewal::Lapsed);

    assert_eq!(state.renew_lease(&gateway(), epoch, TTL, at(1_000)), Renewal::Lapsed);
    assert_eq!(state.enter(enter("v", epoch), at(1_000)), Entered::LeaseLapsed);
    assert_eq!(state.lapsed(9, at(1_000)), [enter("u", epoch)]);
    assert_eq!(state.take_lease(&gateway(), TTL, at(1_000)), Epoch(6_000));
}

#[test]
fn the_last_dead_letters_are_kept_and_all_are_counted() {
    let (mut state, _) = online("u");
    hint(&mut state, "u", at(1_000));

    for _ in 0..3 * crate::queue::EXPIRIES_MAX {
        assert_eq!(state.claim(1, Duration::ZERO, &|| TOKEN, at(1_000)).claims.len(), 1);
    }
    state.claim(1, LEASE, &|| TOKEN, at(1_000));

    let mut depth = QueueDepth::default();
    state.add_to(&mut depth, at(1_000));
    assert_eq!((depth.dead_letters, depth.expiries), (3, 30));
    let kept: Vec<bool> = state.dead_letters().map(|letter| letter.dirty.resync()).collect();
    assert_eq!(kept, [true, true], "the first, with the topic, made room");
}

#[test]
fn what_ended_at_once_is_taken_up_in_pieces() {
    let (mut state, epoch) = online("u");
    for user in ["v", "w"] {
        state.enter(enter(user, epoch), at(1_000));
    }
    for user in ["u", "v", "w"] {
        hint(&mut state, user, at(1_000));
    }
    assert_eq!(state.claim(3, Duration::ZERO, &|| TOKEN, at(1_000)).claims.len(), 3);

    let again: Vec<String> = (0..4)
        .flat_map(|_| state.claim(1, LEASE, &|| TOKEN, at(1_000)).claims)
        .map(|claim| claim.user.to_string())
        .collect();

    assert_eq!(again, ["u", "v", "w"]);
}
