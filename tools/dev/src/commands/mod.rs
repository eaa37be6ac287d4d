mod cli;
mod down;
mod status;
mod up;

pub(crate) use self::{
    down::down,
    status::{state, status},
    up::up,
};
