//! What is let through, and how it goes on elsewhere.

use super::*;
use doorbell_protocol::UserId;
use governor::clock::FakeRelativeClock;

const TEN: Allowance = Allowance { burst: 10, period: Duration::from_secs(10), users_max: 1_000_000 };

fn user(name: &str) -> Caller {
    UserId::new(name).unwrap().into()
}

fn granted(name: &str, messages: u32) -> Caller {
    Caller { throttle: NonZeroU32::new(messages), ..user(name) }
}

#[test]
fn ten_go_through_at_once_and_then_one_a_second() {
    let clock = FakeRelativeClock::default();
    let throttle = Throttle::with_clock(TEN, clock.clone());
    let ada = user("ada");

    assert_eq!((0..15).filter(|_| throttle.admit(&ada).is_ok()).count(), 10);
    assert_eq!(throttle.admit(&ada), Err(Duration::from_secs(1)));
    assert!(throttle.admit(&user("bob")).is_ok(), "each user has a bucket of their own");

    clock.advance(Duration::from_secs(2));
    assert_eq!((0..5).filter(|_| throttle.admit(&ada).is_ok()).count(), 2);
}

#[test]
fn zero_messages_turn_it_off() {
    let throttle = Throttle::new(Allowance { burst: 0, ..TEN });
    assert!((0..1_000).all(|_| throttle.admit(&user("ada")).is_ok()));
}

#[test]
fn buckets_are_bounded_and_room_comes_back() {
    let clock = FakeRelativeClock::default();
    let throttle = Throttle::with_clock(Allowance { users_max: 3, ..TEN }, clock.clone());
    let admitted = |name: &str| throttle.admit(&user(name)).is_ok();

    assert_eq!(["a", "b", "c", "d"].map(admitted), [true, true, true, false]);

    clock.advance(Duration::from_secs(10));
    assert!(admitted("d"));
    assert_eq!(throttle.tidy(), 1);
}

#[test]
fn a_token_may_name_more_or_fewer() {
    let clock = FakeRelativeClock::default();
    let throttle = Throttle::with_clock(TEN, clock.clone());
    let sent = |caller: &Caller| (0..200).filter(|_| throttle.admit(caller).is_ok()).count();

    assert_eq!(sent(&granted("bot", 100)), 100);
    assert_eq!(sent(&granted("guest", 2)), 2);
    assert_eq!(sent(&granted("ada", 10)), 10, "as many as the configured number");
    assert_eq!(sent(&user("ada")), 0, "which is the same bucket");

    clock.advance(Duration::from_secs(1));
    assert_eq!(sent(&granted("bot", 100)), 10);
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(throttle.tidy(), 0);
    assert_eq!(throttle.sizes.read().len(), 0);
}

#[test]
fn sizes_are_bounded_and_what_is_beyond_gets_the_configured_one() {
    let throttle = Throttle::with_clock(TEN, FakeRelativeClock::default());
    assert!(throttle.admit(&user("first")).is_ok());
    for messages in 1_000..1_100 {
        assert!(throttle.admit(&granted("bot", messages)).is_ok(), "{messages}");
        if throttle.sizes.read().len() == SIZES_MAX {
            break;
        }
    }
    let sent = (0..200).filter(|_| throttle.admit(&granted("late", 150)).is_ok()).count();
    assert_eq!(sent, 10);
    assert_eq!(throttle.sizes.read().len(), SIZES_MAX);
}

#[test]
fn the_largest_number_is_no_fault() {
    let throttle = Throttle::with_clock(TEN, FakeRelativeClock::default());
    assert!((0..1_000).all(|_| throttle.admit(&granted("bot", u32::MAX)).is_ok()));
}

