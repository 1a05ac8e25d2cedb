//! A conversation with more members than are rung one by one: nobody misses a change while it grows or shrinks past the
//! threshold (100 members by default).

use anyhow::{Context, ensure};
use doorbell_protocol::{ErrorCode, TopicId};
use doorbell_tests::client::DEADLINE;
use doorbell_tests::{Client, Doorbell};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{join, say, unthrottled};

/// Members who are online.
const ONLINE: usize = 40;
/// Members in the end.
const ALL: usize = 130;
/// Members who come in with one call: some steps are below the threshold, one crosses it, some are above.
const STEP: usize = 15;

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("member-{number}")).collect()
}

struct Group {
    owner: Client,
    conversation: String,
    online: Vec<Client>,
    sent: u64,
}

impl Group {
    /// A group of the owner and everybody who is online.
    async fn of_all_online(doorbell: &Doorbell) -> anyhow::Result<Self> {
        let mut owner = join(doorbell, "owner").await?;
        let mut online = Vec::new();
        for name in names(0..ONLINE) {
            online.push(join(doorbell, &name).await?);
        }
        let params = json!({"members": names(0..ONLINE), "title": "all", "key": "made"});
        let made = owner.call("conversations.create", params).await?;
        let conversation = made["conversation"].as_str().context("no conversation")?.to_owned();
        Ok(Self { owner, conversation, online, sent: 0 })
    }

    fn topic(&self) -> String {
        format!("conversation:{}", self.conversation)
    }

    async fn change(&mut self, method: &str, users: &[String]) -> anyhow::Result<()> {
        let params = json!({"conversation": self.conversation, "users": users});
        self.owner.call(method, params).await?;
        Ok(())
    }

    async fn send(&mut self) -> anyhow::Result<()> {
        self.sent += 1;
        let sent = say(&mut self.owner, &self.conversation, &format!("message {}", self.sent)).await?;
        assert_eq!(sent["version"], json!(self.sent));
        Ok(())
    }

    /// Waits until everybody who is online knows the last message.
    async fn all_hinted(&mut self) -> anyhow::Result<()> {
        let (topic, sent) = (self.topic(), self.sent);
        for client in &mut self.online {
            client.hinted(&topic, sent).await?;
        }
        Ok(())
    }

    /// Waits until so many count as online: gateways tell their numbers once a second.
    async fn counted_online(&mut self, members: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + DEADLINE;
        while self.get().await?["online"] != json!(members) {
            ensure!(Instant::now() < deadline, "never counted {members} online: {}", self.get().await?);
        }
        Ok(())
    }

    async fn get(&mut self) -> anyhow::Result<Value> {
        self.owner.call("conversations.get", json!({"conversation": self.conversation})).await
    }
}

#[tokio::test]
async fn who_is_online_is_rung_for_every_change_while_a_group_crosses_the_threshold_and_back()
-> anyhow::Result<()> {
    // The test asks again and again until the numbers are there.
    let options = unthrottled().with("DOORBELL_GATEWAY__FRAMES_BURST", "1000000");
    let doorbell = Doorbell::start_with(options).await?;
    let mut group = Group::of_all_online(&doorbell).await?;
    let newcomers = names(ONLINE..ALL);

    for some in newcomers.chunks(STEP) {
        // A message right before and right after the change, and nobody waits in between.
        group.send().await?;
        group.change("members.add", some).await?;
        group.send().await?;
        group.all_hinted().await?;
    }
    for _ in 0..5 {
        group.send().await?;
        group.all_hinted().await?;
    }
    assert_eq!(group.get().await?["member_count"], json!(ALL + 1));
    group.counted_online(ONLINE + 1).await?;

    for some in newcomers.chunks(STEP) {
        group.send().await?;
        group.change("members.remove", some).await?;
        group.send().await?;
        group.all_hinted().await?;
    }
    assert_eq!(group.get().await?["online"], Value::Null, "it is small again");
    Ok(())
}

/// Sends a row of messages without waiting in between; answers the version of the last.
async fn send_a_row(writer: &mut Client, conversation: &str, row: usize) -> anyhow::Result<u64> {
    let mut last = 0;
    for number in 0..10 {
        let sent = say(writer, conversation, &format!("row {row} message {number}")).await?;
        last = sent["version"].as_u64().context("no version")?;
    }
    Ok(last)
}

