//! How users want to be seen, for those who may see them.

use doorbell_protocol::UserId;

use super::audiences::Acquaintances;
use crate::refusal::Refusal;
use crate::status::Status;
use crate::store::Store;

/// Of some users, those whom a user may see, each with the status: oneself, and whoever shares a conversation.
///
/// # Errors
/// The store cannot be read.
pub fn seen_by(
    store: &dyn Store,
    user: &UserId,
    users: Vec<UserId>,
) -> Result<Vec<(UserId, Status)>, Refusal> {
    let mut acquaintances = Acquaintances::of(store, user);
    let mut seen = Vec::new();
    for other in users {
        if acquaintances.include(&other)? {
            let status = of(store, &other)?;
            seen.push((other, status));
        }
    }
    Ok(seen)
}

/// One user's status; who never set one is seen as they are.
///
/// # Errors
/// The store cannot be read.
pub fn of(store: &dyn Store, user: &UserId) -> Result<Status, Refusal> {
    let view = store.view(store.shards().of_user(user))?;
    Ok(view.status(user)?.unwrap_or_default())
}
