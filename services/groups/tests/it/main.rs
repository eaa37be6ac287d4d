//! The service against a real database.
