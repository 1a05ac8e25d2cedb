//! Why a socket ends, as a number, and what the client does then.

use serde::Serialize;

/// The longest close reason, in bytes: a control frame carries 125, two of them the code (RFC 6455, 5.5).
pub const REASON_BYTES_MAX: usize = 123;

/// What a client does after a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It ended in the ordinary way: the client comes back when it wants to.
    Ended,
    /// It does not come back unchanged.
    Stop,
    /// It comes back, after exponential backoff with full jitter.
    Backoff,
    /// It comes back with a fresh token.
    FreshToken,
    /// It comes back after the `reconnect_after_ms` of the `goaway` before.
    AfterGoaway,
}

macro_rules! close_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $verdict:ident;)+) => {
        /// A close code that Doorbell sends: RFC 6455's own and the 44xx and 45xx of the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum CloseCode { $($(#[doc = $doc])+ $name,)+ }

        impl CloseCode {
            /// All codes, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $number),+ }
            }

            /// What the client does.
            #[must_use]
            pub const fn verdict(self) -> Verdict {
                match self { $(Self::$name => Verdict::$verdict),+ }
            }

            /// Why, in a few words: the table in docs/protocol.md is made from this.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

close_codes! {
    /// an ordinary end
    Normal = 1000, Ended;
    /// the other side goes away
    GoingAway = 1001, Ended;
    /// a violation of RFC 6455's framing
    ProtocolError = 1002, Stop;
    /// text that is not UTF-8
    InvalidText = 1007, Stop;
    /// a message that is too large
    TooLarge = 1009, Stop;
    /// the server's fault
    ServerError = 1011, Backoff;
    /// a frame that is not the protocol's
    NotProtocol = 4400, Stop;
    /// no token, or a bad one
    Unauthorized = 4401, Stop;
    /// forbidden
    Forbidden = 4403, Stop;
    /// no hello in time, or no sign of life
    Silent = 4408, Backoff;
    /// too many sessions of this user
    TooManySessions = 4409, Stop;
    /// the token expired
    TokenExpired = 4419, FreshToken;
    /// flooding beyond the limit's grace
    Flooding = 4429, Backoff;
    /// the server's fault
    Internal = 4500, Backoff;
    /// the gateway is draining
    Draining = 4503, AfterGoaway;
}

impl CloseCode {
    /// The verdict of any number that a client may receive, also of codes that this version does not send.
    #[must_use]
    pub fn verdict_of(number: u16) -> Verdict {
        if let Some(known) = Self::ALL.iter().find(|code| code.number() == number) {
            return known.verdict();
        }
        match number {
            4400..=4499 => Verdict::Stop,
            _ => Verdict::Backoff,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_say_whether_to_come_back() {
        for code in CloseCode::ALL {
            let back = code.verdict() != Verdict::Stop;
            match code.number() {
                4408 | 4419 | 4429 => assert!(back, "{code:?}"),
                4400..=4499 => assert!(!back, "{code:?}"),
                4500..=4599 => assert!(back, "{code:?}"),
                _ => {}
            }
            assert!(code.meaning().len() <= REASON_BYTES_MAX);
        }
        assert_eq!(CloseCode::verdict_of(4499), Verdict::Stop);
        assert_eq!(CloseCode::verdict_of(1006), Verdict::Backoff);
    }
}
