//! The steps of flash operations, on a controller that behaves as the chip's SPI0 with a 25-series chip behind it: the
//! twin's NOR flash, and around it the write enable latch, the busy bit, protection, and a clock.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use dunlin_firmware::flash::steps::{
    CHUNK_SIZE, CHUNK_WORDS, Controller, Fault, command, erase_sector, program, read_id, size_of, step_len,
    unprotect,
};
use dunlin_twin::devices::nor_flash::NorFlash;
use embedded_storage::nor_flash::{NorFlash as _, ReadNorFlash};

struct Spi {
    flash: NorFlash,
    address: u32,
    status_read: u32,
    status_written: u32,
    words: [u32; 16],
    command_ends: u32,
    time: u32,
    is_enabled: bool,
    protection: u32,
    busy_until: u32,
    /// How long erasing takes, in counts of 0.2 µs.
    erase: u32,
    log: Vec<u32>,
    feeds: u32,
    fault: Option<Broken>,
}

/// What is wrong with the chip.
#[derive(Clone, Copy, PartialEq)]
enum Broken {
    ControllerHangs,
    StaysBusy,
    NeverEnabled,
    DropsABit,
    ProtectionIsFixed,
}

impl Spi {
    fn new() -> Self {
        Spi {
            flash: NorFlash::new(0x10_0000),
            address: 0,
            status_read: 0,
            status_written: 0,
            words: [0xdead_beef; 16],
            command_ends: 0xffff_f000,
            time: 0xffff_f000,
            is_enabled: false,
            protection: 0,
            busy_until: 0xffff_f000,
            erase: 45_000 * 5,
            log: Vec::new(),
            feeds: 0,
            fault: None,
        }
    }

    fn chip_is_busy(&self) -> bool {
        self.fault == Some(Broken::StaysBusy) || (self.busy_until.wrapping_sub(self.time) as i32) > 0
    }

    /// Takes the latch for an operation; a chip that is not enabled, busy or protected ignores it.
    fn begin(&mut self, takes: u32) -> bool {
        let is_taken = self.is_enabled && !self.chip_is_busy();
        self.is_enabled = false;
        if is_taken {
            self.busy_until = self.time.wrapping_add(takes);
        }
        is_taken
    }

    fn place(&self) -> (u32, usize) {
        let count = self.address >> 24;
        assert!((1..64).contains(&count), "reading or programming {count} bytes at once hangs or wraps");
        (self.address & 0xff_ffff, count as usize)
    }
}

impl Controller for Spi {
    fn start(&mut self, command: u32) {
        assert!(!self.is_busy(), "a command while another is under way");
        self.log.push(command);
        self.command_ends = self.time.wrapping_add(20);
        match command {
            command::READ_STATUS => {
                let status =
                    u32::from(self.chip_is_busy()) | u32::from(self.is_enabled) << 1 | self.protection;
                self.status_read |= status;
            }
            command::READ_ID => {
                self.words[0] = 0xdd00_40ef | self.flash.capacity().ilog2() << 16;
            }
            command::WRITE_ENABLE => {
                self.is_enabled = !self.chip_is_busy() && self.fault != Some(Broken::NeverEnabled);
            }
            command::WRITE_STATUS => {
                if self.begin(50_000) && self.fault != Some(Broken::ProtectionIsFixed) {
                    self.protection = self.status_written & 0x3c;
                }
            }
            command::ERASE_SECTOR => {
                assert_eq!(self.address & 0xfff, 0);
                if self.begin(self.erase) && self.protection == 0 {
                    self.flash.erase(self.address, self.address + 4096).unwrap();
                }
            }
            command::PROGRAM => {
                let (address, count) = self.place();
                assert_eq!(
                    address / 256,
                    (address + count as u32 - 1) / 256,
                    "the chip wraps inside the page"
                );
                if self.begin(700 * 5) && self.protection == 0 {
                    let mut bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
                    bytes.truncate(count);
                    if self.fault == Some(Broken::DropsABit) {
                        bytes[count - 1] ^= 0x10;
                    }
                    self.flash.write(address, &bytes).unwrap();
                }
            }
            command::READ => {
                let (address, count) = self.place();
                assert!(!self.chip_is_busy(), "reads while the chip is busy");
                let mut bytes = vec![0; count];
                self.flash.read(address, &mut bytes).unwrap();
                for (word, bytes) in self.words.iter_mut().zip(bytes.chunks(4)) {
                    *word = u32::from_le_bytes(bytes.try_into().unwrap());
                }
            }
            other => panic!("command {other:#x}"),
        }
    }

    fn is_busy(&mut self) -> bool {
        self.fault == Some(Broken::ControllerHangs) || (self.command_ends.wrapping_sub(self.time) as i32) > 0
    }

    fn set_address(&mut self, address: u32) {
        self.address = address;
    }

    fn status(&mut self) -> u32 {
        self.status_read
    }

    fn set_status(&mut self, status: u32) {
        (self.status_read, self.status_written) = (status, status);
    }

    fn word(&mut self, index: usize) -> u32 {
        self.words[index]
    }

    fn set_word(&mut self, index: usize, word: u32) {
        self.words[index] = word;
    }

    fn count(&mut self) -> u32 {
        self.time = self.time.wrapping_add(10);
        self.time
    }

    fn feed(&mut self) {
        self.feeds += 1;
    }
}

fn read(spi: &mut Spi, address: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0xa5; len];
    spi.flash.read(address, &mut bytes).unwrap();
    bytes
}

