//! Every metric of this service.
//!
//! Labels are closed sets of words. None ever names a user, device, message or
//! address.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

/// Says what the metrics mean. Once, when the service is built.
pub(crate) fn describe() {
    describe_gauge!(CONNECTIONS, "sockets that are open");
    describe_gauge!(OPENING, "sockets that have shown a token and wait for their first page");
    describe_counter!(RESUMED, "tickets that were shown, by what became of them");
    describe_counter!(TICKET_ERRORS, "commands about tickets that Redis did not answer");
    describe_gauge!(DRAINING, "sockets that a drain has not closed yet");
    describe_counter!(EPHEMERAL, "ephemeral envelopes that were written to a socket");
    describe_counter!(OPENED, "sockets that were opened, by encoding");
    describe_counter!(CLOSED, "sockets that ended, by reason");
    describe_counter!(REFUSED, "upgrades that were refused, by reason");
    describe_counter!(FRAMES_IN, "frames of the protocol that devices have sent");
    describe_counter!(FRAMES_OUT, "frames of the protocol that were written");
    describe_counter!(DELIVERED, "envelopes that were written to a socket");
    describe_counter!(EPHEMERAL_DROPPED, "ephemeral envelopes that a socket had no room for");
    describe_counter!(ACKNOWLEDGED, "envelopes that were acknowledged");
    describe_counter!(
        LAGGING,
        "times that a mailbox overflowed and its socket went back to pulling"
    );
    describe_gauge!(GROUPS_WATCHED, "groups that sockets are in, or were a moment ago");
    describe_gauge!(GROUP_SUBSCRIPTIONS, "groups that sockets are in, for each socket");
    describe_counter!(GROUP_PUBLICATIONS, "publications of groups that replicas have sent");
    describe_counter!(GROUP_DELIVERIES, "publications of groups that were written to a socket");
    describe_counter!(
        GROUP_HINTS,
        "sockets that were told where the log of a group ends, as entries were missing, the socket \
         was slow, or they were large, by cause"
    );
    describe_counter!(GROUP_LISTS, "times that the groups of a device were asked for, by result");
    describe_counter!(GROUPS_LEFT_OUT, "groups of a socket that there was no room to follow");
    describe_counter!(WAITS, "times that a socket waited for a link with room");
    describe_gauge!(LINKS, "replicas that are attached, by role");
    describe_counter!(ATTACHED, "times that a replica was attached, by role");
    describe_counter!(LOST, "times that the link to a replica was lost, by role");
    describe_counter!(UNAVAILABLE, "sends that were answered `unavailable`");
    describe_counter!(PLACES, "places that were looked at by the audit, by what became of them");
    describe_counter!(PLACE_ERRORS, "commands about places that Redis did not answer");
}

const OPENING: &str = "sotto_gateway_opening";
const RESUMED: &str = "sotto_gateway_resumed_total";
const TICKET_ERRORS: &str = "sotto_gateway_ticket_errors_total";
const DRAINING: &str = "sotto_gateway_drain_remaining";
const EPHEMERAL: &str = "sotto_gateway_ephemeral_total";
const CONNECTIONS: &str = "sotto_gateway_connections";
const OPENED: &str = "sotto_gateway_opened_total";
const CLOSED: &str = "sotto_gateway_closed_total";
const REFUSED: &str = "sotto_gateway_refused_upgrades_total";
const FRAMES_IN: &str = "sotto_gateway_frames_in_total";
const FRAMES_OUT: &str = "sotto_gateway_frames_out_total";
const DELIVERED: &str = "sotto_gateway_delivered_total";
const EPHEMERAL_DROPPED: &str = "sotto_gateway_ephemeral_dropped_total";
const ACKNOWLEDGED: &str = "sotto_gateway_acknowledged_total";
const LAGGING: &str = "sotto_gateway_lagging_total";
const WAITS: &str = "sotto_gateway_waits_total";
const LINKS: &str = "sotto_gateway_links";
const ATTACHED: &str = "sotto_gateway_links_attached_total";
const LOST: &str = "sotto_gateway_links_lost_total";
const GROUPS_WATCHED: &str = "sotto_gateway_groups_watched";
const GROUP_SUBSCRIPTIONS: &str = "sotto_gateway_group_subscriptions";
const GROUP_PUBLICATIONS: &str = "sotto_gateway_group_publications_total";
const GROUP_DELIVERIES: &str = "sotto_gateway_group_deliveries_total";
const GROUP_HINTS: &str = "sotto_gateway_group_hints_total";
const GROUP_LISTS: &str = "sotto_gateway_group_lists_total";
const GROUPS_LEFT_OUT: &str = "sotto_gateway_groups_left_out_total";
const UNAVAILABLE: &str = "sotto_gateway_unavailable_total";
const PLACES: &str = "sotto_gateway_audited_places_total";
const PLACE_ERRORS: &str = "sotto_gateway_place_errors_total";

