//! Who may call, and who is called.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "support/double.rs"]
mod double;
#[path = "support/rig.rs"]
mod rig;

use std::time::Duration;

use doorbell_rpc::GatewayApi as _;
use doorbell_rpc::remote::{BadCertificate, Config, Error, Metrics, PeerPem, PeerTls, Server, Trust};
use double::{Double, ring};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rig::{Rig, config, connect, key};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const REFUSED: &str = "doorbell_rpc_refused_peers_total";

async fn start(trust: &Trust) -> Rig {
    start_with(trust, &config()).await
}

async fn start_with(trust: &Trust, config: &Config) -> Rig {
    Rig::start_at("127.0.0.1:0".parse().unwrap(), Double::new().served("gw-1"), trust, config).await
}

async fn can_call(rig: &Rig, trust: &Trust) -> bool {
    connect(rig.address, trust, &config()).deliver(vec![ring("ada")]).await.is_ok()
}

#[tokio::test]
async fn processes_of_one_key_call_each_other_and_others_do_not() {
    let keyed = start(&key("one")).await;
    assert!(can_call(&keyed, &key("one")).await);
    assert_eq!(keyed.count(REFUSED, ""), 0.0);
    assert!(!can_call(&keyed, &key("two")).await);
    keyed.counted(REFUSED, "wrong_key", 1.0).await;
    assert!(!can_call(&keyed, &Trust::default()).await);
    keyed.counted(REFUSED, "no_key", 1.0).await;

    let open = start(&Trust::default()).await;
    assert!(can_call(&open, &Trust::default()).await);
    assert!(!can_call(&open, &key("one")).await, "no call goes to a process that cannot prove itself");
    open.counted(REFUSED, "key_wanted", 1.0).await;
}

#[tokio::test]
async fn without_a_key_or_certificates_only_this_machine_may_call() {
    let metrics = Metrics::unregistered();
    let bind = |address: &str, trust| {
        let address = address.parse().unwrap();
        let metrics = &metrics;
        async move { Server::bind(address, &trust, &config(), metrics).await }
    };
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7071"] {
        let refused = bind(address, Trust::default()).await.unwrap_err();
        assert!(
            matches!(refused, Error::Unguarded(_)) && refused.to_string().contains("need a key"),
            "{refused}"
        );
    }
    bind("127.0.0.1:0", Trust::default()).await.unwrap();
    bind("0.0.0.0:0", key("one")).await.unwrap();
}

#[tokio::test]
async fn noise_and_silence_are_refused_and_others_are_served() {
    let hasty = Config { connect_timeout: Duration::from_millis(300), ..config() };
    let rig = start_with(&key("one"), &hasty).await;
    for (words, reason) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "foreign"),
        (&[0xff; 4_096], "foreign"),
        (b"doorbell-rpc/2\nk", "foreign"),
        (b"doorbell-rpc/1\n?", "foreign"),
        (b"doorbell-rpc/1\nk and no more", "late"),
        (b"", "late"),
    ] {
        let before = rig.count(REFUSED, reason);
        let mut socket = TcpStream::connect(rig.address).await.unwrap();
        socket.write_all(words).await.unwrap();
        assert!(can_call(&rig, &key("one")).await);
        let mut answer = Vec::new();
        let end = timeout(Duration::from_secs(2), socket.read_to_end(&mut answer)).await;
        assert!(end.is_ok(), "it is closed");
        assert!(answer.len() <= 80, "and told no more than a greeting");
        rig.counted(REFUSED, reason, before + 1.0).await;
    }
    rig.end().await;
}

