//! Looking after the members: who is silent, who talks, how well they are heard.

use super::event::{ConcealedMs, Event, Stats};
use super::snapshot::{MemberView, Presence, Snapshot};
use super::{Session, members::Member};
use crate::net::link::Link;
use protocol::id::PeerId;
use protocol::jitter::{Concealed, PathLoss};
use protocol::media::ReceptionReport;
use std::time::Duration;
use tokio::time::Instant;

/// A silent member is heard every 1.2 s, by its keepalives and by acknowledging ours. After that it is asked with each
/// watch, so this is several packets missing in a row. A vanished member is noticed within 1.7 s.
const SILENCE_IS_DOUBT: Duration = Duration::from_millis(1220);
const SILENCE_IS_LOSS: Duration = Duration::from_millis(1600);

/// Between two questions to a lost member, in watches: 400 ms.
const WATCHES_BETWEEN_QUESTIONS: u32 = 4;

/// Packets in a second that a silent member sends at most, without voice in them.
const KEEPALIVES_MAX: f32 = 3.0;

/// A member lost for this long may have moved to another address: try to reach it anew, beside the old connection.
const SILENCE_BEFORE_DIAL: Duration = Duration::from_secs(4);

/// A pause between two words is shorter than this many watches: half a second.
const PAUSE_WATCHES: u32 = 5;

const STATS_INTERVAL: Duration = Duration::from_secs(1);

/// Members up to which frames are 10 ms long. Beyond, the headers of short frames cost more than 10 ms are worth.
const MEMBERS_WITH_SHORT_FRAMES: usize = 3;
const SHORT_FRAME_TICKS: u8 = 4;
const FRAME_TICKS: u8 = 8;

/// What was last counted of a link, to tell what is new.
#[derive(Debug, Default)]
pub(super) struct Seen {
    at: Option<Instant>,
    bytes_up: u64,
    bytes_down: u64,
    received: u64,
    lost: u64,
    concealed: Duration,
    /// What the member was told last.
    told: ReceptionReport,
}

/// When a member was heard last, by whatever its connection carried.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    acknowledgements: u64,
    acknowledged: Duration,
    unheard_watches: u32,
}

impl Hearing {
    /// When that was, on the clock of the epoch that `now` is of; asks a member that is not heard.
    fn heard(&mut self, link: &Link, told: ReceptionReport, now: Duration) -> Duration {
        let acknowledgements = link.connection.stats().frame_rx.acks;
        if acknowledgements != self.acknowledgements {
            (self.acknowledgements, self.acknowledged) = (acknowledgements, now);
        }
        let heard = link.counters.heard().max(self.acknowledged);
        let silence = now.saturating_sub(heard);
        self.unheard_watches = if silence < SILENCE_IS_DOUBT { 0 } else { self.unheard_watches + 1 };
        let ask = match silence {
            silence if silence < SILENCE_IS_DOUBT => false,
            silence if silence < SILENCE_IS_LOSS => true,
            _ => self.unheard_watches.is_multiple_of(WATCHES_BETWEEN_QUESTIONS),
        };
        if ask {
            link.report(told);
        }
        heard
    }
}

impl Session {
    pub(super) fn on_watch(&mut self) {
        let now = Instant::now();
        let peers: Vec<PeerId> = self.members.keys().copied().collect();
        for peer in peers {
            self.watch_presence(peer, now);
            self.watch_talking(peer);
            self.watch_loss(peer);
            self.watch_figures(peer, now);
        }
        self.on_doors();
        self.watch_membership();
        self.introduce_moved();
        self.tell_reach();
        self.adapt_encoder();
        self.publish(now);
    }

