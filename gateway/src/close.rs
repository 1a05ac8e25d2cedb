//! The one mapping of session ends to close codes.

use std::borrow::Cow;

use doorbell_protocol::CloseCode;

use crate::error::End;

/// What the close frame says, or `None` where nobody is there to read one, or the client's own close is echoed.
#[must_use]
pub fn code(end: &End) -> Option<CloseCode> {
    Some(match end {
        End::ClientClosed(_) | End::SocketEnded => return None,
        End::Violation(violation) => violation.code,
        End::NotProtocol(_) => CloseCode::NotProtocol,
        End::Unauthorized(_) | End::OtherUser => CloseCode::Unauthorized,
        End::NoHello | End::Silent => CloseCode::Silent,
        End::Evicted => CloseCode::TooManySessions,
        End::TokenExpired => CloseCode::TokenExpired,
        End::Flooding => CloseCode::Flooding,
        End::NotRegistered | End::Undecided | End::Internal => CloseCode::Internal,
        End::Drained => CloseCode::Draining,
    })
}

/// The close frame's reason: for the client's author. One text for every bad token, so that a guesser learns nothing.
#[must_use]
pub fn reason(end: &End) -> Cow<'_, str> {
    match end {
        End::ClientClosed(_) | End::SocketEnded => "".into(),
        End::Violation(violation) => violation.reason.into(),
        End::NotProtocol(reason) => reason.as_ref().into(),
        End::Unauthorized(_) => "no token, or a bad one".into(),
        End::OtherUser => "a token of another user: open a new socket for it".into(),
        End::NoHello => "no hello in time".into(),
        End::Silent => "no sign of life".into(),
        End::Evicted => "too many sessions of this user".into(),
        End::TokenExpired => "the token expired: come back with a fresh one".into(),
        End::Flooding => "too many frames".into(),
        End::NotRegistered => "the session could not be registered: come back later".into(),
        End::Undecided => "no key for this token yet: come back with it later".into(),
        End::Drained => "this gateway is leaving".into(),
        End::Internal => "internal error".into(),
    }
}

/// The `code` label of a close in metrics: the number sent, or what happened instead.
#[must_use]
pub fn label(end: &End) -> Cow<'static, str> {
    match code(end) {
        Some(code) => code.number().to_string().into(),
        None if matches!(end, End::ClientClosed(_)) => "client".into(),
        None => "gone".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::AuthError;

    #[test]
    fn every_bad_token_gets_the_same_answer() {
        let answers = [AuthError::Missing, AuthError::Bad, AuthError::Expired].map(|error| {
            let end = End::Unauthorized(error);
            (code(&end), reason(&end).into_owned())
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]));
    }

    #[test]
    fn labels_are_the_numbers_sent_or_what_happened() {
        let labels =
            [End::Silent, End::Drained, End::ClientClosed(None), End::SocketEnded].map(|end| label(&end));
        assert_eq!(labels, ["4408", "4503", "client", "gone"]);
    }
}
