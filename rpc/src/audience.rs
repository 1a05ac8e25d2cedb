//! Who may follow what, for a gateway that has to know: message-svc answers it, or an upstream of the operator's own.

use async_trait::async_trait;
use doorbell_protocol::{Hint, TopicId, UserId};

use crate::Error;

/// What a gateway asks about audiences that it rings itself.
#[async_trait]
pub trait Audiences: Send + Sync {
    /// Each user's large topics (conversations above the threshold), each with its head; in the order of the users. The gateway
    /// follows these for the user and hints the heads.
    ///
    /// *Ordering*: reads what is committed when it is called, or later.
    ///
    /// # Errors
    /// There is no answer for one of them: then there is none for any.
    async fn large_topics(&self, users: Vec<UserId>) -> Result<Vec<Vec<Hint>>, Error>;

    /// Of these topics, those that the user may follow, each with its version. What is absent in the answer is denied;
    /// "absent" and "not yours" look alike.
    async fn authorize(&self, user: &UserId, topics: Vec<TopicId>) -> Result<Vec<Hint>, Error>;
}