pub(crate) fn connections() -> Gauge {
    gauge!(CONNECTIONS)
}

pub(crate) fn opening() -> Gauge {
    gauge!(OPENING)
}

/// `left`: sockets that were not told yet.
pub(crate) fn draining(left: usize) {
    gauge!(DRAINING).set(f64::from(u32::try_from(left).unwrap_or(u32::MAX)));
}

pub(crate) fn resumed(result: &'static str) {
    counter!(RESUMED, "result" => result).increment(1);
}

pub(crate) fn ticket_error() {
    counter!(TICKET_ERRORS).increment(1);
}

pub(crate) fn opened(encoding: &'static str) {
    counter!(OPENED, "encoding" => encoding).increment(1);
}

pub(crate) fn closed(reason: &'static str) {
    counter!(CLOSED, "reason" => reason).increment(1);
}

pub(crate) fn refused(reason: &'static str) {
    counter!(REFUSED, "reason" => reason).increment(1);
}

pub(crate) fn lagging() {
    counter!(LAGGING).increment(1);
}

pub(crate) fn ephemeral_dropped() {
    counter!(EPHEMERAL_DROPPED).increment(1);
}

pub(crate) fn links(role: &'static str) -> Gauge {
    gauge!(LINKS, "role" => role)
}

pub(crate) fn link_attached(role: &'static str) {
    counter!(ATTACHED, "role" => role).increment(1);
}

pub(crate) fn link_lost(role: &'static str) {
    counter!(LOST, "role" => role).increment(1);
}

pub(crate) fn groups_watched() -> Gauge {
    gauge!(GROUPS_WATCHED)
}

pub(crate) fn group_subscriptions() -> Gauge {
    gauge!(GROUP_SUBSCRIPTIONS)
}

pub(crate) fn group_publication() {
    counter!(GROUP_PUBLICATIONS).increment(1);
}

/// `sockets`: how many are told.
pub(crate) fn group_hints(cause: &'static str, sockets: usize) {
    counter!(GROUP_HINTS, "cause" => cause).increment(sockets as u64);
}

pub(crate) fn group_list(result: &'static str) {
    counter!(GROUP_LISTS, "result" => result).increment(1);
}

pub(crate) fn group_left_out() {
    counter!(GROUPS_LEFT_OUT).increment(1);
}

pub(crate) fn places(fate: &'static str) {
    counter!(PLACES, "fate" => fate).increment(1);
}

pub(crate) fn place_error() {
    counter!(PLACE_ERRORS).increment(1);
}

/// The counters of the hot path, looked up once.
#[derive(Clone)]
pub(crate) struct Meters {
    pub(crate) frames_in: Counter,
    pub(crate) frames_out: Counter,
    pub(crate) delivered: Counter,
    pub(crate) ephemeral: Counter,
    pub(crate) acknowledged: Counter,
    pub(crate) group_deliveries: Counter,
    pub(crate) waits: Counter,
    pub(crate) unavailable: Counter,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            frames_in: counter!(FRAMES_IN),
            frames_out: counter!(FRAMES_OUT),
            delivered: counter!(DELIVERED),
            ephemeral: counter!(EPHEMERAL),
            acknowledged: counter!(ACKNOWLEDGED),
            group_deliveries: counter!(GROUP_DELIVERIES),
            waits: counter!(WAITS),
            unavailable: counter!(UNAVAILABLE),
        }
    }
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meters")
    }
}
