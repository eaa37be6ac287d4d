//! Groups.

use std::{path::Path, time::Duration};

use serde_json::json;
use sotto_client::{
    Client, ClientError, Draft, Event, Group, GroupAdded, MessageId, PeerName,
    ids::{AccountId, GroupId},
};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{
    find,
    messages::{Names, finish, print_written},
};
use crate::{failure::Failure, group::GroupCommand, output::Output, talk::Outgoing};

pub(super) async fn run(
    command: GroupCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        GroupCommand::Create { title, names, picture } => {
            let accounts = find_all(&names, client).await?;
            let group = client.create_group(title, read(picture.as_deref())?).await?;
            let added = client.add_to_group(group, &accounts).await?;
            print_group(group, client, output).await?;
            print_unreachable(&added, output)
        }
        GroupCommand::Add { group, names } => {
            let group = find_group(&group, client).await?;
            let accounts = find_all(&names, client).await?;
            let added = client.add_to_group(group, &accounts).await?;
            print_group(group, client, output).await?;
            print_unreachable(&added, output)
        }
        GroupCommand::Remove { group, names } => {
            let group = find_group(&group, client).await?;
            let accounts = find_all(&names, client).await?;
            client.remove_from_group(group, &accounts).await?;
            print_group(group, client, output).await
        }
        GroupCommand::Leave { group, wait } => {
            let group = find_group(&group, client).await?;
            client.leave_group(group).await?;
            wait_left(group, wait, client).await?;
            print_group(group, client, output).await
        }
        GroupCommand::Send { group, text, reply_to, out } => {
            send(&group, &text, reply_to, out, client, output).await
        }
        GroupCommand::List { offline } => {
            if !offline {
                client.synchronize_groups().await?;
            }
            for group in client.groups().await? {
                output.group(&group)?;
            }
            Ok(())
        }
        GroupCommand::Show { group } => {
            let group = find_group(&group, client).await?;
            Ok(output.group_details(&client.group(group).await?)?)
        }
        GroupCommand::History { group, limit, before } => {
            let group = find_group(&group, client).await?;
            let mut names = Names::default();
            for message in client.group_history(group, limit, before).await? {
                names.learn(message.peer, client).await?;
                output.message(&message, names.of(message.peer))?;
            }
            Ok(())
        }
        GroupCommand::Read { group } => {
            let group = find_group(&group, client).await?;
            Ok(client.mark_group_read(group).await?)
        }
        GroupCommand::Rename { group, title, picture } => {
            let group = find_group(&group, client).await?;
            if let Some(title) = title {
                client.rename_group(group, title).await?;
            }
            if let Some(picture) = read(picture.as_deref())? {
                client.set_group_picture(group, Some(picture)).await?;
            }
            print_group(group, client, output).await
        }
        GroupCommand::Admin { group, name, switch } => {
            let group = find_group(&group, client).await?;
            let account = find(&name, client).await?;
            client.set_group_admin(group, account, switch.into()).await?;
            print_group(group, client, output).await
        }
        GroupCommand::Accept { group } => {
            let group = find_group(&group, client).await?;
            client.accept_group(group).await?;
            print_group(group, client, output).await
        }
        GroupCommand::Decline { group } => {
            let group = find_group(&group, client).await?;
            client.decline_group(group).await?;
            print_group(group, client, output).await
        }
        GroupCommand::Update { group } => {
            let group = find_group(&group, client).await?;
            client.update_group_keys(group).await?;
            print_group(group, client, output).await
        }
        GroupCommand::Reset { group } => {
            let group = find_group(&group, client).await?;
            let added = client.reset_group(group).await?;
            print_group(group, client, output).await?;
            print_unreachable(&added, output)
        }
    }
}

async fn send(
    group: &str,
    text: &str,
    reply_to: Option<MessageId>,
    out: Outgoing,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let group = find_group(group, client).await?;
    let draft = |text: String| match reply_to {
        Some(message) => Draft::text(text).reply_to(message),
        None => Draft::text(text),
    };
    let mut written: Vec<MessageId> = Vec::new();
    if text == "-" {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Some(line) = lines.next_line().await? {
            if !line.is_empty() {
                written.push(client.send_to_group(group, draft(line)).await?);
            }
        }
    } else {
        written.push(client.send_to_group(group, draft(text.to_owned())).await?);
    }
    let finished = finish(out, client).await;
    print_written(&written, client, output).await?;
    finished
}

/// The group of this id, or the one that is called so. What is not known here yet, the server
/// is asked for.
async fn find_group(name: &str, client: &Client) -> Result<GroupId, Failure> {
    // Whatever comes of it, what is known here may do.
    let synchronized = client.synchronize_groups().await;
    let groups = client.groups().await?;
    let named = |group: &&Group| match name.parse::<GroupId>() {
        Ok(id) => group.id == id,
        Err(_) => group.name == name,
    };
    let mut found = groups.iter().filter(named);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.id),
        (Some(_), Some(_)) => Err(Failure::TwoGroups),
        (None, _) => {
            synchronized?;
            Err(ClientError::UnknownGroup.into())
        }
    }
}

async fn find_all(names: &[PeerName], client: &Client) -> Result<Vec<AccountId>, Failure> {
    let mut accounts = Vec::new();
    for name in names {
        accounts.push(find(name, client).await?);
    }
    Ok(accounts)
}

fn read(picture: Option<&Path>) -> Result<Option<Vec<u8>>, Failure> {
    let Some(path) = picture else {
        return Ok(None);
    };
    let read = std::fs::read(path);
    read.map(Some).map_err(|error| Failure::Profile(format!("{}: {error}", path.display())))
}

async fn print_group(group: GroupId, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let groups = client.groups().await?;
    let group = groups.iter().find(|one| one.id == group).ok_or(ClientError::UnknownGroup)?;
    Ok(output.group(group)?)
}

fn print_unreachable(added: &GroupAdded, output: &mut Output) -> Result<(), Failure> {
    for account in &added.unreachable {
        let account = account.to_string();
        let value = json!({ "type": "unreachable", "account": account });
        output.print(&value, || {
            format!("{account} cannot be added: none of their devices is ready")
        })?;
    }
    Ok(())
}

/// Waits until somebody has taken this device out.
async fn wait_left(group: GroupId, wait: Duration, client: &Client) -> Result<(), Failure> {
    let mut events = client.events();
    let is_in = client.groups().await?.iter().any(|one| one.id == group && one.standing.is_in());
    if !is_in {
        return Ok(());
    }
    client.go_online().await?;
    let left =
        |event: &Event| matches!(event, Event::GroupLeft { group: left, .. } if *left == group);
    events.wait_for(wait, left).await?;
    Ok(())
}
