//! `roundtable doctor`.

use super::args::DoctorArgs;
use super::exit::{Exit, Failure};
use super::network;
use crate::config;
use crate::doctor::{
    Finding, Mark, around, call_is_possible, lifetime, network as look, probe, ticket as way,
};
use crate::net::connectivity::{Connectivity, Settings};
use crate::net::node::Node;
use crate::net::platform::System;
use crate::net::udp::SystemUdp;
use crate::session::doors::now_unix;
use protocol::invite::Ticket;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let file = config::load(args.config.as_deref())?;
    let settings = network::doctor_settings(args, &file)?;
    let ticket = args.ticket.as_deref().map(str::parse::<Ticket>).transpose()?;
    if let Some(ticket) = &ticket {
        ticket.check(now_unix()).map_err(crate::session::entering::EnterError::from)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Bug, "runtime", error.to_string(), ""))?;
    let longest = args.lifetime.map(Duration::from_secs);
    if let Some(longest) = longest.filter(|_| !args.json) {
        eprintln!("roundtable: --lifetime waits; this takes {} s", longest.as_secs() + 2);
    }
    let findings = runtime.block_on(examine(settings, ticket, !args.no_port_mapping, longest))?;
    runtime.shutdown_background();
    for finding in &findings {
        if args.json {
            println!("{}", serde_json::to_string(finding).expect("findings are plain data"));
        } else {
            println!("{}", as_text(finding));
        }
    }
    if call_is_possible(&findings) {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Unreachable,
        "unreachable",
        "no call beyond the local network is possible from here",
        "do what the lines marked fail say",
    ))
}

async fn examine(
    settings: Settings,
    ticket: Option<Ticket>,
    router: bool,
    longest: Option<Duration>,
) -> Result<Vec<Finding>, Failure> {
    let (asked, servers) = (settings.stun.len(), settings.stun.clone());
    let failed = |error: std::io::Error| Failure::new(Exit::Files, "socket", error.to_string(), "");
    let udp = SystemUdp::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).map_err(failed)?;
    let (node, stun) = Node::start(Box::new(udp), None).map_err(failed)?;
    let (connectivity, _notices) = Connectivity::start(&node, stun, Arc::new(System::new()), settings);
    let platform = System::new();
    // Nobody outside is asked for the time when nobody may be asked for our address.
    let probing = probe::probe(&servers, &platform, asked > 0, router);
    let waiting = async {
        match longest {
            Some(longest) => {
                Some(lifetime::finding(lifetime::measure(&servers, &platform, longest).await, longest))
            }
            None => None,
        }
    };
    let (mut gathered, probed, lifetime) = tokio::join!(connectivity.settled(), probing, waiting);
    let probed = probed.map_err(failed)?;
    // A call does not wait for all servers, so the doctor knows more.
    gathered.nat.mapping = probed.nat_v4().unwrap_or(gathered.nat.mapping);
    let mut findings = look::findings(&gathered, asked);
    findings.extend(around::findings(&probed));
    findings.extend(lifetime);
    if let Some(ticket) = ticket {
        let reach = ticket.reach();
        let mut relays = Vec::new();
        for relay in &reach.relays {
            relays.push(connectivity.relay_route(relay.clone()).await.map(drop));
        }
        findings.push(way::finding(&reach, &gathered, &relays));
    }
    node.close().await;
    Ok(findings)
}

fn as_text(finding: &Finding) -> String {
    let mark = match finding.mark {
        Mark::Ok => "ok  ",
        Mark::Warn => "warn",
        Mark::Fail => "fail",
    };
    let mut text =
        format!("{mark}  {:<10} {}\n      {:<10} {}", finding.check, finding.found, "", finding.meaning);
    if !finding.fix.is_empty() {
        text += &format!("\n      {:<10} -> {}", "", finding.fix);
    }
    text
}