#[tokio::test]
async fn half_a_frame_and_silence_end_the_connection() {
    const GREETING: &[u8] = b"doorbell-rpc/1\no";
    let hasty = Config { connect_timeout: Duration::from_millis(300), ..config() };
    let rig = start_with(&Trust::default(), &hasty).await;
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    for words in [
        &b""[..],
        b"PRI * HTTP/2.0\r\n",
        b"no HTTP at all, and long enough to be sure of it",
        &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..]].concat(),
        &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..], &[0, 1, 0, 0]].concat(),
        // A frame that says that it has 16 MiB.
        &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..], &[0xff; 40]].concat(),
    ] {
        let mut socket = TcpStream::connect(rig.address).await.unwrap();
        socket.write_all(&[GREETING, words].concat()).await.unwrap();
        assert!(can_call(&rig, &Trust::default()).await);
        let mut answer = Vec::new();
        let end = timeout(Duration::from_secs(3), socket.read_to_end(&mut answer)).await;
        assert!(end.is_ok(), "{words:?}: it is closed");
    }
    rig.end().await;
}

#[tokio::test]
async fn there_are_no_more_connections_than_may_be() {
    let two = Config { connections_max: 2.try_into().unwrap(), ..config() };
    let rig = start_with(&key("one"), &two).await;
    let (first, second) = (rig.connect(), rig.connect());
    first.deliver(vec![ring("ada")]).await.unwrap();
    second.deliver(vec![ring("ada")]).await.unwrap();
    assert!(!can_call(&rig, &key("one")).await);
    rig.counted(REFUSED, "full", 1.0).await;

    drop(second);
    let third = rig.connect();
    let mut look = tokio::time::interval(Duration::from_millis(10));
    while third.deliver(vec![ring("ada")]).await.is_err() {
        look.tick().await;
    }
    first.deliver(vec![ring("ada")]).await.unwrap();
}

/// An authority, which signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A process whose certificate carries `name`; it expects `peers` of others.
    fn sign(&self, name: &str, peers: &str) -> Result<Trust, BadCertificate> {
        self.sign_for(&self.pem, name, peers)
    }

    /// The same, of a process that believes another authority.
    fn sign_for(&self, authority: &str, name: &str, peers: &str) -> Result<Trust, BadCertificate> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        let tls = PeerTls::new(PeerPem {
            authority: authority.as_bytes(),
            certificate: certificate.as_bytes(),
            key: key.serialize_pem().as_bytes(),
            name: peers,
        })?;
        Ok(Trust { key: None, tls: Some(tls) })
    }
}

#[tokio::test]
async fn processes_with_certificates_of_one_authority_call_each_other_and_others_do_not() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let process = || ours.sign("peers.test", "peers.test").unwrap();
    let rig = start(&process()).await;
    assert!(can_call(&rig, &process()).await);

    assert!(!can_call(&rig, &theirs.sign("peers.test", "peers.test").unwrap()).await, "of another authority");
    let forged = theirs.sign_for(&ours.pem, "peers.test", "peers.test").unwrap();
    assert!(!can_call(&rig, &forged).await, "who believes our authority, and has a certificate of another");
    assert!(
        !can_call(&rig, &ours.sign("peers.test", "others.test").unwrap()).await,
        "who expects another name"
    );
    assert!(!can_call(&rig, &Trust::default()).await, "who has none");
    assert!(!can_call(&rig, &key("one")).await, "who has a key instead");
    let stranger = start(&theirs.sign("peers.test", "peers.test").unwrap()).await;
    assert!(!can_call(&stranger, &process()).await, "and none of ours calls a stranger");

    let both = || Trust { key: key("one").key, ..process() };
    let rig = start(&both()).await;
    assert!(can_call(&rig, &both()).await);
    assert!(!can_call(&rig, &process()).await, "a certificate does not stand for the key");
}

#[test]
fn what_is_wrong_with_certificates_is_said() {
    let authority = Authority::new();
    let wrong = authority.sign("peers.test", "not a name").unwrap_err();
    assert_eq!(wrong.to_string(), "`not a name` is no name that a certificate can carry");
    let pem = PeerPem { authority: b"", certificate: b"", key: b"", name: "peers.test" };
    let wrong = PeerTls::new(pem).unwrap_err();
    assert_eq!(wrong.to_string(), "the authority's certificate cannot be read: it holds no certificate");
}
