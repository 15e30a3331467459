//! Stories of the local engine on real folders.

mod chunks;
mod commits;
mod damage;
mod folders;
mod histories;
mod model;
mod support;
