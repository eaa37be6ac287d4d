//! What is printed: text for people, or one JSON object a line for scripts.

use std::{
    error::Error as _,
    io::{self, Write as _},
};

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};
use sotto_client::{
    Body, Chain, Contact, Conversation, Direction, Event, Group, GroupDetails, GroupDevice,
    GroupStanding, IdentityDocument, Me, Message, MessageState, Phase, ids::AccountId,
};

use crate::failure::Failure;

/// Standard output, in one of the two forms.
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints one thing. The text is made only where it is wanted.
    pub(crate) fn print(&mut self, json: &Value, text: impl FnOnce() -> String) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{json}")?;
        } else {
            writeln!(out, "{}", text())?;
        }
        out.flush()
    }

    /// Says why the command failed, on standard error.
    pub(crate) fn failed(&mut self, failure: &Failure) {
        let causes = std::iter::successors(failure.source(), |&source| source.source())
            .fold(failure.to_string(), |chain, source| format!("{chain}: {source}"));
        let line = if self.json {
            json!({ "error": failure.reason(), "detail": causes }).to_string()
        } else {
            format!("sotto-cli: {causes} ({})", failure.reason())
        };
        // Where standard error is gone, the exit code still tells.
        drop(writeln!(io::stderr().lock(), "{line}"));
    }

    pub(crate) fn me(&mut self, me: &Me) -> io::Result<()> {
        let phase = match me.phase {
            Phase::Made => "made",
            Phase::Requested => "requested",
            Phase::Certified => "certified",
            Phase::Ready => "ready",
        };
        let handle = me.handle.as_ref().map(ToString::to_string);
        let value = json!({
            "type": "me",
            "account": me.account.to_string(),
            "uuid": me.uuid.to_string(),
            "device": u32::from(me.device),
            "handle": handle,
            "admin": me.admin,
            "phase": phase,
        });
        self.print(&value, || {
            let name = handle.map_or_else(|| "no handle".to_owned(), |handle| format!("@{handle}"));
            let admin = if me.admin { ", holds the account key" } else { "" };
            format!("{name}\n{}\ndevice {}{admin}, {phase}", me.account, me.device)
        })
    }

    pub(crate) fn contact(&mut self, contact: &Contact) -> io::Result<()> {
        let handle = contact.handle.as_ref().map(ToString::to_string);
        let devices: Vec<_> = contact.live_devices.iter().map(|&id| u32::from(id)).collect();
        let value = json!({
            "type": "contact",
            "account": contact.account.to_string(),
            "uuid": contact.uuid.to_string(),
            "handle": handle,
            "devices": devices,
            "frozen": contact.frozen,
            "key_changed": contact.key_changed,
        });
        self.print(&value, || {
            let name = handle.map_or_else(|| "-".to_owned(), |handle| format!("@{handle}"));
            let frozen = match (contact.frozen, contact.key_changed) {
                (true, _) => "  FROZEN: two chains",
                (false, true) => "  ANOTHER KEY: compare the safety number",
                (false, false) => "",
            };
            format!("{name:<20} {}  {} device(s){frozen}", contact.account, devices.len())
        })
    }

    pub(crate) fn conversation(&mut self, conversation: &Conversation) -> io::Result<()> {
        let value = json!({
            "type": "conversation",
            "id": conversation.id.to_string(),
            "peer": conversation.peer.to_string(),
            "group": conversation.group.map(|group| group.to_string()),
            "handle": conversation.handle,
            "unread": conversation.unread,
            "last": message_json(&conversation.last),
        });
        self.print(&value, || {
            let name = match (conversation.group, &conversation.handle) {
                (Some(group), _) => format!("group {group}"),
                (None, Some(handle)) => format!("@{handle}"),
                (None, None) => conversation.peer.to_string(),
            };
            format!("{name}  {} unread\n  {}", conversation.unread, body_text(&conversation.last))
        })
    }

    pub(crate) fn message(&mut self, message: &Message, name: Option<&str>) -> io::Result<()> {
        self.print(&message_json(message), || {
            let place = if message.group.is_some() { "[group] " } else { "" };
            let who = match (message.direction, name) {
                (Direction::Sent, _) => "me".to_owned(),
                (Direction::Received, Some(name)) => format!("@{name}"),
                (Direction::Received, None) => message.peer.to_string(),
            };
            let state = match &message.state {
                MessageState::Queued => "  (in the outbox)".to_owned(),
                MessageState::Failed { reason } => format!("  (refused: {reason})"),
                MessageState::Delivered => "  (delivered)".to_owned(),
                MessageState::Read => "  (read)".to_owned(),
                MessageState::Accepted | MessageState::Received => String::new(),
            };
            format!("{place}{who}: {}{state}", body_text(message))
        })
    }

    /// Something that happened to a message or a person; others are passed over.
    pub(crate) fn event(&mut self, event: &Event) -> io::Result<()> {
        let Some(name) = event.name() else { return Ok(()) };
        if let Some(value) = group_event(name, event) {
            return self.print(&value, || name.to_owned());
        }
        let (message, peer) = match event {
            Event::MessageEdited(message) => (Some(message.id), message.peer),
            Event::MessageAccepted { id, peer, .. }
            | Event::MessageFailed { id, peer, .. }
            | Event::MessageDelivered { id, peer, .. }
            | Event::MessageRead { id, peer, .. }
            | Event::MessageDeleted { id, peer }
            | Event::MessageExpired { id, peer }
            | Event::Reacted { message: id, peer, .. }
            | Event::Voted { poll: id, peer, .. } => (Some(*id), *peer),
            Event::ReadElsewhere { peer, .. } | Event::Presence { peer, .. } => (None, *peer),
            // A message is printed as what it is.
            _ => return Ok(()),
        };
        let seen = match event {
            Event::Presence { presence, .. } => json!({
                "online": presence.online,
                "typing": presence.typing,
                "last_seen_ms": presence.last_seen_ms,
            }),
            _ => Value::Null,
        };
        let message = message.map(|id| id.to_string());
        let value = json!({
            "type": "event",
            "event": name,
            "message": message,
            "peer": peer.to_string(),
            "presence": seen,
        });
        self.print(&value, || format!("{name} {}", message.as_deref().unwrap_or_default()))
    }

    pub(crate) fn group(&mut self, group: &Group) -> io::Result<()> {
        self.print(&group_json(group), || {
            let name = if group.name.is_empty() { "(no name yet)" } else { &group.name };
            let standing = match group.standing {
                GroupStanding::Member => String::new(),
                other => format!("  ({})", other.as_str()),
            };
            let refused = match &group.refused {
                Some(reason) => format!("  STOPPED: {reason}"),
                None => String::new(),
            };
            format!("{name:<20} {}  {} unread{standing}{refused}", group.id, group.unread)
        })
    }

    pub(crate) fn group_details(&mut self, details: &GroupDetails) -> io::Result<()> {
        let members: Vec<_> = details
            .members
            .iter()
            .map(|member| {
                let device = |device: &GroupDevice| {
                    json!({
                        "device": u32::from(device.device),
                        "leaf": device.leaf,
                        "delivered": device.delivered,
                    })
                };
                json!({
                    "account": member.account.to_string(),
                    "uuid": member.uuid.to_string(),
                    "handle": member.handle,
                    "admin": member.admin,
                    "devices": member.devices.iter().map(device).collect::<Vec<_>>(),
                })
            })
            .collect();
        let mut value = group_json(&details.group);
        if let Value::Object(fields) = &mut value {
            fields.insert("members".to_owned(), members.into());
        }
        self.print(&value, || group_text(details))
    }

    pub(crate) fn identity(&mut self, document: &IdentityDocument) -> io::Result<()> {
        let devices: Vec<_> = document
            .devices
            .iter()
            .map(|device| {
                json!({
                    "id": u32::from(device.id),
                    "identity_key": hex(&device.identity_key),
                    "mls_key": hex(&device.mls_key),
                })
            })
            .collect();
        let endpoints: Vec<_> = document
            .endpoints
            .iter()
            .map(|endpoint| json!({ "type": endpoint.kind.as_str(), "url": endpoint.url }))
            .collect();
        let value = json!({
            "type": "identity",
            "account": document.account.to_string(),
            "uuid": document.uuid.to_string(),
            "handle": document.handle.to_string(),
            "home": document.home,
            "seq": document.seq,
            "head": hex(&document.head),
            "account_key": hex(&document.account_key),
            "devices": devices,
            "endpoints": endpoints,
        });
        self.print(&value, || identity_text(document))
    }

    pub(crate) fn chain(&mut self, chain: &Chain) -> io::Result<()> {
        let devices: Vec<_> = chain
            .devices
            .iter()
            .map(|device| {
                json!({
                    "id": u32::from(device.id),
                    "identity_key": hex(&device.identity_key),
                    "admin": device.admin,
                    "revoked_at_seq": device.revoked_at_seq,
                })
            })
            .collect();
        let ops: Vec<_> = chain
            .ops
            .iter()
            .map(|op| {
                json!({ "seq": op.seq, "kind": op.kind, "ts_ms": op.ts_ms, "hash": hex(&op.hash) })
            })
            .collect();
        let value = json!({
            "type": "chain",
            "account": chain.account.to_string(),
            "seq": chain.seq,
            "head": hex(&chain.head),
            "account_key": hex(&chain.account_key),
            "handle": chain.handle.as_ref().map(ToString::to_string),
            "home": chain.home,
            "devices": devices,
            "ops": ops,
        });
        self.print(&value, || chain_text(chain))
    }
}

