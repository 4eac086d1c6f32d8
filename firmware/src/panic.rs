//! What a panic does: leaves its place for the next start and resets the chip.
//!
//! Nothing of the message is used, so that none of what would format it is in the image.

use core::panic::PanicInfo;

use dunlin_firmware::rtc::{self, End};

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if let Some(place) = info.location() {
        let file = place.file();
        rtc::note(End::Panic { file: file.as_ptr() as u32, len: file.len() as u32, line: place.line() });
    }
    rtc::reset()
}
