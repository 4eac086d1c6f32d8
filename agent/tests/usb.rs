//! The USB server on its own: a scripted node, a line in memory, a hand-driven future.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use dunlin_agent::supervisor::Presence;
use dunlin_agent::usb::{Begun, Event, Node, PAGE_SIZE, Probed, Pulled, Refused, serve};
use dunlin_config_format::cbor::{Item, Reader, Writer};
use dunlin_config_format::frame::{Received, Receiver};
use dunlin_config_format::message::{self as m, Message, Refusal, Value, kind};
use embassy_time_driver::{Driver, time_driver_impl};
use embedded_io_async::{ErrorType, Read, Write};
use proptest::prelude::*;

/// Time stands still: what is tested here does not wait.
struct StoppedClock;

impl Driver for StoppedClock {
    fn now(&self) -> u64 {
        0
    }
    fn schedule_wake(&self, _: u64, _: &Waker) {}
}

time_driver_impl!(static CLOCK: StoppedClock = StoppedClock);

const HASH: [u8; 32] = [7; 32];
const BOOT_ID: u32 = 0x1234_abcd;

/// What the scripted node was asked to do, and what it holds.
#[derive(Default)]
struct Board {
    slot: Vec<u8>,
    erases: usize,
    finished: Option<Vec<u8>>,
    started: usize,
    rollbacks: usize,
    restarts: usize,
    generation: u32,
    unchanged: bool,
    fault_at: Option<u32>,
    rates: Vec<u32>,
    monitored: u8,
    events: VecDeque<Event<'static>>,
}

struct Scripted(Rc<RefCell<Board>>);

impl Node for Scripted {
    type Event = Event<'static>;

    fn board(&self) -> m::HelloBoard<'_> {
        m::HelloBoard {
            part: 9,
            boot_id: BOOT_ID,
            major: 9,
            minor: 9,
            firmware: "0.1.0",
            chip_id: 1,
            schema_low: 1,
            schema_high: 1,
            drivers: &[0, 1],
            image_limit: 12_288,
            sensor_limit: 32,
            report_limit: 64,
        }
    }

    fn configuration<R>(&mut self, tell: impl FnOnce(m::HelloConfiguration<'_>) -> R) -> R {
        tell(m::HelloConfiguration {
            part: 9,
            boot_id: 9,
            state: m::state::CONFIRMED,
            generation: Some(self.0.borrow().generation),
            active_hash: Some(HASH),
            stored_hash: None,
            device: Some("esp8266"),
            rollback_reason: None,
            rollback_generation: None,
        })
    }

    fn verdict(&self, _: &m::VerdictRequest) -> m::VerdictReply {
        let outcome = m::outcome::TRIAL;
        m::VerdictReply { outcome, reason: None, elapsed_ms: Some(5), limit_ms: None, attempts: None }
    }

    async fn begin(&mut self, request: &m::BeginRequest<'_>) -> Result<Begun, Refused> {
        if request.device != "esp8266" {
            return Err(Refusal::OtherDevice.into());
        }
        let mut board = self.0.borrow_mut();
        if board.unchanged {
            return Ok(Begun::Unchanged);
        }
        board.erases += 1;
        board.slot.clear();
        Ok(Begun::Ready)
    }

    fn write_page(&mut self, offset: u32, page: &[u8]) -> Result<(), Refused> {
        let mut board = self.0.borrow_mut();
        if board.fault_at == Some(offset) {
            return Err(Refused { refusal: Refusal::FlashFault, detail: Some(offset) });
        }
        assert_eq!(board.slot.len(), offset as usize, "pages come in order and once");
        assert!((1..=PAGE_SIZE).contains(&page.len()));
        board.slot.extend_from_slice(page);
        Ok(())
    }

    async fn finish(&mut self, _: &m::EndRequest, _: u8) -> Result<u32, Refused> {
        let mut board = self.0.borrow_mut();
        board.finished = Some(board.slot.clone());
        board.generation += 1;
        Ok(board.generation)
    }

    fn start(&mut self) {
        self.0.borrow_mut().started += 1;
    }

    async fn secret(&mut self, _: &str, value: &[u8]) -> Result<bool, Refused> {
        Ok(value == b"known")
    }

    fn pull(&mut self, offset: u32, buffer: &mut [u8]) -> Result<Pulled, Refused> {
        let board = self.0.borrow();
        let image = board.finished.as_ref().ok_or(Refusal::NothingStored)?;
        let rest = image.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(Pulled { len, length: image.len() as u32, hash_prefix: [7; 8] })
    }

    fn info_count(&self) -> u16 {
        2
    }

    fn info<R>(&self, index: u16, tell: impl FnOnce(&str, Value<'_>) -> R) -> R {
        let (name, value) = [("uptime", Value::Unsigned(5)), ("link", Value::Text("up"))][usize::from(index)];
        tell(name, value)
    }

    async fn read(&mut self, request: &m::ReadRequest<'_>) -> Result<u8, Refused> {
        if request.sensor == Some("lux-1") { Ok(1) } else { Err(Refusal::NoSuchSensor.into()) }
    }

    fn read_item(&self, _: u8) -> Option<m::ReadItem<'_>> {
        Some(m::ReadItem {
            index: 9,
            count: 9,
            health: "ok",
            name: Some("illuminance"),
            raw: Some(1.0),
            filtered: None,
            unit: Some("lx"),
        })
    }

    async fn probe(&mut self, sda: u8, scl: u8) -> Result<Probed, Refused> {
        if sda == scl {
            return Err(Refusal::PinsRefused.into());
        }
        Ok(Probed { bus: m::bus::FREE, addresses: [0x29].into_iter().collect() })
    }

    fn monitor(&mut self, what: u8) {
        self.0.borrow_mut().monitored = what;
    }

    async fn rollback(&mut self) -> Result<u32, Refused> {
        let mut board = self.0.borrow_mut();
        board.rollbacks += 1;
        board.generation -= 1;
        Ok(board.generation)
    }

    async fn erase(&mut self, _: u8) -> Result<(), Refused> {
        self.0.borrow_mut().erases += 1;
        Ok(())
    }

    fn restart(&mut self) {
        self.0.borrow_mut().restarts += 1;
    }

    fn accepts_rate(&self, baud: u32) -> bool {
        baud <= 921_600
    }

    fn set_rate(&mut self, baud: u32) {
        self.0.borrow_mut().rates.push(baud);
    }

    async fn event(&mut self) -> Event<'static> {
        poll_fn(|_| self.0.borrow_mut().events.pop_front().map_or(Poll::Pending, Poll::Ready)).await
    }

    fn put_into_words<R>(&self, event: Event<'static>, tell: impl FnOnce(Event<'_>) -> R) -> R {
        tell(event)
    }
}

