//! The first bytes of a connection: both sides say that they speak this protocol, and prove that they have the key.
//!
//! The caller sends [`MAGIC`], whether it has a key, and a nonce. The callee answers with whether it has one, a nonce of
//! its own and its proof; the caller checks that *before* it proves anything, so that a foreign process learns nothing
//! and no call goes to it. Then the caller proves itself. Without a key the nonces and proofs are left out.
//!
//! It says who is there, at that moment. What follows on the connection is neither encrypted nor signed by it: on a
//! network where others can read or change packets, use certificates, which do both.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::remote::error::Refusal;
use crate::remote::key::{Nonce, PeerKey, Proof, Side};

const MAGIC: &[u8; 15] = b"doorbell-rpc/1\n";
const OPEN: u8 = b'o';
const KEYED: u8 = b'k';

/// The caller's part.
///
/// # Errors
/// [`Refusal`]: the connection is of no use.
pub(crate) async fn greet<S>(stream: &mut S, key: Option<&PeerKey>) -> Result<(), Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let ours: Nonce = rand::random();
    let mut hello = MAGIC.to_vec();
    hello.push(mode(key));
    if key.is_some() {
        hello.extend_from_slice(&ours);
    }
    stream.write_all(&hello).await?;
    stream.flush().await?;
    expect_hello(stream, key).await?;
    let Some(key) = key else { return Ok(()) };
    let theirs: Nonce = read(stream).await?;
    let proof: Proof = read(stream).await?;
    if !key.accepts(&proof, Side::Callee, &ours, &theirs) {
        return Err(Refusal::WrongKey);
    }
    stream.write_all(&key.prove(Side::Caller, &ours, &theirs)).await?;
    stream.flush().await?;
    Ok(())
}

/// The callee's part.
///
/// # Errors
/// [`Refusal`]: nothing further is read from the connection.
pub(crate) async fn welcome<S>(stream: &mut S, key: Option<&PeerKey>) -> Result<(), Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut hello = MAGIC.to_vec();
    hello.push(mode(key));
    if let Err(refusal) = expect_hello(stream, key).await {
        // One of ours is told why; nobody else is told anything.
        if matches!(refusal, Refusal::NoKey | Refusal::KeyWanted) {
            if matches!(refusal, Refusal::KeyWanted) {
                // What is closed with something unread in it is reset, and the answer with it.
                let _: Nonce = read(stream).await?;
            }
            stream.write_all(&hello).await?;
            stream.shutdown().await?;
        }
        return Err(refusal);
    }
    let Some(key) = key else {
        stream.write_all(&hello).await?;
        return Ok(stream.flush().await?);
    };
    let theirs: Nonce = read(stream).await?;
    let ours: Nonce = rand::random();
    hello.extend_from_slice(&ours);
    hello.extend_from_slice(&key.prove(Side::Callee, &theirs, &ours));
    stream.write_all(&hello).await?;
    stream.flush().await?;
    let proof: Proof = match read(stream).await {
        // A caller that does not accept our proof hangs up.
        Err(Refusal::Io(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            return Err(Refusal::WrongKey);
        }
        proof => proof?,
    };
    if key.accepts(&proof, Side::Caller, &theirs, &ours) { Ok(()) } else { Err(Refusal::WrongKey) }
}

const fn mode(key: Option<&PeerKey>) -> u8 {
    if key.is_some() { KEYED } else { OPEN }
}

/// Reads the other side's first words, as far as both have them.
async fn expect_hello<S: AsyncRead + Unpin>(stream: &mut S, key: Option<&PeerKey>) -> Result<(), Refusal> {
    let magic: [u8; MAGIC.len()] = read(stream).await?;
    if magic != *MAGIC {
        return Err(Refusal::Foreign);
    }
    let [mode] = read(stream).await?;
    match (mode, key) {
        (OPEN, None) | (KEYED, Some(_)) => Ok(()),
        (OPEN, Some(_)) => Err(Refusal::NoKey),
        (KEYED, None) => Err(Refusal::KeyWanted),
        _ => Err(Refusal::Foreign),
    }
}

