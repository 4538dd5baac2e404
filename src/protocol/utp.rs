//! The micro transport protocol (BEP 29): what its packets say, and a connection as a state machine over packets.
//!
//! A [`Connection`] takes the packets of the other end with [`handle`](Connection::handle), tells what follows from them with
//! [`poll`](Connection::poll), and says which packets are to be sent with [`transmit`](Connection::transmit). Sequence numbers
//! count packets, not bytes, and a packet that was sent once keeps its number and its bytes. A [`Mux`] has all connections of one
//! UDP port.

mod congestion;
mod connection;
mod delay;
mod header;
mod mux;
mod pace;
mod packet_size;
mod receive_buffer;
mod round_trip;
mod send_buffer;
mod sequence;

pub use connection::{Connection, ConnectionEvent, Draw, Ending, Fragment};
pub use header::{HEADER_LENGTH, Header, HeaderExtension, Kind, extensions, fields, kind};
pub use mux::{Mux, MuxOutput};
