//! Runs a call: sound, network, session, and the view that prints it.

use super::args::{CallArgs, HostArgs, JoinArgs};
use super::exit::{Exit, Failure};
use super::input::Input;
use super::json::JsonView;
use super::lines::LineView;
use super::readership;
use super::secret::{self, Typed};
use super::sound::{open_sound, start_log, start_recorder, start_voice};
use super::{nearby, network, target};
use crate::config::known_peers::KNOWN_PEERS_FILE;
use crate::config::{self, ConfigError, ConfigFile};
use crate::net::connectivity::{Connectivity, Notice};
use crate::net::handshake::Myself;
use crate::net::lan::{self, Announcement};
use crate::net::node::{Node, SEAT_KEPT};
use crate::net::platform::System;
use crate::net::socket::StunDatagram;
use crate::net::udp::SystemUdp;
use crate::session::command::Command;
use crate::session::doors::{Doors, Terms};
use crate::session::entering::{self, Key};
use crate::session::event::Event;
use crate::session::snapshot::Snapshot;
use crate::session::{Ending, FRAMES_QUEUE, Session, Surroundings, Wiring};
use protocol::group::Admission;
use protocol::name::DisplayName;
use protocol::reply::Reply;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, broadcast, mpsc, watch};

const PORT_DEFAULT: u16 = 4700;

/// Events waiting to be printed; more are dropped, so that a terminal that stands still never stops a call.
const EVENTS_QUEUE: usize = 4096;

const COMMANDS_QUEUE: usize = 64;

/// How long somebody waits whose code has to travel to the host.
const REPLY_PATIENCE: Duration = Duration::from_secs(180);

/// How long the view may take to print what is left at the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

pub(super) fn host(args: HostArgs) -> Result<(), Failure> {
    let admission = if args.knock { Admission::Knock } else { Admission::Open };
    let way = secret::password(&args.call).map(|password| Way::Found {
        password,
        ticket_file: args.ticket_file.as_deref(),
        admission,
    });
    run(args.call, way)
}

pub(super) fn join(args: JoinArgs) -> Result<(), Failure> {
    let way = || {
        let Some(target) = &args.target else {
            return Ok(nearby::choose(&args.call)?.map(|key| Way::Enter { key, reply: args.reply }));
        };
        let password = if target::is_ticket(target) { None } else { secret::password(&args.call)? };
        let key = target::key(target, password, &args.call)?;
        Ok(Some(Way::Enter { key, reply: args.reply }))
    };
    match way() {
        Ok(Some(way)) => run(args.call, Ok(way)),
        // The list was what was wanted.
        Ok(None) => Ok(()),
        Err(failure) => run(args.call, Err(failure)),
    }
}

enum Way<'a> {
    Found { password: Option<Typed>, ticket_file: Option<&'a Path>, admission: Admission },
    Enter { key: Key, reply: bool },
}

/// Runs the call, or tells in the view of the call why there is no way into it.
fn run(args: CallArgs, way: Result<Way<'_>, Failure>) -> Result<(), Failure> {
    let started = Instant::now();
    let (events, printed) = mpsc::channel(EVENTS_QUEUE);
    let (snapshots, snapshot) = watch::channel(Snapshot::default());
    let json = args.json;
    let (printer_done, printer) = std::sync::mpsc::channel();
    let unread = Arc::new(Notify::new());
    readership::watch(unread.clone());
    let nobody_reads = unread.clone();
    std::thread::spawn(move || {
        if print_events(printed, json, started).is_err() {
            nobody_reads.notify_one();
        }
        // The other end is gone when it did not wait long enough.
        let _ = printer_done.send(());
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Bug, "runtime", error.to_string(), ""))?;
    let result = way.and_then(|way| {
        runtime.block_on(call(args, way, started, events.clone(), (snapshots, snapshot), unread))
    });
    let last = match &result {
        Ok(reason) => Event::Bye { reason: reason.clone() },
        Err(failure) => {
            Event::Error { code: failure.code, message: failure.message.clone(), hint: failure.hint.clone() }
        }
    };
    let bye = matches!(last, Event::Error { .. }).then(|| Event::Bye { reason: "error".into() });
    // Without --json the failure is told on stderr instead.
    if json || result.is_ok() {
        runtime.block_on(say_last(&events, [Some(last), bye]));
    }
    drop(events);
    // Tasks that still hold a sender end with the runtime; a thread that waits for input does not.
    runtime.shutdown_background();
    let _ = printer.recv_timeout(LAST_WORDS);
    result.map(drop)
}

