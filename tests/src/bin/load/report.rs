//! What is printed.

/// Prints percentiles of times in microseconds.
pub fn times(what: &str, mut micros: Vec<u32>) {
    micros.sort_unstable();
    let at = |share: f64| {
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let index = ((micros.len() as f64 * share) as usize).min(micros.len().saturating_sub(1));
        f64::from(micros.get(index).copied().unwrap_or_default()) / 1000.0
    };
    println!(
        "{what}: n {} p50 {:.2} ms p90 {:.2} ms p99 {:.2} ms p99.9 {:.2} ms max {:.2} ms",
        micros.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

/// CPU time in seconds, as microseconds of each of so many sends.
pub fn each(seconds: f64, sends: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a count of sends is far below 2^53")]
    let micros = seconds * 1e6 / sends.max(1) as f64;
    format!("{seconds:.2} s of CPU, {micros:.1} µs a send")
}
