//! What a client can do to everybody else: one without any key, and one with a tenant's.

mod answers;
mod connections;
mod edge;
mod fair_shares;
mod own_login;
mod statements;
mod values;
