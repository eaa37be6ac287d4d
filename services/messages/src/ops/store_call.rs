use std::future::Future;

use sotto_kit::{fault::chain, read_only::ReadOnlyError};

use super::Messages;
use crate::domain::Refusal;

/// `read_only_sql_transaction`: a database in recovery, or told to be so.
const READ_ONLY: &str = "25006";

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

impl Messages {
    /// Bounds a statement or transaction in time, and logs when the database begins
    /// to fail and when it is back.
    pub(crate) async fn in_time<T>(
        &self,
        statement: impl Future<Output = sqlx::Result<T>>,
    ) -> Result<T, StoreFault> {
        match tokio::time::timeout(self.config.store_timeout, statement).await {
            Ok(Ok(done)) => {
                self.database.ends();
                Ok(done)
            }
            Ok(Err(error)) if is_read_only(&error) => {
                self.writable.begins(&chain(&error));
                Err(StoreFault::ReadOnly)
            }
            Ok(Err(error)) => {
                self.database.begins(&chain(&error));
                Err(StoreFault::Away)
            }
            Err(_) => {
                self.database.begins(&"no answer in time");
                Err(StoreFault::Away)
            }
        }
    }
}

fn is_read_only(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == READ_ONLY)
}