fn group_json(group: &Group) -> Value {
    json!({
        "type": "group",
        "id": group.id.to_string(),
        "name": group.name,
        "picture": group.picture.as_ref().map(|picture| BASE64.encode(picture)),
        "standing": group.standing.as_str(),
        "invited_by": group.invited_by.map(|account| account.to_string()),
        "generation": group.generation,
        "epoch": group.epoch,
        "seq": group.seq,
        "admins": group.admins.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "members_may_add": group.members_may_add,
        "unread": group.unread,
        "refused": group.refused,
    })
}

fn group_text(details: &GroupDetails) -> String {
    let group = &details.group;
    let mut lines = vec![
        format!("{}  {}", group.name, group.id),
        format!(
            "  {}, generation {}, epoch {}, log to {}",
            group.standing.as_str(),
            group.generation,
            group.epoch,
            group.seq
        ),
    ];
    for member in &details.members {
        let name = member.handle.as_ref().map_or_else(|| "-".to_owned(), |name| format!("@{name}"));
        let admin = if member.admin { "  admin" } else { "" };
        lines.push(format!("  {name:<20} {}{admin}", member.account));
        for device in &member.devices {
            let delivered = match device.delivered {
                Some(seq) if seq >= group.seq => "has everything".to_owned(),
                Some(seq) => format!("has it to {seq}"),
                None => "not known".to_owned(),
            };
            lines.push(format!("    device {:<4} {delivered}", device.device));
        }
    }
    lines.join("\n")
}

