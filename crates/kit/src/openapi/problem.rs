//! Refusals, as the document describes them.

use serde_json::{Map, Value, json};
use utoipa::openapi::{
    Content, Object, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Schema,
    schema::{ArrayBuilder, Type},
};

/// The content type of every refusal (RFC 9457).
const PROBLEM_JSON: &str = "application/problem+json";

/// A refusal as the operations share it, which may say more of its reasons.
pub(super) struct Refusal {
    pub(super) status: &'static str,
    /// The name of the shared response.
    pub(super) name: &'static str,
    description: &'static str,
    reason: &'static str,
    detail: &'static str,
    pub(super) can_be_retried: bool,
}

/// One for each status.
pub(super) const REFUSALS: [Refusal; 10] = [
    Refusal {
        status: "401",
        name: "Unauthenticated",
        description: "There is no token, or none that is valid: log in again.",
        reason: "token_expired",
        detail: "the token has expired",
        can_be_retried: false,
    },
    Refusal {
        status: "402",
        name: "PaymentRequired",
        description: "The caller has to do some work first.",
        reason: "proof_of_work_required",
        detail: "proof of work is needed to open an account here: ask for a challenge",
        can_be_retried: false,
    },
    Refusal {
        status: "403",
        name: "Forbidden",
        description: "The device may not do this: it was revoked (`device_revoked`), or its \
                      certificate has ended (`device_expired`).",
        reason: "device_revoked",
        detail: "the device is revoked",
        can_be_retried: false,
    },
    Refusal {
        status: "404",
        name: "NotFound",
        description: "There is no such thing.",
        reason: "unknown_account",
        detail: "there is no such account",
        can_be_retried: false,
    },
    Refusal {
        status: "409",
        name: "Conflict",
        description: "Things are otherwise than the request takes them to be: look again.",
        reason: "head_moved",
        detail: "the chain has moved on",
        can_be_retried: false,
    },
    Refusal {
        status: "410",
        name: "Gone",
        description: "It was there and will not come back.",
        reason: "log_expired",
        detail: "the log begins later",
        can_be_retried: false,
    },
    Refusal {
        status: "422",
        name: "InvalidInput",
        description: "The path, the query or the body is malformed, or what it says cannot be \
                      taken.",
        reason: "malformed_json",
        detail: "the body is not what this endpoint takes: missing field `keys`",
        can_be_retried: false,
    },
    Refusal {
        status: "429",
        name: "TooManyRequests",
        description: "The caller asks for too much in too short a time. `Retry-After` says when \
                      to come again.",
        reason: "rate_limited",
        detail: "too many requests",
        can_be_retried: true,
    },
    Refusal {
        status: "500",
        name: "Internal",
        description: "The failure is the server's, and it will not go away by itself.",
        reason: "internal",
        detail: "the service could not complete the request",
        can_be_retried: false,
    },
    Refusal {
        status: "503",
        name: "Unavailable",
        description: "Not now: something that the server needs is away, it is about to end, it \
                      has more to do than it can, or there is maintenance (`read_only`). \
                      `Retry-After` says when to come again.",
        reason: "storage",
        detail: "the service could not complete the request",
        can_be_retried: true,
    },
];

impl Refusal {
    /// The shared response.
    pub(super) fn response(&self) -> Response {
        let mut problem: Map<_, _> = [
            ("type", json!(format!("/problems/{}", self.reason))),
            ("status", json!(self.status.parse::<u16>().unwrap_or_default())),
            ("reason", json!(self.reason)),
            ("detail", json!(self.detail)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect();
        if self.can_be_retried {
            problem.insert("retry_after_ms".to_owned(), 1000.into());
        }
        let problem = Value::Object(problem);
        let content = Content::builder()
            .schema(Some(Ref::from_schema_name("Problem")))
            .example(Some(problem))
            .build();
        ResponseBuilder::new().description(self.description).content(PROBLEM_JSON, content).build()
    }
}

/// The schema of all problem documents.
pub(super) fn schema() -> RefOr<Schema> {
    let text = |description: &str| of(Type::String, description);
    let number = |description: &str| of(Type::Integer, description).minimum(Some(0));
    let list = |of: Type, description: &str| {
        ArrayBuilder::new()
            .items(ObjectBuilder::new().schema_type(of))
            .description(Some(description))
    };
    let devices = |description: &str| list(Type::Integer, description);
    let head = of(Type::Object, "With `head_moved`: the newest op of the chain.")
        .property("seq", number("Its number."))
        .property("hash", text("Its hash, as base64."))
        .required("seq")
        .required("hash");
    let problem = of(Type::Object, "Why a request was refused (RFC 9457).")
        .property("type", text("A name of the kind of problem, as a URI reference."))
        .property("status", number("The HTTP status."))
        .property("reason", text("A stable word that programs branch on."))
        .property("detail", text("A sentence for people. It may change."))
        .property("retry_after_ms", number("After how long the same may pass, in milliseconds."))
        .property("head", head)
        .property("device_ids", devices("The devices that the refusal is about."))
        .property("key_ids", list(Type::Integer, "The prekeys that the refusal is about."))
        .property("missing", devices("With `device_mismatch`: devices that the send left out."))
        .property("extra", devices("With `device_mismatch`: devices that there are not."))
        .property("stale", devices("With `device_mismatch`: devices that registered anew."))
        .property("rule", text("With `not_allowed`: the rule that stands against it."))
        .property("generation", number("Of a group that has moved on: how often it was reset."))
        .property("epoch", number("Of a group that has moved on: its epoch."))
        .property(
            "entries",
            list(
                Type::String,
                "Of a group that has moved on: what the caller lacks but for messages, each an \
                 encoded `sotto.socket.v1.GroupEntry` as base64.",
            ),
        )
        .property("more", of(Type::Boolean, "Those entries are not all of them: read the log."))
        .property("server_time_ms", number("What time it is, where that matters."))
        .property(
            "violated-policies",
            list(Type::String, "With `rate_limited`: the limits that were exceeded."),
        );
    let required = ["type", "status", "reason", "detail"];
    let problem = required.into_iter().fold(problem, ObjectBuilder::required);
    RefOr::T(problem.build().into())
}

fn of(kind: Type, description: &str) -> ObjectBuilder {
    Object::builder().schema_type(kind).description(Some(description))
}
