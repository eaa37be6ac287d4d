//! What is said besides text, and what changes what was said.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use sotto_client::{
    Body, CalendarEvent, Client, ClientError, ContactCard, DeleteFor, Draft, Location, MessageId,
    PeerName, Poll, ReceiptSettings, Visibility, ids::AccountId,
};

use super::{
    find,
    messages::{finish, print_written},
};
use crate::{
    failure::Failure,
    output::Output,
    talk::{Outgoing, TalkCommand},
};

pub(super) async fn run(
    command: TalkCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        TalkCommand::Note { text, out } => {
            let own = client.me().await?.ok_or(ClientError::NotRegistered)?.account;
            say(own, Body::Text(text), out, client, output).await
        }
        TalkCommand::Location { name, latitude, longitude, accuracy, place, out } => {
            let place = Location {
                latitude_e7: latitude,
                longitude_e7: longitude,
                accuracy_m: accuracy,
                name: place,
            };
            say_to(&name, Body::Location(place), out, client, output).await
        }
        TalkCommand::Card { name, who, account, phone, mail, out } => {
            let card = ContactCard { name: who, account, phones: phone, mails: mail };
            say_to(&name, Body::Contact(card), out, client, output).await
        }
        TalkCommand::Poll { name, question, options, multiple, out } => {
            let poll = Poll { question, options, multiple };
            say_to(&name, Body::Poll(poll), out, client, output).await
        }
        TalkCommand::Event { name, title, start, end, place, description, out } => {
            let (start_ms, end_ms) = (ms(start), ms(end));
            let event = CalendarEvent { title, start_ms, end_ms, place, description };
            say_to(&name, Body::Event(event), out, client, output).await
        }
        TalkCommand::Timer { name, after, out } => {
            say_to(&name, Body::TimerChanged { after }, out, client, output).await
        }
        TalkCommand::Edit { message, text, out } => {
            client.edit(message, text).await?;
            changed(message, out, client, output).await
        }
        TalkCommand::Delete { message, for_everyone, out } => {
            let whose = if for_everyone { DeleteFor::Everyone } else { DeleteFor::Me };
            client.delete_message(message, whose).await?;
            changed(message, out, client, output).await
        }
        TalkCommand::React { message, emoji, out } => {
            client.react(message, emoji.as_deref()).await?;
            changed(message, out, client, output).await
        }
        TalkCommand::Vote { poll, options, out } => {
            client.vote(poll, &options).await?;
            changed(poll, out, client, output).await
        }
        TalkCommand::Show { message } => {
            let message = client.message(message).await?.ok_or(ClientError::UnknownMessage)?;
            Ok(output.message(&message, None)?)
        }
        TalkCommand::Editions { message } => editions(message, client, output).await,
        TalkCommand::Reactions { message } => reactions(message, client, output).await,
        TalkCommand::Receipts { message } => receipts(message, client, output).await,
        TalkCommand::PollResult { poll } => poll_result(poll, client, output).await,
        TalkCommand::SendReceipts { delivered, read, out } => {
            let before = client.receipt_settings().await?;
            let to = ReceiptSettings {
                delivered: delivered.map_or(before.delivered, bool::from),
                read: read.map_or(before.read, bool::from),
            };
            if to != before {
                client.set_receipts(to).await?;
                finish(out, client).await?;
            }
            let value = json!({
                "type": "receipt_settings", "delivered": to.delivered, "read": to.read,
            });
            Ok(output
                .print(&value, || format!("delivered: {}, read: {}", to.delivered, to.read))?)
        }
        TalkCommand::Grant { name, typing, presence, out } => {
            let account = find(&name, client).await?;
            client.grant(account, Visibility { typing, presence }).await?;
            finish(out, client).await?;
            let value = json!({
                "type": "grant",
                "account": account.to_string(),
                "typing": typing,
                "presence": presence,
            });
            Ok(output.print(&value, || format!("typing: {typing}, presence: {presence}"))?)
        }
        TalkCommand::Typing { name, out } => {
            let account = find(&name, client).await?;
            client.go_online().await?;
            client.wait_connected(out.wait).await?;
            let said = client.typing(account, true).await?;
            let value = json!({ "type": "typing", "account": account.to_string(), "said": said });
            Ok(output.print(&value, || if said { "said" } else { "not said" }.to_owned())?)
        }
        TalkCommand::Presence { name } => {
            let account = find(&name, client).await?;
            let seen = client.presence(account).await?;
            let value = json!({
                "type": "presence",
                "account": account.to_string(),
                "online": seen.online,
                "typing": seen.typing,
                "last_seen_ms": seen.last_seen_ms,
            });
            Ok(output.print(&value, || format!("{seen:?}"))?)
        }
    }
}

async fn say_to(
    name: &PeerName,
    body: Body,
    out: Outgoing,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let to = find(name, client).await?;
    say(to, body, out, client, output).await
}

async fn say(
    to: AccountId,
    body: Body,
    out: Outgoing,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let written = client.send(to, Draft::new(body)).await?;
    let finished = finish(out, client).await;
    print_written(&[written], client, output).await?;
    finished
}

/// Sends a change on, and prints the message as it is now; where it is gone, nothing.
async fn changed(
    message: MessageId,
    out: Outgoing,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    finish(out, client).await?;
    if let Some(message) = client.message(message).await? {
        output.message(&message, None)?;
    }
    Ok(())
}

async fn editions(message: MessageId, client: &Client, output: &mut Output) -> Result<(), Failure> {
    for one in client.editions(message).await? {
        let value = json!({
            "type": "edition", "written_at_ms": one.written_at_ms, "text": one.text,
        });
        output.print(&value, || one.text)?;
    }
    Ok(())
}

async fn reactions(
    message: MessageId,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    for one in client.reactions(message).await? {
        let by = one.by.to_string();
        let value = json!({ "type": "reaction", "by": by, "emoji": one.emoji });
        output.print(&value, || format!("{} {by}", one.emoji))?;
    }
    Ok(())
}

async fn receipts(message: MessageId, client: &Client, output: &mut Output) -> Result<(), Failure> {
    for one in client.receipts(message).await? {
        let value = json!({
            "type": "receipt",
            "kind": one.kind.as_str(),
            "account": one.account.to_string(),
            "device": u32::from(one.device),
            "at_ms": one.at_ms,
        });
        output.print(&value, || format!("{} on device {}", one.kind.as_str(), one.device))?;
    }
    Ok(())
}

async fn poll_result(poll: MessageId, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let result = client.poll_result(poll).await?;
    let votes: Vec<_> = result
        .votes
        .iter()
        .map(|(by, options)| json!({ "by": by.to_string(), "options": options }))
        .collect();
    let value = json!({ "type": "poll_result", "counts": result.counts, "votes": votes });
    Ok(output.print(&value, || {
        let counts = result.counts.iter().enumerate();
        counts.map(|(option, count)| format!("{option}: {count}")).collect::<Vec<_>>().join("\n")
    })?)
}

fn ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
