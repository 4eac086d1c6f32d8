//! The server: reads frames, answers each request once, and tells events between them.

use dunlin_config_format::cbor::Item;
use dunlin_config_format::frame::{Encoded, Frame, MAX_FRAME, Received, Receiver, channel};
use dunlin_config_format::message::{
    self, BeginReply, BeginRequest, DataReply, DataRequest, EndReply, EndRequest, EraseReply, EraseRequest,
    ErrorReply, HASH_SIZE, HelloBoard, HelloConfiguration, HelloRequest, InfoItem, InfoRequest, Malformed,
    Message, MonitorReply, MonitorRequest, PROTOCOL_MAJOR, PROTOCOL_MINOR, ProbeReply, ProbeRequest,
    PullReply, PullRequest, RateReply, RateRequest, ReadItem, ReadRequest, Refusal, RestartReply,
    RestartRequest, RollbackReply, RollbackRequest, SecretReply, SecretRequest, VerdictRequest, kind,
    monitor, outcome,
};
use embassy_futures::select::{Either5, select5};
use embassy_time::{Duration, Instant, Timer};
use embedded_io_async::{Read, Write};

use super::transfer::Transfer;
use super::{Begun, Event, Node, Refused};
use crate::supervisor::Presence;
use crate::tether::Tether;

/// DATA frames that a host may have under way. While one is taken (a page is programmed in about 1 ms, 12 bytes on the line)
/// the next arrives into the FIFO; a third would gain nothing.
const WINDOW: u8 = 2;

/// The line's speed at every start, in bits per second.
pub const USUAL_RATE: u32 = 115_200;

/// At another than the usual speed: how long after the change, and after a byte that comes next, a whole frame must arrive.
const RATE_PROOF: Duration = Duration::from_secs(1);

/// How long the server rests when the board's serial driver reports an error.
const READ_ERROR_REST: Duration = Duration::from_millis(10);

/// Every kind of event that a monitor can switch on.
const MONITORED: u8 = monitor::READINGS | monitor::HEALTH | monitor::LOG | monitor::SENT;

/// Serves the line for ever; with a `tether`, the packets channel too.
///
/// In `presence` it tells that it is there: after each request and each frame that it has sent, and when it is asked.
///
/// A broken line (a serial driver that reports errors) is waited out; what was written then is lost, which the protocol
/// allows for.
///
/// # Cancellation Safety
/// Dropping the future may leave a frame half sent, which the host's receiver drops, and ends the transfer under way.
pub async fn serve<R: Read, W: Write, N: Node>(
    mut reader: R,
    writer: W,
    node: &mut N,
    tether: Option<&Tether>,
    presence: &Presence,
) -> ! {
    let mut receiver = Receiver::new();
    let mut session = Session::new(writer, presence);
    // At the fastest rate of the line less than a millisecond.
    let mut buffer = [0; 32];
    loop {
        presence.answer();
        let proof = async {
            match session.rate_deadline {
                Some(deadline) => Timer::at(deadline).await,
                None => core::future::pending().await,
            }
        };
        let packets = async {
            match tether {
                Some(tether) => tether.wait().await,
                None => core::future::pending().await,
            }
        };
        // In the order of importance: a packet goes out when nothing else is to be done.
        match select5(reader.read(&mut buffer), node.event(), proof, presence.asked(), packets).await {
            Either5::First(Ok(count)) => {
                session.expect_proof();
                for byte in buffer.iter().take(count) {
                    if let Received::Frame(frame) = receiver.push(*byte) {
                        session.rate_deadline = None;
                        match tether.filter(|_| frame.channel == channel::PACKETS) {
                            Some(tether) => tether.receive(&frame),
                            None => session.answer(&frame, node).await,
                        }
                    }
                }
            }
            Either5::First(Err(_)) => Timer::after(READ_ERROR_REST).await,
            Either5::Second(event) => {
                node.put_into_words(event, |event| session.put_event(&event));
                session.send().await;
            }
            Either5::Third(()) => {
                (session.rate, session.rate_deadline) = (USUAL_RATE, None);
                node.set_rate(USUAL_RATE);
            }
            Either5::Fourth(()) => {}
            Either5::Fifth(()) => {
                session.put(tether.and_then(Tether::take_fragment));
                session.send().await;
            }
        }
    }
}

/// What the server remembers between two frames.
struct Session<'p, W> {
    writer: W,
    presence: &'p Presence,
    /// The frame or the line that is being sent. Here once, and not in the future of each reply.
    outgoing: heapless::Vec<u8, MAX_FRAME>,
    transfer: Option<Transfer>,
    /// The image stored last since the start: its END may be repeated.
    stored: Option<(u32, [u8; HASH_SIZE], u32)>,
    monitored: u8,
    event_number: u8,
    rate: u32,
    rate_deadline: Option<Instant>,
}

impl<'p, W: Write> Session<'p, W> {
    fn new(writer: W, presence: &'p Presence) -> Self {
        Session {
            writer,
            presence,
            outgoing: heapless::Vec::new(),
            transfer: None,
            stored: None,
            monitored: 0,
            event_number: 0,
            rate: USUAL_RATE,
            rate_deadline: None,
        }
    }

