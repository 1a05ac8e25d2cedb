use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::*;

/// `/` answers, `/panic` panics, `/wait` says that it was entered and answers once the gate opens, `/body` reads the
/// body.
struct Doors {
    entered: Semaphore,
    gate: Semaphore,
}

#[async_trait]
impl Routes for Doors {
    async fn route(&self, request: Request<Incoming>, _: SocketAddr) -> Response<Full<Bytes>> {
        match request.uri().path() {
            "/panic" => panic!("a route's bug"),
            "/wait" => {
                self.entered.add_permits(1);
                drop(self.gate.acquire().await);
            }
            "/body" => drop(request.into_body().collect().await),
            _ => {}
        }
        Response::new(Full::from("hello"))
    }
}

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    metrics: Metrics,
    doors: Arc<Doors>,
    task: JoinHandle<()>,
}

/// Nobody is accepted before it serves: whatever clients do meanwhile has reached the kernel.
fn bind(config: Config) -> (Listener, Metrics) {
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    (Listener::bind("127.0.0.1:0".parse().unwrap(), config, metrics.clone()).unwrap(), metrics)
}

fn start(config: Config) -> Running {
    let (listener, metrics) = bind(config);
    serve(listener, metrics)
}

fn serve(listener: Listener, metrics: Metrics) -> Running {
    let (address, stop) = (listener.local_addr(), CancellationToken::new());
    let doors = Arc::new(Doors { entered: Semaphore::new(0), gate: Semaphore::new(0) });
    let task = TaskTracker::new().spawn(listener.run(stop.clone(), doors.clone()));
    Running { address, stop, metrics, doors, task }
}

/// A server that says nothing for that long hangs. Never waited for where all is well.
const HANG: Duration = Duration::from_secs(10);

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async fn connect(running: &Running) -> TcpStream {
    TcpStream::connect(running.address).await.unwrap()
}

/// Sends a request and reads until the answer's body, or the end, is there.
async fn ask(socket: &mut TcpStream, request: &str) -> String {
    // The server may have closed already; what it said is read all the same.
    let _ = socket.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        let mut chunk = [0; 1024];
        match timeout(HANG, socket.read(&mut chunk)).await.expect("the server hangs") {
            Ok(0) | Err(_) => break,
            Ok(read) => answer.extend_from_slice(&chunk[..read]),
        }
    }
    String::from_utf8(answer).unwrap()
}

/// Lets the other tasks run until it is so.
async fn until(is_so: impl Fn() -> bool) {
    let looked = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(HANG, looked).await.expect("it never is so");
}

#[tokio::test]
async fn a_connection_sends_small_frames_at_once_and_the_kernel_keeps_little_that_a_client_does_not_read() {
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Config::default(), metrics).unwrap();
    let client = TcpSocket::new_v4().unwrap();
    client.set_recv_buffer_size(4_096).unwrap();
    let (_client, accepted) = tokio::join!(client.connect(listener.local_addr()), listener.socket.accept());
    let mut socket = accepted.unwrap().0.into_std().unwrap();

    assert!(socket.nodelay().unwrap());
    // 40,000 frames of hints.
    let (frame, mut taken) = ([0; 80], 0);
    let refusal = loop {
        match io::Write::write(&mut socket, &frame) {
            Ok(bytes) if taken < 40_000 * frame.len() => taken += bytes,
            other => break other.map_err(|error| error.kind()),
        }
    };
    assert_eq!(refusal, Err(io::ErrorKind::WouldBlock));
    assert!(taken <= 64 * 1_024, "{taken}");
}

