//! How a user wants to be seen.

use super::{Draft, admit};
use crate::refusal::Refusal;
use crate::status::Status;
use crate::store::Event;
use crate::writer::request::StatusRequest;

impl Draft<'_> {
    /// Sets a user's status; answers it as it stands. What is so already changes nothing.
    pub fn set_status(&mut self, request: StatusRequest) -> Result<Status, Refusal> {
        let StatusRequest { caller, mut status } = request;
        let user = caller.user.clone();
        let before = match self.statuses.get(&user) {
            Some(status) => status.clone(),
            None => self.view.status(&user)?.unwrap_or_default(),
        };
        if !before.is_visible() && !status.is_visible() {
            // Seen since then by nobody.
            status.seen_before = before.seen_before;
        }
        if status == before {
            return Ok(status);
        }
        admit(&self.throttles.conversations, &caller, "status changes")?;
        self.batch.events.push(Event::Status { user: user.clone() });
        self.statuses.insert(user, status.clone());
        Ok(status)
    }
}