    /// Bytes have come: at another than the usual speed they must be part of a frame. Else they are those of a host that
    /// knows nothing of this speed.
    fn expect_proof(&mut self) {
        if self.rate != USUAL_RATE {
            self.rate_deadline.get_or_insert(Instant::now() + RATE_PROOF);
        }
    }

    /// Answers one frame; a refusal is an answer. Frames of other channels are not for this server.
    async fn answer<N: Node>(&mut self, frame: &Frame<'_>, node: &mut N) {
        if frame.channel != channel::CONTROL {
            return;
        }
        if let Err(refused) = self.request(frame, node).await {
            let name = None;
            let refusal = refused.refusal.number();
            let error = ErrorReply { refusal, request: frame.kind, detail: refused.detail, name };
            self.reply(frame, &error);
        }
        self.send().await;
    }

    /// Does what a frame asks for, and puts the last reply where it is sent from.
    async fn request<N: Node>(&mut self, frame: &Frame<'_>, node: &mut N) -> Result<(), Refused> {
        match frame.kind {
            kind::HELLO => self.hello(frame, node).await,
            kind::BEGIN => self.begin(frame, node).await,
            kind::DATA => self.data(frame, node),
            kind::END => self.end(frame, node).await,
            kind::VERDICT => {
                let request: VerdictRequest = decode(frame)?;
                self.reply(frame, &node.verdict(&request));
                Ok(())
            }
            kind::SECRET => {
                let request: SecretRequest<'_> = decode(frame)?;
                let in_use = node.secret(request.name, request.value).await?;
                self.reply(frame, &SecretReply { in_use });
                Ok(())
            }
            kind::PULL => self.pull(frame, node),
            kind::INFO => self.info(frame, node).await,
            kind::READ => self.read(frame, node).await,
            kind::PROBE => {
                let request: ProbeRequest = decode(frame)?;
                let probed = node.probe(request.sda, request.scl).await?;
                self.reply(frame, &ProbeReply { bus: probed.bus, addresses: &probed.addresses });
                Ok(())
            }
            kind::MONITOR => {
                let request: MonitorRequest = decode(frame)?;
                self.monitored = request.what & MONITORED;
                node.monitor(self.monitored);
                self.reply(frame, &MonitorReply { what: self.monitored });
                Ok(())
            }
            _ => self.board_request(frame, node).await,
        }
    }

    /// Requests that concern the whole board.
    async fn board_request<N: Node>(&mut self, frame: &Frame<'_>, node: &mut N) -> Result<(), Refused> {
        match frame.kind {
            kind::ROLLBACK => {
                let request: RollbackRequest = decode(frame)?;
                let running = node.configuration(|configuration| configuration.generation);
                let generation =
                    if running == Some(request.generation) { Some(node.rollback().await?) } else { running };
                self.reply(frame, &RollbackReply { generation });
            }
            kind::ERASE => {
                let request: EraseRequest = decode(frame)?;
                (self.transfer, self.stored) = (None, None);
                node.erase(request.what).await?;
                self.reply(frame, &EraseReply {});
            }
            kind::RESTART => {
                let request: RestartRequest = decode(frame)?;
                self.reply(frame, &RestartReply {});
                if request.boot_id == node.board().boot_id {
                    self.send().await;
                    let _ = self.writer.flush().await;
                    node.restart();
                }
            }
            kind::RATE => {
                let RateRequest { baud } = decode(frame)?;
                if !node.accepts_rate(baud) {
                    return Err(Refusal::RateRefused.into());
                }
                self.reply(frame, &RateReply { baud });
                self.send().await;
                let _ = self.writer.flush().await;
                node.set_rate(baud);
                self.rate = baud;
                self.rate_deadline = Some(Instant::now() + RATE_PROOF);
            }
            _ => return Err(Refusal::UnknownKind.into()),
        }
        Ok(())
    }

    async fn hello<N: Node>(&mut self, frame: &Frame<'_>, node: &mut N) -> Result<(), Refused> {
        decode::<HelloRequest>(frame)?;
        let board = HelloBoard { part: 0, major: PROTOCOL_MAJOR, minor: PROTOCOL_MINOR, ..node.board() };
        self.reply(frame, &board);
        self.send().await;
        let boot_id = board.boot_id;
        node.configuration(|configuration| {
            self.reply(frame, &HelloConfiguration { part: 1, boot_id, ..configuration });
        });
        Ok(())
    }

    async fn begin<N: Node>(&mut self, frame: &Frame<'_>, node: &mut N) -> Result<(), Refused> {
        let request: BeginRequest<'_> = decode(frame)?;
        let same = self.transfer.as_ref().filter(|transfer| transfer.is_of(&request));
        let reply = if let Some(transfer) = same {
            BeginReply { outcome: outcome::READY, next: transfer.next(), window: WINDOW }
        } else {
            self.transfer = None;
            match node.begin(&request).await? {
                Begun::Unchanged => BeginReply { outcome: outcome::UNCHANGED, next: 0, window: WINDOW },
                Begun::Ready => {
                    self.stored = None;
                    self.transfer = Some(Transfer::new(&request));
                    BeginReply { outcome: outcome::READY, next: 0, window: WINDOW }
                }
            }
        };
        self.reply(frame, &reply);
        Ok(())
    }

