use std::future::Future;

use sotto_kit::fault::chain;

use super::Messages;

/// The database did not do it. The reason has been logged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoreAway;

impl Messages {
    /// Bounds a statement or transaction in time, and logs when the database begins
    /// to fail and when it is back.
    pub(crate) async fn in_time<T>(
        &self,
        statement: impl Future<Output = sqlx::Result<T>>,
    ) -> Result<T, StoreAway> {
        match tokio::time::timeout(self.config.store_timeout, statement).await {
            Ok(Ok(done)) => {
                self.database.ends();
                Ok(done)
            }
            Ok(Err(error)) => {
                self.database.begins(&chain(&error));
                Err(StoreAway)
            }
            Err(_) => {
                self.database.begins(&"no answer in time");
                Err(StoreAway)
            }
        }
    }
}
