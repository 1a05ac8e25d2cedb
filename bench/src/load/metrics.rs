//! What a server says of itself that a measurement has to know.

use super::target::Target;

/// Connections, by what became of them.
const ACCEPTS: &str = "doorbell_listener_accepts_total{";
/// Of those the ones that were not turned away.
const SERVED: &str = "\"served\"";
/// Sockets that do not take what waits for them.
const SLOW: &str = "doorbell_gateway_slow_sockets";

/// How many connections the server has turned away up to now; `None` where it does not tell.
///
/// # Errors
/// Its page does not come.
pub async fn turned_away(target: &Target) -> anyhow::Result<Option<u64>> {
    let told = target.figures(|name| name.starts_with(ACCEPTS)).await?;
    Ok(told.map(|told| sum(told.iter().filter(|(name, _)| !name.contains(SERVED)))))
}

/// For how many sockets the server waits now, since they do not take what waits for them; `None` where it does not tell.
///
/// # Errors
/// Its page does not come.
pub async fn slow_sockets(target: &Target) -> anyhow::Result<Option<u64>> {
    Ok(target.figures(|name| name == SLOW).await?.map(|told| sum(told.iter())))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
fn sum<'a>(figures: impl Iterator<Item = &'a (String, f64)>) -> u64 {
    figures.map(|(_, count)| count).sum::<f64>() as u64
}
