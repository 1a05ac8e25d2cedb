//! Bad input gets a clear error and loses nothing.

use std::process::Output;

use doorbell_protocol::frames::Token;
use doorbell_protocol::{CallId, ClientFrame, Encoding, ErrorCode, ServerFrame};
use doorbell_tests::client::{DEADLINE, open, receive};
use doorbell_tests::process::binary;
use doorbell_tests::{Client, Doorbell, Ended};
use futures_util::SinkExt;
use serde_json::json;
use tokio::process::Command;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::{direct, join, say, texts};

/// Says something to a welcomed session and answers what comes back: a frame, or the end of the socket.
async fn answer(doorbell: &Doorbell, message: Message) -> anyhow::Result<Result<ServerFrame, Ended>> {
    let mut socket = open(doorbell.address(), Encoding::Json).await?;
    let hello = json!({"type": "hello", "token": doorbell.token("ada").await?}).to_string();
    socket.send(Message::text(hello)).await?;
    receive(&mut socket, Encoding::Json, Instant::now() + DEADLINE).await?;
    socket.send(message).await.ok();
    match receive(&mut socket, Encoding::Json, Instant::now() + DEADLINE).await {
        Ok(frame) => Ok(Ok(frame)),
        Err(error) => Ok(Err(error.downcast()?)),
    }
}

#[tokio::test]
async fn what_is_no_frame_closes_with_4400_and_says_why() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let deep = "[".repeat(100_000);
    let cases = ["", "x", "[]", "1", "null", "{}", r#"{"type":1}"#, r#"{"type":"ping"}}"#, deep.as_str()];
    for text in cases {
        let ended = answer(&doorbell, Message::text(text)).await?.expect_err(text);
        assert_eq!(ended.code, Some(4400), "{text:.40}");
        assert!(!ended.reason.is_empty(), "{text:.40}");
    }
    let wrong_opcode =
        answer(&doorbell, Message::binary(b"\x81\xa4type\xa4ping".to_vec())).await?.expect_err("binary");
    assert_eq!(wrong_opcode.code, Some(4400));
    Ok(())
}

