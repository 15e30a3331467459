//! The grid: the storage servers a client knows, as a `grid.toml` lists them. Does not connect to any of them.
//!
//! ```toml
//! [[server]]
//! store = "0f3a…"              # the store id, 32 hexadecimal digits: `tarn server init` prints it
//! address = "192.0.2.7:4100"   # host:port
//! zone = "cellar"              # optional: servers that fail together
//! weight = 2                   # optional: twice the room of a server of weight 1
//! token = "…"                  # optional: admits this client to the server
//! ```

mod address;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tarn_proto::StoreId;
use tarn_proto::ids::IdError;
use toml::Spanned;
use zeroize::Zeroizing;

pub use address::{Address, AddressError};

/// Largest `grid.toml` that is read, in bytes: room for tens of thousands of servers.
pub const GRID_BYTES_MAX: u64 = 8 << 20;

/// The storage servers a client knows: at least one, no store and no address twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    servers: Vec<GridServer>,
}

/// One server of a grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GridServer {
    /// The data folder behind the address: what windows name.
    pub store: StoreId,
    /// Where it listens.
    pub address: Address,
    /// Servers of one zone are expected to fail together; placement spreads over zones.
    pub zone: Option<String>,
    /// Its capacity relative to the others.
    pub weight: NonZeroU32,
    /// What the server asks of its clients, if it asks.
    pub token: Option<Token>,
}

/// Admits a client to a server. Erased when dropped, never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

/// Why a grid cannot be had. Whoever wrote the file must correct it.
#[derive(Debug, thiserror::Error)]
pub enum GridError {
    /// The file cannot be read.
    #[error("the grid file {} cannot be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file is too long to be a grid.
    #[error("{} is longer than {GRID_BYTES_MAX} bytes and cannot be a grid file", file.display())]
    TooLong {
        /// The file.
        file: PathBuf,
    },
    /// The file is a grid without servers.
    #[error("{} lists no servers; each is a [[server]] table with store and address", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// A line of the file is wrong.
    #[error("{}, line {line}: {problem}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, from one.
        line: usize,
        /// What is wrong there.
        problem: GridProblem,
    },
}

/// What is wrong with a line of a `grid.toml`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GridProblem {
    /// Not TOML, or not the tables and keys of a grid.
    #[error("{0}")]
    Syntax(String),
    /// Not a store id.
    #[error("{0}")]
    Store(#[from] IdError),
    /// Not an address.
    #[error("{0}")]
    Address(#[from] AddressError),
    /// A store id stands twice.
    #[error("store {store} is listed already in line {first_line}")]
    RepeatedStore {
        /// The store.
        store: StoreId,
        /// Where it stands first.
        first_line: usize,
    },
    /// An address stands twice.
    #[error("address {address} is listed already in line {first_line}")]
    RepeatedAddress {
        /// The address.
        address: Address,
        /// Where it stands first.
        first_line: usize,
    },
    /// A token of no letters.
    #[error("a token must not be empty; leave the key out where a server asks for none")]
    EmptyToken,
}

/// Why servers are not a [`Grid`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GridServersError {
    /// None at all.
    #[error("a grid needs at least one server")]
    Empty,
    /// A store is listed twice.
    #[error("store {0} is listed twice")]
    RepeatedStore(StoreId),
    /// An address is listed twice.
    #[error("address {0} is listed twice")]
    RepeatedAddress(Address),
}

