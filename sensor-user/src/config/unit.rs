//! Values with their unit in the type: sizes, durations, addresses that may be switched off.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes, written as `"64KiB"`, `"16MiB"` or a plain number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ByteSize(pub u64);

const SIZES: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("`{}` is no size", shown(text));
        let (number, unit) = split_unit(text);
        let factor = match unit {
            "" | "B" => 1,
            unit => {
                SIZES
                    .iter()
                    .find(|(name, _)| *name == unit)
                    .ok_or_else(refused)?
                    .1
            }
        };
        let number: u64 = number.parse().map_err(|_not_a_number| refused())?;
        number.checked_mul(factor).map(Self).ok_or_else(refused)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SIZES
            .iter()
            .find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size))
        {
            Some((unit, size)) => write!(f, "{}{unit}", self.0 / size),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A stretch of time, written as `"500ms"`, `"5s"`, `"2m"` or `"1h"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Interval(pub Duration);

const TIMES: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("`{}` is no duration", shown(text));
        let (number, unit) = split_unit(text);
        let (_, factor) = TIMES.iter().find(|(name, _)| *name == unit).ok_or_else(refused)?;
        let number: u64 = number.parse().map_err(|_not_a_number| refused())?;
        number
            .checked_mul(*factor)
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(refused)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let fits = |size: u64| millis >= size && millis.is_multiple_of(size);
        match TIMES.iter().find(|(_, size)| fits(*size)) {
            Some((unit, size)) => write!(f, "{}{unit}", millis / size),
            None => f.write_str("0s"),
        }
    }
}

/// Where to listen, or `"off"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listen {
    /// Not at all.
    Off,
    /// At this address.
    At(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse()
            .map(Self::At)
            .map_err(|_not_an_address| format!("`{}` is neither ADDRESS:PORT nor off", shown(text)))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

/// Front of a text that somebody wrote wrongly: enough to recognise it.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    (number, unit.trim_start())
}

struct Written<T>(&'static str, std::marker::PhantomData<T>);

impl<T: FromStr<Err = String>> de::Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }
}

macro_rules! written {
    ($type:ty, $expecting:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any(Written($expecting, std::marker::PhantomData))
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
    };
}

written!(ByteSize, "a size such as \"16MiB\"");
written!(Interval, "a duration such as \"5s\"");
written!(super::Network, "a network such as \"10.0.0.0/8\", or an address");
written!(Listen, "an address such as \"127.0.0.1:9464\", or \"off\"");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_they_are_read() {
        for text in ["16MiB", "64KiB", "1GiB", "1000", "0"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        assert_eq!("16 MiB".parse::<ByteSize>(), Ok(ByteSize(16 << 20)));
        for text in ["", "MiB", "16MB", "-1", "1.5MiB", "99999999999GiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["500ms", "5s", "2m", "1h", "0s"] {
            assert_eq!(text.parse::<Interval>().unwrap().to_string(), text);
        }
        for text in ["5", "5 parsecs", "s", "1.5s"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }

    #[test]
    fn listening_can_be_off() {
        assert_eq!("off".parse(), Ok(Listen::Off));
        assert_eq!("[::1]:9464".parse::<Listen>().unwrap().to_string(), "[::1]:9464");
        assert!("localhost".parse::<Listen>().is_err());
    }
}
