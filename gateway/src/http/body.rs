//! A request's body, within a size and a time.

use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use doorbell_protocol::{ErrorBody, ErrorCode};
use http::Request;
use http::header::EXPECT;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::timeout;

/// What a body may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Its size.
    pub bytes_max: usize,
    /// From the head to its last byte, in all: a byte a second must not hold a connection.
    pub timeout: Duration,
}

/// How much of a body that nobody wants is read and dropped before the answer, as a multiple of the limit. A client
/// that is still writing would otherwise see its connection reset, and no answer.
const DRAINED_LIMITS: usize = 8;

/// Reads the whole body. One that announces a size beyond the limit is refused before it is kept.
///
/// *Cancel safety*: a dropped read leaves the connection unusable; hyper closes it.
///
/// # Errors
/// `too_large`; `invalid` where it does not arrive in time or breaks off.
pub async fn read_body<B>(request: Request<B>, limits: BodyLimits) -> Result<Bytes, ErrorBody>
where
    B: Body<Data = Bytes> + Send,
{
    if request.body().size_hint().lower() > limits.bytes_max as u64 {
        drain_body(request, limits).await;
        return Err(too_large(limits));
    }
    match timeout(limits.timeout, collect(request.into_body(), limits.bytes_max)).await {
        Ok(Read::Whole(bytes)) => Ok(bytes),
        Ok(Read::TooLarge) => Err(too_large(limits)),
        Ok(Read::Broken) => Err(ErrorBody::new(ErrorCode::Invalid, "the body broke off")),
        Err(_) => Err(ErrorBody::new(
            ErrorCode::Invalid,
            format!("the body did not arrive within {} s", limits.timeout.as_secs()),
        )),
    }
}

enum Read {
    Whole(Bytes),
    TooLarge,
    Broken,
}

async fn collect<B: Body<Data = Bytes>>(body: B, bytes_max: usize) -> Read {
    let (mut body, mut kept) = (pin!(body), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Read::Broken };
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > bytes_max - kept.len() {
            skip(body, bytes_max).await;
            return Read::TooLarge;
        }
        kept.extend_from_slice(&data);
    }
    Read::Whole(kept.freeze())
}

/// Reads a body that is not wanted, within its limits, so that its sender gets to read the answer.
pub async fn drain_body<B>(request: Request<B>, limits: BodyLimits)
where
    B: Body<Data = Bytes> + Send,
{
    // A client that waits for permission to send is refused at once; nothing is under way.
    if !request.headers().contains_key(EXPECT) {
        // What is left at the deadline is cut with the connection.
        let _ = timeout(limits.timeout, skip(pin!(request.into_body()), limits.bytes_max)).await;
    }
}

async fn skip<B: Body<Data = Bytes>>(mut body: Pin<&mut B>, bytes_max: usize) {
    let mut left = bytes_max.saturating_mul(DRAINED_LIMITS);
    while let Some(Ok(frame)) = body.frame().await {
        match frame.data_ref().map_or(Some(left), |data| left.checked_sub(data.len())) {
            Some(less) => left = less,
            None => return,
        }
    }
}

fn too_large(limits: BodyLimits) -> ErrorBody {
    ErrorBody::new(ErrorCode::TooLarge, format!("the body must be at most {} bytes", limits.bytes_max))
}