    fn watch_presence(&mut self, peer: PeerId, now: Instant) {
        let since_epoch = now.into_std().saturating_duration_since(self.surroundings.epoch);
        let seat = self.surroundings.seat;
        let Some(member) = self.members.get_mut(&peer) else { return };
        if member.is_estranged {
            return;
        }
        let Some(active) = &mut member.active else {
            if member.away_since.is_some_and(|since| now - since > seat) {
                self.on_seat_expired(peer);
            }
            return;
        };
        let heard = active.hearing.heard(&active.link, active.seen.told, since_epoch);
        let silence = since_epoch.saturating_sub(heard);
        match member.away_since {
            Some(since) if silence < SILENCE_IS_LOSS => {
                member.away_since = None;
                active.link.counters.set_quiet(false);
                let path = active.path;
                // A dial that goes on would give the member up when it comes to nothing.
                member.stop_dialling();
                let name = self.name_of(peer);
                let ms = (now - since).as_millis() as u64;
                self.emit(Event::Connected { peer: peer.to_string(), name, path, ms });
            }
            Some(since) if now - since > seat => self.on_seat_expired(peer),
            Some(since) if now - since > SILENCE_BEFORE_DIAL => self.dial(peer, Duration::ZERO),
            Some(_) => {}
            None if silence > SILENCE_IS_LOSS => {
                self.mark_lost(peer, &format!("nothing heard for {:.1} s", SILENCE_IS_LOSS.as_secs_f32()));
            }
            None => {}
        }
    }

    fn watch_talking(&mut self, peer: PeerId) {
        let Some(member) = self.members.get_mut(&peer) else { return };
        let here = member.active.as_ref().filter(|_| member.away_since.is_none());
        let heard = here.is_some_and(|active| active.voice().talking);
        member.quiet_watches = if heard { 0 } else { member.quiet_watches.saturating_add(1) };
        let talking = here.is_some() && member.quiet_watches < PAUSE_WATCHES;
        if talking != member.talking {
            member.talking = talking;
            self.emit(Event::Talking { peer: peer.to_string(), on: talking });
        }
    }

    /// Tells a member at once what the path lost, so that it sends copies.
    fn watch_loss(&mut self, peer: PeerId) {
        let Some(active) = self.members.get_mut(&peer).and_then(|member| member.active.as_mut()) else {
            return;
        };
        let counted = counted(&active.voice().report.path);
        if counted.packets_lost != active.seen.told.packets_lost {
            let ReceptionReport { lost, concealed, jitter_ms, .. } = active.seen.told;
            active.seen.told = ReceptionReport { lost, concealed, jitter_ms, ..counted };
            active.link.report(active.seen.told);
        }
    }

    fn watch_figures(&mut self, peer: PeerId, now: Instant) {
        let Some(member) = self.members.get_mut(&peer) else { return };
        let Some(active) = &mut member.active else { return };
        let Some(before) = active.seen.at else {
            active.seen.at = Some(now);
            return;
        };
        if now - before < STATS_INTERVAL {
            return;
        }
        let stats = active.link.connection.stats();
        let voice = active.voice();
        let report = voice.report.jitter;
        let concealed = report.concealed.total();
        let last = std::mem::take(&mut active.seen);
        let seconds = (now - before).as_secs_f32();
        let lost = report.lost.saturating_sub(last.lost) as f32;
        let received = report.received.saturating_sub(last.received) as f32;
        let loss = if lost + received > 0.0 { lost / (lost + received) } else { 0.0 };
        let concealed_share = concealed.saturating_sub(last.concealed).as_secs_f32() / seconds;
        let told = ReceptionReport {
            lost: share(loss),
            concealed: share(concealed_share),
            jitter_ms: report.jitter_ms as u16,
            ..counted(&voice.report.path)
        };
        // Who is silent need not hear that again and again.
        if received + lost > KEEPALIVES_MAX
            || (told.lost, told.concealed) != (last.told.lost, last.told.concealed)
        {
            active.link.report(told);
        }
        active.seen = Seen {
            at: Some(now),
            bytes_up: stats.udp_tx.bytes,
            bytes_down: stats.udp_rx.bytes,
            received: report.received,
            lost: report.lost,
            concealed,
            told,
        };
        let rtt_ms = active.link.connection.rtt().as_secs_f32() * 1000.0;
        let kbps =
            |bytes: u64, before: u64| round(bytes.saturating_sub(before) as f32 * 8.0 / 1000.0 / seconds);
        let stats = Stats {
            peer: peer.to_string(),
            rtt_ms: round(rtt_ms),
            one_way_ms: round(rtt_ms / 2.0),
            loss_pct: round(loss * 100.0),
            jitter_ms: round(report.jitter_ms),
            buffer_ms: round(report.depth_ms),
            concealed_ms: concealed_ms(&report.concealed),
            kbps_up: kbps(stats.udp_tx.bytes, last.bytes_up),
            kbps_down: kbps(stats.udp_rx.bytes, last.bytes_down),
        };
        self.emit(Event::Stats(stats));
    }

