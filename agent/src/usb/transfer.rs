//! The state of one transfer: where it is, and the page that is being filled.

use dunlin_config_format::message::{BeginRequest, DataRequest, EndRequest, HASH_SIZE, Refusal};

use super::{Node, Refused};

/// Bytes of an image that are programmed at once: a page of the flash chip.
pub const PAGE_SIZE: usize = 256;

/// A transfer under way. Holding one proves that the node's slot is erased and holds every whole page before `next`.
pub(super) struct Transfer {
    length: u32,
    hash: [u8; HASH_SIZE],
    flags: u8,
    /// Offset of the next byte expected.
    next: u32,
    /// The bytes since the last whole page; as many as `next` is past it.
    page: [u8; PAGE_SIZE],
}

impl Transfer {
    pub(super) fn new(request: &BeginRequest<'_>) -> Self {
        Transfer {
            length: request.length,
            hash: request.hash,
            flags: request.flags,
            next: 0,
            page: [0; PAGE_SIZE],
        }
    }

    /// Returns whether `request` began this transfer.
    pub(super) fn is_of(&self, request: &BeginRequest<'_>) -> bool {
        (self.length, self.hash, self.flags) == (request.length, request.hash, request.flags)
    }

    pub(super) fn next(&self) -> u32 {
        self.next
    }

    pub(super) fn flags(&self) -> u8 {
        self.flags
    }

    /// Takes what is new of a piece. A piece that leaves a gap is not taken, and one that was taken before changes nothing.
    pub(super) fn take<N: Node>(&mut self, piece: &DataRequest<'_>, node: &mut N) -> Result<(), Refused> {
        let end = u32::try_from(piece.bytes.len()).ok().and_then(|len| piece.offset.checked_add(len));
        if piece.bytes.is_empty() || end.is_none_or(|end| end > self.length) {
            return Err(Refusal::Malformed.into());
        }
        let Some(known) = self.next.checked_sub(piece.offset) else { return Ok(()) };
        for byte in piece.bytes.iter().skip(known as usize) {
            let filled = self.next as usize % PAGE_SIZE;
            if let Some(place) = self.page.get_mut(filled) {
                *place = *byte;
            }
            self.next += 1;
            if filled + 1 == PAGE_SIZE || self.next == self.length {
                let page = self.page.get(..=filled).unwrap_or_default();
                node.write_page(self.next - page.len() as u32, page)?;
            }
        }
        Ok(())
    }

    /// Returns whether every byte of the image that `request` ends has arrived.
    pub(super) fn check_end(&self, request: &EndRequest) -> Result<(), Refused> {
        if (self.length, self.hash) != (request.length, request.hash) {
            return Err(Refusal::NoTransfer.into());
        }
        if self.next < self.length {
            return Err(Refused { refusal: Refusal::Incomplete, detail: Some(self.next) });
        }
        Ok(())
    }
}