/// Events may be dropped, the last ones not: they wait for room, though not for ever.
async fn say_last(events: &mpsc::Sender<Event>, last: [Option<Event>; 2]) {
    let _ = tokio::time::timeout(LAST_WORDS, async {
        for event in last.into_iter().flatten() {
            // The printer is gone when nobody reads.
            let _ = events.send(event).await;
        }
    })
    .await;
}

async fn call(
    args: CallArgs,
    way: Way<'_>,
    epoch: Instant,
    events: mpsc::Sender<Event>,
    (snapshots, snapshot): (watch::Sender<Snapshot>, watch::Receiver<Snapshot>),
    unread: Arc<Notify>,
) -> Result<String, Failure> {
    let file = config::load(args.config.as_deref())?;
    let data_dir = match args.data_dir.clone() {
        Some(dir) => dir,
        None => config::default_data_dir()?,
    };
    let store = config::open_identity(&data_dir)?;
    if store.borrowed && !args.json {
        eprintln!(
            "roundtable: another call on this machine uses your identity; this one gets its own for now"
        );
    }
    let name = args.name.clone().or(file.name.clone()).unwrap_or_else(login_name);
    let settings = network::settings(&args, &file)?;
    if matches!(way, Way::Found { .. }) && settings.relay_only && settings.turn.is_empty() {
        let message = "--relay-only needs a TURN server to be reached by";
        return Err(Failure::new(Exit::Usage, "usage", message, "name one with --turn"));
    }
    let is_hidden = settings.relay_only || settings.no_lan;
    let (node, stun) = open_port(args.listen.or(file.listen))?;
    let (connectivity, notices) = Connectivity::start(&node, stun, Arc::new(System::new()), settings);
    let reachable = connectivity.clone();
    let myself = Myself {
        identity: store.identity.clone(),
        name: DisplayName::new(&name).to_string(),
        reach: Arc::new(move || reachable.reach()),
    };
    let (frames, _) = broadcast::channel(FRAMES_QUEUE);
    let surroundings = Surroundings {
        node,
        myself: Arc::new(myself),
        frames: frames.clone(),
        epoch,
        connectivity: connectivity.clone(),
        seat: file.seat_s.map_or(SEAT_KEPT, Duration::from_secs),
        waiting: Arc::default(),
    };
    let announcement = match &way {
        Way::Found { password, .. } if !is_hidden => announce(&surroundings, password.is_some()),
        Way::Found { .. } | Way::Enter { .. } => None,
    };
    let known_peers = data_dir.join(KNOWN_PEERS_FILE);
    let outlets = Outlets { events, snapshots, snapshot, notices, unread, known_peers };
    let ended = converse(&args, &file, way, surroundings, outlets);
    let ended = ended.await;
    drop(announcement);
    connectivity.close().await;
    ended
}

/// Shows the call on the local network. One that cannot be shown is a call nevertheless.
fn announce(surroundings: &Surroundings, takes_password: bool) -> Option<Announcement> {
    let listen = surroundings.node.local_addr().ok().filter(|listen| !listen.ip().is_loopback())?;
    let (name, id) = (DisplayName::new(&surroundings.myself.name), surroundings.myself.identity.peer_id());
    let announcement = lan::advertise(&name, &id, takes_password, listen);
    announcement.inspect_err(|error| tracing::debug!(%error, "the call is not shown on this network")).ok()
}

/// What a call reports to and hears from.
struct Outlets {
    events: mpsc::Sender<Event>,
    snapshots: watch::Sender<Snapshot>,
    snapshot: watch::Receiver<Snapshot>,
    notices: mpsc::Receiver<Notice>,
    unread: Arc<Notify>,
    known_peers: PathBuf,
}

