//! A small HTTP server that keeps what it was asked and answers as told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// What it does with a request.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Answers with a status, headers and a body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// Never answers.
    Hang,
    /// Closes the connection without an answer.
    Close,
}

/// One request that it got.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Serves until it is dropped.
pub struct Server {
    pub url: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    /// What it does first, one a request.
    script: Mutex<VecDeque<Behaviour>>,
    behaviour: Mutex<Behaviour>,
    came: Notify,
    asked: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
}

impl Server {
    pub async fn start(behaviour: Behaviour) -> Self {
        Self::scripted([], behaviour).await
    }

    /// Does each of these once, and then `behaviour`.
    pub async fn scripted(script: impl IntoIterator<Item = Behaviour>, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            script: Mutex::new(script.into_iter().collect()),
            behaviour: Mutex::new(behaviour),
            came: Notify::new(),
            asked: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let (mut tasks, accepting) = (JoinSet::new(), Arc::clone(&shared));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                accepting.connections.fetch_add(1, Ordering::Relaxed);
                let shared = Arc::clone(&accepting);
                let service = service_fn(move |request| {
                    let shared = Arc::clone(&shared);
                    async move { shared.answer(request).await }
                });
                connections.spawn(async move {
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { url, shared, _tasks: tasks }
    }

    pub fn now_does(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock() = behaviour;
    }

    /// The request of that number, from 0, once it is there.
    pub async fn nth(&self, number: usize) -> Asked {
        loop {
            let came = self.shared.came.notified();
            if let Some(asked) = self.shared.asked.lock().get(number) {
                return asked.clone();
            }
            came.await;
        }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().clone()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        self.asked.lock().push(Asked { path: head.uri.path().to_owned(), headers: head.headers, body });
        self.came.notify_waiters();
        let scripted = self.script.lock().pop_front();
        let behaviour = scripted.unwrap_or_else(|| self.behaviour.lock().clone());
        match behaviour {
            Behaviour::Answer(status, headers, body) => {
                let mut response = Response::builder().status(status);
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                Ok(response.body(Full::from(body)).unwrap())
            }
            Behaviour::Hang => match std::future::pending::<Infallible>().await {},
            Behaviour::Close => Err(std::io::Error::other("told to close")),
        }
    }
}
