//! `--gateway`: what a gateway does for a command. Knows the user's names, which the gateway does not; the rest is asked
//! of it.

mod outcome;
mod url;

use std::path::PathBuf;
use std::time::Duration;

use tarn_client::grid::{Grid, GridServer};
use tarn_proto::StoreId;
use tarn_proto::gateway as wire;
use tarn_proto::gateway::gateway_client::GatewayClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::cli::Global;
use crate::error::{CommandError, Exit};
use crate::names::InUse;
use crate::server::read_token;

pub(crate) use outcome::{ended, name, sentence, version_text};
pub(crate) use url::Url;

/// The largest message taken from a gateway.
const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// How long a gateway may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// A gateway, and the grid it publishes to.
pub(crate) struct Remote {
    /// Its calls.
    pub(crate) calls: GatewayClient<InterceptedService<Channel, Bearer>>,
    grid: Grid,
    label: String,
}

impl Remote {
    /// Connects to the gateway that was named.
    pub(crate) async fn open(url: &Url, global: &Global) -> Result<Self, CommandError> {
        let bearer = Bearer::read(global.gateway_token_file.as_ref())?;
        let channel = url.connect().await?;
        let mut calls = GatewayClient::with_interceptor(channel, bearer)
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let described = tokio::time::timeout(PATIENCE, calls.describe(wire::DescribeRequest {}));
        let described = described
            .await
            .map_err(|_late| {
                CommandError::failed(format_args!("the gateway at {url} does not answer"))
            })?
            .map_err(|status| refused(&status))?
            .into_inner();
        let servers = described.servers.iter().map(server).collect::<Result<Vec<_>, _>>()?;
        let grid = Grid::new(servers).map_err(CommandError::failed)?;
        Ok(Self { calls, grid, label: url.to_string() })
    }

    /// Its grid, as the database of names wants it.
    pub(crate) fn in_use(&self) -> InUse<'_> {
        InUse { label: &self.label, grid: &self.grid }
    }

    /// The servers it publishes to.
    pub(crate) const fn grid(&self) -> &Grid {
        &self.grid
    }
}

fn server(server: &wire::StorageServer) -> Result<GridServer, CommandError> {
    let nonsense =
        || CommandError::failed("the gateway describes its grid in a way that makes no sense");
    let store = StoreId::try_from(server.store_id.as_ref()).map_err(|_| nonsense())?;
    Ok(GridServer::new(store, server.address.parse().map_err(|_| nonsense())?))
}

/// What a gateway said instead of an answer, as the error that ends a command.
pub(crate) fn refused(status: &Status) -> CommandError {
    let sentence = crate::table::printable(status.message());
    match status.code() {
        Code::InvalidArgument | Code::AlreadyExists | Code::NotFound | Code::FailedPrecondition => {
            CommandError::usage(sentence)
        }
        Code::Unauthenticated => CommandError::usage("the gateway asks for a token")
            .hint("name the file it is in with --gateway-token-file"),
        Code::Unavailable => CommandError::ended(
            format!("the gateway, or too many of its servers, cannot be reached: {sentence}"),
            Exit::Unavailable,
        ),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss => CommandError::failed(sentence),
    }
}

/// Sends the token with every call, if there is one.
#[derive(Clone)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    fn read(file: Option<&PathBuf>) -> Result<Self, CommandError> {
        let Some(file) = file else { return Ok(Self(None)) };
        let token = read_token(file)?;
        let header = zeroize::Zeroizing::new(format!("Bearer {}", token.as_str()));
        let mut value: MetadataValue<Ascii> =
            header.parse().map_err(|_| CommandError::usage("the token is not printable ASCII"))?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}
