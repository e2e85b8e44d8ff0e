//! Walks over the fields of a protobuf message. It copies nothing and allocates nothing.
//!
//! * Fields come in the order of the bytes, each with its number. The caller skips those that it does not know.
//! * Repeated numbers may be packed or not.
//! * Groups are errors, because no message here has them. Field numbers and lengths that do not fit are errors, too.
//!
//! The encoding: <https://protobuf.dev/programming-guides/encoding/>.

use std::error::Error;
use std::fmt;

/// The fields of a message that were not read yet.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    rest: &'a [u8],
    /// The position of its end in the whole body.
    end: usize,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub number: u32,
    content: Content<'a>,
    /// The position of its key in the whole body.
    pub offset: usize,
}

#[derive(Clone, Copy, Debug)]
enum Content<'a> {
    Varint(u64),
    Fixed64(u64),
    Delimited(Message<'a>),
    Fixed32,
}

/// Why a body is no protobuf, or not of the expected message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProtobufError {
    /// The position in the body of the field, or of the text.
    pub offset: usize,
    pub problem: Problem,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// The message ends inside of a field.
    EndsInside,
    /// A varint has more than 64 bits.
    LongVarint,
    /// A field has the number 0, or one of more than 29 bits.
    FieldNumber,
    /// A group, or a wire type that does not exist.
    WireType(u8),
    /// The field has another wire type than the message defines.
    OtherType {
        field: u32,
        expected: &'static str,
    },
    NotUtf8,
}

type Read<T> = Result<T, ProtobufError>;

