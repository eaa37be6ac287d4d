//! What OpenMLS asks of its surroundings.
