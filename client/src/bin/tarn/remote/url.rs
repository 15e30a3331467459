//! Where a gateway is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::error::CommandError;

const CONNECT: Duration = Duration::from_secs(10);

/// Where a gateway is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Url {
    /// `http://HOST:PORT`
    Tcp(Uri),
    /// `unix:FILE`
    Unix(PathBuf),
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err("unix: is followed by the path of the gateway's socket".to_owned());
            }
            return Ok(Self::Unix(path.into()));
        }
        let form = || "a gateway is at http://HOST:PORT or unix:FILE".to_owned();
        let uri: Uri = text.parse().map_err(|_| form())?;
        match (uri.scheme_str(), uri.port_u16()) {
            (Some("http"), Some(_)) => Ok(Self::Tcp(uri)),
            _ => Err(form()),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(uri) => write!(f, "{}", uri.to_string().trim_end_matches('/')),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Url {
    pub(super) async fn connect(&self) -> Result<Channel, CommandError> {
        let nobody = |error: tonic::transport::Error| {
            CommandError::failed(format_args!("no gateway can be reached at {self}"))
                .hint(format_args!("`tarn gateway` runs one ({})", crate::error::chain(&error)))
        };
        match self {
            Self::Tcp(uri) => {
                let endpoint = Endpoint::from(uri.clone()).connect_timeout(CONNECT);
                endpoint.connect().await.map_err(nobody)
            }
            Self::Unix(path) => {
                let path = path.clone();
                let dial = tower::service_fn(move |_: Uri| {
                    let path = path.clone();
                    async move {
                        Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(path).await?))
                    }
                });
                // The name is never looked up: the socket is what is connected to.
                let endpoint = Endpoint::from_static("http://gateway").connect_timeout(CONNECT);
                endpoint.connect_with_connector(dial).await.map_err(nobody)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_reached_over_http_or_a_socket() {
        for text in ["http://127.0.0.1:4180", "unix:/run/tarn/socket", "http://[::1]:4180"] {
            assert_eq!(text.parse::<Url>().unwrap().to_string(), text);
        }
        assert_eq!("unix:///run/s".parse::<Url>().unwrap(), Url::Unix("/run/s".into()));
        for text in ["", "unix:", "127.0.0.1:4180", "http://host", "https://host:1", "ftp://a:1"] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }
}
