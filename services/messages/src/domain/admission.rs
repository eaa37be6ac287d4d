use super::{DeviceSet, Interop, Mismatch, Refusal, Retraction, Send};

/// What the sender's and the recipient's account say to a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is for exactly the devices that the account has.
    Admitted,
    /// It is for others.
    Mismatch(Mismatch),
    /// It may not be delivered at all.
    Refused(Refusal),
}

/// Holds a send against the account of its sender and its recipient, `None` where
/// there is no such account.
///
/// A token outlives the revocation of its device by minutes, so that the sender is
/// held against its account at each send. Between one account's own devices the apps
/// do not matter.
pub(crate) fn admit(
    send: &Send,
    sender: Option<&DeviceSet>,
    recipient: Option<&DeviceSet>,
    interop: &Interop,
) -> Admission {
    // First: who is no device of anybody learns nothing of others.
    if !sender.is_some_and(|set| set.has(send.sender.device)) {
        return Admission::Refused(Refusal::UnknownSender);
    }
    let Some(set) = recipient else {
        return Admission::Refused(Refusal::UnknownRecipient);
    };
    if send.recipient != send.sender.account && !interop.allows(&send.app, &set.apps) {
        return Admission::Refused(Refusal::NotInteroperable);
    }
    set.mismatch(send).map_or(Admission::Admitted, Admission::Mismatch)
}

/// Holds a retraction against the account of its sender. What it deletes is the sender's
/// own, so that the recipient is not asked; but a device that was revoked takes nothing
/// back of what it has sent.
pub(crate) fn admit_retraction(retraction: &Retraction, sender: Option<&DeviceSet>) -> Admission {
    if sender.is_some_and(|set| set.has(retraction.sender.device)) {
        Admission::Admitted
    } else {
        Admission::Refused(Refusal::UnknownSender)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::device_set::tests::{send, set},
        *,
    };

    fn interop() -> Interop {
        [("socialink", "vignette"), ("vignette", "socialink")]
            .map(|(app, listed)| (app.to_owned(), [listed.to_owned()]))
            .into_iter()
            .collect()
    }

    /// Of a sender that its account has.
    fn admit(send: &Send, recipient: Option<&DeviceSet>, interop: &Interop) -> Admission {
        super::admit(send, Some(&set(&[(1, 10), (2, 20)])), recipient, interop)
    }

    #[test]
    fn a_device_that_its_account_does_not_have_sends_nothing_and_learns_nothing() {
        let own = set(&[(2, 20)]);
        let refused = Admission::Refused(Refusal::UnknownSender);
        for sender in [Some(&own), None] {
            for recipient in [Some(&set(&[(1, 10)])), Some(&set(&[(7, 70)])), None] {
                let admission = super::admit(&send(2, &[(1, 10)]), sender, recipient, &interop());
                assert_eq!(admission, refused);
            }
        }
        let to_own = super::admit(&send(1, &[(2, 20)]), Some(&own), Some(&own), &interop());
        assert_eq!(to_own, refused);
    }

    #[test]
    fn a_send_to_the_right_devices_of_a_friendly_app_is_admitted() {
        let admission = admit(&send(2, &[(1, 10)]), Some(&set(&[(1, 10)])), &interop());
        assert_eq!(admission, Admission::Admitted);
    }

    #[test]
    fn a_stranger_app_is_refused_before_it_learns_the_devices() {
        let admission = admit(&send(2, &[(7, 70)]), Some(&set(&[(1, 10)])), &Interop::default());
        assert_eq!(admission, Admission::Refused(Refusal::NotInteroperable));
    }

    #[test]
    fn ones_own_account_is_reached_from_any_app() {
        let own = set(&[(1, 10), (2, 20)]);
        let admission = admit(&send(1, &[(2, 20)]), Some(&own), &Interop::default());
        assert_eq!(admission, Admission::Admitted);
    }

    #[test]
    fn nobody_there_is_an_unknown_recipient() {
        let admission = admit(&send(2, &[(1, 10)]), None, &interop());
        assert_eq!(admission, Admission::Refused(Refusal::UnknownRecipient));
    }
}
