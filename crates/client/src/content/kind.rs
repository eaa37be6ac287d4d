//! What a content is: something for the history, or a change to it.

use sotto_ids::{
    AccountId, AccountUuid,
    limits::{MAX_POLL_OPTIONS, MAX_REACTION_CHARS, MAX_RECEIPT_IDS},
};
use sotto_proto::content::{self as pb, content::Body as PbBody, receipt, sync as pb_sync};
use uuid::Uuid;

use super::{Head, MAX_COUNTER, body, head_from_pb, head_to_pb};
use crate::{Body, MessageId, ReceiptKind, Visibility};

/// A message of this conversation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Reference {
    pub(crate) author: AccountUuid,
    pub(crate) id: MessageId,
}

/// What a content is, with its limits checked.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Shown in the history.
    Body(Body),
    Edit {
        target: Reference,
        text: String,
    },
    Delete {
        target: Reference,
    },
    /// Without an emoji it is taken back.
    Reaction {
        target: Reference,
        emoji: Option<String>,
    },
    Vote {
        target: Reference,
        options: Vec<u8>,
    },
    Receipt {
        kind: ReceiptKind,
        ids: Vec<MessageId>,
    },
    IdentityChanged,
    Typing {
        typing: bool,
    },
    Presence {
        online: bool,
        last_seen_ms: u64,
    },
    Sync(Sync),
    /// A later version knows it.
    Unknown,
}

/// What another device of one's own did.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Sync {
    Sent {
        recipient: AccountId,
        head: Option<Head>,
        server_time_ms: u64,
        content: Vec<u8>,
    },
    Read(Vec<Reference>),
    Deleted(Vec<Reference>),
    Contacts(Vec<(AccountId, Head)>),
    Settings {
        delivered: bool,
        read: bool,
    },
    Grant {
        account: AccountId,
        visibility: Visibility,
    },
    /// A later version knows it.
    Unknown,
}

impl Reference {
    pub(super) fn to_pb(self) -> pb::Reference {
        let (author, id) = (self.author.as_bytes().to_vec(), self.id.as_bytes().to_vec());
        pb::Reference { author, message_id: id }
    }

    pub(super) fn from_pb(reference: &pb::Reference) -> Result<Self, &'static str> {
        let author = AccountUuid::try_from(reference.author.as_slice());
        Ok(Self {
            author: author.map_err(|_| "malformed_content")?,
            id: message_id(&reference.message_id)?,
        })
    }
}

pub(super) fn message_id(bytes: &[u8]) -> Result<MessageId, &'static str> {
    Uuid::from_slice(bytes).map(MessageId).map_err(|_| "malformed_content")
}

impl Kind {
    /// `None` for what is never sent.
    pub(super) fn to_pb(&self) -> Option<PbBody> {
        Some(match self {
            Self::Body(shown) => return body::to_pb(shown),
            Self::Edit { target, text } => {
                PbBody::Edit(pb::Edit { target: Some(target.to_pb()), body: text.clone() })
            }
            Self::Delete { target } => PbBody::Delete(pb::Delete { target: Some(target.to_pb()) }),
            Self::Reaction { target, emoji } => PbBody::Reaction(pb::Reaction {
                target: Some(target.to_pb()),
                emoji: emoji.clone().unwrap_or_default(),
            }),
            Self::Vote { target, options } => PbBody::Vote(pb::Vote {
                target: Some(target.to_pb()),
                options: options.iter().map(|&option| option.into()).collect(),
            }),
            Self::Receipt { kind, ids } => PbBody::Receipt(pb::Receipt {
                kind: match kind {
                    ReceiptKind::Delivered => receipt::Kind::Delivered.into(),
                    ReceiptKind::Read => receipt::Kind::Read.into(),
                },
                message_ids: ids.iter().map(|id| id.as_bytes().to_vec()).collect(),
            }),
            Self::IdentityChanged => PbBody::IdentityChanged(pb::IdentityChanged {}),
            Self::Typing { typing } => PbBody::Typing(pb::Typing { typing: *typing }),
            Self::Presence { online, last_seen_ms } => {
                PbBody::Presence(pb::Presence { online: *online, last_seen_ms: *last_seen_ms })
            }
            Self::Sync(sync) => PbBody::Sync(pb::Sync { body: Some(sync.to_pb()?) }),
            Self::Unknown => return None,
        })
    }