async fn read<const N: usize, S: AsyncRead + Unpin>(stream: &mut S) -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;
    use crate::remote::key::PROOF_BYTES;

    fn key(text: &str) -> PeerKey {
        PeerKey::new(format!("{text} 0123456789abcdef0123456789abcdef")).unwrap()
    }

    /// How a caller and a callee part, with these keys.
    async fn meet(
        caller: Option<PeerKey>,
        callee: Option<PeerKey>,
    ) -> (Result<(), Refusal>, Result<(), Refusal>) {
        let (mut near, mut far) = duplex(1_024);
        tokio::join!(async move { greet(&mut near, caller.as_ref()).await }, async move {
            welcome(&mut far, callee.as_ref()).await
        },)
    }

    #[tokio::test]
    async fn two_of_one_key_meet_and_others_do_not() {
        use Refusal::{KeyWanted, NoKey, WrongKey};
        assert!(matches!(meet(None, None).await, (Ok(()), Ok(()))));
        assert!(matches!(meet(Some(key("one")), Some(key("one"))).await, (Ok(()), Ok(()))));
        let strangers = meet(Some(key("one")), Some(key("two"))).await;
        assert!(matches!(strangers, (Err(WrongKey), Err(WrongKey))), "{strangers:?}");
        let bare_caller = meet(None, Some(key("one"))).await;
        assert!(matches!(bare_caller, (Err(KeyWanted), Err(NoKey))), "{bare_caller:?}");
        let bare_callee = meet(Some(key("one")), None).await;
        assert!(matches!(bare_callee, (Err(NoKey), Err(KeyWanted))), "{bare_callee:?}");
    }

    #[tokio::test]
    async fn a_proof_that_was_heard_is_good_for_nothing_later() {
        // A recording of a whole, good caller.
        let (mut near, mut middle) = duplex(1_024);
        let (mut middle_out, mut far) = duplex(1_024);
        let (caller_key, callee_key) = (key("one"), key("one"));
        let caller = async move { greet(&mut near, Some(&caller_key)).await };
        let listener = async {
            let mut heard = vec![0; MAGIC.len() + 1 + PROOF_BYTES];
            middle.read_exact(&mut heard).await.unwrap();
            middle_out.write_all(&heard).await.unwrap();
            let mut answer = vec![0; MAGIC.len() + 1 + 2 * PROOF_BYTES];
            middle_out.read_exact(&mut answer).await.unwrap();
            middle.write_all(&answer).await.unwrap();
            let mut proof = [0; PROOF_BYTES];
            middle.read_exact(&mut proof).await.unwrap();
            middle_out.write_all(&proof).await.unwrap();
            heard.extend_from_slice(&proof);
            heard
        };
        let (_, heard, welcomed) = tokio::join!(caller, listener, welcome(&mut far, Some(&callee_key)));
        assert!(welcomed.is_ok(), "the recording is of a good caller");

        let (mut replay, mut far) = duplex(1_024);
        replay.write_all(&heard).await.unwrap();
        assert!(matches!(welcome(&mut far, Some(&callee_key)).await, Err(Refusal::WrongKey)));
    }

    #[tokio::test]
    async fn a_foreign_process_is_told_nothing() {
        let (mut near, mut far) = duplex(1_024);
        near.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(matches!(welcome(&mut far, Some(&key("one"))).await, Err(Refusal::Foreign)));
        drop(far);
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"");
    }

    #[tokio::test]
    async fn a_process_that_pretends_to_be_a_callee_sees_no_proof() {
        let (mut near, mut far) = duplex(1_024);
        let pretender = async move {
            let mut hello = vec![0; MAGIC.len() + 1 + PROOF_BYTES];
            far.read_exact(&mut hello).await.unwrap();
            // It sends the caller's own words back, and makes up a proof.
            far.write_all(&hello).await.unwrap();
            far.write_all(&[7; PROOF_BYTES]).await.unwrap();
            let mut rest = Vec::new();
            far.read_to_end(&mut rest).await.unwrap();
            rest
        };
        let caller = async move { greet(&mut near, Some(&key("one"))).await };
        let (refused, rest) = tokio::join!(caller, pretender);
        assert!(matches!(refused, Err(Refusal::WrongKey)));
        assert_eq!(rest, b"");
    }
}
