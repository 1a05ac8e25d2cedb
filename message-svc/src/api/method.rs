//! The methods' names.

/// What is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `topics.changes`
    Changes,
    /// `conversations.create`
    Create,
    /// `conversations.list`
    List,
    /// `conversations.get`
    Get,
    /// `conversations.mark_read`
    MarkRead,
    /// `conversations.update`
    Update,
    /// `members.add`
    AddMembers,
    /// `members.remove`
    RemoveMembers,
    /// `messages.send`
    Send,
    /// `messages.edit`
    Edit,
    /// `messages.delete`
    Delete,
    /// `messages.list`
    Messages,
    /// `status.set`
    SetStatus,
    /// `status.get`
    GetStatus,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A method of this release.
    Served(Method),
    /// Nothing that the protocol knows.
    Unknown,
}

/// The methods by their names, in the order of the protocol's table.
pub(super) const SERVED: [(&str, Method); 14] = [
    ("topics.changes", Method::Changes),
    ("conversations.create", Method::Create),
    ("conversations.list", Method::List),
    ("conversations.get", Method::Get),
    ("conversations.mark_read", Method::MarkRead),
    ("conversations.update", Method::Update),
    ("members.add", Method::AddMembers),
    ("members.remove", Method::RemoveMembers),
    ("messages.send", Method::Send),
    ("messages.edit", Method::Edit),
    ("messages.delete", Method::Delete),
    ("messages.list", Method::Messages),
    ("status.set", Method::SetStatus),
    ("status.get", Method::GetStatus),
];

impl Named {
    /// Looks a name up.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let found = SERVED.iter().find(|(served, _)| *served == name);
        found.map_or(Self::Unknown, |(_, method)| Self::Served(*method))
    }

    /// The name as a metric's label: never what a client made up.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Served(method) => {
                SERVED.iter().find(|(_, served)| *served == method).map_or("unknown", |(name, _)| name)
            }
            Self::Unknown => "unknown",
        }
    }
}
