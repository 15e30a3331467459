use tarn_proto::StoreId;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use super::*;
use crate::grid::GridServer;

mod drops;
#[allow(dead_code, reason = "what publishes here is the gateway")]
#[path = "../../../tests/real/mod.rs"]
mod real;

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nothing_is_said_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let address = "192.0.2.1:1".parse().unwrap();
    let grid = Grid::new(vec![GridServer::new(StoreId::new([1; 16]), address)]).unwrap();
    let config = GatewayConfig::in_folder(folder.path());
    let gateway = Gateway::open(config, Client::connect(&grid).unwrap(), grid).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = folder.path().join("socket");
    let local = UnixListener::bind(&socket).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let serving = tokio::spawn(gateway.serve(Some(listener), Some(local), stopped));
    let begun = Instant::now();
    let mut remote = TcpStream::connect(address).await.unwrap();
    let mut local = UnixStream::connect(&socket).await.unwrap();
    // The server begins, and ends when nothing comes.
    let (mut said, mut also_said) = (Vec::new(), Vec::new());
    let _ = tokio::join!(remote.read_to_end(&mut said), local.read_to_end(&mut also_said));
    assert!(begun.elapsed() >= Duration::from_secs(10), "it has time to begin");
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
}