impl Grid {
    /// Reads a `grid.toml`.
    pub fn read(file: &Path) -> Result<Self, GridError> {
        let read = |source| GridError::Read { file: file.to_owned(), source };
        let mut text = String::new();
        std::fs::File::open(file)
            .map_err(read)?
            .take(GRID_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(read)?;
        if text.len() as u64 > GRID_BYTES_MAX {
            return Err(GridError::TooLong { file: file.to_owned() });
        }
        Self::parse(&text, file)
    }

    /// Parses the text of a `grid.toml`; `file` is named in errors and not looked at.
    pub fn parse(text: &str, file: &Path) -> Result<Self, GridError> {
        let at = |position: usize, problem: GridProblem| GridError::Line {
            file: file.to_owned(),
            line: line_of(text, position),
            problem,
        };
        let written: WrittenGrid = toml::from_str(text).map_err(|error| {
            let position = error.span().map_or(0, |span| span.start);
            at(position, GridProblem::Syntax(error.message().to_owned()))
        })?;
        let mut servers = Vec::with_capacity(written.server.len());
        let mut stores = BTreeMap::new();
        let mut addresses = BTreeMap::new();
        for entry in written.server {
            let (store_at, address_at) = (entry.store.span().start, entry.address.span().start);
            let server =
                GridServer::try_from(entry).map_err(|(span, problem)| at(span.start, problem))?;
            if let Some(first) = stores.insert(server.store, store_at) {
                let first_line = line_of(text, first);
                let store = server.store;
                return Err(at(store_at, GridProblem::RepeatedStore { store, first_line }));
            }
            if let Some(first) = addresses.insert(server.address.clone(), address_at) {
                let first_line = line_of(text, first);
                let address = server.address;
                return Err(at(address_at, GridProblem::RepeatedAddress { address, first_line }));
            }
            servers.push(server);
        }
        if servers.is_empty() {
            return Err(GridError::Empty { file: file.to_owned() });
        }
        Ok(Self { servers })
    }

    /// A grid of these servers.
    pub fn new(servers: Vec<GridServer>) -> Result<Self, GridServersError> {
        if servers.is_empty() {
            return Err(GridServersError::Empty);
        }
        let mut stores = BTreeMap::new();
        let mut addresses = BTreeMap::new();
        for server in &servers {
            if stores.insert(server.store, ()).is_some() {
                return Err(GridServersError::RepeatedStore(server.store));
            }
            if addresses.insert(&server.address, ()).is_some() {
                return Err(GridServersError::RepeatedAddress(server.address.clone()));
            }
        }
        Ok(Self { servers })
    }

    /// The servers, in the order in which they are listed.
    pub fn servers(&self) -> &[GridServer] {
        &self.servers
    }

    /// The server that keeps this store.
    pub fn find(&self, store: StoreId) -> Option<&GridServer> {
        self.servers.iter().find(|server| server.store == store)
    }
}

impl GridServer {
    /// A server of weight 1, without zone and token.
    pub const fn new(store: StoreId, address: Address) -> Self {
        Self { store, address, zone: None, weight: NonZeroU32::MIN, token: None }
    }
}

/// Prints the text of a `grid.toml`, tokens included: what [`Grid::parse`] reads back.
impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.servers.iter().map(PrintedServer::from).collect();
        let text = toml::to_string(&PrintedGrid { server }).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl Token {
    /// A token of these letters.
    pub fn new(token: String) -> Self {
        Self(Zeroizing::new(token))
    }

    /// The letters, to be sent to the server and shown to nobody.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A `grid.toml` as it is written, with the places of what may be wrong.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenGrid {
    #[serde(default)]
    server: Vec<WrittenServer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenServer {
    store: Spanned<String>,
    address: Spanned<String>,
    zone: Option<String>,
    weight: Option<NonZeroU32>,
    token: Option<Spanned<String>>,
}

impl TryFrom<WrittenServer> for GridServer {
    type Error = (Range<usize>, GridProblem);

    fn try_from(written: WrittenServer) -> Result<Self, Self::Error> {
        let store = written.store.get_ref().parse();
        let address = written.address.get_ref().parse();
        let token = match written.token {
            Some(token) if token.get_ref().is_empty() => {
                return Err((token.span(), GridProblem::EmptyToken));
            }
            token => token.map(|token| Token::new(token.into_inner())),
        };
        Ok(Self {
            store: store.map_err(|error: IdError| (written.store.span(), error.into()))?,
            address: address
                .map_err(|error: AddressError| (written.address.span(), error.into()))?,
            zone: written.zone,
            weight: written.weight.unwrap_or(NonZeroU32::MIN),
            token,
        })
    }
}

#[derive(Serialize)]
struct PrintedGrid<'a> {
    server: Vec<PrintedServer<'a>>,
}

#[derive(Serialize)]
struct PrintedServer<'a> {
    store: String,
    address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

impl<'a> From<&'a GridServer> for PrintedServer<'a> {
    fn from(server: &'a GridServer) -> Self {
        Self {
            store: server.store.to_string(),
            address: server.address.as_str(),
            zone: server.zone.as_deref(),
            weight: (server.weight != NonZeroU32::MIN).then_some(server.weight),
            token: server.token.as_ref().map(Token::reveal),
        }
    }
}

/// The line, from one, of a byte position.
fn line_of(text: &str, position: usize) -> usize {
    let before = &text.as_bytes()[..position.min(text.len())];
    before.iter().filter(|&&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
