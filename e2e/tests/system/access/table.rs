use super::{acts::Act, groups};

/// What comes of an act for each kind of caller, in the order of [`super::scene::Who`].
pub(super) struct Row {
    /// The endpoint, or the frame.
    pub(super) at: &'static str,
    /// What is asked of it, where more than one thing is.
    pub(super) what: &'static str,
    pub(super) act: Act,
    pub(super) expected: [&'static str; 6],
}

impl Row {
    pub(super) fn name(&self) -> String {
        match self.what {
            "" => self.at.to_owned(),
            what => format!("{} ({what})", self.at),
        }
    }
}

pub(super) const fn row(
    at: &'static str,
    what: &'static str,
    act: Act,
    expected: [&'static str; 6],
) -> Row {
    Row { at, what, act, expected }
}

/// What anybody may do.
const fn public(at: &'static str, act: Act, word: &'static str) -> Row {
    row(at, "", act, [word; 6])
}

pub(super) const MISSING: &str = "401 token_missing";
pub(super) const REVOKED: &str = "403 device_revoked";
pub(super) const OFF: &str = "4502 device_revoked";
pub(super) const FIRST: &str = "authenticate_first, 4501 authentication_failed";

/// See [`super`]. The owner is device 1 of an account; what each act is about is the
/// owner's, and each caller brings the own token.
#[rustfmt::skip]
pub(super) fn table() -> Vec<Row> {
    let mut rows = vec![
        // Accounts. Who registers shows the token of an app's user; a device is nobody yet.
        row("POST /v1/accounts", "the owner's ops again", Act::Register, [
            "401 app_token_malformed", "409 account_exists", "409 account_exists",
            "200", "200", "200",
        ]),
        public("POST /v1/accounts/challenge", Act::RegistrationChallenge, "200"),
        row("POST /v1/accounts/{account}/ops", "an op that the account key signed", Act::Append, [
            MISSING, "403 not_your_account", "403 not_your_account",
            "200", REVOKED, "200",
        ]),
        // The words on paper stand above every device: who signs with them needs no token.
        row("POST /v1/accounts/{account}/ops", "an op that the recovery key signed",
            Act::AppendByRecovery, ["200"; 6]),
        row("POST /v1/accounts/{account}/ops", "such an op, signed by a recovery key of one's own",
            Act::AppendByOtherRecovery, ["422 missing_signature"; 6]),
        public("GET /v1/accounts/{account}/ops", Act::ReadChain, "200"),
        public("GET /v1/accounts/{account}/head", Act::ReadHead, "200"),
        row("POST /v1/accounts/{account}/bundles", "", Act::Bundles, [
            MISSING, "403 not_interoperable", "200, the owner's shelf",
            "200, the owner's shelf", REVOKED, "200",
        ]),
        public("GET /v1/u/{handle}", Act::FindHandle, "200"),

        // Logging in.
        public("POST /v1/auth/challenge", Act::Challenge, "200"),
        row("POST /v1/auth/token", "as the owner, with the keys and the app that one has",
            Act::LoginAsOwner, [
            "401 app_token_malformed", "401 wrong_proof", "401 wrong_proof",
            "401 wrong_proof", "401 wrong_proof", "200",
        ]),
        row("POST /v1/auth/token", "as oneself", Act::LoginAsOneself, [
            "401 app_token_malformed", "200", "200",
            "200", REVOKED, "200",
        ]),
        // The owner's keys are not enough: the app has to vouch for this user.
        row("POST /v1/auth/token", "with the owner's keys and the app's word for oneself",
            Act::LoginWithOwnersKeys, [
            "401 app_token_malformed", "409 binding_conflict", "409 binding_conflict",
            "200", "200", "200",
        ]),
        row("POST /v1/auth/token", "with a word of another app's key in the name of the owner's app",
            Act::LoginByOtherApp, ["401 app_token_unknown_key"; 6]),

        // Linking: who knows the name of a mailbox is one of its two ends.
        public("POST /v1/link", Act::OpenLink, "201"),
        public("PUT /v1/link/{link}/{slot}", Act::LeaveInLink, "204"),
        public("GET /v1/link/{link}/{slot}", Act::ReadLink, "200"),
        row("PUT /v1/link/{link}/{slot}", "without its name", Act::LeaveInUnknownLink,
            ["404 no_such_link"; 6]),
        row("GET /v1/link/{link}/{slot}", "without its name", Act::ReadUnknownLink,
            ["404 no_such_link"; 6]),

        // Prekeys: of the caller's own shelf, and signed by its own identity key.
        row("PUT /v1/keys/signed", "the owner's", Act::PublishSigned, [
            MISSING, "422 bad_prekey_signature", "422 bad_prekey_signature",
            "422 bad_prekey_signature", REVOKED, "200, the owner's shelf",
        ]),
        row("PUT /v1/keys/one-time", "the owner's", Act::PublishOneTime, [
            MISSING, "200", "200",
            "200", REVOKED, "200, the owner's shelf",
        ]),
        row("PUT /v1/keys/kyber", "the owner's", Act::PublishKyber, [
            MISSING, "422 bad_prekey_signature", "422 bad_prekey_signature",
            "422 bad_prekey_signature", REVOKED, "200, the owner's shelf",
        ]),
        row("GET /v1/keys/count", "", Act::Count, [MISSING, "200", "200", "200", REVOKED, "200"]),
        row("GET /v1/keys/digest", "", Act::Digest, [
            MISSING, "200", "200",
            "200", REVOKED, "200, the owner's",
        ]),

        // For everybody.
        public("GET /.well-known/chat-identity", Act::ChatIdentity, "200"),
        public("GET /.well-known/webfinger", Act::Webfinger, "200"),
        public("GET /.well-known/nodeinfo", Act::NodeinfoLinks, "200"),
        public("GET /nodeinfo/2.1", Act::Nodeinfo, "200"),

        // Messages without a socket.
        row("PUT /v1/messages/{recipient}", "to the owner's account", Act::Send, [
            MISSING, "403 not_interoperable", "200",
            "200", "403 unknown_sender", "200",
        ]),
        row("GET /v1/messages", "", Act::Poll, [
            MISSING, "200", "200",
            "200", REVOKED, "200, the owner's envelopes",
        ]),
        row("POST /v1/messages/ack", "of the owner's envelope", Act::Acknowledge, [
            MISSING, "204", "204",
            "204", "204", "204, and it is gone",
        ]),
        row("DELETE /v1/messages/{recipient}/{client_msg_id}", "of what the owner sent",
            Act::Retract, [
            MISSING, "204", "204",
            "204", "403 unknown_sender", "204, and it is gone",
        ]),

        // The socket.
        row("GET /v1/socket", "", Act::Connect, [
            "4004 authentication_timeout", "served", "served",
            "served", OFF, "served",
        ]),
        row("frame Authenticate", "the own token", Act::Authenticate, [
            "token_malformed, 4501 authentication_failed", "served", "served",
            "served", OFF, "served",
        ]),
        row("frame Authenticate", "the owner's token, once one is in", Act::AuthenticateAsOwner, [
            "token_invalid, 4501 authentication_failed", "token_other_device", "token_other_device",
            "token_other_device", OFF, "authenticated",
        ]),
        row("frame Resume", "the own ticket", Act::Resume, [
            "resume_refused", "served", "served",
            "served", "resume_refused", "served",
        ]),
        row("frame Resume", "the owner's ticket, once one is in", Act::ResumeAsOwner, [
            "resume_refused", "resume_refused", "resume_refused",
            "resume_refused", OFF, "resume_refused",
        ]),
        row("frame Send", "to the owner's account", Act::SendFrame, [
            FIRST, "not_interoperable", "accepted",
            "accepted", OFF, "accepted",
        ]),
        row("frame Retract", "of what the owner sent", Act::RetractFrame, [
            FIRST, "retracted", "retracted",
            "retracted", OFF, "retracted, and it is gone",
        ]),
        row("frame Ack", "of the owner's envelope", Act::AckFrame, [
            FIRST, "no answer", "no answer",
            "no answer", OFF, "no answer, and it is gone",
        ]),
    ];
    rows.extend(groups::rows());
    rows
}
