//! What a process costs, where the system tells (Linux: `/proc`).

use std::time::Instant;

/// Kernel ticks in a second: 100 on every Linux that people run.
const TICKS_PER_SECOND: f64 = 100.0;

/// The processor time of a process so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct CpuTime {
    at: Instant,
    seconds: f64,
}

impl CpuTime {
    /// Reads it; `None` where the system does not tell.
    pub(super) fn of(process: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The second field is a name that may contain anything; what follows its parenthesis does not.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Self { at: Instant::now(), seconds: (user + system) / TICKS_PER_SECOND })
    }

    /// Percent of one core used since an earlier reading.
    pub(super) fn percent_since(&self, earlier: &Self) -> f64 {
        100.0 * (self.seconds - earlier.seconds) / (self.at - earlier.at).as_secs_f64()
    }
}

/// The most memory that was resident at once, in MiB.
pub(super) fn peak_memory_mib(process: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{CpuTime, peak_memory_mib};

    #[test]
    fn this_very_process_has_used_some() {
        assert!(CpuTime::of(std::process::id()).is_some());
        assert!(peak_memory_mib(std::process::id()).unwrap() > 1.0);
    }
}
