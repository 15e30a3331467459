//! How a connection to a storage server is set up: address, windows, keep-alive. Opens nothing by itself.

use std::time::Duration;

use tonic::transport::{Endpoint, Uri};

/// How much a server may send on one stream before it must wait for us, in bytes.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// The same for all streams of one connection, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// Largest HTTP/2 frame we take, in bytes; the default of 16 KiB halves the speed.
const FRAME_BYTES_MAX: u32 = 256 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that vanished without a word is noticed after interval + timeout, also while nothing is asked of it.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The text is not the address of a server. Whoever wrote it must correct it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address:?} is no address; write host:port")]
pub struct AddressError {
    /// The text given.
    pub address: String,
}

/// The connection settings for `address` (`host:port`), for [`tonic::transport::Endpoint::connect_lazy`] or, in a
/// simulation, a connector of one's own.
pub fn endpoint(address: &str) -> Result<Endpoint, AddressError> {
    let malformed = || AddressError { address: address.to_owned() };
    let uri = Uri::builder()
        .scheme("http")
        .authority(address)
        .path_and_query("/")
        .build()
        .map_err(|_| malformed())?;
    let host = uri.host().unwrap_or_default();
    if host.is_empty() || uri.port_u16().is_none() || address.contains('@') {
        return Err(malformed());
    }
    Ok(Endpoint::from(uri)
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_make_an_address() {
        for address in ["127.0.0.1:7000", "[::1]:7000", "storage.example:80"] {
            assert!(endpoint(address).is_ok(), "{address}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_text() {
        for address in [
            "",
            ":7000",
            "a b:1",
            "http://host:1",
            "host:1/path",
            "user@host:1",
            "host",
            "host:99999",
        ] {
            let error = endpoint(address).unwrap_err();
            assert_eq!(error.address, address);
        }
    }
}
