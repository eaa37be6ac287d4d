//! Writing and reading.

use std::{collections::HashMap, time::Duration};

use sotto_client::{
    Client, ClientError, Draft, Event, MessageId, MessageState, PeerName, ids::AccountId,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::find;
use crate::{
    failure::Failure,
    output::Output,
    printed::Printed,
    talk::{HowToSend, Outgoing},
};

/// Messages that are read from the store at a time.
const PAGE: usize = 500;

pub(super) async fn send(
    name: &PeerName,
    text: &str,
    how: &HowToSend,
    out: Outgoing,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let to = find(name, client).await?;
    let mut written: Vec<MessageId> = Vec::new();
    if text == "-" {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Some(line) = lines.next_line().await? {
            if !line.is_empty() {
                written.push(client.send(to, draft(line, how)).await?);
            }
        }
    } else {
        written.push(client.send(to, draft(text.to_owned(), how)).await?);
    }
    let finished = finish(out, client).await;
    print_written(&written, client, output).await?;
    finished
}

fn draft(text: String, how: &HowToSend) -> Draft {
    let mut draft = Draft::text(text);
    if let Some(message) = how.reply_to {
        draft = draft.reply_to(message);
    }
    if how.expire_after.is_some() {
        draft = draft.expire_after(how.expire_after);
    }
    if let Some(ttl) = how.ttl {
        draft = draft.queue_ttl(ttl);
    }
    if how.urgent { draft.urgent() } else { draft }
}

/// Waits until the server has answered for everything, unless it is only to be queued.
pub(super) async fn finish(out: Outgoing, client: &Client) -> Result<(), Failure> {
    if out.queue {
        return Ok(());
    }
    client.go_online().await?;
    Ok(client.flush(out.wait).await?)
}

/// Prints what was written, as it stands now; an error where one was refused.
pub(super) async fn print_written(
    written: &[MessageId],
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut failed = None;
    for &id in written {
        let Some(message) = client.message(id).await? else {
            continue;
        };
        output.message(&message, None)?;
        if let MessageState::Failed { reason } = message.state {
            failed = Some(reason);
        }
    }
    failed.map_or(Ok(()), |reason| Err(Failure::MessageFailed { reason }))
}

/// When to stop listening; whatever comes first.
pub(super) struct Until {
    pub(super) time: Option<Duration>,
    pub(super) count: Option<usize>,
    pub(super) drain: bool,
    /// Not a bound: print events too.
    pub(super) events: bool,
}

/// Prints from the store, not from the events: they only say that there is
/// something to print, so a slow terminal loses nothing, and neither does one that
/// was not there when a message came.
pub(super) async fn listen(
    until: Until,
    printed: &mut Printed,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let time_is_up = async {
        match until.time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let listened = tokio::select! {
        done = print_all(&until, printed, client, output) => done,
        () = time_is_up => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Failure::from),
    };
    // However it ended: what was printed is not to be printed again.
    printed.save()?;
    listened
}

/// Prints what is in the store, and then what comes in.
async fn print_all(
    until: &Until,
    printed: &mut Printed,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut events = client.events();
    let mut left = until.count.unwrap_or(usize::MAX);
    let mut names = Names::default();
    print_new(&mut left, printed, &mut names, client, output).await?;
    if left > 0 {
        client.go_online().await?;
    }

    while left > 0 {
        let Some(event) = events.next().await else {
            return Ok(());
        };
        let is_drained = matches!(event, Event::QueueEmpty);
        if let Event::Stopped { reason } = &event {
            let (reason, detail) = (reason.clone(), "the connection has ended for good".to_owned());
            return Err(Failure::Client(ClientError::Refused { reason, detail }));
        }
        if until.events {
            output.event(&event)?;
        }
        print_new(&mut left, printed, &mut names, client, output).await?;
        if is_drained && until.drain {
            return Ok(());
        }
    }
    Ok(())
}

/// Prints what was received and not printed yet, `left` messages at most.
async fn print_new(
    left: &mut usize,
    printed: &mut Printed,
    names: &mut Names,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    loop {
        let page = client.messages_after(printed.position(), PAGE).await?;
        if page.is_empty() || *left == 0 {
            return Ok(());
        }
        for message in &page {
            names.learn(message.peer, client).await?;
        }
        printed.print(&page, left, |message| output.message(message, names.of(message.peer)))?;
        printed.save()?;
    }
}

pub(super) async fn conversations(client: &Client, output: &mut Output) -> Result<(), Failure> {
    for conversation in client.conversations().await? {
        output.conversation(&conversation)?;
    }
    Ok(())
}

pub(super) async fn history(
    name: &PeerName,
    limit: usize,
    before: Option<u64>,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let peer = find(name, client).await?;
    let mut names = Names::default();
    names.learn(peer, client).await?;
    for message in client.history(peer, limit, before).await? {
        output.message(&message, names.of(peer))?;
    }
    Ok(())
}

pub(super) async fn read(name: &PeerName, client: &Client) -> Result<(), Failure> {
    let peer = find(name, client).await?;
    Ok(client.mark_read(peer).await?)
}

/// Handles by account, looked up when one is not known yet.
#[derive(Default)]
pub(super) struct Names(HashMap<AccountId, Option<String>>);

impl Names {
    pub(super) async fn learn(
        &mut self,
        account: AccountId,
        client: &Client,
    ) -> Result<(), Failure> {
        if !self.0.contains_key(&account) {
            for contact in client.contacts().await? {
                let handle = contact.handle.map(|handle| handle.to_string());
                self.0.insert(contact.account, handle);
            }
        }
        self.0.entry(account).or_default();
        Ok(())
    }

    pub(super) fn of(&self, account: AccountId) -> Option<&str> {
        self.0.get(&account)?.as_deref()
    }
}
