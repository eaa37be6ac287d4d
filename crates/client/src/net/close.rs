//! What the server means by the way in which it closes.

use std::time::Duration;

use sotto_proto::socket::Goodbye;

use super::End;

/// From here on close codes ask for no other attempt.
const STOP: u16 = 4500;

/// The time of the token is over.
const TOKEN_EXPIRED: u16 = 4001;

/// The token is not taken.
const AUTHENTICATION_FAILED: u16 = 4501;

/// How a connection ended that the server closed with `code`, after the goodbye
/// that came before, if one did.
pub(super) fn end(code: Option<u16>, text: &str, goodbye: Option<&Goodbye>) -> End {
    let reason = match (goodbye, text) {
        (Some(goodbye), _) if !goodbye.reason.is_empty() => goodbye.reason.clone(),
        (_, text) if !text.is_empty() => text.to_owned(),
        _ => code.map_or_else(|| "closed".to_owned(), |code| format!("closed_{code}")),
    };
    match code {
        Some(code) if (STOP..STOP + 500).contains(&code) => End::Final { reason },
        _ => End::Lost {
            reason,
            after: goodbye
                .map(|goodbye| Duration::from_millis(goodbye.reconnect_after_ms.into()))
                .filter(|after| !after.is_zero()),
        },
    }
}

/// Whether the token was the cause.
pub(super) fn is_about_token(code: u16) -> bool {
    matches!(code, TOKEN_EXPIRED | AUTHENTICATION_FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_the_code_says_whether_to_come_back() {
        assert_eq!(end(Some(4500), "revoked", None), End::Final { reason: "revoked".into() });
        for code in [None, Some(1001), Some(1012), Some(4000), Some(4499)] {
            assert!(matches!(end(code, "", None), End::Lost { .. }), "{code:?}");
        }
    }

    #[test]
    fn a_goodbye_says_when_to_come_back() {
        let goodbye = Goodbye { reason: "service_restart".into(), reconnect_after_ms: 1_500 };

        let end = end(Some(1012), "", Some(&goodbye));

        let after = Some(Duration::from_millis(1_500));
        assert_eq!(end, End::Lost { reason: "service_restart".into(), after });
    }
}