/// Programs as the driver does.
fn write(spi: &mut Spi, address: u32, bytes: &[u8]) -> Result<(), Fault> {
    let (mut address, mut rest) = (address, bytes);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(step_len(address, rest.len() as u32) as usize);
        let mut words = [u32::MAX; CHUNK_WORDS];
        for (word, bytes) in words.iter_mut().zip(now.chunks(4)) {
            *word = u32::from_le_bytes(bytes.try_into().unwrap());
        }
        program(spi, address, &words, now.len() / 4)?;
        (address, rest) = (address + now.len() as u32, later);
    }
    Ok(())
}

#[test]
fn what_is_programmed_can_be_read_at_every_alignment_and_length() {
    let bytes: Vec<u8> = (0..600u32).map(|n| (n * 7 + 3) as u8).collect();
    for start in (0..64).step_by(4) {
        for len in [4, 28, 32, 36, 252, 256, 260, 600] {
            let mut spi = Spi::new();
            let address = 0xa_8000 + 192 + start;
            erase_sector(&mut spi, 0xa_8000).unwrap();
            write(&mut spi, address, &bytes[..len]).unwrap();
            assert_eq!(read(&mut spi, address, len), bytes[..len]);
            assert_eq!(read(&mut spi, address - 4, 4), [0xff; 4]);
            assert_eq!(read(&mut spi, address + len as u32, 4), [0xff; 4]);
            assert_eq!(spi.flash.counts().misuses, 0);
        }
    }
}

#[test]
fn every_sector_gets_a_write_enable_of_its_own_and_the_watchdog_is_fed() {
    let mut spi = Spi::new();
    for address in [0xa_8000, 0xa_9000, 0xa_a000] {
        write(&mut spi, address, &[0; 8]).unwrap();
    }
    for address in [0xa_8000, 0xa_9000, 0xa_a000] {
        erase_sector(&mut spi, address).unwrap();
        assert_eq!(read(&mut spi, address, 4096), [0xff; 4096]);
    }
    let changes: Vec<u32> = spi
        .log
        .iter()
        .copied()
        .filter(|c| [command::WRITE_ENABLE, command::PROGRAM, command::ERASE_SECTOR].contains(c))
        .collect();
    let program = [command::WRITE_ENABLE, command::PROGRAM];
    let erase = [command::WRITE_ENABLE, command::ERASE_SECTOR];
    assert_eq!(changes, [program, program, program, erase, erase, erase].concat());
    assert!(spi.feeds > 100);
}

#[test]
fn a_slow_chip_is_waited_for_and_a_broken_one_is_not() {
    let mut spi = Spi::new();
    spi.erase = 400_000 * 5;
    erase_sector(&mut spi, 0xa_8000).unwrap();
    let faults = [
        (Broken::ControllerHangs, Fault::Timeout),
        (Broken::StaysBusy, Fault::Timeout),
        (Broken::NeverEnabled, Fault::NotEnabled),
        (Broken::DropsABit, Fault::Verify),
    ];
    for (broken, fault) in faults {
        let mut spi = Spi::new();
        spi.fault = Some(broken);
        assert_eq!(program(&mut spi, 0xa_8000, &[0x1234_5678; CHUNK_WORDS], 8), Err(fault));
        if broken != Broken::DropsABit {
            assert_eq!(erase_sector(&mut spi, 0xa_8000), Err(fault));
        }
    }
    // A word that holds something already can't be programmed to everything.
    let mut spi = Spi::new();
    write(&mut spi, 0xa_8000, &[0; 4]).unwrap();
    assert_eq!(write(&mut spi, 0xa_8000, &[1; 4]), Err(Fault::Verify));
}

#[test]
fn protection_is_taken_off_where_there_is_one_and_nothing_is_written_elsewhere() {
    let mut spi = Spi::new();
    unprotect(&mut spi).unwrap();
    assert!(!spi.log.contains(&command::WRITE_STATUS));
    spi.protection = 0x1c;
    unprotect(&mut spi).unwrap();
    write(&mut spi, 0xa_8000, &[0; 32]).unwrap();
    let mut spi = Spi::new();
    (spi.protection, spi.fault) = (0x1c, Some(Broken::ProtectionIsFixed));
    assert_eq!(unprotect(&mut spi), Err(Fault::NotEnabled));
    assert_eq!(write(&mut spi, 0xa_8000, &[0; 32]), Err(Fault::Verify));
}

#[test]
fn steps_end_at_chunks_and_so_at_pages() {
    for address in (0..512).step_by(4) {
        for left in (4..600).step_by(4) {
            let len = step_len(address, left);
            assert!(len > 0 && len <= left && len <= CHUNK_SIZE && len.is_multiple_of(4));
            assert_eq!(address / 256, (address + len - 1) / 256);
        }
    }
}

#[test]
fn a_chip_tells_its_size() {
    let mut spi = Spi::new();
    assert_eq!(read_id(&mut spi), Ok(0x14_40ef));
    spi.fault = Some(Broken::ControllerHangs);
    assert_eq!(read_id(&mut spi), Err(Fault::Timeout));
    // Winbond, GigaDevice, Puya; XTX and others count from 0x30; what no chip of such boards says is no size.
    let sizes = [
        (0x13_40ef, Some(512 << 10)),
        (0x16_40c8, Some(4 << 20)),
        (0x14_6085, Some(1 << 20)),
        (0x33_400b, Some(512 << 10)),
        (0, None),
        (0xff_ffff, None),
        (0x20_ba20, None),
    ];
    for (id, size) in sizes {
        assert_eq!(size_of(id), size, "{id:#x}");
    }
}
