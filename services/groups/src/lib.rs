//! The delivery service of MLS groups.
