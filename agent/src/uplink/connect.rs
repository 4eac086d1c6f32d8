//! From nothing to an MQTT session. Every step has a deadline and a name for its failure.

use core::future::poll_fn;
use core::net::Ipv4Addr;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use dunlin_config_format::Reason;
use dunlin_config_format::config::Mqtt;
use embassy_net::dns::DnsQueryType;
use embassy_net::tcp::{State, TcpSocket};
use embassy_time::{Duration, with_timeout};
use embedded_io_async::{ErrorType, Read, ReadReady, Write};
use minimq::{Connection, Error, PeerError, ReasonCode, Session};

use super::Uplink;
use super::farewell::Farewell;

/// Time to get an address.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(20);
/// Time to resolve the broker's name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the broker's host to take the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the broker to answer CONNECT.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for all steps together.
pub(super) const TIMEOUT: Duration = Duration::from_secs(50);

const _: () = {
    let steps = [ADDRESS_TIMEOUT, RESOLVE_TIMEOUT, CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT];
    let [address, resolve, connect, handshake] = steps;
    assert!(
        address.as_ticks() + resolve.as_ticks() + connect.as_ticks() + handshake.as_ticks()
            <= TIMEOUT.as_ticks()
    );
};

/// Returns whether only a person can change what the broker said.
pub(super) fn is_refusal(reason: Reason) -> bool {
    matches!(reason, Reason::CredentialsRefused | Reason::SessionRefused)
}

impl<'a> Uplink<'a> {
    /// Opens a session with the broker.
    ///
    /// Dropping the future drops the connection; the session can be opened again.
    pub(super) async fn open<'s, 'b, 't>(
        &self,
        session: &'s mut Session<'b>,
        farewell: &'t Farewell,
        receive: &'t mut [u8],
        send: &'t mut [u8],
    ) -> Result<Connection<'s, 'b, Transport<'t>>, Reason>
    where
        'a: 't,
    {
        farewell.reset();
        let address = self.resolve().await?;
        let mut socket = TcpSocket::new(self.network.stack(), receive, send);
        // Small messages must not wait for the acknowledgement of the one before (Nagle's algorithm, RFC 896).
        socket.set_nagle_enabled(false);
        socket.set_timeout(Some(Duration::from_secs(self.config.mqtt.keep_alive_s.0.into())));
        let port = u16::try_from(self.config.mqtt.port.0).unwrap_or(0);
        match with_timeout(CONNECT_TIMEOUT, socket.connect((address, port))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Err(Reason::BrokerUnreachable),
        }
        match with_timeout(HANDSHAKE_TIMEOUT, session.connect(Transport::new(socket, farewell))).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(Error::Peer(PeerError::Rejected(code)))) => Err(refusal(code)),
            Ok(Err(_)) | Err(_) => Err(Reason::BrokerSilent),
        }
    }

    async fn resolve(&self) -> Result<Ipv4Addr, Reason> {
        let stack = self.network.stack();
        with_timeout(ADDRESS_TIMEOUT, stack.wait_config_up()).await.map_err(|_| Reason::NoAddress)?;
        let host = self.config.mqtt.host;
        if host == Mqtt::USB_HOST {
            return self.network.gateway().ok_or(Reason::NoAddress);
        }
        let query = with_timeout(RESOLVE_TIMEOUT, stack.dns_query(host, DnsQueryType::A)).await;
        let addresses = query.ok().and_then(Result::ok).ok_or(Reason::NameNotResolved)?;
        addresses.first().map(|&embassy_net::IpAddress::Ipv4(address)| address).ok_or(Reason::NameNotResolved)
    }
}

/// The TCP connection as the MQTT session sees it: a flush does not wait for the other end to acknowledge, because the stack
/// sends what is written without being asked.
pub(super) struct Transport<'t> {
    socket: TcpSocket<'t>,
    farewell: &'t Farewell,
    /// Who waits for bytes, and the socket's state when it was told so.
    waits: Option<(State, Waker)>,
}

impl<'t> Transport<'t> {
    fn new(socket: TcpSocket<'t>, farewell: &'t Farewell) -> Self {
        Transport { socket, farewell, waits: None }
    }

    /// Returns whether there is something to read: bytes, or the end.
    ///
    /// Each read that waits makes embassy-net wake its runner, which finds nothing to do. The socket keeps who waits until
    /// bytes arrive or its state changes (smoltcp 0.13, `tcp::Socket::process` and `set_state`): it is told once for each state.
    fn poll_readable(&mut self, context: &Context<'_>) -> Poll<()> {
        if self.socket.read_ready() != Ok(false) {
            self.waits = None;
            return Poll::Ready(());
        }
        let state = self.socket.state();
        let is_told = self
            .waits
            .as_ref()
            .is_some_and(|(told, waker)| *told == state && waker.will_wake(context.waker()));
        if is_told {
            return Poll::Pending;
        }
        self.waits = Some((state, context.waker().clone()));
        pin!(self.socket.wait_read_ready()).poll(&mut Context::from_waker(context.waker()))
    }

    /// Waits until the other end has acknowledged everything, and closes the connection.
    ///
    /// Dropping the future resets the connection.
    pub(super) async fn close(mut self) {
        self.socket.close();
        // Whatever happens to the rest: the connection is not used any more.
        let _ = self.socket.flush().await;
    }
}

impl ErrorType for Transport<'_> {
    type Error = embassy_net::tcp::Error;
}

impl Read for Transport<'_> {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error> {
        poll_fn(|context| self.poll_readable(context)).await;
        let len = self.socket.read(bytes).await?;
        self.farewell.hear(bytes.get(..len).unwrap_or_default());
        Ok(len)
    }
}

impl Write for Transport<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        self.socket.write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// MQTT 5, section 3.2.2.2: the reasons of a CONNACK.
fn refusal(code: ReasonCode) -> Reason {
    match code {
        ReasonCode::BadUsernameOrPassword | ReasonCode::NotAuthorized | ReasonCode::BadAuthMethod => {
            Reason::CredentialsRefused
        }
        _ => Reason::SessionRefused,
    }
}