impl<'a> Message<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body, end: body.len() }
    }

    /// Returns the position in the body of what is not read yet.
    pub fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the bytes that are not read yet.
    pub fn bytes(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads the next field; `None` at the end of the message.
    #[inline]
    pub fn field(&mut self) -> Read<Option<Field<'a>>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let offset = self.offset();
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let Some(number) = number else { return Err(ProtobufError { offset, problem: Problem::FieldNumber }) };
        let content = match key & 7 {
            0 => Content::Varint(self.varint()?),
            1 => Content::Fixed64(u64::from_le_bytes(self.fixed()?)),
            2 => Content::Delimited(self.delimited()?),
            5 => {
                let _skipped: [u8; 4] = self.fixed()?;
                Content::Fixed32
            }
            other => {
                #[expect(clippy::cast_possible_truncation, reason = "three bits")]
                let problem = Problem::WireType(other as u8);
                return Err(ProtobufError { offset, problem });
            }
        };
        Ok(Some(Field { number, content, offset }))
    }

    /// Reads a length, and the message after it, which has no key: the frame of a delimited message.
    #[inline]
    pub fn delimited(&mut self) -> Read<Self> {
        let offset = self.offset();
        let len = self.varint()?;
        let Some((message, rest)) = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len)) else {
            return Err(ProtobufError { offset, problem: Problem::EndsInside });
        };
        self.rest = rest;
        Ok(Self { rest: message, end: self.end - rest.len() })
    }

    fn fixed<const N: usize>(&mut self) -> Read<[u8; N]> {
        let Some((bytes, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.ends_inside());
        };
        self.rest = rest;
        Ok(*bytes)
    }

    #[inline]
    fn varint(&mut self) -> Read<u64> {
        match self.rest {
            [byte @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Read<u64> {
        let mut value = 0;
        for (i, &byte) in self.rest.iter().enumerate().take(10) {
            // The tenth byte has room for one bit.
            if i == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        if self.rest.len() < 10 {
            return Err(self.ends_inside());
        }
        Err(ProtobufError { offset: self.offset(), problem: Problem::LongVarint })
    }

    fn ends_inside(&self) -> ProtobufError {
        ProtobufError { offset: self.offset(), problem: Problem::EndsInside }
    }
}

impl<'a> Field<'a> {
    pub fn varint(self) -> Read<u64> {
        match self.content {
            Content::Varint(value) => Ok(value),
            _ => Err(self.other_type("a varint")),
        }
    }

    /// Returns the bits of a double, so that every NaN stays what it is.
    pub fn double_bits(self) -> Read<u64> {
        self.eight_bytes("a double")
    }

    pub fn fixed64(self) -> Read<u64> {
        self.eight_bytes("eight bytes")
    }

    fn eight_bytes(self, expected: &'static str) -> Read<u64> {
        match self.content {
            Content::Fixed64(bits) => Ok(bits),
            _ => Err(self.other_type(expected)),
        }
    }

    pub fn double(self) -> Read<f64> {
        self.double_bits().map(f64::from_bits)
    }

    pub fn int64(self) -> Read<i64> {
        self.varint().map(u64::cast_signed)
    }

    /// Returns the lower 32 bits, as every decoder does.
    #[expect(clippy::cast_possible_truncation, reason = "see above")]
    pub fn uint32(self) -> Read<u32> {
        self.varint().map(|value| value as u32)
    }

    /// Returns a signed number that is written in zigzag.
    pub fn sint32(self) -> Read<i32> {
        let zigzag = self.uint32()?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    pub fn message(self) -> Read<Message<'a>> {
        match self.content {
            Content::Delimited(message) => Ok(message),
            _ => Err(self.other_type("bytes")),
        }
    }

    pub fn text(self) -> Read<&'a str> {
        let message = self.message()?;
        std::str::from_utf8(message.rest).map_err(|error| {
            let offset = message.offset() + error.valid_up_to();
            ProtobufError { offset, problem: Problem::NotUtf8 }
        })
    }

    /// Calls `each` for a repeated varint: once, or for each of a packed field.
    pub fn varints<E: From<ProtobufError>>(self, mut each: impl FnMut(u64) -> Result<(), E>) -> Result<(), E> {
        match self.content {
            Content::Varint(value) => each(value),
            Content::Delimited(mut packed) => {
                while !packed.is_empty() {
                    each(packed.varint()?)?;
                }
                Ok(())
            }
            _ => Err(self.other_type("varints").into()),
        }
    }

    /// Calls `each` for a repeated double: once, or for each of a packed field.
    pub fn doubles<E: From<ProtobufError>>(self, mut each: impl FnMut(f64) -> Result<(), E>) -> Result<(), E> {
        self.all_eight_bytes("doubles", |bits| each(f64::from_bits(bits)))
    }

    /// Calls `each` for a repeated fixed64: once, or for each of a packed field.
    pub fn fixed64s<E: From<ProtobufError>>(self, each: impl FnMut(u64) -> Result<(), E>) -> Result<(), E> {
        self.all_eight_bytes("fixed64s", each)
    }

    fn all_eight_bytes<E: From<ProtobufError>>(
        self,
        expected: &'static str,
        mut each: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.content {
            Content::Fixed64(bits) => each(bits),
            Content::Delimited(mut packed) => {
                while !packed.is_empty() {
                    each(u64::from_le_bytes(packed.fixed()?))?;
                }
                Ok(())
            }
            _ => Err(self.other_type(expected).into()),
        }
    }

    fn other_type(self, expected: &'static str) -> ProtobufError {
        ProtobufError { offset: self.offset, problem: Problem::OtherType { field: self.number, expected } }
    }
}

/// Returns a signed number that is written in zigzag.
pub fn sint64(zigzag: u64) -> i64 {
    (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed()
}

impl fmt::Display for ProtobufError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: ", self.offset)?;
        match self.problem {
            Problem::EndsInside => f.write_str("the message ends inside of a field"),
            Problem::LongVarint => f.write_str("expected a varint of at most 64 bits"),
            Problem::FieldNumber => f.write_str("expected a field number from 1 to 536870911"),
            Problem::WireType(wire_type) => {
                write!(f, "expected a field of wire type 0, 1, 2 or 5, found wire type {wire_type}")
            }
            Problem::OtherType { field, expected } => write!(f, "expected {expected} in field {field}"),
            Problem::NotUtf8 => f.write_str("expected text in UTF-8"),
        }
    }
}

impl Error for ProtobufError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(mut message: Message<'_>) -> Read<Vec<u32>> {
        let mut numbers = Vec::new();
        while let Some(field) = message.field()? {
            numbers.push(field.number);
        }
        Ok(numbers)
    }

    #[test]
    fn reads_fields_of_every_wire_type_in_their_order() {
        let body = [
            0x08, 0x96, 0x01, // 1: 150
            0x11, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, // 2: 1.0
            0x1a, 0x02, b'h', b'i', // 3: hi
            0x25, 1, 2, 3, 4, // 4, four bytes
            0x0a, 0x03, 0x01, 0xac, 0x02, // 1, packed: 1, 300
        ];
        let mut message = Message::new(&body);
        let mut next = || message.field().unwrap().unwrap();
        assert_eq!(next().varint(), Ok(150));
        assert_eq!(next().double(), Ok(1.0));
        assert_eq!(next().text(), Ok("hi"));
        assert_eq!((next().number, next().offset), (4, 21));
        assert!(message.field().unwrap().is_none());
        let mut varints = Vec::new();
        let mut message = Message::new(&body);
        while let Some(field) = message.field().unwrap() {
            if field.number == 1 {
                let each = |value| {
                    varints.push(value);
                    Ok::<_, ProtobufError>(())
                };
                field.varints(each).unwrap();
            }
        }
        assert_eq!(varints, [150, 1, 300]);
    }

    #[test]
    fn says_where_a_message_is_wrong_and_what_was_expected() {
        let table: [(&[u8], usize, Problem); 11] = [
            (&[0x08], 1, Problem::EndsInside),
            (&[0x08, 0x80], 1, Problem::EndsInside),
            (&[0x08, 1, 0x12, 5, 1], 3, Problem::EndsInside),
            (&[0x09, 1, 2, 3], 1, Problem::EndsInside),
            (&[0x08, 1, 0x15, 1], 3, Problem::EndsInside),
            (&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], 1, Problem::EndsInside),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], 1, Problem::LongVarint),
            (&[0x00, 1], 0, Problem::FieldNumber),
            (&[0x08, 1, 0x80, 0x80, 0x80, 0x80, 0x10, 1], 2, Problem::FieldNumber),
            (&[0x0b, 0x0c], 0, Problem::WireType(3)),
            (&[0x0f], 0, Problem::WireType(7)),
        ];
        for (body, offset, problem) in table {
            assert_eq!(numbers(Message::new(body)), Err(ProtobufError { offset, problem }), "{body:?}");
        }
        let field = |body: &'static [u8]| Message::new(body).field().unwrap().unwrap();
        let not_utf8 = ProtobufError { offset: 3, problem: Problem::NotUtf8 };
        assert_eq!(field(&[0x0a, 2, b'a', 0xff]).text(), Err(not_utf8));
        let error = field(&[0x08, 1]).text().unwrap_err();
        assert_eq!(error.to_string(), "byte 0: expected bytes in field 1");
        assert!(field(&[0x0a, 0]).varint().is_err() && field(&[0x08, 1]).double().is_err());
        let ignored = |_| Ok::<_, ProtobufError>(());
        assert!(field(&[0x0a, 1, 0x80]).varints(ignored).is_err());
        assert!(field(&[0x0a, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]).doubles(|_| Ok::<_, ProtobufError>(())).is_err());
    }

    #[test]
    fn reads_numbers_in_zigzag_and_takes_the_lower_half_of_large_ones() {
        let table = [(0, 0), (1, -1), (2, 1), (3, -2), (u64::from(u32::MAX), i64::from(i32::MIN))];
        for (written, expected) in table {
            assert_eq!(sint64(written), expected, "{written}");
            let mut body = vec![0x08];
            prost::encoding::encode_varint(written, &mut body);
            let field = Message::new(&body).field().unwrap().unwrap();
            assert_eq!(field.sint32().map(i64::from), Ok(expected), "{written}");
        }
        assert_eq!(sint64(u64::MAX), i64::MIN);
        let body = [0x08, 0x87, 0x80, 0x80, 0x80, 0x10];
        assert_eq!(Message::new(&body).field().unwrap().unwrap().uint32(), Ok(7));
    }
}
