//! What a socket does about the groups of its device.

use sotto_proto::socket::GroupSend;

use super::{
    io::{Event, Input},
    task::Session,
};
use crate::{groups::Broadcast, transport::Transport};

impl<T: Transport> Session<T> {
    pub(super) fn enter_groups(&mut self) {
        if let Some(line) = &self.line {
            let handle = self.registered.handle();
            self.membership = Some(self.gateway.groups.enter(handle, line.device()));
        }
    }

    pub(super) fn group_submit(&mut self, frame: u64, send: GroupSend) {
        self.tally.sent += 1;
        let line = self.group_line.as_mut();
        if let Some(answer) = line.and_then(|line| line.submit(frame, send)) {
            self.step(Input::Event(answer));
        }
    }

    /// Writes what other sockets write too. Where that cannot be, the device is told to look.
    pub(super) fn broadcast(&mut self, broadcast: &Broadcast) {
        match broadcast.wire(self.encoding) {
            Some(wire) => {
                self.gateway.meters.group_deliveries.increment(1);
                self.outbox.shared(wire);
            }
            None => self.step(Input::Event(Event::GroupBehind(broadcast.group().clone()))),
        }
    }
}
