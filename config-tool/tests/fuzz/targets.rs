//! What is fed, and with what it begins.

use std::path::Path;

use dunlin::compile::{Source, budget, compile, difference, parse_scenario, show};
use dunlin_agent::store::Store;
use dunlin_config_format::config::Config;
use dunlin_config_format::flash_map::{IDENTITIES, SLOTS};
use dunlin_config_format::frame::{Encoded, Frame, Received, Receiver};
use dunlin_config_format::image::{HEADER_SIZE, Header, Image};
use dunlin_config_format::limits::BODY_SIZE;
use dunlin_twin::devices::nor_flash::NorFlash;
use dunlin_twin::world::broker::Broker;
use embassy_time::Instant;

use crate::board::Board;

/// Takes an input; a panic is a fault that was found.
type Feed = Box<dyn FnMut(&[u8])>;

/// Something that parses.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) corpus: fn() -> Vec<Vec<u8>>,
    /// Makes what takes the inputs of one round.
    pub(crate) start: fn() -> Feed,
}

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "file", corpus: files, start: || Box::new(file) },
    Target { name: "scenario", corpus: scenarios, start: || Box::new(scenario) },
    Target { name: "image", corpus: images, start: || Box::new(image) },
    Target { name: "frames", corpus: frames, start: frame_bytes },
    Target { name: "flash", corpus: flash_contents, start: || Box::new(flash) },
    Target { name: "line", corpus: requests, start: over_the_line },
    Target { name: "mqtt", corpus: payloads, start: over_mqtt },
    Target { name: "broker", corpus: packets, start: to_a_broker },
    Target { name: "node", corpus: packets, start: to_a_node },
];

fn folder(path: &str, ending: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(ending));
    paths.sort();
    let files: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!files.is_empty());
    files
}

fn files() -> Vec<Vec<u8>> {
    [folder("examples/configs", ".toml"), folder("config-tool/tests/broken", ".toml")].concat()
}

fn source(input: &[u8]) -> Source {
    Source { name: "fuzz".to_owned(), text: String::from_utf8_lossy(input).into_owned() }
}

/// What compiles can be shown, and comes back.
fn file(input: &[u8]) {
    let source = source(input);
    let compiled = compile(&source);
    for problem in &compiled.diagnostics {
        assert!(!problem.human(&source, true).is_empty() && !problem.json(&source).is_empty());
    }
    assert!(compiled.image.is_some() || !compiled.diagnostics.is_empty());
    if let Some(image) = compiled.image {
        let shown = show(&image).unwrap();
        assert!(shown.is_exact, "{}", shown.text);
        assert!(!budget(&image).is_empty());
    }
}

fn scenarios() -> Vec<Vec<u8>> {
    folder("examples/configs", ".scenario.toml")
}

fn scenario(input: &[u8]) {
    let _ = parse_scenario(&source(input), Some(1), |_| Ok("time,illuminance\n0,1\n".to_owned()));
}

fn images() -> Vec<Vec<u8>> {
    let compiled = |text: Vec<u8>| compile(&source(&text)).image;
    folder("examples/configs", ".toml").into_iter().filter_map(compiled).collect()
}

fn image(input: &[u8]) {
    let _ = Image::parse(input);
    let _ = show(input);
    let _ = budget(input);
    // Behind a header that fits, so that the body is reached.
    let body = input.get(HEADER_SIZE..).unwrap_or_default();
    let _ = Config::names(body);
    if body.len() > BODY_SIZE {
        return;
    }
    let whole = [&Header::new(body, &[]).encode()[..], body].concat();
    if Config::decode(body).is_ok() {
        let shown = show(&whole).unwrap();
        assert!(!shown.text.is_empty() && difference(&whole, &whole).is_ok());
        assert!(!budget(&whole).is_empty());
    }
}

