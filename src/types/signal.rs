//! Signals by name or number (signal(7)).

use std::fmt;
use std::str::FromStr;

use nix::sys::signal::Signal;

use super::refused;
use crate::error::{Error, Result};

/// The first realtime signal as programs know it: glibc keeps 32 and 33 for itself (nptl(7)).
///
/// musl says 35; what counts is the program in the container, and callers mean glibc's number.
const RTMIN: u8 = 34;
/// The last one (`_NSIG` is 64).
const RTMAX: u8 = 64;
/// Names that signal(7) lists beside the usual ones.
const SYNONYMS: &[(&str, u8)] = &[("CLD", 17), ("IOT", 6), ("POLL", 29), ("UNUSED", 31)];

/// A signal number from 0 to 64; 0 only asks whether the process exists (kill(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalName(u8);

impl SignalName {
    /// SIGTERM, the default of `kill`.
    pub const TERM: Self = Self(15);
    /// SIGKILL.
    pub const KILL: Self = Self(9);

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl Default for SignalName {
    fn default() -> Self {
        Self::TERM
    }
}

impl FromStr for SignalName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse::<u8>().ok(),
            false => by_name(&text.to_ascii_uppercase()),
        };
        number.filter(|number| *number <= RTMAX).map(Self).ok_or_else(|| {
            refused(
                text,
                "unknown signal: a name with or without SIG such as TERM, RTMIN+1, or a number from 0 to 64",
            )
        })
    }
}

fn by_name(upper: &str) -> Option<u8> {
    let name = upper.strip_prefix("SIG").unwrap_or(upper);
    realtime(name).or_else(|| {
        let synonym = SYNONYMS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
        synonym.or_else(|| {
            let signal = format!("SIG{name}").parse::<Signal>().ok()?;
            u8::try_from(i32::from(ToNumber(signal))).ok()
        })
    })
}

/// `RTMIN`, `RTMIN+n`, `RTMAX`, `RTMAX-n`, within the realtime range.
fn realtime(name: &str) -> Option<u8> {
    let offset = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u8>().ok(),
        false => None,
    };
    let number = match name {
        "RTMIN" => Some(RTMIN),
        "RTMAX" => Some(RTMAX),
        _ => match name.strip_prefix("RTMIN+") {
            Some(up) => RTMIN.checked_add(offset(up)?),
            None => RTMAX.checked_sub(offset(name.strip_prefix("RTMAX-")?)?),
        },
    };
    number.filter(|number| (RTMIN..=RTMAX).contains(number))
}

/// Nix's enum has no conversion but a cast.
struct ToNumber(Signal);

impl From<ToNumber> for i32 {
    fn from(signal: ToNumber) -> Self {
        signal.0 as Self
    }
}

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Signal::try_from(i32::from(self.0)) {
            Ok(signal) => f.write_str(signal.as_str()),
            Err(_) => write!(f, "signal {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn names_and_numbers_are_known() {
        let rows = [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigterm", 15),
            ("Kill", 9),
            ("9", 9),
            ("0", 0),
            ("64", 64),
            ("HUP", 1),
            ("STKFLT", 16),
            ("WINCH", 28),
            ("IOT", 6),
            ("POLL", 29),
            ("CLD", 17),
            ("SYS", 31),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("rtmin+30", 64),
            ("RTMAX", 64),
            ("RTMAX-30", 34),
        ];
        table::accepts(&rows, SignalName::number);
        assert_eq!(SignalName::default().number(), 15);
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        let bad = [
            "",
            "SIG",
            "-9",
            "+9",
            "65",
            "256",
            "300",
            "NOPE",
            "SIGSIGTERM",
            "TERM ",
            "RTMIN+31",
            "RTMIN-1",
            "RTMIN+",
            "RTMIN++1",
            "RTMAX+1",
            "RTMAX-31",
            "RTMIN+256",
        ];
        table::refuses::<SignalName>(&bad.map(|text| (text, "unknown signal")));
    }

    #[test]
    fn a_signal_is_printed_by_its_name() {
        assert_eq!(SignalName::KILL.to_string(), "SIGKILL");
        assert_eq!(SignalName(40).to_string(), "signal 40");
    }
}
