//! The directory: who may open it, and what is there after the next start.

use std::num::NonZeroU16;
use std::path::PathBuf;

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
    let second = open_in(house.dir.path(), &house.config, &house.hands, &house.bells, &house.published);
    let Err(error @ Error::Locked { .. }) = second else { panic!("a second one came in") };
    assert!(error.to_string().contains(&house.dir.path().display().to_string()), "{error}");
    house.send_to("ada", "bob", "the first one is not disturbed").await;
}

#[tokio::test]
async fn another_number_of_shards_is_refused_with_both_numbers() {
    let mut house = House::new();
    house.close();
    house.config = Config { shards: NonZeroU16::new(5).unwrap(), ..config() };
    let Err(error) = house.try_open() else { panic!("it was opened") };
    assert!(matches!(error, Error::Shards { .. }));
    let message = error.to_string();
    assert!(message.contains("`shards` = 2") && message.contains("says 5"), "{message}");
}

#[tokio::test]
async fn a_directory_that_holds_something_else_is_refused_and_left_alone() {
    let House { hands, bells, published, .. } = House::new();
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("log")).unwrap();
    let precious = dir.path().join("log/precious.txt");
    std::fs::write(&precious, "mine").unwrap();

    let Err(error) = open_in(dir.path(), &config(), &hands, &bells, &published) else {
        panic!("it was opened")
    };

    assert!(matches!(error, Error::Unreadable { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(precious).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(dir.path().join("log")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_first_start_that_was_cut_short_is_begun_anew() {
    let House { hands, bells, published, .. } = House::new();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    std::fs::create_dir_all(log.join("keyspaces")).unwrap();
    std::fs::write(log.join("lock"), "").unwrap();
    std::fs::write(log.join("0.jnl"), [0; 100]).unwrap();
    assert!(open_in(dir.path(), &config(), &hands, &bells, &published).is_ok());
}

/// A store with three messages, closed; its directory, its journal, and where the zeros at the journal's end begin.
async fn closed() -> (House, String, PathBuf, usize) {
    let house = House::new();
    let conversation = house.send_to("ada", "bob", "one").await;
    house.send("bob", &conversation, "two").await;
    house.send("bob", &conversation, "a text that is long enough to be hit").await;
    let mut house = house.reopen().await;
    house.close();
    let journal = house.dir.path().join("log/0.jnl");
    let bytes = std::fs::read(&journal).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    (house, conversation, journal, end)
}

#[tokio::test]
async fn a_torn_end_costs_what_was_not_acknowledged_and_nothing_else() {
    let (mut house, conversation, journal, end) = closed().await;
    let whole = std::fs::read(&journal).unwrap();
    let mut expected = vec!["one", "two", "a text that is long enough to be hit"];
    // The beginning of another batch, as a crash in the middle of a write leaves it, with and without zeros after it.
    for (torn, zeros) in [(1, 0), (12, 5_000), (40, 0), (60, 100)] {
        let mut bytes = std::fs::read(&journal).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        bytes.truncate(end);
        bytes.extend_from_slice(&whole[..torn]);
        bytes.extend(vec![0; zeros]);
        std::fs::write(&journal, bytes).unwrap();

        house.open();
        assert_eq!(house.texts("ada", &conversation, 0).await, expected);
        let version = house.send("bob", &conversation, "next").await;
        expected.push("next");
        assert_eq!(version, expected.len() as u64);
        house.close();
    }
    assert!(end > 100);
    house.open();
    assert_eq!(house.texts("ada", &conversation, 0).await, expected);
}

#[tokio::test]
async fn a_last_batch_that_was_half_written_is_cut_off() {
    let (mut house, conversation, journal, _) = closed().await;
    let mut bytes = std::fs::read(&journal).unwrap();
    // A hole in the last batch, as a power cut may leave one that is longer than a page.
    let hit = bytes.windows(11).rposition(|window| window == b"long enough").unwrap();
    bytes[hit..hit + 11].fill(0);
    std::fs::write(&journal, bytes).unwrap();

    house.open();
    assert_eq!(house.texts("ada", &conversation, 0).await, ["one", "two"]);
    assert_eq!(house.send("bob", &conversation, "three").await, 3);
    house.close();
    house.open();
    assert_eq!(house.texts("ada", &conversation, 0).await, ["one", "two", "three"]);
}

#[tokio::test]
async fn damage_before_what_was_acknowledged_is_refused_loudly_and_nothing_is_cut() {
    let (mut house, conversation, journal, _) = closed().await;
    house.open();
    house.send("ada", &conversation, "after it").await;
    house.close();
    let good = std::fs::read(&journal).unwrap();
    let hit = good.windows(11).rposition(|window| window == b"long enough").unwrap();
    // In a text, and in what says how long it is: the database by itself would cut off all that follows.
    for at in [hit, hit - 140] {
        let mut bytes = good.clone();
        bytes[at..at + 11].fill(0xff);
        std::fs::write(&journal, &bytes).unwrap();

        let Err(error) = house.try_open() else { panic!("it was opened") };

        assert!(matches!(error, Error::Unreadable { .. }), "{error}");
        assert!(error.to_string().contains("0.jnl"), "{error}");
        assert_eq!(std::fs::read(&journal).unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_store_whose_journal_is_gone_is_refused_and_not_begun_anew() {
    let (mut house, _, journal, _) = closed().await;
    std::fs::remove_file(&journal).unwrap();

    let Err(error) = house.try_open() else { panic!("it was opened") };

    assert!(error.to_string().contains("journal is gone"), "{error}");
}
