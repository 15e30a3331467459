//! Where a server listens, `host:port`. Does not resolve names.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// A host, a colon and a port. The host is a name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(String);

/// Why text is not an [`Address`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It names a protocol.
    #[error("address \"{0}\" must be host:port, without a protocol before it")]
    Protocol(String),
    /// There is no port, or it is no number from 1 to 65535.
    #[error("address \"{0}\" must end in a colon and a port from 1 to 65535")]
    Port(String),
    /// The host is empty, too long or has letters that no host has.
    #[error(
        "address \"{0}\" does not begin with a host name, an IPv4 address or an IPv6 address in brackets"
    )]
    Host(String),
}

impl Address {
    /// The text, `host:port`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.contains("://") {
            return Err(AddressError::Protocol(text.to_owned()));
        }
        let (host, port) =
            text.rsplit_once(':').ok_or_else(|| AddressError::Port(text.to_owned()))?;
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse::<u16>() {
            Ok(1..) if digits && !port.starts_with('0') => {}
            Ok(_) | Err(_) => return Err(AddressError::Port(text.to_owned())),
        }
        if is_host(host) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(AddressError::Host(text.to_owned()))
        }
    }
}

/// The longest name that DNS allows, in bytes.
const HOST_LENGTH_MAX: usize = 253;

fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().is_ok();
    }
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !host.is_empty() && host.len() <= HOST_LENGTH_MAX && host.bytes().all(letters)
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self(address.to_string())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_of_every_kind_are_read() {
        for text in ["127.0.0.1:4100", "[::1]:1", "store-1.example.org:65535"] {
            assert_eq!(text.parse::<Address>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_reason() {
        let parse = |text: &str| text.parse::<Address>();
        let port = |text: &str| Err(AddressError::Port(text.to_owned()));
        for text in ["localhost", "localhost:", "localhost:0", "localhost:65536", "a:+80", "a:080"]
        {
            assert_eq!(parse(text), port(text));
        }
        for text in [":80", "a b:80", "::1:80", "[::1:80", "[nine]:80", "host/path:80"] {
            assert_eq!(parse(text), Err(AddressError::Host(text.to_owned())));
        }
        assert_eq!(
            parse("http://localhost:80"),
            Err(AddressError::Protocol("http://localhost:80".to_owned()))
        );
    }
}
