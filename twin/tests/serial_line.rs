//! The serial line: pace, FIFO, noise, boot messages.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::serial_line::{FIFO_SIZE, Noise, SerialLine, SerialReader};
use embassy_time::{Duration, Instant};
use embedded_io_async::{Read, Write};

/// Polls a future once; none while it waits.
fn poll<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn read_all(reader: &mut SerialReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 64];
    while let Some(count) = poll(reader.read(&mut buffer)) {
        bytes.extend_from_slice(&buffer[..count.unwrap()]);
    }
    bytes
}

#[test]
fn a_byte_takes_ten_bit_times_either_way() {
    let (clock, line) = (Clock::virtual_time(), SerialLine::new());
    let _entered = clock.enter();
    let (mut reader, mut writer) = line.board();
    line.host_write(clock.now(), &[1; 100]);
    assert!(read_all(&mut reader).is_empty());
    // 100 bytes of 10 bits at 115,200 bits per second: 8,680.6 µs.
    clock.wait_until(Instant::from_micros(8_680));
    assert_eq!(read_all(&mut reader).len(), 99);
    clock.wait_until(Instant::from_micros(8_681));
    assert_eq!(read_all(&mut reader).len(), 1);

    assert_eq!(poll(writer.write(&[2; 100])).unwrap().unwrap(), 100);
    let mut heard = Vec::new();
    clock.block_for(Duration::from_micros(8_680));
    line.host_read(clock.now(), &mut heard);
    assert_eq!(heard.len(), 99);
    clock.block_for(Duration::from_micros(1));
    line.host_read(clock.now(), &mut heard);
    assert_eq!(heard, [2; 100]);
}

#[test]
fn a_full_transmit_fifo_makes_the_writer_wait() {
    let (clock, line) = (Clock::virtual_time(), SerialLine::new());
    let _entered = clock.enter();
    let (_, mut writer) = line.board();
    assert_eq!(poll(writer.write(&[0; 300])).unwrap().unwrap(), FIFO_SIZE);
    // The first byte is in the shift register and has left the FIFO.
    assert_eq!(poll(writer.write(&[0; 2])).unwrap().unwrap(), 1);
    assert!(poll(writer.write(&[0; 1])).is_none());
    assert!(poll(writer.flush()).is_none());
    clock.wait_until(line.next_event().unwrap());
    clock.block_for(Duration::from_millis(12));
    assert!(poll(writer.flush()).is_some());
}

#[test]
fn a_stalled_board_keeps_128_bytes_and_counts_the_rest() {
    for stall_ms in [45, 400] {
        let (clock, line) = (Clock::virtual_time(), SerialLine::new());
        let _entered = clock.enter();
        let (mut reader, _) = line.board();
        let sent: Vec<u8> = (0..=255).collect();
        line.host_write(clock.now(), &sent);
        clock.block_for(Duration::from_millis(stall_ms));
        assert_eq!(read_all(&mut reader), sent[..FIFO_SIZE]);
        assert_eq!(line.counts().overruns, 128);
    }
}

#[test]
fn a_page_program_loses_nothing() {
    let (clock, line) = (Clock::virtual_time(), SerialLine::new());
    let _entered = clock.enter();
    let (mut reader, _) = line.board();
    line.host_write(clock.now(), &[7; 2000]);
    let mut count = 0;
    while count < 2000 {
        // 5 ms is more than any data sheet's page program.
        clock.block_for(Duration::from_millis(5));
        count += read_all(&mut reader).len();
    }
    assert_eq!(line.counts().overruns, 0);
}

#[test]
fn noise_repeats_with_its_seed_and_comes_as_often_as_asked() {
    let damage = |seed| {
        let (clock, line) = (Clock::virtual_time(), SerialLine::new());
        let _entered = clock.enter();
        line.set_noise(Noise::new(seed, 10_000, 10_000, 10_000));
        let (mut reader, _) = line.board();
        let mut heard = Vec::new();
        for _ in 0..1000 {
            line.host_write(clock.now(), &[0x55; 100]);
            clock.wait_until(line.host_idle_at());
            heard.extend(read_all(&mut reader));
        }
        (heard, line.counts())
    };
    let (heard, counts) = damage(1);
    assert_eq!(damage(1), (heard.clone(), counts));
    assert_ne!(damage(2).0, heard);
    // 3 % of 100,000 bytes; the deviation of such a count is 54.
    assert!((2_700..3_300).contains(&counts.damaged), "{counts:?}");
    assert_eq!(counts.overruns, 0);
}

#[test]
fn a_restart_empties_the_fifos_and_prints_at_another_speed() {
    let (clock, line) = (Clock::virtual_time(), SerialLine::new());
    let _entered = clock.enter();
    let (mut reader, mut writer) = line.board();
    line.host_write(clock.now(), b"lost");
    poll(writer.write(b"lost as well")).unwrap().unwrap();
    clock.block_for(Duration::from_micros(500));
    line.restart_board(clock.now());
    clock.block_for(Duration::from_millis(100));
    assert!(read_all(&mut reader).is_empty());
    let mut heard = Vec::new();
    line.host_read(clock.now(), &mut heard);
    assert!(
        heard.starts_with(b"lost ") && !heard.starts_with(b"lost as"),
        "what was on the wire arrives: {heard:?}"
    );
    let binary = heard.iter().filter(|byte| !byte.is_ascii()).count();
    assert!(binary > 5, "boot messages at 74,880 are rubbish at 115,200");
    // A host that listens at 74,880 reads them.
    line.set_host_rate(74_880);
    line.restart_board(clock.now());
    clock.block_for(Duration::from_millis(100));
    heard.clear();
    line.host_read(clock.now(), &mut heard);
    assert!(String::from_utf8(heard).unwrap().contains("rst cause:2"));
}