#[tokio::test]
async fn requests_of_one_connection_are_answered_in_turn() {
    let running = start(Config::default());
    let mut socket = connect(&running).await;
    for _ in 0..3 {
        assert!(ask(&mut socket, GET).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_it() {
    let running = start(Config::default());
    let error = Listener::bind(running.address, Config::default(), running.metrics.clone()).err().unwrap();
    assert!(error.to_string().contains(&running.address.to_string()), "{error}");
    assert!(matches!(error, Error::InUse { .. }));
}

#[tokio::test]
async fn one_connection_too_many_is_told_to_come_back() {
    let running = start(Config { connections_max: NonZeroUsize::MIN, ..Config::default() });
    let mut first = connect(&running).await;
    assert!(ask(&mut first, GET).await.starts_with("HTTP/1.1 200"));

    let refused = ask(&mut connect(&running).await, GET).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    // The first who is refused comes back after a second and its place, in whole seconds.
    assert!(refused.contains("Retry-After: 2\r\n") && refused.contains("unavailable"), "{refused}");

    let closing = GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    assert!(ask(&mut first, &closing).await.starts_with("HTTP/1.1 200"));
    until(|| running.metrics.open() == 0).await;
    assert!(ask(&mut connect(&running).await, GET).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn beyond_the_accept_rate_connections_are_told_to_come_back() {
    let running = start(Config {
        accepts_per_second: NonZeroU32::MIN,
        accepts_burst: NonZeroU32::new(2).unwrap(),
        ..Config::default()
    });
    for expected in ["HTTP/1.1 200", "HTTP/1.1 200", "HTTP/1.1 503"] {
        assert!(ask(&mut connect(&running).await, GET).await.starts_with(expected), "{expected}");
    }
}

#[tokio::test]
async fn however_many_are_refused_at_once_each_whose_request_is_here_is_told() {
    let (accepts_per_second, accepts_burst) = (NonZeroU32::MIN, NonZeroU32::MIN);
    let (listener, metrics) = bind(Config { accepts_per_second, accepts_burst, ..Config::default() });
    let address = listener.local_addr();
    let mut crowd = Vec::new();
    // More than may be waited for, and fewer than have places of their own.
    for _ in 0..REFUSALS_MAX + 30 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(GET.as_bytes()).await.unwrap();
        crowd.push(socket);
    }
    serve(listener, metrics);
    let mut told = Vec::new();
    for socket in &mut crowd {
        told.push(ask(socket, "").await);
    }
    assert!(told[0].starts_with("HTTP/1.1 200"), "{}", told[0]);
    for (place, told) in told.iter().enumerate().skip(1) {
        // One a second; a whole second more where the time between two accepts makes one.
        let is_told = |second| told.contains(&format!("Retry-After: {second}\r\n"));
        assert!(
            told.starts_with("HTTP/1.1 503") && (is_told(place + 1) || is_told(place)),
            "{place}: {told}"
        );
    }
}

#[tokio::test]
async fn only_a_whole_get_is_answered_without_waiting_since_more_may_come_of_another_request() {
    for (request, is_asked) in [
        (GET.to_owned(), true),
        (GET[..GET.len() - 1].to_owned(), false),
        (String::new(), false),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n".to_owned(), false),
    ] {
        let (listener, _) = bind(Config::default());
        let mut client = TcpStream::connect(listener.local_addr()).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        let (socket, _) = listener.socket.accept().await.unwrap();
        assert_eq!(farewell::is_asked(&socket), is_asked, "{request:?}");
    }
}

#[tokio::test]
async fn a_panic_ends_its_connection_and_no_other() {
    let running = start(Config::default());
    let mut other = connect(&running).await;
    assert!(ask(&mut other, GET).await.starts_with("HTTP/1.1 200"));

    assert_eq!(ask(&mut connect(&running).await, &GET.replace("/ ", "/panic ")).await, "");
    until(|| running.metrics.panics() > 0).await;
    assert!(ask(&mut other, GET).await.starts_with("HTTP/1.1 200"));
    assert_eq!(running.metrics.panics(), 1);
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut() {
    let running = start(Config { head_timeout: Duration::from_millis(50), ..Config::default() });
    for head in ["", "GET / HTTP/1.1\r\nHost: a\r\n"] {
        let mut socket = connect(&running).await;
        assert_eq!(ask(&mut socket, head).await, "");
    }
    let mut idle = connect(&running).await;
    assert!(ask(&mut idle, GET).await.starts_with("HTTP/1.1 200"));
    assert_eq!(ask(&mut idle, "").await, "", "an idle connection ends as well");
}

#[tokio::test]
async fn a_head_beyond_its_limits_is_refused() {
    let running = start(Config::default());
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(101));
    for head in [long, many] {
        assert!(ask(&mut connect(&running).await, &head).await.starts_with("HTTP/1.1 431"));
    }
}

#[tokio::test]
async fn a_connection_ends_at_its_greatest_age() {
    let running = start(Config {
        connection_age_max: Duration::from_millis(50),
        stop_timeout: Duration::from_millis(50),
        ..Config::default()
    });
    let mut trickling = connect(&running).await;
    let body = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx";
    assert_eq!(ask(&mut trickling, body).await, "");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_idle_connections() {
    let running = start(Config { stop_timeout: Duration::from_secs(3600), ..Config::default() });
    let mut kept = connect(&running).await;
    assert!(ask(&mut kept, GET).await.starts_with("HTTP/1.1 200"));
    let mut silent = connect(&running).await;
    until(|| running.metrics.open() == 2).await;

    running.stop.cancel();
    timeout(HANG, running.task).await.unwrap().unwrap();

    assert_eq!(ask(&mut kept, "").await, "");
    assert_eq!(ask(&mut silent, "").await, "");
    assert!(TcpStream::connect(running.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_stop_lets_the_request_at_hand_end() {
    let running = start(Config { stop_timeout: Duration::from_secs(3600), ..Config::default() });
    let mut socket = connect(&running).await;
    socket.write_all(GET.replace("/ ", "/wait ").as_bytes()).await.unwrap();
    drop(running.doors.entered.acquire().await);

    running.stop.cancel();
    running.doors.gate.add_permits(1);

    timeout(HANG, running.task).await.unwrap().unwrap();
    assert!(ask(&mut socket, "").await.ends_with("hello"));
}

#[tokio::test]
async fn a_stop_cuts_what_does_not_end() {
    let running = start(Config { stop_timeout: Duration::from_millis(50), ..Config::default() });
    let mut socket = connect(&running).await;
    socket.write_all(GET.replace("/ ", "/wait ").as_bytes()).await.unwrap();
    drop(running.doors.entered.acquire().await);
    running.stop.cancel();
    timeout(HANG, running.task).await.unwrap().unwrap();
    assert_eq!(running.metrics.open(), 0);
}
