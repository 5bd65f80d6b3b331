//! Asks a process of Lectern on this machine how it is: health checks of containers, whose images have no curl.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A process that takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(3);

/// More than `/metrics` of a worker has.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// What the process that listens on `listen` says at `path`.
///
/// # Errors
/// When it can't be reached, takes longer than three seconds, or answers anything but 200.
pub async fn ask(listen: SocketAddr, path: &str) -> Result<String> {
    let address = reachable(listen);
    tokio::time::timeout(PATIENCE, get(address, path))
        .await
        .with_context(|| format!("{address} doesn't answer within {PATIENCE:?}"))?
}

/// Whoever listens on any address is found on the loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let loopback = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(loopback, listen.port())
}

async fn get(address: SocketAddr, path: &str) -> Result<String> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("nobody listens on {address}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let exchange = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await;
        let body = match body {
            Ok(body) => body.to_bytes(),
            Err(error) => bail!("the answer breaks off: {error}"),
        };
        let text = String::from_utf8_lossy(&body).into_owned();
        ensure!(
            status == StatusCode::OK,
            "{path} says {status}: {}",
            text.trim()
        );
        Ok(text)
    };
    // The connection is what moves the bytes; it ends when the answer is there.
    let (answer, _) = tokio::join!(exchange, connection);
    answer
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    async fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        });
        address
    }

    #[tokio::test]
    async fn who_listens_anywhere_is_asked_on_the_loopback_and_its_answer_counts() {
        let well = server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready").await;
        assert_eq!(ask(well, "/ready").await.unwrap(), "ready");
        let ill = server("HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\nnot ready").await;
        let error = ask(ill, "/ready").await.unwrap_err().to_string();
        assert!(
            error.contains("503") && error.contains("not ready"),
            "{error}"
        );
        let cut = server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nre").await;
        assert!(ask(cut, "/ready").await.is_err());
    }

    #[tokio::test]
    async fn where_nobody_listens_the_address_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = ask(address, "/ready").await.unwrap_err().to_string();
        assert_eq!(error, format!("nobody listens on {address}"));
    }
}