/// A line in memory: what the host wrote and the server has not read, and what the server wrote.
#[derive(Clone, Default)]
struct Line {
    to_board: Rc<RefCell<VecDeque<u8>>>,
    to_host: Rc<RefCell<Vec<u8>>>,
}

impl ErrorType for Line {
    type Error = Infallible;
}

impl Read for Line {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        poll_fn(|_| {
            let mut queue = self.to_board.borrow_mut();
            // Seven bytes at a time: frames never arrive in one piece.
            let count = queue.len().min(buffer.len()).min(7);
            if count == 0 {
                return Poll::Pending;
            }
            for (place, byte) in buffer.iter_mut().zip(queue.drain(..count)) {
                *place = byte;
            }
            Poll::Ready(Ok(count))
        })
        .await
    }
}

impl Write for Line {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.to_host.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A server between a line and a board, polled until it has nothing left to do.
struct Bench {
    line: Line,
    board: Rc<RefCell<Board>>,
    server: std::pin::Pin<Box<dyn Future<Output = ()>>>,
    number: u8,
}

/// A frame that the server sent, or text between frames.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sent {
    Frame(u8, u8, u8, Vec<u8>),
    Text(String),
}

impl Bench {
    fn new() -> Self {
        let (line, board) = (Line::default(), Rc::new(RefCell::new(Board::default())));
        let (ends, mut node) = (line.clone(), Scripted(board.clone()));
        let server = Box::pin(async move {
            let reader = ends.clone();
            serve(reader, ends, &mut node, None, &Presence::new()).await;
        });
        Bench { line, board, server, number: 0 }
    }

