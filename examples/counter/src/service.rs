//! The counter over TCP: `read`, `bump`, `bump slowly MILLISECONDS`, `reset`, one a line; the answer is the count, or an
//! error that says whether anything was changed. A caller that hangs up takes its request along: its future is dropped
//! at whatever await it has come to.

use std::future::Future;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::count::Count;
use crate::counter::{Counter, CounterError};

/// The longest line, in bytes.
const LINE_MAX: u64 = 100;

/// What a caller may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Read,
    Bump { rest: Duration },
    Reset,
}

/// Serves callers until it is stopped, which hangs up on all of them.
pub(crate) async fn serve(
    listener: TcpListener,
    counter: Counter,
    stopped: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut callers = JoinSet::new();
    let mut stopped = std::pin::pin!(stopped);
    loop {
        tokio::select! {
            () = &mut stopped => return Ok(()),
            Some(_hung_up) = callers.join_next() => {}
            accepted = listener.accept() => {
                let (socket, counter) = (accepted?.0, counter.clone());
                callers.spawn(async move { converse(socket, &counter).await });
            }
        }
    }
}

async fn converse(socket: TcpStream, counter: &Counter) -> io::Result<()> {
    let (reader, mut writer) = socket.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = String::new();
        if (&mut reader).take(LINE_MAX).read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answered = async {
            match line.parse::<Request>() {
                Ok(request) => answer(request, counter).await,
                Err(usage) => usage,
            }
        };
        let answer = tokio::select! {
            answer = answered => answer,
            () = hung_up(&mut reader) => return Ok(()),
        };
        writer.write_all(answer.as_bytes()).await?;
    }
}

async fn answer(request: Request, counter: &Counter) -> String {
    let answered: Result<Count, CounterError> = match request {
        Request::Read => counter.read().await,
        Request::Bump { rest } => counter.bump(rest).await,
        Request::Reset => counter.reset().await,
    };
    match answered {
        Ok(count) => format!("{count}\n"),
        Err(error) if error.nothing_changed() => format!("unchanged: {error}\n"),
        Err(error) => format!("unknown: {error}\n"),
    }
}

/// Comes back when nobody is there to be answered. A caller that says more meanwhile is there.
async fn hung_up(reader: &mut (impl AsyncBufRead + Unpin)) {
    match reader.fill_buf().await {
        Ok(more) if !more.is_empty() => std::future::pending().await,
        Ok(_) | Err(_) => {}
    }
}

impl FromStr for Request {
    /// What to say to the caller.
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let rest = match words[..] {
            ["read"] => return Ok(Self::Read),
            ["reset"] => return Ok(Self::Reset),
            ["bump"] => Some(0),
            ["bump", "slowly", milliseconds] => milliseconds.parse().ok(),
            _ => None,
        };
        rest.map(|rest| Self::Bump { rest: Duration::from_millis(rest) })
            .ok_or_else(|| "unchanged: say read, bump, bump slowly MILLISECONDS or reset\n".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_things_can_be_asked() {
        let bump = |rest| Ok(Request::Bump { rest: Duration::from_millis(rest) });
        assert_eq!("read\n".parse(), Ok(Request::Read));
        assert_eq!("reset\n".parse(), Ok(Request::Reset));
        assert_eq!("bump\n".parse(), bump(0));
        assert_eq!("bump slowly 20\r\n".parse(), bump(20));
        for line in ["", "bump slowly", "bump slowly -1", "bump 3", "READ"] {
            assert!(line.parse::<Request>().is_err(), "{line}");
        }
    }

    #[tokio::test]
    async fn only_a_caller_that_is_gone_has_hung_up() {
        let mut gone: &[u8] = b"";
        hung_up(&mut gone).await;
        let mut there: &[u8] = b"read\n";
        let waited = tokio::time::timeout(Duration::ZERO, hung_up(&mut there)).await;
        assert!(waited.is_err(), "what it said next is kept");
        assert_eq!(there, b"read\n");
    }
}
