//! The elements of DER (X.690), as far as certificates and keys need them.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const SEQUENCE: u8 = 0x30;

/// One element with a tag of one byte (X.690 §8.1).
pub(super) struct Element<'d> {
    tag: u8,
    pub(super) whole: &'d [u8],
    pub(super) contents: &'d [u8],
    /// What follows it.
    pub(super) rest: &'d [u8],
}

impl<'d> Element<'d> {
    /// The element at the start of `bytes`.
    pub(super) fn first(bytes: &'d [u8]) -> Option<Self> {
        let (&tag, after) = bytes.split_first()?;
        let (&first, after) = after.split_first()?;
        let (length, after) = match first {
            0..=0x7f => (usize::from(first), after),
            0x81..=0x84 => {
                let (length, after) = after.split_at_checked(usize::from(first & 0x7f))?;
                let length = length
                    .iter()
                    .fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
                (length, after)
            }
            _ => return None,
        };
        let (contents, rest) = after.split_at_checked(length)?;
        Some(Self {
            tag,
            whole: &bytes[..bytes.len() - rest.len()],
            contents,
            rest,
        })
    }

    /// The element, if it has this tag.
    pub(super) fn of_tag(self, tag: u8) -> Option<Self> {
        (self.tag == tag).then_some(self)
    }
}
