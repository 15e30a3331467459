//! What the simulator names things by. The names survive refactoring and the loss of other events: a trace speaks them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tarn_proto::{AttemptId, StoreId};

/// A server, in the order in which they came into being. One that was emptied is another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServerId(pub u8);

impl ServerId {
    /// The id of its data folder.
    pub const fn store(self) -> StoreId {
        StoreId::new([self.0; 16])
    }

    /// The server with this data folder.
    pub const fn of(store: StoreId) -> Self {
        Self(store.as_bytes()[0])
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// One task of a caller: a publish or a read, in the order in which they began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(pub u16);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// A submission: its tries share the attempt id, and so their effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Submission(pub u16);

impl Submission {
    /// The attempt id of all its tries.
    pub const fn attempt(self) -> AttemptId {
        let [high, low] = self.0.to_be_bytes();
        AttemptId::new([high, low, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    }

    /// The submission with this attempt id.
    pub const fn of(attempt: AttemptId) -> Self {
        let bytes = attempt.as_bytes();
        Self(u16::from_be_bytes([bytes[0], bytes[1]]))
    }
}

impl fmt::Display for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a{}", self.0)
    }
}

/// Which way something travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leg {
    /// From a client to a server.
    Request,
    /// From a server to a client.
    Answer,
    /// From a client to itself: a timer, an encoded source, a written journal.
    Local,
}

/// Something on its way. Numbered per client in the order in which the client asked for it; an answer bears the
/// number of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvelopeId {
    /// Whose it is.
    pub client: ClientId,
    /// Its number among that client's.
    pub number: u32,
    /// Which way it goes.
    pub leg: Leg,
    /// 0 for the original; the network may make more.
    pub copy: u8,
}

impl EnvelopeId {
    /// The same message on another leg.
    pub const fn on(self, leg: Leg) -> Self {
        Self { leg, ..self }
    }
}

impl fmt::Display for EnvelopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leg = match self.leg {
            Leg::Request => '>',
            Leg::Answer => '<',
            Leg::Local => '=',
        };
        write!(f, "{}.{}{leg}", self.client, self.number)?;
        if self.copy > 0 { write!(f, "{}", self.copy) } else { Ok(()) }
    }
}

/// Why a text names nothing on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a message: one looks like c3.14>, c3.14< or c3.14=")]
pub struct BadEnvelopeId;

impl FromStr for EnvelopeId {
    type Err = BadEnvelopeId;

    fn from_str(text: &str) -> Result<Self, BadEnvelopeId> {
        let at = text.find(['>', '<', '=']).ok_or(BadEnvelopeId)?;
        let leg = match &text[at..=at] {
            ">" => Leg::Request,
            "<" => Leg::Answer,
            _ => Leg::Local,
        };
        let (name, copy) = (&text[..at], &text[at + 1..]);
        let (client, number) =
            name.strip_prefix('c').and_then(|name| name.split_once('.')).ok_or(BadEnvelopeId)?;
        Ok(Self {
            client: ClientId(client.parse().map_err(|_| BadEnvelopeId)?),
            number: number.parse().map_err(|_| BadEnvelopeId)?,
            leg,
            copy: if copy.is_empty() { 0 } else { copy.parse().map_err(|_| BadEnvelopeId)? },
        })
    }
}

impl Serialize for EnvelopeId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EnvelopeId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_message_reads_back() {
        for (leg, copy) in [(Leg::Request, 0), (Leg::Answer, 3), (Leg::Local, 0)] {
            let id = EnvelopeId { client: ClientId(7), number: 41, leg, copy };
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for bad in ["", "c1", "c1.2", "x1.2>", "c1.>", "c1.2>z", "1.2>"] {
            assert_eq!(bad.parse::<EnvelopeId>(), Err(BadEnvelopeId), "{bad}");
        }
    }

    #[test]
    fn servers_and_submissions_read_back() {
        assert_eq!(ServerId::of(ServerId(9).store()), ServerId(9));
        assert_eq!(Submission::of(Submission(700).attempt()), Submission(700));
    }
}
