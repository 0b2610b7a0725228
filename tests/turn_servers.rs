//! One suite for every TURN server that calls go through: coturn, and the bundled relay.

#[path = "support/coturn.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod coturn;

use coturn::Coturn;

#[test]
fn coturn_starts_and_restarts_where_it_was() {
    let server = Coturn::new().user("ada", "secret").start();
    let address = server.address();
    let server = server.restart();
    assert_eq!(server.address(), address);
}
