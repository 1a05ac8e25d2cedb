//! The one mapping of failed calls to what travels, and back.

use doorbell_protocol::GatewayId;

use super::{BadMessage, Checked};
use crate::Error;
use crate::remote::wire;
use crate::remote::wire::failure::Kind;

/// The services that may be named in a failure: [`Error`] holds names that the program knows.
const SERVICES: [&str; 4] = ["message-svc", "channel-svc", "upstream", "gateway"];

pub(crate) fn failure_out(error: &Error) -> wire::Failure {
    let failure = |kind: Kind| wire::Failure { kind: kind.into(), ..wire::Failure::default() };
    match error {
        Error::Unreachable { gateway } => {
            wire::Failure { gateway: gateway.to_string(), ..failure(Kind::Unreachable) }
        }
        Error::Busy { gateway } => wire::Failure { gateway: gateway.to_string(), ..failure(Kind::Busy) },
        Error::Unavailable { service, reason } => wire::Failure {
            service: (*service).to_owned(),
            reason: reason.clone(),
            ..failure(Kind::Unavailable)
        },
    }
}

/// The error that was said. `called` is the name of a service that this version does not know.
pub(crate) fn failure_in(failure: wire::Failure, called: &'static str) -> Checked<Error> {
    let gateway = |name: &str| Ok::<_, BadMessage>(GatewayId::new(name)?);
    match failure.kind() {
        Kind::Unreachable => Ok(Error::Unreachable { gateway: gateway(&failure.gateway)? }),
        Kind::Busy => Ok(Error::Busy { gateway: gateway(&failure.gateway)? }),
        // A kind of a later version is a failure all the same.
        Kind::Unavailable | Kind::Unknown => {
            let service = SERVICES.into_iter().find(|service| *service == failure.service);
            Ok(Error::Unavailable { service: service.unwrap_or(called), reason: failure.reason })
        }
    }
}
