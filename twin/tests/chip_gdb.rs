//! GDB's protocol, spoken to the emulated chip and to QEMU's `lx106` side by side: the same packets get the same answers.
//!
//! No GDB for this processor is in Debian; QEMU's own stub, which is made for it, is the judge. Needs `qemu-system-xtensa` and
//! `xtensa-lx106-elf-gcc`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use dunlin_twin::chip::gdb::Gdb;
use dunlin_twin::chip::peripherals::rtc::Cause;
use dunlin_twin::chip::time::Time;
use dunlin_twin::chip::{Chip, End, Settings};
use dunlin_twin::devices::i2c::Wiring;
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use dunlin_twin::host::gdb_server::GdbServer;
use embassy_time::Instant;

/// Where the program lies in the chip's RAM, and in QEMU's.
const CHIP: u32 = 0x4010_0000;
const QEMU: u32 = 0x5000_0000;
/// The program, and where its loop begins.
const PROGRAM: &str = "
.text
.global _start
_start:
    movi a2, 5
    movi a3, 7
    add a4, a2, a3
loop:
    addi a2, a2, 1
    add a4, a4, a2
    j loop
";
const LOOP: u32 = 9;
/// GDB's numbers of pc and sar.
const PC: usize = 16;
const SAR: usize = 17;

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// Assembles the program for an address; returns the ELF's path and the bytes.
fn assemble(name: &str, address: u32) -> (PathBuf, Vec<u8>) {
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gdb-{name}.S"));
    let (elf, binary) = (source.with_extension("elf"), source.with_extension("bin"));
    std::fs::write(&source, PROGRAM).unwrap();
    let place = format!("-Wl,-Ttext={address:#x}");
    run(Command::new("xtensa-lx106-elf-gcc")
        .args([
            "-nostdlib",
            "-nostartfiles",
            "-Wa,--no-transform",
            "-Wl,-N,--no-warn-rwx-segments",
            &place,
            "-o",
        ])
        .arg(&elf)
        .arg(&source));
    let copy = ["-O", "binary", "-j", ".text"];
    run(Command::new("xtensa-lx106-elf-objcopy").args(copy).arg(&elf).arg(&binary));
    let mut bytes = std::fs::read(&binary).unwrap();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    (elf, bytes)
}

/// Undoes the run-length encoding (GDB's manual, "Remote Protocol Overview"): a character, `*`, and how often it is repeated.
fn plain(answer: &str) -> String {
    let mut plain = String::new();
    let mut characters = answer.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' => {
                let count = characters.next().unwrap() as usize - 29;
                let last = plain.chars().last().unwrap();
                plain.extend(std::iter::repeat_n(last, count));
            }
            other => plain.push(other),
        }
    }
    plain
}

/// A client that speaks the remote protocol (GDB's manual, appendix "Remote Serial Protocol").
struct Client(TcpStream);

impl Client {
    fn connect(address: SocketAddr) -> Self {
        for _ in 0..600 {
            match TcpStream::connect(address) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                    return Client(stream);
                }
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    thread::sleep(Duration::from_millis(50));
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("nobody listens on {address}");
    }

    fn send(&mut self, packet: &str) {
        let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
        write!(self.0, "${packet}#{sum:02x}").unwrap();
    }

    /// Sends a packet and returns the answer.
    fn ask(&mut self, packet: &str) -> String {
        self.send(packet);
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut byte = [0];
        let mut next = || {
            self.0.read_exact(&mut byte).unwrap();
            byte[0]
        };
        while next() != b'$' {}
        let answer: String =
            std::iter::from_fn(|| Some(next()).filter(|byte| *byte != b'#')).map(char::from).collect();
        next();
        next();
        self.0.write_all(b"+").unwrap();
        plain(&answer)
    }

    /// Returns the registers of a `g` packet; none where one is unknown.
    fn registers(&mut self) -> Vec<Option<u32>> {
        let text = self.ask("g");
        let words = text.as_bytes().chunks(8).map(|word| std::str::from_utf8(word).unwrap());
        words.map(|word| u32::from_str_radix(word, 16).ok().map(u32::swap_bytes)).collect()
    }
}

/// Returns whether an answer tells that the program has stopped with this signal.
fn is_stop(answer: &str, signal: &str) -> bool {
    answer.strip_prefix(['S', 'T']).is_some_and(|rest| rest.starts_with(signal))
}

/// Does what a person with GDB does, and writes down what it shows; addresses count from the program's start.
fn session(client: &mut Client, start: u32) -> Vec<String> {
    let mut seen = Vec::new();
    assert!(client.ask("?").starts_with(['S', 'T']));
    // The whole `g` packet is written: a0 to a15, pc, sar, three that not everyone has, ps.
    let given = (0..16).map(|number| 0x11 + number).chain([start, 0x12, 0, 0, 0, 0x1f]);
    let given: String = given.map(|value| format!("{:08x}", value.swap_bytes())).collect();
    assert_eq!(client.ask(&format!("G{given}")), "OK");
    let shown = |client: &mut Client| {
        let mut registers = client.registers();
        registers[PC] = registers[PC].map(|pc| pc.wrapping_sub(start));
        format!("{} registers, {:x?}", registers.len(), &registers[..=SAR])
    };
    seen.push(shown(client));
    seen.push(client.ask(&format!("m{start:x},10")));
    for _ in 0..2 {
        let stop = client.ask("s");
        assert!(is_stop(&stop, "05"), "{stop}");
        seen.push(shown(client));
    }
    let place = format!("0,{:x},3", start + LOOP);
    assert_eq!(client.ask(&format!("Z{place}")), "OK");
    for round in 0..3 {
        // As GDB does, which steps off a breakpoint first.
        if round > 0 {
            client.ask("s");
        }
        let stop = client.ask("c");
        assert!(is_stop(&stop, "05"), "{stop}");
        seen.push(shown(client));
    }
    assert_eq!(client.ask(&format!("z{place}")), "OK");
    // It runs until it is interrupted, somewhere in the loop.
    client.send("c");
    thread::sleep(Duration::from_millis(100));
    client.0.write_all(&[3]).unwrap();
    let stop = client.answer();
    assert!(is_stop(&stop, "02"), "{stop}");
    let pc = client.registers()[PC].unwrap() - start;
    assert!((LOOP..LOOP + 9).contains(&pc), "{pc}");
    assert_eq!(client.ask("D"), "OK");
    seen
}