/// Something that happened to a group.
fn group_event(name: &str, event: &Event) -> Option<Value> {
    let accounts = |all: &[AccountId]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (group, more) = match event {
        Event::GroupInvited { group, by, name } | Event::GroupJoined { group, by, name } => {
            (group, json!({ "by": by.to_string(), "name": name }))
        }
        Event::GroupMembersChanged { group, by, added, removed } => (
            group,
            json!({
                "by": by.to_string(), "added": accounts(added), "removed": accounts(removed),
            }),
        ),
        Event::GroupRenamed { group, name } => (group, json!({ "name": name })),
        Event::GroupLeft { group, removed } => (group, json!({ "removed": removed })),
        Event::GroupRejoined { group } => (group, Value::Null),
        Event::GroupCommitRefused { group, reason } => (group, json!({ "reason": reason })),
        _ => return None,
    };
    Some(json!({ "type": "event", "event": name, "group": group.to_string(), "what": more }))
}

fn identity_text(document: &IdentityDocument) -> String {
    let mut lines = vec![
        format!("{}@{}", document.handle, document.home),
        document.account.to_string(),
        format!("  account key  {}", hex(&document.account_key)),
        format!("  head {:>4}    {}", document.seq, hex(&document.head)),
    ];
    for device in &document.devices {
        lines.push(format!("  device {:<4}  {}", device.id, hex(&device.identity_key)));
    }
    for endpoint in &document.endpoints {
        lines.push(format!("  {}  {}", endpoint.kind.as_str(), endpoint.url));
    }
    lines.push("the same in the chain, verified from its first op".to_owned());
    lines.join("\n")
}

