//! Connections that can be cut, to simulate a server that goes away or an answer that gets lost.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Cuts all connections at once, and the ones to come.
#[derive(Clone, Debug, Default)]
pub(super) struct Breaker(Arc<Mutex<Line>>);

#[derive(Debug, Default)]
struct Line {
    /// Cancelled when the server goes away, and replaced when it is back.
    era: CancellationToken,
    away: bool,
}

impl Breaker {
    /// Goes away or comes back.
    pub(super) fn set_away(&self, away: bool) {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if away && !line.away {
            line.era.cancel();
        }
        if !away && line.away {
            line.era = CancellationToken::new();
        }
        line.away = away;
    }

    fn connection(&self) -> CancellationToken {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).era.child_token()
    }
}

/// A TCP listener whose connections a [`Breaker`] can cut.
pub(super) struct BreakableListener {
    pub(super) listener: TcpListener,
    pub(super) breaker: Breaker,
}

impl Listener for BreakableListener {
    type Io = Breakable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, addr) = Listener::accept(&mut self.listener).await;
        let cut = self.breaker.connection();
        (Breakable { stream, wait: Box::pin(cut.clone().cancelled_owned()), cut }, addr)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that ends with an error once it is cut.
pub(super) struct Breakable {
    stream: TcpStream,
    cut: CancellationToken,
    wait: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// What a handler needs to cut the connection it answers on.
#[derive(Clone, Debug)]
pub(super) struct Cut(pub(super) CancellationToken);

impl Connected<IncomingStream<'_, BreakableListener>> for Cut {
    fn connect_info(stream: IncomingStream<'_, BreakableListener>) -> Self {
        Self(stream.io().cut.clone())
    }
}

impl Breakable {
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.wait.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Breakable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Breakable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
