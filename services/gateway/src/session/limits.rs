//! What a device and its app may send over all of their sockets.

use sotto_kit::limits::{Allowance, Class};
use sotto_proto::{groups, messages, socket::Error};

use super::{
    io::{Event, Input},
    replies::rate_limited,
    task::Session,
};
use crate::transport::Transport;

impl<T: Transport> Session<T> {
    /// Whether the device may send one more. If not, the frame is answered.
    pub(super) async fn may_send(&mut self, frame: u64) -> bool {
        match self.ask_limits(Class::Send).await {
            Ok(granted) => {
                self.allowance.add(granted);
                self.allowance.spend(1)
            }
            Err(error) => {
                let result = messages::outcome::Result::Error(error);
                self.step(Input::Event(Event::Outcome { frame, result }));
                false
            }
        }
    }

    /// The same to a group.
    pub(super) async fn may_group_send(&mut self, frame: u64) -> bool {
        match self.ask_limits(Class::GroupSend).await {
            Ok(granted) => {
                self.group_allowance.add(granted);
                self.group_allowance.spend(1)
            }
            Err(error) => {
                let result = groups::outcome::Result::Error(error);
                self.step(Input::Event(Event::GroupOutcome { frame, result }));
                false
            }
        }
    }

    /// How many more the device may send, as it and its app are limited over all of their
    /// sockets. The socket is not read meanwhile.
    async fn ask_limits(&mut self, class: Class) -> Result<u32, Error> {
        let Some(line) = &self.line else {
            return Ok(0);
        };
        let limits = &*self.gateway.limits;
        let (batch, device) = (limits.socket_batch(), line.device());
        Allowance::ask(batch, class, device, line.app(), limits).await.map_err(|limited| {
            let now_ms = self.gateway.clock.now_ms();
            rate_limited(self.machine.put_off_for(limited.retry_after, now_ms))
        })
    }
}
