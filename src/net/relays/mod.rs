//! TURN servers: the table that the socket asks for each datagram, and the task that keeps an allocation.

mod carrier;
mod meeting;
mod table;

pub use meeting::{Allocation, Meeting, MeetingState, meet};
pub use table::{RelayTable, Unwrapped};
