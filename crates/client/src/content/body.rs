//! Bodies that stand in the history, with their limits.

use std::time::Duration;

use sotto_ids::{
    AccountId,
    limits::{
        MAX_CARD_ENTRIES, MAX_DESCRIPTION_CHARS, MAX_POLL_CHARS, MAX_POLL_OPTIONS, MAX_TEXT_CHARS,
        MAX_TIMER_SECONDS, MAX_TITLE_CHARS,
    },
};
use sotto_proto::content::{self as pb, content::Body as PbBody};

use super::MAX_COUNTER;
use crate::{Body, CalendarEvent, ClientError, ContactCard, Location, Poll};

const MAX_LATITUDE_E7: i32 = 900_000_000;
const MAX_LONGITUDE_E7: i32 = 1_800_000_000;

/// Refuses a text that is empty or too long.
pub(crate) fn check_text(text: &str) -> Result<(), ClientError> {
    let characters = text.chars().count();
    if (1..=MAX_TEXT_CHARS).contains(&characters) {
        Ok(())
    } else {
        Err(ClientError::TextLength { characters })
    }
}

/// Refuses what breaks a limit, on the side that writes it.
pub(crate) fn check(body: &Body) -> Result<(), ClientError> {
    match body {
        Body::Text(text) => check_text(text),
        Body::Deleted | Body::Unsupported | Body::Unreadable { .. } => {
            Err(ClientError::Limit("not_writable"))
        }
        other => to_pb(other)
            .and_then(|body| from_pb(body).transpose())
            .unwrap_or(Err("not_writable"))
            .map(drop)
            .map_err(ClientError::Limit),
    }
}

/// A timer as it is sent: whole seconds, rounded up.
pub(crate) fn timer_seconds(after: Option<Duration>) -> Result<u32, ClientError> {
    let Some(after) = after else { return Ok(0) };
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    u32::try_from(seconds)
        .ok()
        .filter(|seconds| (1..=MAX_TIMER_SECONDS).contains(seconds))
        .ok_or(ClientError::Limit("timer_length"))
}

pub(crate) fn timer(seconds: u32) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// `None` for what is never sent.
pub(super) fn to_pb(body: &Body) -> Option<PbBody> {
    Some(match body {
        Body::Text(text) => PbBody::Text(pb::Text { body: text.clone() }),
        Body::Location(place) => PbBody::Location(pb::Location {
            latitude_e7: place.latitude_e7,
            longitude_e7: place.longitude_e7,
            accuracy_m: place.accuracy_m.unwrap_or(0),
            name: place.name.clone(),
        }),
        Body::Contact(card) => PbBody::Contact(pb::ContactCard {
            name: card.name.clone(),
            account: card.account.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
            phones: card.phones.clone(),
            mails: card.mails.clone(),
        }),
        Body::Poll(poll) => PbBody::Poll(pb::Poll {
            question: poll.question.clone(),
            options: poll.options.clone(),
            multiple: poll.multiple,
        }),
        Body::Event(event) => PbBody::Event(pb::CalendarEvent {
            title: event.title.clone(),
            start_ms: event.start_ms,
            end_ms: event.end_ms,
            place: event.place.clone(),
            description: event.description.clone(),
        }),
        Body::TimerChanged { after } => {
            let seconds = timer_seconds(*after).unwrap_or(MAX_TIMER_SECONDS);
            PbBody::ExpireTimer(pb::ExpireTimer { seconds })
        }
        Body::Deleted | Body::Unsupported | Body::Unreadable { .. } => return None,
    })
}

/// `None` for a body that does not stand in the history.
pub(super) fn from_pb(body: PbBody) -> Result<Option<Body>, &'static str> {
    Ok(Some(match body {
        PbBody::Text(text) => {
            check_text(&text.body).map_err(|_| "text_length")?;
            Body::Text(text.body)
        }
        PbBody::Location(place) => Body::Location(location(place)?),
        PbBody::Contact(card) => Body::Contact(contact(card)?),
        PbBody::Poll(asked) => Body::Poll(poll(asked)?),
        PbBody::Event(event) => Body::Event(appointment(event)?),
        PbBody::ExpireTimer(pb::ExpireTimer { seconds }) => {
            if seconds > MAX_TIMER_SECONDS {
                return Err("timer_length");
            }
            Body::TimerChanged { after: timer(seconds) }
        }
        _ => return Ok(None),
    }))
}

fn location(place: pb::Location) -> Result<Location, &'static str> {
    let pb::Location { latitude_e7, longitude_e7, accuracy_m, name } = place;
    if latitude_e7.unsigned_abs() > MAX_LATITUDE_E7.unsigned_abs()
        || longitude_e7.unsigned_abs() > MAX_LONGITUDE_E7.unsigned_abs()
    {
        return Err("location_range");
    }
    bounded(&name, 0, MAX_TITLE_CHARS, "location_name")?;
    let accuracy_m = (accuracy_m > 0).then_some(accuracy_m);
    Ok(Location { latitude_e7, longitude_e7, accuracy_m, name })
}

fn contact(card: pb::ContactCard) -> Result<ContactCard, &'static str> {
    let pb::ContactCard { name, account, phones, mails } = card;
    bounded(&name, 1, MAX_TITLE_CHARS, "contact_name")?;
    let account = match account.as_slice() {
        [] => None,
        id => Some(AccountId::try_from(id).map_err(|_| "contact_account")?),
    };
    for entries in [&phones, &mails] {
        if entries.len() > MAX_CARD_ENTRIES {
            return Err("contact_entries");
        }
        for entry in entries {
            bounded(entry, 1, MAX_TITLE_CHARS, "contact_entries")?;
        }
    }
    Ok(ContactCard { name, account, phones, mails })
}

fn poll(asked: pb::Poll) -> Result<Poll, &'static str> {
    let pb::Poll { question, options, multiple } = asked;
    bounded(&question, 1, MAX_POLL_CHARS, "poll_question")?;
    if !(2..=MAX_POLL_OPTIONS).contains(&options.len()) {
        return Err("poll_options");
    }
    for option in &options {
        bounded(option, 1, MAX_POLL_CHARS, "poll_options")?;
    }
    Ok(Poll { question, options, multiple })
}

fn appointment(event: pb::CalendarEvent) -> Result<CalendarEvent, &'static str> {
    let pb::CalendarEvent { title, start_ms, end_ms, place, description } = event;
    bounded(&title, 1, MAX_TITLE_CHARS, "event_title")?;
    bounded(&place, 0, MAX_TITLE_CHARS, "event_place")?;
    bounded(&description, 0, MAX_DESCRIPTION_CHARS, "event_description")?;
    if end_ms < start_ms || end_ms > MAX_COUNTER {
        return Err("event_time");
    }
    Ok(CalendarEvent { title, start_ms, end_ms, place, description })
}

/// Counts characters, and refuses by name.
pub(super) fn bounded(
    text: &str,
    least: usize,
    most: usize,
    word: &'static str,
) -> Result<(), &'static str> {
    if (least..=most).contains(&text.chars().count()) { Ok(()) } else { Err(word) }
}