#[tokio::test]
async fn nobody_misses_a_change_while_members_and_sessions_come_and_go_and_others_send() -> anyhow::Result<()>
{
    // The threshold among those who are online, so that each round crosses it in both directions.
    let options = unthrottled().with("DOORBELL_MESSAGE__SMALL_AUDIENCE_MAX", "45");
    let doorbell = Doorbell::start_with(options).await?;
    let mut group = Group::of_all_online(&doorbell).await?;
    let (mut writer, topic) = (group.online.remove(0), group.topic());
    let restless = doorbell.token("member-1").await?;
    let crowd = names(ONLINE..ONLINE + 9);
    let steps = crowd.chunks(3).flat_map(|some| [("members.add", some), ("members.remove", some)]);
    let grow_and_shrink = crowd.chunks(3).map(|some| ("members.add", some));
    let grow_and_shrink = grow_and_shrink.chain(crowd.chunks(3).map(|some| ("members.remove", some)));

    for (row, (method, some)) in grow_and_shrink.chain(steps).enumerate() {
        let conversation = group.conversation.clone();
        let returning = async {
            let mut returned = Client::connect(doorbell.address(), &restless).await?;
            returned.changes(None).await?;
            Ok(returned)
        };
        let (last, (), returned) = tokio::try_join!(
            send_a_row(&mut writer, &conversation, row),
            group.change(method, some),
            returning
        )?;
        group.sent = last;
        group.all_hinted().await.with_context(|| format!("row {row}, {method}"))?;
        let mut returned = returned;
        // What it does not have from the answer, it is hinted.
        if returned.changes(None).await?.0.get(&topic) != Some(&last) {
            returned.hinted(&topic, last).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn who_comes_back_or_comes_in_follows_a_large_group_and_who_leaves_does_not() -> anyhow::Result<()> {
    let doorbell = Doorbell::start_with(unthrottled()).await?;
    let mut group = Group::of_all_online(&doorbell).await?;
    group.change("members.add", &names(ONLINE..ALL)).await?;
    group.send().await?;
    group.all_hinted().await?;

    // A session that starts when the group is large already.
    let mut returned = join(&doorbell, "member-100").await?;
    let topic = group.topic();
    group.send().await?;
    returned.hinted(&topic, group.sent).await?;
    let mut newcomer = join(&doorbell, "newcomer").await?;
    group.change("members.add", &["newcomer".to_owned()]).await?;
    newcomer.hinted(&topic, group.sent).await?;
    group.send().await?;
    newcomer.hinted(&topic, group.sent).await?;

    let mut removed = group.online.remove(0);
    removed.hinted(&topic, group.sent).await?;
    group.change("members.remove", &names(0..1)).await?;
    // The own inbox tells, and comes by the way on which the refollow came before it.
    let inbox = TopicId::new("inbox:member-0")?;
    let before = removed.versions()[&inbox].get();
    removed.hinted(inbox.as_str(), before + 1).await?;
    let known = removed.versions()[&TopicId::new(&topic)?];
    for _ in 0..3 {
        group.send().await?;
        group.all_hinted().await?;
    }
    // A call's answer comes behind every hint that was written before it.
    let params = json!({"conversation": group.conversation});
    let refused = removed.try_call("messages.list", params).await?.expect_err("it is no member");
    assert_eq!(refused.code, ErrorCode::NotFound);
    assert_eq!(removed.versions()[&TopicId::new(&topic)?], known, "it was rung for a foreign conversation");
    Ok(())
}

#[tokio::test]
async fn one_follows_the_presence_of_acquaintances_and_nothing_else() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let mut ada = join(&doorbell, "ada").await?;
    crate::direct(&mut ada, "bob").await?;

    let allowed = ada.subscribe(&["presence:bob"]).await?.expect("they share a conversation");
    let followed = allowed["topics"].as_object().context("no topics")?;
    assert_eq!(followed.keys().collect::<Vec<_>>(), ["presence:bob"]);
    for foreign in ["presence:eve", "conversation:nowhere", "feed:ada"] {
        let refused = ada.subscribe(&[foreign]).await?.expect_err(foreign);
        assert_eq!(refused.code, ErrorCode::NotFound, "{foreign}");
    }
    Ok(())
}
