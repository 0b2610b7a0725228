//! Coming in.

use super::{code_of, group, join, meet, ticket};
use crate::spawn::Running;

#[test]
fn a_locked_group_lets_nobody_in_until_it_is_unlocked() {
    let (host, ticket, others) = group(&["Ada"]);
    host.say("lock");
    others[0].wait_for("group", |event| event["locked"] == true);
    let ended = Running::join(&[&ticket]);
    assert_eq!((ended.code, code_of(&ended.events)), (4, Some("locked")));
    host.say("unlock");
    meet(&host, &join(&ticket, "Ben"));
}

#[test]
fn who_knocks_waits_until_somebody_admits_or_denies() {
    let (host, ticket, _) = Running::host(&["--knock"]);
    let ada = join(&ticket, "Ada");
    host.wait_for("knock", |event| event["name"] == "Ada");
    ada.wait_for("waiting", |_| true);
    assert!(!host.has("connected", |_| true), "nobody is in before somebody says so");
    // Longer than strangers may take, who are looked through when another one comes.
    std::thread::sleep(std::time::Duration::from_secs(6));
    let ben = join(&ticket, "Ben");
    host.wait_for("knock", |event| event["name"] == "Ben");
    host.say("admit Ada");
    meet(&host, &ada);
    host.say("deny ben");
    let ended = ben.end();
    assert_eq!((ended.code, code_of(&ended.events)), (4, Some("denied")));
    host.say("admit nobody");
    host.wait_for("error", |event| event["code"] == "no_such_peer");
}

#[test]
fn with_a_single_use_ticket_exactly_one_of_many_at_once_comes_in() {
    let (host, _, _) = group(&[]);
    let once = ticket(&host, "invite once");
    let crowd: Vec<Running> = (0..4).map(|n| join(&once, &format!("Guest {n}"))).collect();
    host.wait_for("connected", |_| true);
    let ended: Vec<_> = crowd.into_iter().filter(|guest| !guest.has("connected", |_| true)).collect();
    let refused = ended.into_iter().filter_map(|guest| {
        // The one who is in may not have been told yet.
        guest.wait_for_any(&["connected", "bye"]);
        guest.has("bye", |_| true).then(|| guest.end())
    });
    let codes: Vec<_> =
        refused.map(|ended| (ended.code, code_of(&ended.events).map(str::to_owned))).collect();
    assert_eq!(codes, vec![(4, Some("used_up_ticket".to_owned())); 3]);
}

#[test]
fn a_revoked_ticket_lets_nobody_in_anywhere() {
    let (host, old, others) = group(&["Ada"]);
    let theirs = ticket(&others[0], "invite");
    host.say("revoke all");
    host.wait_for("revoked", |event| event["tickets"] == 2);
    others[0].wait_for("connected", |_| true);
    for ticket in [old, theirs] {
        let ended = Running::join(&[&ticket]);
        assert_eq!((ended.code, code_of(&ended.events)), (4, Some("revoked_ticket")));
    }
    host.say("revoke nonsense");
    host.wait_for("error", |event| event["code"] == "no_such_ticket");
}
