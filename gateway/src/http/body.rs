//! A request's body, within a size and a time.

use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
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

/// How much of a body that is too large is read and dropped before the answer, as a multiple of the limit. A client
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
    // A client that waits for permission to send has it refused at once; nothing needs draining.
    let waits = request.headers().contains_key(EXPECT);
    let body = request.into_body();
    let is_announced_too_large = body.size_hint().lower() > limits.bytes_max as u64;
    if is_announced_too_large && waits {
        return Err(too_large(limits));
    }
    match timeout(limits.timeout, collect(body, limits.bytes_max)).await {
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
    let mut body = pin!(body);
    let (mut kept, mut read) = (BytesMut::new(), 0_usize);
    let mut is_kept = body.size_hint().lower() <= bytes_max as u64;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Read::Broken };
        let Ok(data) = frame.into_data() else { continue };
        read = read.saturating_add(data.remaining());
        is_kept &= read <= bytes_max;
        if is_kept {
            kept.extend_from_slice(&data);
        } else if read > bytes_max.saturating_mul(DRAINED_LIMITS) {
            return Read::TooLarge;
        }
    }
    if is_kept { Read::Whole(kept.freeze()) } else { Read::TooLarge }
}

fn too_large(limits: BodyLimits) -> ErrorBody {
    ErrorBody::new(ErrorCode::TooLarge, format!("the body must be at most {} bytes", limits.bytes_max))
}
