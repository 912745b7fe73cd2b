//! Servers that are well, on loopback.

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Answers one request.
pub(crate) async fn web(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    if stream.read(&mut [0; 1024]).await? == 0 {
        return Ok(());
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await
}

/// A session that knows each way of data, by TLS if there is an acceptor.
pub(crate) async fn ftp(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    acceptor: Option<TlsAcceptor>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220-many\r\n220 ready\r\n").await?;
    let mut line = String::new();
    let (mut passive, mut active) = (None::<TcpListener>, None::<u16>);
    while stream.read_line(&mut line).await? > 0 {
        let (command, argument) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let reply = match command {
            "USER" => "331 password\r\n".to_owned(),
            "PASV" => {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                let [high, low] = listener.local_addr()?.port().to_be_bytes();
                passive = Some(listener);
                format!("227 =127,0,0,1,{high},{low}\r\n")
            }
            "PORT" => {
                let bytes: Vec<u16> = argument.split(',').skip(4).flat_map(str::parse).collect();
                active = Some(256 * bytes[0] + bytes[1]);
                "200 so be it\r\n".to_owned()
            }
            "LIST" | "RETR" | "STOR" => {
                stream.write_all(b"150 here it comes\r\n").await?;
                let data = match (passive.take(), active.take()) {
                    (Some(listener), _) => listener.accept().await?.0,
                    (None, port) => TcpStream::connect(("127.0.0.1", port.unwrap_or(1))).await?,
                };
                match &acceptor {
                    Some(acceptor) => transfer(acceptor.accept(data).await?, command == "STOR").await?,
                    None => transfer(data, command == "STOR").await?,
                }
                "226 done\r\n".to_owned()
            }
            "QUIT" => return stream.write_all(b"221 bye\r\n").await,
            "DELE" => "250 gone\r\n".to_owned(),
            "TYPE" | "PBSZ" | "PROT" | "NOOP" => "200 fine\r\n".to_owned(),
            _ => "230 welcome\r\n".to_owned(),
        };
        stream.write_all(reply.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

async fn transfer(mut data: impl AsyncRead + AsyncWrite + Unpin, takes: bool) -> std::io::Result<()> {
    if takes {
        while data.read(&mut [0; 512]).await? > 0 {}
        return Ok(());
    }
    data.write_all(b"hello").await?;
    data.shutdown().await
}
