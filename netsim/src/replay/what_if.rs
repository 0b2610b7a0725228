//! What should have been different.

use protocol::jitter::JitterConfig;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A change to a logged call, written as in `target+20ms, loss+5%`. The default changes nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WhatIf {
    /// The buffer's depth.
    pub target: Option<Target>,
    /// The share of packets that get lost besides those that were, 0 to 1.
    pub loss: f64,
    /// What each delay above the fastest of its time is multiplied with.
    pub jitter: f64,
    /// Whether frames carry the error correction that they did.
    pub fec: bool,
    /// Decides which packets get lost.
    pub seed: u64,
}

/// What the buffer aims at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// So many microseconds more than it would, or less.
    Shifted(i64),
    /// Always the same, in microseconds.
    Constant(u64),
}

/// A what-if that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no what-if: {reason}. Known are {KNOWN}; several are separated by commas")]
pub struct WhatIfError {
    /// The part that is wrong.
    pub given: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

const KNOWN: &str = "target+20ms, target-10ms, target=60ms (constant), loss+5%, jitter*2, no-jitter, no-fec, \
                     and seed=7 (which packets get lost)";

/// Deeper than this no buffer goes, and no target needs to be moved by more.
const TARGET_MS_MAX: f64 = 400.0;
const JITTER_MAX: f64 = 100.0;

impl Default for WhatIf {
    fn default() -> Self {
        Self { target: None, loss: 0.0, jitter: 1.0, fec: true, seed: 1 }
    }
}

impl WhatIf {
    /// Whether everything stays as it was. A seed alone changes nothing.
    pub fn is_nothing(&self) -> bool {
        Self { seed: 1, ..*self } == Self::default()
    }

    /// The configuration of the buffers.
    pub(super) fn config(&self, logged: JitterConfig) -> JitterConfig {
        match self.target {
            None => logged,
            Some(Target::Shifted(us)) => {
                JitterConfig { target_shift_us: logged.target_shift_us.saturating_add(us), ..logged }
            }
            Some(Target::Constant(us)) => {
                let depth = Duration::from_micros(us);
                JitterConfig { target_min: depth, target_max: depth, ..logged }
            }
        }
    }

    fn add(&mut self, part: &str) -> Result<(), &'static str> {
        if let Some(target) = part.strip_prefix("target") {
            if self.target.is_some() {
                return Err("the target is changed twice");
            }
            let (sign, amount) = target.split_at_checked(1).ok_or("say by how much, as in target+20ms")?;
            let amount = amount.strip_suffix("ms").ok_or("a target is in milliseconds, as in target+20ms")?;
            let ms = number(amount, TARGET_MS_MAX).ok_or("a target is 0 to 400 ms")?;
            let us = (ms * 1e3).round() as i64;
            self.target = Some(match sign {
                "+" => Target::Shifted(us),
                "-" => Target::Shifted(-us),
                "=" => Target::Constant(us.unsigned_abs()),
                _ => return Err("a target has a +, a - or a = before its milliseconds"),
            });
        } else if let Some(loss) = part.strip_prefix("loss") {
            let percent = loss.strip_prefix('+').ok_or(
                "packets that were lost are not there to be replayed: only more loss is possible, as in loss+5%",
            )?;
            let percent = percent.strip_suffix('%').ok_or("loss is in percent, as in loss+5%")?;
            self.loss = number(percent, 100.0).ok_or("loss is 0 to 100 %")? / 100.0;
        } else if let Some(factor) = part.strip_prefix("jitter") {
            let factor = factor.strip_prefix('*').ok_or("jitter is multiplied, as in jitter*2")?;
            self.jitter = number(factor, JITTER_MAX).ok_or("jitter is multiplied with 0 to 100")?;
        } else if part == "no-jitter" {
            self.jitter = 0.0;
        } else if part == "no-fec" {
            self.fec = false;
        } else if let Some(seed) = part.strip_prefix("seed=") {
            self.seed = seed.parse().map_err(|_| "a seed is a whole number")?;
        } else {
            return Err("nobody knows what that is");
        }
        Ok(())
    }
}

fn number(text: &str, most: f64) -> Option<f64> {
    // A sign has its place before; and infinity is no amount.
    let plain = text.starts_with(|c: char| c.is_ascii_digit());
    text.parse().ok().filter(|number| plain && (0.0..=most).contains(number))
}

impl FromStr for WhatIf {
    type Err = WhatIfError;

    fn from_str(text: &str) -> Result<Self, WhatIfError> {
        let mut what_if = Self::default();
        let parts = text.split([',', ' ']).map(str::trim).filter(|part| !part.is_empty());
        for part in parts {
            what_if.add(part).map_err(|reason| WhatIfError { given: part.to_owned(), reason })?;
        }
        Ok(what_if)
    }
}

impl fmt::Display for WhatIf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match self.target {
            None => {}
            Some(Target::Shifted(us)) => parts.push(format!("target{:+}ms", us as f64 / 1e3)),
            Some(Target::Constant(us)) => parts.push(format!("target={}ms", us as f64 / 1e3)),
        }
        if self.loss > 0.0 {
            parts.push(format!("loss+{}%", (self.loss * 1e6).round() / 1e4));
            parts.push(format!("seed={}", self.seed));
        }
        if self.jitter == 0.0 {
            parts.push("no-jitter".to_owned());
        } else if self.jitter != 1.0 {
            parts.push(format!("jitter*{}", self.jitter));
        }
        if !self.fec {
            parts.push("no-fec".to_owned());
        }
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::{Target, WhatIf};

    #[test]
    fn what_is_written_is_meant_and_said_again() {
        for text in
            ["", "target+20ms", "target-2.5ms", "target=60ms", "loss+5%, seed=1", "jitter*2", "no-jitter"]
        {
            assert_eq!(text.parse::<WhatIf>().unwrap().to_string(), text);
        }
        let all: WhatIf = "no-fec loss+12.5%,jitter*0.5, target+20ms,seed=9".parse().unwrap();
        let target = Some(Target::Shifted(20_000));
        assert_eq!(all, WhatIf { target, loss: 0.125, jitter: 0.5, fec: false, seed: 9 });
        assert!("seed=4".parse::<WhatIf>().unwrap().is_nothing() && !all.is_nothing());
    }

    #[test]
    fn what_cannot_be_had_says_why_and_what_is_known() {
        for (text, reason) in [
            ("loss=0", "only more loss is possible"),
            ("loss+5", "in percent"),
            ("loss+105%", "0 to 100 %"),
            ("loss+-5%", "0 to 100 %"),
            ("target", "by how much"),
            ("target+20", "in milliseconds"),
            ("target*2ms", "a +, a - or a ="),
            ("target+infms", "0 to 400 ms"),
            ("target+1ms,target=3ms", "twice"),
            ("jitter+2", "multiplied"),
            ("jitter*-1", "0 to 100"),
            ("seed=x", "whole number"),
            ("luck*2", "nobody knows"),
            ("targeté", "by how much"),
        ] {
            let said = text.parse::<WhatIf>().unwrap_err().to_string();
            assert!(said.contains(reason) && said.contains("target+20ms"), "{text}: {said}");
        }
    }
}