    fn poll(&mut self) -> Vec<Sent> {
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(&mut self.server).poll(&mut context).is_pending());
        let mut receiver = Receiver::new();
        let mut sent = Vec::new();
        for byte in self.line.to_host.take() {
            match receiver.push(byte) {
                Received::Nothing => {}
                Received::Frame(f) => sent.push(Sent::Frame(f.channel, f.kind, f.number, f.payload.to_vec())),
                Received::Text(text) => {
                    let text = String::from_utf8(text.to_vec()).unwrap();
                    if let Some(Sent::Text(line)) = sent.last_mut() {
                        line.push_str(&text);
                    } else {
                        sent.push(Sent::Text(text));
                    }
                }
                Received::Damaged(count) => panic!("the server sent {count} bytes that are no frame"),
            }
        }
        sent
    }

    fn write<'b, M: Message + Item<'b>>(&mut self, request: &M) -> u8 {
        self.number = self.number.wrapping_add(1);
        let frame = m::encode(request, self.number).unwrap();
        self.line.to_board.borrow_mut().extend(frame.as_bytes());
        self.number
    }

    /// Sends a request and returns the payloads of its replies, all of the given kind.
    fn ask_all<'b, M: Message + Item<'b>>(&mut self, request: &M, kind: u8) -> Vec<Vec<u8>> {
        let number = self.write(request);
        let sent = self.poll();
        sent.into_iter()
            .map(|sent| match sent {
                Sent::Frame(0, k, n, payload) if (k, n) == (kind, number) => payload,
                other => panic!("expected a reply of kind {kind:#x} to {number}, not {other:?}"),
            })
            .collect()
    }

    fn ask<'b, M: Message + Item<'b>>(&mut self, request: &M) -> Vec<u8> {
        let mut replies = self.ask_all(request, M::KIND | kind::REPLY);
        assert_eq!(replies.len(), 1);
        replies.remove(0)
    }

    fn refused<'b, M: Message + Item<'b>>(&mut self, request: &M) -> (Refusal, Option<u32>) {
        let replies = self.ask_all(request, kind::ERROR);
        let error: m::ErrorReply<'_> = m::decode(&replies[0]).unwrap();
        assert_eq!(error.request, M::KIND);
        (Refusal::from_number(error.refusal).unwrap(), error.detail)
    }

    fn begin(&mut self, length: usize) -> m::BeginReply {
        m::decode(&self.ask(&begin(length))).unwrap()
    }

    fn data(&mut self, offset: usize, bytes: &[u8]) -> u32 {
        let reply: m::DataReply =
            m::decode(&self.ask(&m::DataRequest { offset: offset as u32, bytes })).unwrap();
        reply.next
    }
}

fn begin(length: usize) -> m::BeginRequest<'static> {
    m::BeginRequest { length: length as u32, hash: HASH, flags: 0, device: "esp8266" }
}

fn end(length: usize) -> m::EndRequest {
    m::EndRequest { length: length as u32, hash: HASH }
}

