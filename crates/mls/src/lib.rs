//! What members and the delivery service of a group have to agree on.