/// The call itself, from the sound devices to the goodbye.
async fn converse(
    args: &CallArgs,
    file: &ConfigFile,
    way: Way<'_>,
    surroundings: Surroundings,
    outlets: Outlets,
) -> Result<String, Failure> {
    let Outlets { events, snapshots, snapshot, notices, unread, known_peers } = outlets;
    let (epoch, frames) = (surroundings.epoch, surroundings.frames.clone());
    let sound = open_sound(args, file, events.clone())?;
    let recorder = args.record.as_deref().map(start_recorder).transpose()?;
    let log = args.rtlog.as_deref().map(start_log).transpose()?;
    let (mut voice, control) = start_voice(sound, recorder, log, epoch, frames)?;
    let leaving = leaving(args.duration, unread.clone());
    tokio::pin!(leaving);
    let (commands, commanded) = mpsc::channel(COMMANDS_QUEUE);
    let leave = Arc::new(Notify::new());
    let input =
        Input { json: args.json, commands, events: events.clone(), snapshot, leave: leave.clone(), unread };
    let entering = enter(&surroundings, way, &events, input);
    let at_the_door = async {
        loop {
            surroundings.waiting.notified().await;
            let _ = events.try_send(Event::Waiting);
        }
    };
    let (doors, introducer) = tokio::select! {
        entered = entering => entered?,
        never = at_the_door => never,
        reason = &mut leaving => {
            surroundings.node.close().await;
            return Ok(reason);
        }
        () = leave.notified() => {
            surroundings.node.close().await;
            return Ok("left".into());
        }
        () = voice.thread.ended() => {
            surroundings.node.close().await;
            return Err(voice_ended());
        }
    };
    let (stop, wiring_commands) = merge_leave(commanded);
    let known_peers = Some(known_peers);
    let wiring = Wiring { commands: wiring_commands, events, snapshots, notices, known_peers };
    let session = Session::run(surroundings, doors, control, introducer, wiring);
    tokio::pin!(session);
    let result = tokio::select! {
        ending = &mut session => match ending {
            Ending::Left => Ok("left".into()),
            Ending::Removed => Err(removed()),
        },
        reason = &mut leaving => {
            // The session says goodbye to everybody before it ends.
            let _ = stop.send(Command::Leave).await;
            session.await;
            Ok(reason)
        }
        () = voice.thread.ended() => {
            let _ = stop.send(Command::Leave).await;
            session.await;
            Err(voice_ended())
        }
    };
    drop(voice);
    result
}

fn removed() -> Failure {
    let message = "you were removed from the group";
    Failure::new(Exit::Refused, "removed", message, "only a member can let you in again")
}

/// A call in which nobody hears anything is worse than none.
fn voice_ended() -> Failure {
    let hint = "this is a bug; please report it with the lines above";
    Failure::new(Exit::Bug, "voice", "the voice thread broke down, so the call was left", hint)
}

/// One more way to send commands, for leaving by signal or by the clock.
fn merge_leave(mut from: mpsc::Receiver<Command>) -> (mpsc::Sender<Command>, mpsc::Receiver<Command>) {
    let (merged, commands) = mpsc::channel(COMMANDS_QUEUE);
    let forward = merged.clone();
    tokio::spawn(async move {
        while let Some(command) = from.recv().await {
            if forward.send(command).await.is_err() {
                return;
            }
        }
    });
    (merged, commands)
}

fn login_name() -> String {
    whoami::username()
}

fn open_port(listen: Option<SocketAddr>) -> Result<(Node, mpsc::Receiver<StunDatagram>), Failure> {
    let bound = match listen {
        Some(address) => SystemUdp::bind(address),
        None => SystemUdp::bind_near(SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT_DEFAULT))),
    };
    let wanted = listen.map_or_else(|| format!("[::]:{PORT_DEFAULT}"), |address| address.to_string());
    let failed = |error: std::io::Error| {
        let message = format!("cannot listen on {wanted}: {error}");
        Failure::new(
            Exit::Usage,
            "listen",
            message,
            "choose another with --listen ADDR:PORT; port 0 takes any free one",
        )
    };
    let udp = bound.map_err(failed)?;
    Node::start(Box::new(udp), None).map_err(failed)
}

