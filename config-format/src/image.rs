//! The image of a configuration: header, body, assets.
//!
//! An image file and the first bytes of a slot are the same bytes, but for the generation (0 in a file: the device counts)
//! and the header's CRC. An image holds no secret: it names them.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use sha2::{Digest, Sha256};

use crate::limits::{ASSETS_SIZE, BODY_SIZE};

/// Bytes of the header.
pub const HEADER_SIZE: usize = 64;
/// First word of a header: `DNLN`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"DNLN");
/// Version of the format that this crate writes.
pub const FORMAT_VERSION: u16 = 1;
/// Oldest reader that may read what this crate writes.
pub const LOWEST_READER: u16 = 1;
/// Bytes of an image's hash: SHA-256 (FIPS 180-4).
pub const HASH_SIZE: usize = 32;
/// Most bytes of an image.
pub const IMAGE_LEN: usize = HEADER_SIZE + BODY_SIZE + ASSETS_SIZE;

const _: () = assert!(IMAGE_LEN <= crate::flash_map::IMAGE_SIZE as usize);

// Without a table: a table is 1 KiB of RAM on a chip whose constants live there.
static CRC_32: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// The CRC-32/ISO-HDLC of bytes that come in pieces.
pub struct Checksum(crc::Digest<'static, u32, NoTable>);

impl Checksum {
    /// Returns the checksum of nothing.
    pub fn new() -> Self {
        Checksum(CRC_32.digest())
    }

    /// Adds a piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the checksum of all pieces.
    pub fn finish(self) -> u32 {
        self.0.finalize()
    }
}

impl Default for Checksum {
    fn default() -> Self {
        Checksum::new()
    }
}

/// Returns the CRC-32/ISO-HDLC of `bytes`; of `123456789` it is 0xcbf43926.
pub fn checksum(bytes: &[u8]) -> u32 {
    CRC_32.checksum(bytes)
}

/// The header of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Version of the format.
    pub format_version: u16,
    /// Oldest reader that may read the body.
    pub lowest_reader: u16,
    /// Counts configurations, wrapping past 0; 0 in a file.
    pub generation: u32,
    /// Length of the body in bytes, 1 to 4096.
    pub body_len: u32,
    /// Length of the assets in bytes, 0 to 7936.
    pub assets_len: u32,
    /// Checksum of the body.
    pub body_crc: u32,
    /// Checksum of the assets.
    pub assets_crc: u32,
    /// Hash of everything but the generation.
    pub hash: [u8; HASH_SIZE],
}

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// All bytes are erased.
    Erased,
    /// The first word is not [`MAGIC`].
    Magic {
        /// The word found.
        found: u32,
    },
    /// The header's checksum does not fit.
    Checksum,
    /// The format is newer, and must not be read by this reader.
    TooNew {
        /// The oldest reader that may read it.
        lowest_reader: u16,
    },
    /// A length is out of its range.
    Length,
    /// Fewer bytes than a header has.
    Truncated,
}

impl Header {
    /// Returns the header of an image with this body and these assets, for a file.
    pub fn new(body: &[u8], assets: &[u8]) -> Self {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut header = Header {
            format_version: FORMAT_VERSION,
            lowest_reader: LOWEST_READER,
            generation: 0,
            body_len: length(body),
            assets_len: length(assets),
            body_crc: checksum(body),
            assets_crc: checksum(assets),
            hash: [0; HASH_SIZE],
        };
        header.hash = header.hash_of(body, assets);
        header
    }

    /// Returns the hash of an image with this header: SHA-256 over magic, versions, both lengths, body and assets.
    fn hash_of(&self, body: &[u8], assets: &[u8]) -> [u8; HASH_SIZE] {
        let mut hash = Sha256::new();
        let [magic, versions, _, body_len, assets_len, ..] = self.fields();
        for word in [magic, versions, body_len, assets_len] {
            hash.update(word.to_le_bytes());
        }
        hash.update(body);
        hash.update(assets);
        hash.finalize().into()
    }