fn image(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

#[test]
fn hello_tells_board_and_configuration() {
    let mut bench = Bench::new();
    let replies = bench.ask_all(&m::HelloRequest { major: 1, minor: 0 }, kind::HELLO | kind::REPLY);
    let board: m::HelloBoard<'_> = m::decode(&replies[0]).unwrap();
    let configuration: m::HelloConfiguration<'_> = m::decode(&replies[1]).unwrap();
    assert_eq!((board.part, board.major, board.boot_id), (0, 1, BOOT_ID));
    assert_eq!(
        (configuration.part, configuration.boot_id, configuration.device),
        (1, BOOT_ID, Some("esp8266"))
    );
}

#[test]
fn an_image_is_stored_and_started_once() {
    let mut bench = Bench::new();
    let image = image(600);
    assert_eq!(bench.begin(600), m::BeginReply { outcome: m::outcome::READY, next: 0, window: 2 });
    assert_eq!(bench.data(0, &image[..232]), 232);
    assert_eq!(bench.data(232, &image[232..464]), 464);
    // Asked again, the device goes on where it is and erases nothing.
    assert_eq!(bench.begin(600).next, 464);
    assert_eq!(bench.data(464, &image[464..]), 600);
    let reply: m::EndReply = m::decode(&bench.ask(&end(600))).unwrap();
    assert_eq!(reply.generation, 1);
    // END's reply was lost: the host asks again, and nothing happens twice.
    let again: m::EndReply = m::decode(&bench.ask(&end(600))).unwrap();
    assert_eq!(again, reply);
    let board = bench.board.borrow();
    assert_eq!(board.finished.as_ref(), Some(&image));
    assert_eq!((board.erases, board.started, board.generation), (1, 1, 1));
}

#[test]
fn the_running_image_is_not_stored_again() {
    let mut bench = Bench::new();
    bench.board.borrow_mut().unchanged = true;
    assert_eq!(bench.begin(600).outcome, m::outcome::UNCHANGED);
    assert_eq!(bench.board.borrow().erases, 0);
    assert_eq!(bench.refused(&m::DataRequest { offset: 0, bytes: &[1] }), (Refusal::NoTransfer, None));
}

#[test]
fn what_a_transfer_refuses() {
    let mut bench = Bench::new();
    assert_eq!(bench.refused(&end(600)), (Refusal::NoTransfer, None));
    let other = m::BeginRequest { device: "other", ..begin(600) };
    assert_eq!(bench.refused(&other), (Refusal::OtherDevice, None));
    bench.begin(600);
    bench.data(0, &[0; 10]);
    assert_eq!(bench.refused(&end(600)), (Refusal::Incomplete, Some(10)));
    assert_eq!(bench.refused(&end(601)), (Refusal::NoTransfer, None));
    assert_eq!(bench.refused(&m::DataRequest { offset: 599, bytes: &[0; 2] }), (Refusal::Malformed, None));
    bench.begin(600);
    assert_eq!(
        bench.refused(&m::DataRequest { offset: u32::MAX, bytes: &[0; 2] }),
        (Refusal::Malformed, None)
    );
    bench.begin(600);
    bench.board.borrow_mut().fault_at = Some(256);
    bench.data(0, &[0; 232]);
    bench.data(232, &[0; 232]);
    let piece = m::DataRequest { offset: 464, bytes: &[0; 136] };
    assert_eq!(bench.refused(&piece), (Refusal::FlashFault, Some(256)));
    assert_eq!(bench.refused(&piece), (Refusal::NoTransfer, None));
}

#[test]
fn unknown_and_malformed_requests_are_answered() {
    struct Newer;
    impl Message for Newer {
        const KIND: u8 = 0x70;
    }
    impl Item<'_> for Newer {
        fn read(_: &mut Reader<'_>) -> Self {
            Newer
        }

        fn write(&self, to: &mut Writer<'_>) {
            to.map(0);
        }
    }
    struct Broken;
    impl Message for Broken {
        const KIND: u8 = kind::PROBE;
    }
    impl Item<'_> for Broken {
        fn read(_: &mut Reader<'_>) -> Self {
            Broken
        }

        fn write(&self, to: &mut Writer<'_>) {
            to.text("no map");
        }
    }
    let mut bench = Bench::new();
    assert_eq!(bench.refused(&Newer), (Refusal::UnknownKind, None));
    assert_eq!(bench.refused(&Broken), (Refusal::Malformed, None));
}

#[test]
fn questions_are_answered() {
    let mut bench = Bench::new();
    let verdict: m::VerdictReply =
        m::decode(&bench.ask(&m::VerdictRequest { hash: HASH, generation: None })).unwrap();
    assert_eq!(verdict.elapsed_ms, Some(5));
    let secret = m::SecretRequest { name: "mqtt.password", value: b"known" };
    assert_eq!(m::decode(&bench.ask(&secret)), Ok(m::SecretReply { in_use: true }));
    let items = bench.ask_all(&m::InfoRequest {}, kind::INFO | kind::REPLY);
    let last: m::InfoItem<'_> = m::decode(&items[1]).unwrap();
    assert_eq!((last.index, last.count, last.name, last.value), (1, 2, "link", Value::Text("up")));
    let sensor =
        |name| m::ReadRequest { sensor: Some(name), driver: None, sda: None, scl: None, address: None };
    let reply = bench.ask(&sensor("lux-1"));
    let item: m::ReadItem<'_> = m::decode(&reply).unwrap();
    assert_eq!((item.index, item.count, item.raw), (0, 1, Some(1.0)));
    assert_eq!(bench.refused(&sensor("lux-2")).0, Refusal::NoSuchSensor);
    let reply = bench.ask(&m::ProbeRequest { sda: 4, scl: 5 });
    let found: m::ProbeReply<'_> = m::decode(&reply).unwrap();
    assert_eq!(found.addresses, [0x29]);
    assert_eq!(bench.refused(&m::ProbeRequest { sda: 4, scl: 4 }).0, Refusal::PinsRefused);
    assert_eq!(bench.refused(&m::PullRequest { offset: 0 }).0, Refusal::NothingStored);
}