    fn data<N: Node>(&mut self, frame: &Frame<'_>, node: &mut N) -> Result<(), Refused> {
        let request: DataRequest<'_> = decode(frame)?;
        let transfer = self.transfer.as_mut().ok_or(Refusal::NoTransfer)?;
        if let Err(refused) = transfer.take(&request, node) {
            self.transfer = None;
            return Err(refused);
        }
        let next = transfer.next();
        self.reply(frame, &DataReply { next });
        Ok(())
    }

    async fn end<N: Node>(&mut self, frame: &Frame<'_>, node: &mut N) -> Result<(), Refused> {
        let request: EndRequest = decode(frame)?;
        if let Some((length, hash, generation)) = self.stored
            && (length, hash) == (request.length, request.hash)
        {
            self.reply(frame, &EndReply { generation });
            return Ok(());
        }
        let transfer = self.transfer.as_ref().ok_or(Refusal::NoTransfer)?;
        transfer.check_end(&request)?;
        let flags = transfer.flags();
        self.transfer = None;
        let generation = node.finish(&request, flags).await?;
        self.stored = Some((request.length, request.hash, generation));
        self.reply(frame, &EndReply { generation });
        // The host learns that it is stored before the node is busy starting it.
        self.send().await;
        let _ = self.writer.flush().await;
        node.start();
        Ok(())
    }

    fn pull<N: Node>(&mut self, frame: &Frame<'_>, node: &mut N) -> Result<(), Refused> {
        let request: PullRequest = decode(frame)?;
        let mut buffer = [0; PullReply::MAX_BYTES];
        let pulled = node.pull(request.offset, &mut buffer)?;
        let reply = PullReply {
            offset: request.offset,
            bytes: buffer.get(..pulled.len).unwrap_or_default(),
            length: pulled.length,
            hash_prefix: pulled.hash_prefix,
        };
        self.reply(frame, &reply);
        Ok(())
    }

    async fn info<N: Node>(&mut self, frame: &Frame<'_>, node: &mut N) -> Result<(), Refused> {
        decode::<InfoRequest>(frame)?;
        let count = node.info_count();
        for index in 0..count {
            node.info(index, |name, value| self.reply(frame, &InfoItem { index, count, name, value }));
            self.send().await;
        }
        Ok(())
    }

    async fn read<N: Node>(&mut self, frame: &Frame<'_>, node: &mut N) -> Result<(), Refused> {
        let request: ReadRequest<'_> = decode(frame)?;
        let count = node.read(&request).await?;
        for index in 0..count {
            if let Some(item) = node.read_item(index) {
                self.reply(frame, &ReadItem { index, count, ..item });
                self.send().await;
            }
        }
        Ok(())
    }

    /// Puts a reply to `request` where it is sent from. One that does not fit, or that the line does not take, is lost: the
    /// host asks again, and then gives up with the reason that nothing came.
    fn reply<'b, M: Message + Item<'b>>(&mut self, request: &Frame<'_>, reply: &M) {
        self.put(message::encode(reply, request.number).ok());
    }

    /// Puts a frame where it is sent from.
    fn put(&mut self, frame: Option<Encoded>) {
        self.outgoing.clear();
        // Cannot fail: no frame is longer.
        let _ = self.outgoing.extend_from_slice(frame.as_ref().map_or(&[], Encoded::as_bytes));
    }

    /// Puts an event where it is sent from: as a frame where a monitor wants it, a log line otherwise as plain text.
    fn put_event(&mut self, event: &Event<'_>) {
        let number = self.event_number;
        let (bit, encoded) = match event {
            Event::Reading(event) => (monitor::READINGS, message::encode(event, number)),
            Event::Health(event) => (monitor::HEALTH, message::encode(event, number)),
            Event::Sent(event) => (monitor::SENT, message::encode(event, number)),
            Event::Log(event) => (monitor::LOG, message::encode(event, number)),
        };
        let is_monitored = self.monitored & bit != 0;
        self.put(encoded.ok().filter(|_| is_monitored));
        if is_monitored {
            self.event_number = number.wrapping_add(u8::from(!self.outgoing.is_empty()));
        } else if let Event::Log(event) = event {
            // Cannot fail: a line has 200 bytes at most.
            let _ = self.outgoing.extend_from_slice(event.text.as_bytes());
            let _ = self.outgoing.extend_from_slice(b"\r\n");
        }
    }

    /// Sends what is outgoing, if anything is.
    async fn send(&mut self) {
        if !self.outgoing.is_empty() {
            let _ = self.writer.write_all(&self.outgoing).await;
            self.outgoing.clear();
            self.presence.answer();
        }
    }
}

fn decode<'b, M: Message + Item<'b>>(frame: &Frame<'b>) -> Result<M, Refused> {
    message::decode(frame.payload).map_err(|Malformed| Refusal::Malformed.into())
}