    /// Returns the length of the whole image in bytes.
    pub fn image_len(&self) -> u32 {
        HEADER_SIZE as u32 + self.body_len + self.assets_len
    }

    // The words before the hash.
    fn fields(&self) -> [u32; 7] {
        let versions = u32::from(self.format_version) | u32::from(self.lowest_reader) << 16;
        [MAGIC, versions, self.generation, self.body_len, self.assets_len, self.body_crc, self.assets_crc]
    }

    /// Returns the header's bytes.
    pub fn encode(&self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        let (head, check) = bytes.split_at_mut(HEADER_SIZE - 4);
        let (words, hash) = head.split_at_mut(28);
        for (target, word) in words.chunks_exact_mut(4).zip(self.fields()) {
            target.copy_from_slice(&word.to_le_bytes());
        }
        hash.copy_from_slice(&self.hash);
        let crc = checksum(head);
        check.copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let bytes: &[u8; HEADER_SIZE] = bytes.first_chunk().ok_or(HeaderError::Truncated)?;
        if bytes.iter().all(|&byte| byte == 0xff) {
            return Err(HeaderError::Erased);
        }
        let mut words = bytes.chunks_exact(4).map(|word| match *word {
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
            _ => 0,
        });
        let mut word = || words.next().unwrap_or(0);
        let magic = word();
        if magic != MAGIC {
            return Err(HeaderError::Magic { found: magic });
        }
        let versions = word();
        let [generation, body_len, assets_len, body_crc, assets_crc] = core::array::from_fn(|_| word());
        let (head, check) = bytes.split_at(HEADER_SIZE - 4);
        if check != checksum(head).to_le_bytes() {
            return Err(HeaderError::Checksum);
        }
        let mut hash = [0; HASH_SIZE];
        hash.copy_from_slice(head.get(28..).unwrap_or_default());
        let (format_version, lowest_reader) = ((versions & 0xffff) as u16, (versions >> 16) as u16);
        if lowest_reader > FORMAT_VERSION {
            return Err(HeaderError::TooNew { lowest_reader });
        }
        if !(1..=BODY_SIZE as u32).contains(&body_len) || assets_len > ASSETS_SIZE as u32 {
            return Err(HeaderError::Length);
        }
        Ok(Header {
            format_version,
            lowest_reader,
            generation,
            body_len,
            assets_len,
            body_crc,
            assets_crc,
            hash,
        })
    }
}

/// An image file, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// The header.
    pub header: Header,
    /// The body.
    pub body: &'a [u8],
    /// The assets.
    pub assets: &'a [u8],
}

/// Why bytes are not an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// The header.
    Header(HeaderError),
    /// The length is not the one that the header tells.
    Length {
        /// Bytes that the header tells.
        expected: u32,
        /// Bytes found.
        found: usize,
    },
    /// The body's checksum does not fit.
    Body,
    /// The assets' checksum does not fit.
    Assets,
    /// The hash does not fit.
    Hash,
}

impl<'a> Image<'a> {
    /// Reads an image and checks it whole.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let header = Header::decode(bytes).map_err(ImageError::Header)?;
        let length = ImageError::Length { expected: header.image_len(), found: bytes.len() };
        if bytes.len() != header.image_len() as usize {
            return Err(length);
        }
        let content = bytes.get(HEADER_SIZE..).ok_or(length)?;
        let (body, assets) = content.split_at_checked(header.body_len as usize).ok_or(length)?;
        if checksum(body) != header.body_crc {
            return Err(ImageError::Body);
        }
        if checksum(assets) != header.assets_crc {
            return Err(ImageError::Assets);
        }
        if header.hash_of(body, assets) != header.hash {
            return Err(ImageError::Hash);
        }
        Ok(Image { header, body, assets })
    }
}