#[tokio::test]
async fn a_faulty_frame_is_answered_and_the_socket_stays() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let cases = [
        (r#"{"type":"dance","id":"7"}"#, Some("7"), ErrorCode::UnknownType),
        (r#"{"type":"dance"}"#, None, ErrorCode::UnknownType),
        (r#"{"type":"call","id":"7","method":"no.such","params":{}}"#, Some("7"), ErrorCode::UnknownMethod),
        (r#"{"type":"call","id":"7"}"#, Some("7"), ErrorCode::Invalid),
        (r#"{"type":"call","method":"topics.changes"}"#, None, ErrorCode::Invalid),
        (r#"{"type":"call","id":"7","method":"topics.changes","params":[]}"#, Some("7"), ErrorCode::Invalid),
        (
            r#"{"type":"call","id":"7","method":"topics.changes","params":{"cursor":"zzz"}}"#,
            Some("7"),
            ErrorCode::Invalid,
        ),
        (
            r#"{"type":"call","id":"7","method":"messages.list","params":{"conversation":"../x"}}"#,
            Some("7"),
            ErrorCode::Invalid,
        ),
        (
            r#"{"type":"call","id":"7","method":"messages.list","params":{"conversation":"c1","after":1e400}}"#,
            Some("7"),
            ErrorCode::Invalid,
        ),
        (
            r#"{"type":"call","id":"7","method":"messages.list","params":{"conversation":"c1","after":-1}}"#,
            Some("7"),
            ErrorCode::Invalid,
        ),
        (r#"{"type":"subscribe","id":"7","topics":{"presence:bob":0}}"#, Some("7"), ErrorCode::NotFound),
    ];
    for (text, id, code) in cases {
        let frame = answer(&doorbell, Message::text(text)).await?;
        let error = match (frame, id) {
            (Ok(ServerFrame::Reply { id: CallId::Text(got), outcome: Err(error) }), Some(id))
                if got == id =>
            {
                error
            }
            (Ok(ServerFrame::Error(error)), None) => error,
            (other, _) => panic!("{text}: {other:?}"),
        };
        assert_eq!(error.code, code, "{text}: {}", error.message);
    }
    Ok(())
}

#[tokio::test]
async fn an_oversize_message_closes_with_1009() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let text = json!({"type": "ping", "pad": "x".repeat(128 * 1024)}).to_string();
    let ended = answer(&doorbell, Message::text(text)).await?.expect_err("it is too large");
    assert_eq!(ended.code, Some(1009));
    Ok(())
}

#[tokio::test]
async fn a_foreign_conversation_and_an_absent_one_answer_alike() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let mut ada = join(&doorbell, "ada").await?;
    let conversation = direct(&mut ada, "bob").await?;
    let mut eve = join(&doorbell, "eve").await?;

    let calls = [
        ("messages.list", json!({})),
        ("conversations.get", json!({})),
        ("conversations.mark_read", json!({"version": 1})),
        ("messages.send", json!({"key": "k", "text": "let me in"})),
    ];
    for (method, params) in calls {
        let mut errors = Vec::new();
        for id in [conversation.as_str(), "0123456789abcdef"] {
            let mut params = params.clone();
            params["conversation"] = json!(id);
            errors.push(eve.try_call(method, params).await?.expect_err(method));
        }
        assert_eq!(errors[0].code, ErrorCode::NotFound, "{method}");
        assert_eq!(errors[0], errors[1], "{method}");
    }
    assert_eq!(texts(&ada.pull(&conversation, 0).await?), ["first"]);
    say(&mut ada, &conversation, "still between the two").await?;
    let fence = direct(&mut ada, "eve").await?;
    eve.hinted(&format!("conversation:{fence}"), 1).await?;
    let foreign = format!("conversation:{conversation}").parse()?;
    assert!(!eve.versions().contains_key(&foreign), "eve was rung");
    Ok(())
}

#[tokio::test]
async fn bad_tokens_are_refused_with_4401() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let good = doorbell.token("ada").await?;
    let (head, _) = good.split_once('.').expect("a token has a head");
    let cut = &good[..good.len() - 2];
    // {"alg":"none","typ":"JWT"} . {"sub":"ada","exp":9999999999}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhZGEiLCJleHAiOjk5OTk5OTk5OTl9.";
    for token in ["", "bad", cut, head, none, &"x".repeat(9000)] {
        let error = Client::connect(doorbell.address(), token).await.err().expect("no welcome");
        assert_eq!(error.downcast::<Ended>()?.code, Some(4401), "{token:.20}");
    }
    Ok(())
}

#[tokio::test]
async fn a_session_ends_when_its_token_expires_unless_a_fresh_one_comes() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let short = doorbell_token(&doorbell, &["ada", "--ttl", "3s"]).await?;
    let (ada, mut bob) = (Client::connect(doorbell.address(), &short).await?, {
        let short = doorbell_token(&doorbell, &["bob", "--ttl", "3s"]).await?;
        Client::connect(doorbell.address(), &short).await?
    });

    bob.send(&ClientFrame::Token(Token(doorbell.token("bob").await?))).await?;

    assert_eq!(ada.ended().await?.code, Some(4419));
    bob.call("topics.changes", json!({})).await?;
    Ok(())
}

async fn doorbell_token(doorbell: &Doorbell, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(binary()?)
        .arg("token")
        .args(args)
        .arg("--data-dir")
        .arg(doorbell.data())
        .output()
        .await?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

async fn refused(args: &[&str]) -> anyhow::Result<Output> {
    let output = Command::new(binary()?).args(args).output();
    let output = tokio::time::timeout(DEADLINE, output).await??;
    assert!(!output.status.success(), "{args:?} did not fail");
    assert!(output.stdout.is_empty(), "a failed start says nothing on standard output");
    Ok(output)
}

#[tokio::test]
async fn a_second_process_on_the_same_data_directory_is_refused() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let data = doorbell.data().to_str().expect("a path in UTF-8");
    let output = refused(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data]).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(data) && said.contains("in use"), "{said}");
    direct(&mut join(&doorbell, "ada").await?, "bob").await?;
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_named() -> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    let scratch = tempfile::tempdir()?;
    let data = scratch.path().to_str().expect("a path in UTF-8");
    let output = refused(&["serve", "--listen", doorbell.address(), "--data-dir", data]).await?;
    assert!(String::from_utf8_lossy(&output.stderr).contains(doorbell.address()));
    Ok(())
}

#[tokio::test]
async fn a_broken_configuration_is_named_with_its_place() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let file = scratch.path().join("doorbell.toml");
    for (text, expected) in [
        ("listen = 7\n", "listen"),
        ("[gateway]\nhelo_deadline = \"10s\"\n", "helo_deadline"),
        ("[gateway\n", "doorbell.toml:1"),
        ("[gateway]\nhello_deadline = \"soon\"\n", "hello_deadline"),
    ] {
        std::fs::write(&file, text)?;
        let path = file.to_str().expect("a path in UTF-8");
        for command in ["serve", "check"] {
            let output = Command::new(binary()?).args([command, "--config", path]).output().await?;
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{command} took {text:?}");
            assert!(said.contains(expected) && said.contains("doorbell.toml"), "{text:?}: {said}");
        }
    }
    Ok(())
}
