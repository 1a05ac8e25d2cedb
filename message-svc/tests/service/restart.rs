//! The directory: who may open it, and what is there after the next start.

use std::num::NonZeroU16;

use doorbell_message_svc::{Config, Error};
use doorbell_protocol::ErrorCode;
use serde_json::json;

use crate::support::{House, config, open_in};

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let house = House::new();
    let conversation = house.send_to("ada", "bob", "one").await;
    house.send("bob", &conversation, "two").await;
    house.ok("ada", "conversations.mark_read", json!({"conversation": conversation, "version": 1})).await;
    let sent = json!({"conversation": conversation, "key": "k", "text": "three"});
    let first = house.ok("ada", "messages.send", sent.clone()).await;
    let list = house.ok("ada", "conversations.list", json!({})).await;

    let house = house.reopen().await;

    assert_eq!(house.texts("bob", &conversation, 0).await, ["one", "two", "three"]);
    assert_eq!(house.ok("ada", "conversations.list", json!({})).await, list);
    assert_eq!(house.ok("ada", "messages.send", sent).await, first, "its key is known");
    let other = json!({"conversation": conversation, "key": "k", "text": "other"});
    assert_eq!(house.code("ada", "messages.send", other).await, ErrorCode::Conflict);
    assert_eq!(house.send("bob", &conversation, "four").await, 4);
}

#[tokio::test]
async fn a_second_service_on_the_same_directory_is_refused() {
    let house = House::new();
    let second = open_in(house.dir.path(), &house.config, &house.hands, &house.bells);
    let Err(error @ Error::Locked { .. }) = second else { panic!("a second one came in") };
    assert!(error.to_string().contains(&house.dir.path().display().to_string()), "{error}");
    house.send_to("ada", "bob", "the first one is not disturbed").await;
}

#[tokio::test]
async fn another_number_of_shards_is_refused_with_both_numbers() {
    let House { service, hands, bells, dir, .. } = House::new();
    drop(service);
    let config = Config { shards: NonZeroU16::new(5).unwrap(), ..config() };
    let Err(error) = open_in(dir.path(), &config, &hands, &bells) else { panic!("it was opened") };
    assert!(matches!(error, Error::Shards { .. }));
    let message = error.to_string();
    assert!(message.contains("`shards` = 2") && message.contains("says 5"), "{message}");
}

#[tokio::test]
async fn a_directory_that_holds_something_else_is_refused_and_left_alone() {
    let House { service, hands, bells, .. } = House::new();
    drop(service);
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("log")).unwrap();
    let precious = dir.path().join("log/precious.txt");
    std::fs::write(&precious, "mine").unwrap();

    let Err(error) = open_in(dir.path(), &config(), &hands, &bells) else { panic!("it was opened") };

    assert!(matches!(error, Error::Unreadable { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(precious).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(dir.path().join("log")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_first_start_that_was_cut_short_is_begun_anew() {
    let House { service, hands, bells, .. } = House::new();
    drop(service);
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    std::fs::create_dir_all(log.join("keyspaces")).unwrap();
    std::fs::write(log.join("lock"), "").unwrap();
    std::fs::write(log.join("0.jnl"), [0; 100]).unwrap();
    assert!(open_in(dir.path(), &config(), &hands, &bells).is_ok());
}

#[tokio::test]
async fn a_torn_tail_costs_what_was_not_acknowledged_and_nothing_else() {
    let house = House::new();
    let conversation = house.send_to("ada", "bob", "kept").await;
    let House { service, hands, bells, config, dir, .. } = house;
    drop(service);
    let journal = dir.path().join("log/0.jnl");
    let whole = std::fs::read(&journal).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // The beginning of another batch, as a crash in the middle of a write leaves it.
    let mut torn = whole[..end].to_vec();
    torn.extend_from_slice(&whole[..end.min(40)]);
    std::fs::write(&journal, torn).unwrap();

    let service = open_in(dir.path(), &config, &hands, &bells).unwrap();
    let house = House::around(service, bells, hands, config, dir);
    assert_eq!(house.texts("bob", &conversation, 0).await, ["kept"]);
    assert_eq!(house.send("bob", &conversation, "next").await, 2);
    let house = house.reopen().await;
    assert_eq!(house.texts("bob", &conversation, 0).await, ["kept", "next"]);
}

#[tokio::test]
async fn a_flipped_bit_in_the_middle_is_refused_loudly() {
    let house = House::new();
    for i in 0..20 {
        house.send_to("ada", &format!("friend-{i}"), "text that is long enough to be hit").await;
    }
    let House { service, hands, bells, config, dir, .. } = house;
    drop(service);
    let journal = dir.path().join("log/0.jnl");
    let mut bytes = std::fs::read(&journal).unwrap();
    let hit = bytes.windows(11).position(|window| window == b"long enough").unwrap();
    bytes[hit] ^= 1;
    std::fs::write(&journal, bytes).unwrap();

    let Err(error) = open_in(dir.path(), &config, &hands, &bells) else { panic!("it was opened") };
    assert!(matches!(error, Error::Unreadable { .. }), "{error}");
}
