//! What fields are made of.

use super::{Item, Reader, Writer};

impl<'b> Item<'b> for u8 {
    fn read(from: &mut Reader<'b>) -> Self {
        from.number(u8::MAX.into()) as u8
    }

    fn write(&self, to: &mut Writer<'_>) {
        to.number((*self).into());
    }
}

impl<'b> Item<'b> for u16 {
    fn read(from: &mut Reader<'b>) -> Self {
        from.number(u16::MAX.into()) as u16
    }

    fn write(&self, to: &mut Writer<'_>) {
        to.number((*self).into());
    }
}

impl<'b> Item<'b> for u32 {
    fn read(from: &mut Reader<'b>) -> Self {
        from.number(u32::MAX)
    }

    fn write(&self, to: &mut Writer<'_>) {
        to.number(*self);
    }
}

impl<'b> Item<'b> for u64 {
    fn read(from: &mut Reader<'b>) -> Self {
        from.long()
    }

    fn write(&self, to: &mut Writer<'_>) {
        to.long(*self);
    }
}

/// Absent where it is false.
impl<'b> Item<'b> for bool {
    fn read(from: &mut Reader<'b>) -> Self {
        from.flag()
    }

    fn write(&self, to: &mut Writer<'_>) {
        to.flag(*self);
    }

    fn is_absent(&self) -> bool {
        !self
    }
}

impl<'b> Item<'b> for f32 {
    fn read(from: &mut Reader<'b>) -> Self {
        from.float()
    }

    fn write(&self, to: &mut Writer<'_>) {
        to.float(*self);
    }
}

impl<'b> Item<'b> for &'b str {
    fn read(from: &mut Reader<'b>) -> Self {
        from.text()
    }

    fn write(&self, to: &mut Writer<'_>) {
        to.text(self);
    }
}

/// A byte string.
impl<'b> Item<'b> for &'b [u8] {
    fn read(from: &mut Reader<'b>) -> Self {
        from.bytes()
    }

    fn write(&self, to: &mut Writer<'_>) {
        to.bytes(self);
    }
}

/// A byte string of this length.
impl<'b, const LEN: usize> Item<'b> for [u8; LEN] {
    fn read(from: &mut Reader<'b>) -> Self {
        let mut bytes = [0; LEN];
        from.fill(&mut bytes);
        bytes
    }

    fn write(&self, to: &mut Writer<'_>) {
        to.bytes(self);
    }
}

/// Null, and absent, where there is none.
impl<'b, T: Item<'b>> Item<'b> for Option<T> {
    fn read(from: &mut Reader<'b>) -> Self {
        if from.is_null() { None } else { Some(T::read(from)) }
    }

    fn write(&self, to: &mut Writer<'_>) {
        match self {
            Some(value) => value.write(to),
            None => to.null(),
        }
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}
