//! An ESP8266, as far as it is modelled: the LX106 core and the strict rules of its memory.
//!
//! Sans-I/O: bytes in, bytes out. Nothing here knows of files, ports or the wall clock. There are no peripherals and
//! no boot ROM yet; any access to an address that isn't modelled ends the run with its address.
//!
//! Every instruction is compared with an independent implementation, QEMU's `lx106`, in `tests/chip_qemu.rs`.

pub mod core;
pub mod memory;
