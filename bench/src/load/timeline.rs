//! What there was second by second, while one side was measured.

use serde::Serialize;

use super::trial::Side;

/// Of one side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timeline {
    /// Which.
    pub side: Side,
    /// From when sessions began to be opened.
    pub seconds: Vec<Sample>,
}

/// One second. What nobody could tell is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// When it began: seconds since the first of them began.
    pub at: u64,
    /// What went on at its end, for people.
    pub part: String,
    /// Sessions open at its end.
    pub open: u64,
    /// Sessions that got their `welcome` in it.
    pub welcomed: u64,
    /// Hint frames that count in it.
    pub hints: u64,
    /// 99 of 100 of those sessions were not longer from the beginning of their connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub welcome_p99_us: Option<u64>,
    /// Half of what counted of hints in it was not later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_p50_us: Option<u64>,
    /// 99 of 100 were not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_p99_us: Option<u64>,
    /// Rings beside those hints that users learned of in it.
    pub rings: u64,
    /// Half of those were not later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_ring_p50_us: Option<u64>,
    /// 99 of 100 were not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_ring_p99_us: Option<u64>,
    /// The server's CPU, or the bare loop's, in hundredths of a core: of processes of the tool's own alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu: Option<f64>,
    /// The tool's CPU, in hundredths of a core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_cpu: Option<f64>,
    /// That of its process with sockets that used most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_busiest_cpu: Option<f64>,
}