#[test]
fn a_bucket_goes_on_where_it_was_left() {
    let (before, after) = (FakeRelativeClock::default(), FakeRelativeClock::default());
    let old = Throttle::with_clock(TEN, before.clone()).noting();
    let (ada, bot) = (user("ada"), granted("bot", 100));
    let sent =
        |throttle: &Throttle<_>, caller: &Caller| (0..200).filter(|_| throttle.admit(caller).is_ok()).count();
    (0..7).for_each(|_| old.admit(&ada).unwrap());
    assert_eq!(sent(&old, &bot), 100);
    before.advance(Duration::from_millis(2_500));
    after.advance(Duration::from_secs(3_600));
    let new = Throttle::with_clock(TEN, after.clone());

    for (place, full_in) in old.taken() {
        assert_eq!(full_in, Duration::from_millis(if place.size.get() == 100 { 7_500 } else { 4_500 }));
        new.restore(place, full_in);
    }

    assert_eq!(sent(&new, &ada), 5, "3 were left, and 2.5 came back");
    assert_eq!(new.admit(&ada), Err(Duration::from_millis(500)));
    assert_eq!(sent(&new, &bot), 25, "each size for itself");
    assert_eq!(sent(&new, &user("eve")), 10);
    after.advance(Duration::from_secs(3_600));
    assert_eq!(new.tidy(), 0);
}

#[test]
fn a_bucket_is_told_of_once_until_something_more_is_taken() {
    let old = Throttle::with_clock(TEN, FakeRelativeClock::default()).noting();
    let ada = user("ada");
    assert_eq!((0..20).filter(|_| old.admit(&ada).is_ok()).count(), 10);
    let told = old.taken();
    assert_eq!(told.iter().map(|(_, full_in)| *full_in).collect::<Vec<_>>(), [TEN.period]);
    assert_eq!(old.admit(&ada), Err(Duration::from_secs(1)));
    assert_eq!(old.taken(), [], "nothing was taken");

    old.note(told[0].0);
    assert_eq!(old.taken(), told);
}

#[test]
fn what_was_taken_here_counts_beside_what_was_taken_elsewhere() {
    let throttle = Throttle::with_clock(TEN, FakeRelativeClock::default()).noting();
    let ada = user("ada");
    (0..8).for_each(|_| throttle.admit(&ada).unwrap());
    let place = throttle.taken()[0].0;

    throttle.restore(place, Duration::from_secs(1));
    assert_eq!((0..10).filter(|_| throttle.admit(&ada).is_ok()).count(), 2, "it is no fuller for that");

    throttle.restore(place, Duration::from_secs(1_000));
    assert_eq!(throttle.admit(&ada), Err(Duration::from_secs(1)), "nor emptier than empty");
}

#[test]
fn restored_buckets_and_notes_are_bounded_as_all_are() {
    let few = Allowance { users_max: 3, ..TEN };
    let throttle = Throttle::with_clock(few, FakeRelativeClock::default()).noting();
    let size = NonZeroU32::new(10).unwrap();
    for user in 0..10 {
        throttle.restore(Place { size, user }, TEN.period);
        throttle.note(Place { size, user });
    }
    assert_eq!((throttle.users(), throttle.taken().len()), (3, 3));

    let throttle = Throttle::with_clock(TEN, FakeRelativeClock::default());
    for size in 1..100 {
        throttle.restore(Place { size: NonZeroU32::new(size).unwrap(), user: 7 }, TEN.period);
    }
    assert_eq!(throttle.sizes.read().len(), SIZES_MAX);
    let off = Throttle::with_clock(Allowance { burst: 0, ..TEN }, FakeRelativeClock::default());
    off.restore(Place { size, user: 7 }, TEN.period);
    assert_eq!(off.users(), 0);
}

#[test]
fn a_place_is_read_as_it_was_written() {
    for kind in [Kind::Messages, Kind::Conversations] {
        for (size, user) in [(1, 0), (10, 7), (u32::MAX, u64::MAX)] {
            let place = Place { size: NonZeroU32::new(size).unwrap(), user };
            assert_eq!(Place::read(Place::written_as(kind, place)), Some((kind, place)));
        }
    }
    for unknown in [0, 1 << 96, (3 << 96) | (10 << 64), u128::MAX] {
        assert_eq!(Place::read(BucketId(unknown)), None, "{unknown:x}");
    }
}