    pub(super) fn from_pb(kind: Option<PbBody>) -> Result<Self, &'static str> {
        let Some(kind) = kind else { return Ok(Self::Unknown) };
        let target = |reference: Option<pb::Reference>| {
            Reference::from_pb(&reference.ok_or("malformed_content")?)
        };
        Ok(match kind {
            PbBody::Edit(edit) => {
                body::check_text(&edit.body).map_err(|_| "text_length")?;
                Self::Edit { target: target(edit.target)?, text: edit.body }
            }
            PbBody::Delete(delete) => Self::Delete { target: target(delete.target)? },
            PbBody::Reaction(reaction) => {
                check_emoji(&reaction.emoji)?;
                let emoji = Some(reaction.emoji).filter(|emoji| !emoji.is_empty());
                Self::Reaction { target: target(reaction.target)?, emoji }
            }
            PbBody::Vote(vote) => {
                Self::Vote { target: target(vote.target)?, options: options(&vote.options)? }
            }
            PbBody::Receipt(receipt) => {
                let kind = match receipt.kind() {
                    receipt::Kind::Delivered => ReceiptKind::Delivered,
                    receipt::Kind::Read => ReceiptKind::Read,
                    receipt::Kind::Unspecified => return Ok(Self::Unknown),
                };
                count(&receipt.message_ids)?;
                let ids = receipt.message_ids.iter().map(|id| message_id(id));
                Self::Receipt { kind, ids: ids.collect::<Result<_, _>>()? }
            }
            PbBody::IdentityChanged(_) => Self::IdentityChanged,
            PbBody::Typing(typing) => Self::Typing { typing: typing.typing },
            PbBody::Presence(pb::Presence { online, last_seen_ms }) => {
                Self::Presence { online, last_seen_ms: last_seen_ms.min(MAX_COUNTER) }
            }
            PbBody::Sync(sync) => Self::Sync(Sync::from_pb(sync.body)?),
            shown => match body::from_pb(shown)? {
                Some(shown) => Self::Body(shown),
                None => Self::Unknown,
            },
        })
    }
}

impl Sync {
    fn to_pb(&self) -> Option<pb_sync::Body> {
        let references = |all: &[Reference]| all.iter().map(|one| one.to_pb()).collect();
        let account = |id: &AccountId| id.as_bytes().to_vec();
        Some(match self {
            Self::Sent { recipient, head, server_time_ms, content } => {
                pb_sync::Body::Sent(pb_sync::Sent {
                    recipient: account(recipient),
                    recipient_head: head.map(head_to_pb),
                    server_time_ms: *server_time_ms,
                    content: content.clone(),
                })
            }
            Self::Read(read) => pb_sync::Body::Read(pb_sync::Read { messages: references(read) }),
            Self::Deleted(deleted) => {
                pb_sync::Body::Deleted(pb_sync::Deleted { messages: references(deleted) })
            }
            Self::Contacts(contacts) => {
                let contact = |(id, head): &(AccountId, Head)| pb_sync::Contact {
                    account: account(id),
                    head: Some(head_to_pb(*head)),
                };
                let contacts = contacts.iter().map(contact).collect();
                pb_sync::Body::Contacts(pb_sync::Contacts { contacts })
            }
            Self::Settings { delivered, read } => pb_sync::Body::Settings(pb_sync::Settings {
                delivered_receipts: *delivered,
                read_receipts: *read,
            }),
            Self::Grant { account: id, visibility } => pb_sync::Body::Grant(pb_sync::Grant {
                account: account(id),
                typing: visibility.typing,
                presence: visibility.presence,
            }),
            Self::Unknown => return None,
        })
    }

    fn from_pb(sync: Option<pb_sync::Body>) -> Result<Self, &'static str> {
        let Some(sync) = sync else { return Ok(Self::Unknown) };
        let account = |id: &[u8]| AccountId::try_from(id).map_err(|_| "malformed_content");
        let references = |all: &[pb::Reference]| {
            count(all)?;
            all.iter().map(Reference::from_pb).collect::<Result<Vec<_>, _>>()
        };
        Ok(match sync {
            pb_sync::Body::Sent(sent) => Self::Sent {
                recipient: account(&sent.recipient)?,
                head: sent.recipient_head.map(head_from_pb).transpose()?,
                server_time_ms: sent.server_time_ms.min(MAX_COUNTER),
                content: sent.content,
            },
            pb_sync::Body::Read(read) => Self::Read(references(&read.messages)?),
            pb_sync::Body::Deleted(deleted) => Self::Deleted(references(&deleted.messages)?),
            pb_sync::Body::Contacts(contacts) => {
                count(&contacts.contacts)?;
                let contact = |one: pb_sync::Contact| {
                    let head = head_from_pb(one.head.ok_or("malformed_content")?)?;
                    Ok((account(&one.account)?, head))
                };
                let contacts = contacts.contacts.into_iter().map(contact);
                Self::Contacts(contacts.collect::<Result<_, &'static str>>()?)
            }
            pb_sync::Body::Settings(switches) => Self::Settings {
                delivered: switches.delivered_receipts,
                read: switches.read_receipts,
            },
            pb_sync::Body::Grant(grant) => Self::Grant {
                account: account(&grant.account)?,
                visibility: Visibility { typing: grant.typing, presence: grant.presence },
            },
        })
    }
}

/// Refuses an emoji that is longer than any is; an empty one is fine.
pub(crate) fn check_emoji(emoji: &str) -> Result<(), &'static str> {
    body::bounded(emoji, 0, MAX_REACTION_CHARS, "reaction_length")
}

/// Numbers of options, as a poll can have them, each once.
pub(crate) fn options(numbers: &[u32]) -> Result<Vec<u8>, &'static str> {
    let mut options: Vec<u8> = Vec::new();
    for &number in numbers {
        let option = u8::try_from(number).map_err(|_| "poll_options")?;
        if usize::from(option) >= MAX_POLL_OPTIONS || options.contains(&option) {
            return Err("poll_options");
        }
        options.push(option);
    }
    options.sort_unstable();
    Ok(options)
}

fn count<T>(all: &[T]) -> Result<(), &'static str> {
    if (1..=MAX_RECEIPT_IDS).contains(&all.len()) { Ok(()) } else { Err("too_many_ids") }
}