/// Commands are read from `ready` on: `leave` must work while nobody answers.
async fn enter(
    surroundings: &Surroundings,
    way: Way<'_>,
    events: &mpsc::Sender<Event>,
    input: Input,
) -> Result<(Doors, Option<entering::Entered>), Failure> {
    let listen = surroundings.node.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let id = surroundings.myself.identity.peer_id().to_string();
    match way {
        Way::Found { password, ticket_file, admission } => {
            let doors = entering::found(surroundings, admission);
            if let Some(password) = password {
                entering::accept_password(&doors, password).await;
            }
            let reach = surroundings.connectivity.settled_reach().await;
            let (ticket, _) = doors.mint(Terms::default(), &reach, Vec::new());
            let ticket = ticket.to_string();
            if let Some(path) = ticket_file {
                write_private(path, &ticket)?;
            }
            let _ = events.try_send(Event::Ready { id, listen, ticket: Some(ticket) });
            input.spawn();
            Ok((doors, None))
        }
        Way::Enter { key, reply } => {
            let _ = events.try_send(Event::Ready { id, listen, ticket: None });
            input.spawn();
            let (entered, doors) = enter_patiently(surroundings, key, reply, events).await?;
            Ok((doors, Some(entered)))
        }
    }
}

/// Enters. With `reply`, when nobody answers, shows the code with which the host can open the way, and goes on trying.
async fn enter_patiently(
    surroundings: &Surroundings,
    key: Key,
    reply: bool,
    events: &mpsc::Sender<Event>,
) -> Result<(entering::Entered, Doors), entering::EnterError> {
    let (started, mut shown) = (Instant::now(), false);
    loop {
        let entered = entering::enter(surroundings, key.clone()).await;
        match entered {
            Err(error @ entering::EnterError::Unreachable { .. })
                if reply && started.elapsed() < REPLY_PATIENCE =>
            {
                if !std::mem::replace(&mut shown, true) {
                    let code = Reply { reach: surroundings.connectivity.settled_reach().await }.to_string();
                    let _ = events.try_send(Event::Reply { code, reason: error.to_string() });
                }
            }
            decided => return decided,
        }
    }
}

/// Writes a secret so that only this user can read it, also when the file was there before.
fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| {
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        writeln!(file, "{text}")
    });
    written.map_err(|error| {
        let path = path.to_owned();
        ConfigError::File { action: "write", path, reason: error.to_string() }.into()
    })
}

/// Resolves when it is time to go: by signal, after `--duration`, or when stdout is closed: whoever ran us with it is gone,
/// and a microphone must not stay open unseen.
async fn leaving(duration: Option<Duration>, unread: Arc<Notify>) -> String {
    let elapsed = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = elapsed => "time is up".into(),
        () = interrupted() => "interrupted".into(),
        () = unread.notified() => "nobody reads the output".into(),
    }
}

#[cfg(unix)]
pub(super) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = signals else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}

#[cfg(not(unix))]
pub(super) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Prints events until the last one. Fails when nobody reads them.
fn print_events(mut events: mpsc::Receiver<Event>, json: bool, started: Instant) -> std::io::Result<()> {
    let json_view = JsonView::new(started);
    let mut line_view = LineView::default();
    while let Some(event) = events.blocking_recv() {
        if json { json_view.show(&event) } else { line_view.show(&event) }?;
        if matches!(event, Event::Bye { .. }) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{LAST_WORDS, say_last};
    use crate::session::event::Event;
    use tokio::sync::mpsc;
    use tokio::time::{Instant, sleep};

    fn bye(reason: &str) -> Event {
        Event::Bye { reason: reason.into() }
    }

    #[tokio::test]
    async fn the_last_words_wait_for_a_slow_reader() {
        let (events, mut printed) = mpsc::channel(1);
        events.try_send(bye("earlier")).unwrap();
        let reader = tokio::spawn(async move {
            sleep(LAST_WORDS / 2).await;
            let mut seen = Vec::new();
            while let Some(Event::Bye { reason }) = printed.recv().await {
                seen.push(reason);
            }
            seen
        });
        say_last(&events, [Some(bye("error")), Some(bye("last"))]).await;
        drop(events);
        assert_eq!(reader.await.unwrap(), ["earlier", "error", "last"]);
    }

    #[tokio::test]
    async fn a_reader_that_stands_still_does_not_hold_up_the_end() {
        let (events, _printed) = mpsc::channel(1);
        events.try_send(bye("earlier")).unwrap();
        let started = Instant::now();
        say_last(&events, [Some(bye("last")), None]).await;
        assert!(started.elapsed() < 10 * LAST_WORDS, "{:?}", started.elapsed());
    }
}