/// Payloads of every request, each behind its kind.
fn requests() -> Vec<Vec<u8>> {
    let bodies: [(u8, &[u8]); 14] = [
        (0x01, b"\xa1\x00\x01"),
        (0x02, b"\xa3\x00\x18\x91\x01\x58\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x02\xf4"),
        (0x03, b"\xa2\x00\x00\x01\x48abcdefgh"),
        (0x04, b"\xa1\x00\x58\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        (0x05, b"\xa0"),
        (0x06, b"\xa2\x00\x6dmqtt.password\x01\x44pass"),
        (0x07, b"\xa2\x00\x00\x01\x18\x80"),
        (0x08, b"\xa0"),
        (0x09, b"\xa1\x00\x65lux-1"),
        (0x0a, b"\xa2\x00\x04\x01\x05"),
        (0x0b, b"\xa1\x00\x0f"),
        (0x0c, b"\xa0"),
        (0x0d, b"\xa1\x00\x01"),
        (0x0f, b"\xa1\x00\x1a\x00\x03\x84\x00"),
    ];
    bodies.iter().map(|(kind, body)| [&[*kind], *body].concat()).collect()
}

fn encoded(input: &[u8], number: u8) -> Option<Encoded> {
    let (kind, payload) = input.split_first()?;
    Encoded::new(&Frame { channel: 0, kind: *kind, number, payload }).ok()
}

fn frames() -> Vec<Vec<u8>> {
    requests()
        .iter()
        .filter_map(|request| encoded(request, 7))
        .map(|frame| frame.as_bytes().to_vec())
        .collect()
}

/// However the bytes are spoilt, a whole frame behind them is received.
fn frame_bytes() -> Feed {
    let mut receiver = Receiver::new();
    let good = encoded(b"\x08\xa0", 9).unwrap();
    Box::new(move |input| {
        for byte in input {
            let _ = receiver.push(*byte);
        }
        let mut is_frame =
            |byte: &u8| matches!(receiver.push(*byte), Received::Frame(frame) if frame.number == 9);
        let received = [0].iter().chain(good.as_bytes()).filter(|byte| is_frame(byte)).count();
        assert_eq!(received, 1, "a frame behind rubbish");
    })
}

fn flash_contents() -> Vec<Vec<u8>> {
    let mut corpus = images();
    corpus.push(vec![0; 64]);
    corpus.push(b"mqtt.password".to_vec());
    corpus
}

/// A start on any flash: nothing is written, whatever is run is readable, and an update goes well.
fn flash(input: &[u8]) {
    let chip = NorFlash::new(1 << 20);
    let (first, second) = input.split_at(input.len() / 2);
    chip.poke(SLOTS[0].address, input);
    chip.poke(SLOTS[1].address, second);
    chip.poke(IDENTITIES[0].address, first);
    chip.poke(IDENTITIES[1].address, second);
    let before = chip.counts();
    let mut store = Store::new(chip.clone());
    let mut body = [0; BODY_SIZE];
    if let Some(loaded) = store.load(&mut body) {
        assert!(Config::decode(&body[..loaded.body_len]).is_ok());
    }
    let _ = (store.secret("mqtt.password"), store.newest(), store.given_up());
    assert_eq!(chip.counts(), before, "a start has written");
    let image = images().remove(0);
    let hash = Image::parse(&image).unwrap().header.hash;
    store.begin(image.len() as u32, &hash, true).unwrap();
    for (index, page) in (0..).zip(image.chunks(256)) {
        store.write_page(256 * index, page).unwrap();
    }
    store.finish(&hash).unwrap();
    store.put_secret("mqtt.password", b"pass").unwrap();
    assert_eq!(store.load(&mut body).map(|loaded| loaded.hash), Some(hash));
}

fn over_the_line() -> Feed {
    let mut board = Board::new(&images()[0]);
    let mut number = 0_u8;
    Box::new(move |input| {
        number = number.wrapping_add(1);
        if let Some(frame) = encoded(input, number) {
            board.write(frame.as_bytes());
        }
        board.write(input);
        board.run_ms(20);
        assert!(board.is_alive(), "the board does not answer any more");
    })
}

fn payloads() -> Vec<Vec<u8>> {
    ["lux-1", "{\"sensor\":\"lux-1\"}", "{\"sensor\":\"\\u0000\",\"x\":[1,{}]}", "{}", ""]
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect()
}

fn over_mqtt() -> Feed {
    let mut board = Board::new(&images()[0]);
    board.run_ms(2000);
    let mut turn = 0;
    Box::new(move |input| {
        turn += 1;
        board.ask(["read", "info", "set", "", "other"][turn % 5], input);
        board.run_ms(20);
        if turn % 50 == 0 {
            assert!(board.is_connected_after_ms(400), "the node has left the broker");
        }
    })
}

/// Packets of MQTT 5 and 3.1.1, whole sessions and single ones.
fn packets() -> Vec<Vec<u8>> {
    let packets: [&[u8]; 9] = [
        b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01s\x82\x06\x00\x01\x00\x01#\x00\xc0\x00",
        b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01s\x82\x07\x00\x01\x00\x00\x01#\x01",
        b"\x20\x03\x00\x00\x00",
        b"\x32\x0b\x00\x03a/b\x00\x01\x00xyz",
        b"\x30\x08\x00\x03a/b\x00zz",
        b"\x40\x02\x00\x01\x50\x02\x00\x01\x62\x02\x00\x01\x70\x02\x00\x01",
        b"\x90\x04\x00\x01\x00\x01\xd0\x00\xe0\x02\x8e\x00",
        b"\xa2\x06\x00\x02\x00\x00\x01#\xb0\x04\x00\x02\x00\x00",
        b"\x33\x30\x00\x1ddunlin/tutorial/request/read\x00\x05\x08\x00\x01r\x09\x00\x01c\x02lux-1",
    ];
    packets.iter().map(|packet| packet.to_vec()).collect()
}

fn to_a_broker() -> Feed {
    let mut broker = Broker::new();
    let mut now = Instant::from_secs(1);
    Box::new(move |input| {
        let Some(connection) = broker.open(now) else { return };
        for piece in input.chunks(7) {
            broker.receive(now, connection, piece);
            let len = broker.output(connection).len();
            broker.consume_output(connection, len);
        }
        broker.close(now, connection);
        now += embassy_time::Duration::from_millis(10);
        broker.step(now);
    })
}

/// A broker that says anything: the node comes back each time.
fn to_a_node() -> Feed {
    let mut board = Board::new(&images()[0]);
    Box::new(move |input| {
        board.hear(input);
        board.run_ms(50);
        assert!(board.is_alive(), "the board does not answer any more");
    })
}
