//! The responder from outside: bytes over real sockets.

mod load;
mod sockets;
mod tls;
mod wire;
