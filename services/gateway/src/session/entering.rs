//! How a socket gets from its first frame to its Hello.

use sotto_ids::limits::MAX_FRAME_BYTES;

use super::{
    ending::Ending,
    identify,
    io::{Identity, Input, Ticket},
    line::Line,
    task::Session,
};
use crate::{groups::line::GroupLine, transport::Transport};

impl<T: Transport> Session<T> {
    pub(super) async fn verify(&mut self, in_reply_to: u64, token: &str) -> Result<(), Ending> {
        if !self.enters(in_reply_to) {
            return Ok(());
        }
        let verdict = identify::by_token(&self.gateway, token).await;
        self.is_still_there()?;
        self.step(Input::Verified { in_reply_to, verdict });
        Ok(())
    }

    pub(super) async fn redeem(&mut self, in_reply_to: u64, ticket: &Ticket) -> Result<(), Ending> {
        if !self.enters(in_reply_to) {
            return Ok(());
        }
        let identity = self.gateway.tickets.take(ticket).await;
        self.is_still_there()?;
        if identity.is_none() {
            // It waits for a token now, and nobody knows how long.
            self.opening = None;
        }
        self.step(Input::Redeemed { in_reply_to, identity });
        Ok(())
    }

    /// Whether there is room for one more on its way in. It costs less to be turned away
    /// before anybody was asked.
    fn enters(&mut self, in_reply_to: u64) -> bool {
        if self.line.is_some() || self.opening.is_some() {
            return true;
        }
        match self.gateway.entrance.open() {
            Ok(opening) => {
                self.opening = Some(opening);
                true
            }
            Err(retry_after) => {
                self.step(Input::Crowded { in_reply_to, retry_after });
                false
            }
        }
    }

    /// It may have taken long to ask. The token of a running socket changes nothing about
    /// what its peer sent before it went.
    fn is_still_there(&mut self) -> Result<(), Ending> {
        if self.line.is_none() && self.socket.has_left() { Err(self.left()) } else { Ok(()) }
    }

    pub(super) async fn admit(&mut self, identity: &Identity) -> Result<(), Ending> {
        let Self { gateway, registered, socket, line, group_line, .. } = self;
        let handle = registered.handle();
        *line = Some(Line::new(
            handle.connection,
            identity,
            gateway.links.clone(),
            gateway.meters.clone(),
        ));
        *group_line = Some(GroupLine::new(
            handle.connection,
            identity.device,
            gateway.groups.links().clone(),
            gateway.meters.clone(),
        ));
        let claim = gateway.admission.admit(handle, identity.device, || socket.has_left());
        let (admitted, given) = tokio::join!(claim, gateway.tickets.give(identity));
        let ticket = given.map(|(ticket, key)| {
            self.ticket = Some(key);
            ticket
        });
        if !admitted {
            return Err(self.left());
        }
        self.socket.bound_frames(MAX_FRAME_BYTES);
        self.step(Input::Admitted { ticket });
        Ok(())
    }

    /// The end of a socket whose peer went before it was admitted.
    fn left(&mut self) -> Ending {
        self.outbox.close_back();
        Ending::Peer
    }
}