    /// Short frames while few listen.
    fn adapt_encoder(&mut self) {
        let small = self.present().count() < MEMBERS_WITH_SHORT_FRAMES;
        let ticks = if small { SHORT_FRAME_TICKS } else { FRAME_TICKS };
        if ticks != self.frame_ticks {
            self.frame_ticks = ticks;
            self.engine.set_frame_ticks(ticks);
        }
    }

    pub(super) fn publish(&self, now: Instant) {
        let moderators: Vec<PeerId> = self.doors.membership(|membership| {
            self.members.keys().copied().filter(|peer| membership.moderates(*peer)).collect()
        });
        let views = self.present().map(|(id, member)| MemberView {
            id: *id,
            moderates: moderators.contains(id),
            name: self.name_of(*id),
            presence: presence(member, now),
            voice: member.voice_state,
            talking: member.talking,
            volume_db: member.volume_db,
            verified: self.acquaintances.is_verified(*id),
        });
        let snapshot = Snapshot {
            talking: self.engine.own().talking(),
            voice: self.voice_state,
            members: views.collect(),
        };
        self.snapshots.send_if_modified(|current| {
            let changed = *current != snapshot;
            *current = snapshot;
            changed
        });
    }

    /// Everything a newly attached listener to events has missed.
    pub(super) fn tell_status(&self) {
        self.announce_group();
        self.emit(Event::state(self.me(), self.voice_state));
        for (peer, member) in &self.members {
            if member.voice_state != protocol::control::VoiceState::default() {
                self.emit(Event::state(*peer, member.voice_state));
            }
        }
    }

    pub(super) fn name_of(&self, peer: PeerId) -> String {
        let name =
            self.doors.directory(|directory| directory.get(peer).map(|member| member.name.to_string()));
        name.filter(|name| !name.is_empty()).unwrap_or_else(|| peer.short())
    }
}

fn presence(member: &Member, now: Instant) -> Presence {
    match (&member.active, member.away_since) {
        (_, Some(since)) => Presence::Lost { seconds: (now - since).as_secs() },
        (Some(active), None) => {
            let report = active.voice().report.jitter;
            Presence::Here {
                path: active.path,
                rtt_ms: round(active.link.connection.rtt().as_secs_f32() * 1000.0),
                buffer_ms: round(report.depth_ms),
                concealed_ms: report.concealed.total().as_millis() as u64,
            }
        }
        (None, None) => Presence::Connecting,
    }
}

fn concealed_ms(concealed: &Concealed) -> ConcealedMs {
    let ms = |time: Duration| time.as_millis() as u64;
    ConcealedMs {
        lost: ms(concealed.lost_on_path),
        late: ms(concealed.late),
        stalled: ms(concealed.sender_stalled),
        underrun: ms(concealed.own_underrun),
        path: ms(concealed.path_switch),
    }
}

/// The counters of a report, which wrap.
fn counted(path: &PathLoss) -> ReceptionReport {
    ReceptionReport {
        packets: path.sent as u16,
        packets_lost: path.lost as u16,
        bursts: path.bursts as u16,
        ..ReceptionReport::default()
    }
}

/// A share from 0 to 1 as 0 to 255; any loss at all counts as at least one.
fn share(share: f32) -> u8 {
    (share * 255.0).ceil().clamp(0.0, 255.0) as u8
}

/// Two decimals are more than any of these figures is worth.
fn round(value: f32) -> f32 {
    (value * 100.0).round() / 100.0
}