fn chain_text(chain: &Chain) -> String {
    let mut lines = vec![format!("{} at {}", chain.account, chain.home)];
    for op in &chain.ops {
        lines.push(format!("  {:>4}  {:<14}  {}", op.seq, op.kind, hex(&op.hash)));
    }
    for device in &chain.devices {
        let admin = if device.admin { ", holds the account key" } else { "" };
        let state = match device.revoked_at_seq {
            Some(seq) => format!("revoked at {seq}"),
            None => "live".to_owned(),
        };
        lines.push(format!("  device {}: {state}{admin}", device.id));
    }
    lines.push("verified from its first op".to_owned());
    lines.join("\n")
}

fn message_json(message: &Message) -> Value {
    let (text, unreadable) = match &message.body {
        Body::Text(text) => (Some(text), None),
        Body::Unreadable { reason } => (None, Some(reason)),
        _ => (None, None),
    };
    let failure = match &message.state {
        MessageState::Failed { reason } => Some(reason),
        _ => None,
    };
    json!({
        "type": "message",
        "position": message.position,
        "id": message.id.to_string(),
        "conversation": message.conversation.to_string(),
        "peer": message.peer.to_string(),
        "group": message.group.map(|group| group.to_string()),
        "group_seq": message.group_seq,
        "direction": match message.direction {
            Direction::Sent => "sent",
            Direction::Received => "received",
        },
        "device": u32::from(message.device),
        "kind": message.body.kind(),
        "text": text,
        "body": body_json(&message.body),
        "unreadable": unreadable,
        "reply_to": message.reply_to.map(|to| to.id.to_string()),
        "edited_at_ms": message.edited_at_ms,
        "expire_after_s": message.expire_after.map(|after| after.as_secs()),
        "expires_at_ms": message.expires_at_ms,
        "read_at_ms": message.read_at_ms,
        "sent_at_ms": message.sent_at_ms,
        "server_time_ms": message.server_time_ms,
        "stored_at_ms": message.stored_at_ms,
        "state": message.state.as_str(),
        "failure": failure,
    })
}

/// What is in a message that is no text.
fn body_json(body: &Body) -> Value {
    match body {
        Body::Location(place) => json!({
            "latitude_e7": place.latitude_e7,
            "longitude_e7": place.longitude_e7,
            "accuracy_m": place.accuracy_m,
            "name": place.name,
        }),
        Body::Contact(card) => json!({
            "name": card.name,
            "account": card.account.map(|account| account.to_string()),
            "phones": card.phones,
            "mails": card.mails,
        }),
        Body::Poll(poll) => json!({
            "question": poll.question, "options": poll.options, "multiple": poll.multiple,
        }),
        Body::Event(event) => json!({
            "title": event.title,
            "start_ms": event.start_ms,
            "end_ms": event.end_ms,
            "place": event.place,
            "description": event.description,
        }),
        Body::TimerChanged { after } => json!({ "after_s": after.map(|after| after.as_secs()) }),
        _ => Value::Null,
    }
}

fn body_text(message: &Message) -> String {
    match &message.body {
        Body::Text(text) => text.clone(),
        Body::Location(place) => format!(
            "[place {} {:.7} {:.7}]",
            place.name,
            f64::from(place.latitude_e7) / 1e7,
            f64::from(place.longitude_e7) / 1e7
        ),
        Body::Contact(card) => format!("[contact {}]", card.name),
        Body::Poll(poll) => {
            let options = poll.options.iter().enumerate();
            let options = options.map(|(number, option)| format!("  {number}: {option}"));
            format!("[poll] {}\n{}", poll.question, options.collect::<Vec<_>>().join("\n"))
        }
        Body::Event(event) => format!("[appointment {}]", event.title),
        Body::TimerChanged { after: Some(after) } => {
            format!("[messages go {} s after they were read]", after.as_secs())
        }
        Body::TimerChanged { after: None } => "[messages stay]".to_owned(),
        Body::Deleted => "[deleted]".to_owned(),
        Body::Unreadable { reason } => format!("[could not be read: {reason}]"),
        _ => "[of a later version]".to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}
