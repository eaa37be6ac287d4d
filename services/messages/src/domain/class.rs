use sotto_proto::socket::MessageClass;

/// How a message is treated on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Waits in the queue.
    Normal,
    /// Waits in the queue; the writer gathers nothing more before it commits.
    Urgent,
    /// Goes to the devices that are on a socket now. Never stored.
    Ephemeral,
}

impl Class {
    /// Reads it off the wire. `None` for one that is not known here: whoever sends it
    /// wants something that would not be done.
    pub(crate) fn read(number: i32) -> Option<Self> {
        MessageClass::try_from(number).ok().map(|class| match class {
            MessageClass::Unspecified => Self::Normal,
            MessageClass::Urgent => Self::Urgent,
            MessageClass::Ephemeral => Self::Ephemeral,
        })
    }

    /// As a label of metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Urgent => "urgent",
            Self::Ephemeral => "ephemeral",
        }
    }
}

impl From<Class> for MessageClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Normal => Self::Unspecified,
            Class::Urgent => Self::Urgent,
            Class::Ephemeral => Self::Ephemeral,
        }
    }
}
