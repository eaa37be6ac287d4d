//! Votes in polls: one of each account in each poll, which may be changed.

use super::{Written, change, find};
use crate::{
    Body, ClientError, Event, MessageId, Poll, PollResult,
    content::{self, Content, Kind, Reference},
    vault::{Tx, messages, own, tombstones, votes},
};

/// Votes for options of a poll, numbered from 0; for none, to take the vote back.
pub(crate) fn write(tx: &mut Tx<'_>, id: MessageId, options: &[usize]) -> Result<(), ClientError> {
    let own = own::certified(tx.db)?;
    let (target, message) = find(tx, id)?;
    let Body::Poll(poll) = &message.body else {
        return Err(ClientError::Limit("not_a_poll"));
    };
    let numbers = options.iter().map(|&option| u32::try_from(option).unwrap_or(u32::MAX));
    let options = content::options(&numbers.collect::<Vec<_>>())
        .ok()
        .filter(|options| fits(poll, options))
        .ok_or(ClientError::Limit("poll_options"))?;
    let now_ms = tx.now_ms;
    change(tx, &own, &message, now_ms, Kind::Vote { target, options })
}

pub(super) fn take(
    tx: &mut Tx<'_>,
    at: &Written<'_>,
    content: &Content,
    target: Reference,
    options: &[u8],
) -> Result<(), ClientError> {
    if tombstones::exists(tx.db, target)? {
        return Ok(());
    }
    let conversation = at.conversation();
    if let Some(on) = messages::find(tx.db, target)? {
        let reason = match &on.body {
            _ if on.conversation != conversation => Some("other_conversation"),
            Body::Poll(poll) if fits(poll, options) => None,
            Body::Poll(_) => Some("poll_options"),
            _ => Some("not_a_poll"),
        };
        if let Some(reason) = reason {
            at.refuse(tx, reason);
            return Ok(());
        }
    }
    if votes::put(tx.db, conversation, target, &at.stamp(content), options)? {
        tx.tell(Event::Voted { poll: target.id, peer: at.peer, by: at.by });
    }
    Ok(())
}

/// How a poll stands. A vote that came before the poll, and does not fit it, does not
/// count.
pub(crate) fn result(tx: &Tx<'_>, id: MessageId) -> Result<PollResult, ClientError> {
    let (name, message) = find(tx, id)?;
    let Body::Poll(poll) = &message.body else {
        return Err(ClientError::Limit("not_a_poll"));
    };
    let mut result = PollResult { counts: vec![0; poll.options.len()], votes: Vec::new() };
    for (by, options) in votes::list(tx.db, message.conversation, name)? {
        if fits(poll, &options) {
            let options: Vec<_> = options.into_iter().map(usize::from).collect();
            for &option in &options {
                if let Some(count) = result.counts.get_mut(option) {
                    *count += 1;
                }
            }
            result.votes.push((by, options));
        }
    }
    Ok(result)
}

fn fits(poll: &Poll, options: &[u8]) -> bool {
    let there = options.iter().all(|&option| usize::from(option) < poll.options.len());
    there && (poll.multiple || options.len() <= 1)
}
