//! What every command that talks to servers begins with: the grid found, the embedded servers started if there is
//! none, a client connected. Ends with everything durable and stopped.

use tarn_client::client::Client;
use tarn_client::grid::Grid;
use tarn_client::servermap::Patience;
use tarn_client::time::Millis;

use crate::cli::Global;
use crate::embedded::Embedded;
use crate::error::CommandError;
use crate::grids::GridChoice;
use crate::home::Home;
use crate::names::InUse;

/// A client and the grid it talks to.
#[derive(Debug)]
pub(crate) struct Session {
    /// The client.
    pub(crate) client: Client,
    grid: Grid,
    label: String,
    embedded: Option<Embedded>,
}

impl Session {
    /// Finds the grid and connects to it.
    pub(crate) async fn open(global: &Global, home: &Home) -> Result<Self, CommandError> {
        let (grid, label, embedded) = match GridChoice::find(global.grid.as_deref(), home)? {
            GridChoice::File { path, grid } => (grid, path.display().to_string(), None),
            GridChoice::Embedded => {
                let embedded = Embedded::start(&home.embedded()).await?;
                (embedded.grid().clone(), "embedded".to_owned(), Some(embedded))
            }
        };
        let mut client = Client::connect(&grid).map_err(CommandError::usage)?;
        if let Some(floor) = global.patience.map(Millis) {
            client = client.with_patience(Patience { floor, ..Patience::default() });
        }
        Ok(Self { client, grid, label, embedded })
    }

    /// The grid, as the database of names wants it.
    pub(crate) fn in_use(&self) -> InUse<'_> {
        InUse { label: &self.label, grid: &self.grid }
    }

    /// The servers.
    pub(crate) const fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Stops the embedded servers, if they were started.
    pub(crate) async fn close(self) -> Result<(), CommandError> {
        match self.embedded {
            Some(embedded) => embedded.stop().await,
            None => Ok(()),
        }
    }
}
