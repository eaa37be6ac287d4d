//! Values as they stand in columns.

use rusqlite::{
    Row,
    types::{FromSql, FromSqlError, Type},
};
use sotto_ids::{AccountId, AccountUuid, DeviceId};
use uuid::Uuid;

/// Reads a column of our own writing; what is not of its form is a broken store.
pub(super) fn read<S: FromSql, T>(
    row: &Row<'_>,
    column: &str,
    parse: impl FnOnce(S) -> Option<T>,
) -> rusqlite::Result<T> {
    parse(row.get(column)?).ok_or_else(|| {
        let source = Box::new(FromSqlError::InvalidType);
        rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, source)
    })
}

pub(super) fn account(row: &Row<'_>, column: &str) -> rusqlite::Result<AccountId> {
    row.get(column).map(AccountId::new)
}

pub(super) fn uuid(row: &Row<'_>, column: &str) -> rusqlite::Result<AccountUuid> {
    row.get(column).map(|bytes| AccountUuid::from_stored(Uuid::from_bytes(bytes)))
}

pub(super) fn device(row: &Row<'_>, column: &str) -> rusqlite::Result<DeviceId> {
    read(row, column, |number: u32| DeviceId::try_from(number).ok())
}
