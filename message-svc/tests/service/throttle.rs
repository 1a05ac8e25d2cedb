//! How much a user may do, over the lives of the service.

use std::time::Duration;

use doorbell_message_svc::Config;
use doorbell_protocol::ErrorCode;
use serde_json::json;

use crate::support::{House, config, fresh_key};

fn few() -> Config {
    let hour = Duration::from_secs(3_600);
    Config {
        throttle_messages: 4,
        throttle_period: hour,
        throttle_conversations: 2,
        throttle_conversations_period: hour,
        ..config()
    }
}

#[tokio::test]
async fn a_service_that_takes_the_store_over_goes_on_with_what_users_have_left() {
    let mut house = House::with(few());
    house.run();
    let with_bob = house.send_to("ada", "bob", "1").await;
    house.send("ada", &with_bob, "2").await;
    house.group("ada", &["bob"]).await;
    house.stop().await;
    house.close();

    house.open();
    house.service().recall_throttles().await;

    house.send("ada", &with_bob, "3").await;
    house.send("ada", &with_bob, "4").await;
    let fifth = json!({"conversation": with_bob, "key": fresh_key(), "text": "5"});
    assert_eq!(house.code("ada", "messages.send", fifth).await, ErrorCode::RateLimited);
    house.group("ada", &["bob"]).await;
    let third = json!({"members": ["bob"], "title": "one more", "key": fresh_key()});
    assert_eq!(house.code("ada", "conversations.create", third).await, ErrorCode::RateLimited);
    house.send("bob", &with_bob, "bob has all of his").await;
}
