use std::future::Future;

use sotto_kit::{fault::chain, read_only::ReadOnlyError};
use sotto_store::postgres::refuses_writes;

use super::Groups;
use crate::domain::Refusal;

/// The database did not do it. The reason has been logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreFault {
    /// It may do it in a moment.
    Away,
    /// It answers, and changes nothing for now.
    ReadOnly,
}

impl From<StoreFault> for Refusal {
    fn from(fault: StoreFault) -> Self {
        match fault {
            StoreFault::Away => Self::Unavailable,
            StoreFault::ReadOnly => Self::ReadOnly(ReadOnlyError::of_database()),
        }
    }
}

impl Groups {
    /// Bounds a statement or transaction in time, and logs when the database begins to fail
    /// and when it is back.
    pub(crate) async fn in_time<T>(
        &self,
        statement: impl Future<Output = sqlx::Result<T>>,
    ) -> Result<T, StoreFault> {
        let delivery = &self.delivery;
        match tokio::time::timeout(self.config.sends.timeout, statement).await {
            Ok(Ok(done)) => {
                delivery.database.ends();
                Ok(done)
            }
            Ok(Err(error)) if refuses_writes(&error) => {
                delivery.writable.begins(&chain(&error));
                Err(StoreFault::ReadOnly)
            }
            Ok(Err(error)) => {
                delivery.database.begins(&chain(&error));
                Err(StoreFault::Away)
            }
            Err(_) => {
                delivery.database.begins(&"no answer in time");
                Err(StoreFault::Away)
            }
        }
    }
}
