//! Where a session stands, and what that lets in and out.

/// A session's phases: see `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Hello,
    Entering,
    Open,
    Closing,
    Parting,
    Lingering,
    Closed,
}

impl Phase {
    pub(super) const fn is_over(self) -> bool {
        match self {
            Self::Hello | Self::Entering | Self::Open => false,
            Self::Closing | Self::Parting | Self::Lingering | Self::Closed => true,
        }
    }

    pub(super) const fn hints(self) -> HintGate {
        match self {
            Self::Hello | Self::Entering => HintGate::Hold,
            Self::Open => HintGate::Open,
            Self::Closing | Self::Parting | Self::Lingering | Self::Closed => HintGate::Shut,
        }
    }
}

/// What becomes of hints now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HintGate {
    /// They are kept until the `welcome` is out.
    Hold,
    /// They go out.
    Open,
    /// Nobody will read them.
    Shut,
}

/// What becomes of the client's bytes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadGate {
    /// They are read.
    Open,
    /// They wait in the socket.
    Held,
    /// They are read and dropped, but for the client's close.
    Drop,
    /// There is no socket to read.
    Shut,
}
