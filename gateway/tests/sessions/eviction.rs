use std::num::NonZeroUsize;

use doorbell_gateway::Config;
use doorbell_rpc::Delivered;

use crate::client::Client;
use crate::rig::Rig;

fn rig() -> Rig {
    Rig::with(Config { sessions_per_user_max: NonZeroUsize::new(3).unwrap(), ..Config::default() })
}

async fn session(rig: &Rig, device: &str) -> Client {
    let mut client = rig.connect().await;
    client.say_hello("ada", Some(device), 0).await;
    client.welcome().await;
    client
}

#[tokio::test]
async fn one_of_the_same_device_goes_first() {
    let rig = rig();
    let mut clients = Vec::new();
    for device in ["a", "b", "c"] {
        clients.push(session(&rig, device).await);
    }
    let mut newcomer = session(&rig, "b").await;
    assert_eq!(clients[1].closed().await, Some(4409));
    for client in [0, 2] {
        assert_eq!(clients[client].settle().await, []);
    }
    assert_eq!(newcomer.settle().await, []);
    assert_eq!(rig.ring("ada", "conversation:c", 1).await, Delivered::Sessions(3));
    rig.stop().await;
}

#[tokio::test]
async fn then_one_with_no_recent_sign_of_life_then_the_oldest() {
    let rig = rig();
    let mut clients = Vec::new();
    for device in ["a", "b", "c"] {
        clients.push(session(&rig, device).await);
    }
    rig.advance(40);
    clients[0].settle().await;
    clients[1].settle().await;
    let mut newest = session(&rig, "d").await;
    assert_eq!(clients[2].closed().await, Some(4409), "the silent one");
    session(&rig, "e").await;
    assert_eq!(clients[0].closed().await, Some(4409), "the oldest");
    newest.settle().await;
    rig.stop().await;
}

#[tokio::test]
async fn others_users_are_not_counted() {
    let rig = rig();
    let mut others = Vec::new();
    for user in ["bob", "cid", "dan", "eve"] {
        others.push(rig.session(user).await);
    }
    for other in &mut others {
        assert_eq!(other.settle().await, []);
    }
    rig.stop().await;
}