/// QEMU, which ends with the value.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn session_with_qemu() -> Vec<String> {
    let (elf, _) = assemble("qemu", QEMU);
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let mut command = Command::new("qemu-system-xtensa");
    command.args(["-M", "sim", "-cpu", "lx106", "-nographic", "-monitor", "none", "-serial", "none", "-S"]);
    command.arg("-kernel").arg(elf).arg("-gdb").arg(format!("tcp:{address}"));
    let _qemu = Qemu(command.stdin(Stdio::null()).spawn().unwrap());
    session(&mut Client::connect(address), QEMU)
}

/// A chip whose boot ROM has started the program.
fn chip(name: &str) -> Chip {
    let (_, text) = assemble(name, CHIP);
    let mut image = vec![0xe9, 1, 0, 0];
    for word in [CHIP, CHIP, text.len() as u32] {
        image.extend_from_slice(&word.to_le_bytes());
    }
    image.extend_from_slice(&text);
    image.resize(image.len() | 15, 0);
    image.push(text.iter().fold(0xef, |sum, byte| sum ^ byte));
    image.resize(1 << 20, 0xff);
    let mut chip = Chip::new(Settings {
        flash: NorFlash::with_contents(image),
        timing: Timing::default(),
        wiring: Wiring::new(),
        chip_id: 1,
        seed: 1,
        origin: Instant::from_ticks(0),
    });
    assert_eq!(chip.reset(Cause::PowerOn), End::Reset(Cause::PowerOn));
    chip
}

#[test]
fn a_debugger_sees_the_same_as_in_qemu() {
    let (sender, address) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let board = thread::spawn(move || {
        let mut chip = chip("chip");
        let mut server = GdbServer::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        sender.send(server.address()).unwrap();
        let mut halted_for = 0;
        while ended.try_recv().is_err() {
            server.step(&mut chip);
            let before = chip.now();
            let end = chip.run_until(Time(before.0 + Time::from_micros(100).0));
            assert_eq!(end, End::Time);
            if chip.is_halted() {
                halted_for += u64::from(chip.now() == before);
                thread::sleep(Duration::from_micros(100));
            }
        }
        assert!(halted_for > 0, "a halted chip stands outside of time");
        // GDB has gone: the program goes on.
        assert!(!chip.is_halted());
        let before = chip.executed();
        chip.run_until(Time(chip.now().0 + Time::from_micros(100).0));
        assert!(chip.executed() > before);
    });
    let seen = session(&mut Client::connect(address.recv().unwrap()), CHIP);
    end.send(()).unwrap();
    board.join().unwrap();
    assert_eq!(seen, session_with_qemu());
}

#[test]
fn registers_are_read_and_written_one_by_one() {
    let mut chip = chip("registers");
    let mut gdb = Gdb::attach(&mut chip);
    let mut ask = |packet: &str| {
        let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
        gdb.receive(&mut chip, format!("${packet}#{sum:02x}").as_bytes());
        let answer = String::from_utf8(gdb.take_outgoing()).unwrap();
        plain(answer.trim_start_matches(['+', '$']).split('#').next().unwrap())
    };
    // a0, a15, pc, sar, epc1, epc2, excsave1, excsave3, by GDB's numbers.
    for number in [0, 15, PC, SAR, 28, 29, 34, 36] {
        let value = format!("{:08x}", (0x21 + number as u32).swap_bytes());
        assert_eq!(ask(&format!("P{number:x}={value}")), "OK", "register {number}");
        assert_eq!(ask(&format!("p{number:x}")), value, "register {number}");
    }
    assert_eq!(chip.core().pc, 0x31);
    assert_eq!(chip.core().special.epc[0], 0x3d);
    assert_eq!(chip.core().special.excsave[2], 0x45);
}

#[test]
fn rubbish_from_a_debugger_harms_nothing() {
    let mut chip = chip("rubbish");
    let mut gdb = Gdb::attach(&mut chip);
    let packets: [&[u8]; 7] = [
        b"$g#00",
        b"$mffffffff,ffffffff#10",
        b"$Mffffffff,4:00000000#00",
        b"+++---$$$###",
        b"$P99=00000000#00",
        b"$p3e8#00",
        &[0xff; 200],
    ];
    for packet in packets {
        if gdb.is_over() {
            gdb = Gdb::attach(&mut chip);
        }
        gdb.receive(&mut chip, packet);
        gdb.step(&mut chip);
        gdb.take_outgoing();
    }
    chip.release();
    assert_eq!(chip.run_until(Time(chip.now().0 + 100_000)), End::Time);
}
