//! Who is heard at the door: whoever knocks with a ticket of this group or as its member, and others while a password
//! opens it.

use super::doors::Doors;
use crate::net::entrance::Listener;
use protocol::door::{Keys, KnockKey, Name, Strangers};

impl Keys for Doors {
    fn key(&self, name: Name) -> Option<KnockKey> {
        self.knock_key(name)
    }
}

impl Listener for Doors {
    fn strangers(&self) -> Strangers {
        if self.takes_passwords() { Strangers::Limited } else { Strangers::Ignored }
    }
}