#[test]
fn a_stored_image_is_pulled_in_pieces() {
    let mut bench = Bench::new();
    let image = image(500);
    bench.board.borrow_mut().finished = Some(image.clone());
    let mut pulled = Vec::new();
    loop {
        let reply = bench.ask(&m::PullRequest { offset: pulled.len() as u32 });
        let piece: m::PullReply<'_> = m::decode(&reply).unwrap();
        assert_eq!(piece.length, 500);
        if piece.bytes.is_empty() {
            break;
        }
        pulled.extend_from_slice(piece.bytes);
    }
    assert_eq!(pulled, image);
}

#[test]
fn what_is_done_to_the_board_is_done_once() {
    let mut bench = Bench::new();
    bench.board.borrow_mut().generation = 5;
    for _ in 0..2 {
        let reply = m::decode(&bench.ask(&m::RollbackRequest { generation: 5 }));
        assert_eq!(reply, Ok(m::RollbackReply { generation: Some(4) }));
    }
    assert_eq!(bench.board.borrow().rollbacks, 1);
    bench.ask(&m::RestartRequest { boot_id: 1 });
    assert_eq!(bench.board.borrow().restarts, 0);
    bench.ask(&m::RestartRequest { boot_id: BOOT_ID });
    assert_eq!(bench.board.borrow().restarts, 1);
    bench.ask(&m::EraseRequest { what: m::what::CONFIGURATIONS });
    assert_eq!(bench.refused(&m::RateRequest { baud: 4_000_000 }).0, Refusal::RateRefused);
    assert_eq!(m::decode(&bench.ask(&m::RateRequest { baud: 460_800 })), Ok(m::RateReply { baud: 460_800 }));
    assert_eq!(bench.board.borrow().rates, [460_800]);
}

#[test]
fn log_lines_are_text_until_a_monitor_wants_them() {
    let log = Event::Log(m::LogEvent { uptime_ms: 1, text: "broker connected" });
    let reading = Event::Reading(m::ReadingEvent {
        uptime_ms: 2,
        sensor: "lux-1",
        name: "illuminance",
        value: 1.0,
        unit: None,
    });
    let mut bench = Bench::new();
    bench.board.borrow_mut().events.extend([log, reading, log]);
    assert_eq!(bench.poll(), [Sent::Text("broker connected\r\nbroker connected\r\n".to_owned())]);
    let what = m::monitor::READINGS | m::monitor::LOG;
    assert_eq!(m::decode(&bench.ask(&m::MonitorRequest { what: what | 0x80 })), Ok(m::MonitorReply { what }));
    assert_eq!(bench.board.borrow().monitored, what);
    bench.board.borrow_mut().events.extend([log, reading]);
    let sent = bench.poll();
    let numbers: Vec<_> = sent.iter().map(|sent| matches!(sent, Sent::Frame(1, _, _, _))).collect();
    assert_eq!(numbers, [true, true], "{sent:?}");
    let [Sent::Frame(_, m1, 0, _), Sent::Frame(_, m2, 1, _)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((*m1, *m2), (kind::EVENT_LOG, kind::EVENT_READING));
}

proptest! {
    /// Pieces in any order, any overlap, any repetition: a page is written once, in order, and what is stored is what was
    /// sent, however the pieces come.
    #[test]
    fn any_order_of_pieces_gives_the_image(
        length in 1..1200usize,
        pieces in proptest::collection::vec((any::<prop::sample::Index>(), 1..=232usize), 0..60),
    ) {
        let mut bench = Bench::new();
        let image = image(length);
        bench.begin(length);
        let mut next = 0;
        for (at, len) in pieces {
            let from = at.index(length);
            let to = (from + len).min(length);
            let expected = if from <= next { next.max(to) } else { next };
            next = bench.data(from, &image[from..to]) as usize;
            prop_assert_eq!(next, expected);
        }
        while next < length {
            next = bench.data(next, &image[next..(next + 232).min(length)]) as usize;
        }
        bench.ask(&end(length));
        let finished = bench.board.borrow().finished.clone();
        prop_assert_eq!(finished, Some(image));
    }

    /// Any bytes at all: the server lives, and a proper request after a zero byte is answered.
    #[test]
    fn noise_is_survived(noise in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut bench = Bench::new();
        bench.line.to_board.borrow_mut().extend(noise);
        bench.poll();
        let replies = bench.ask_all(&m::HelloRequest { major: 1, minor: 0 }, kind::HELLO | kind::REPLY);
        prop_assert_eq!(replies.len(), 2);
    }
}
