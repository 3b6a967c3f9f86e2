//! Changes as PostgreSQL's output plugin `pgoutput` writes them: "Logical Replication Message Formats" in its manual,
//! version 1 of the protocol, values as text.

use std::fmt;

/// A place in the write-ahead log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lsn(pub(super) u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// A message of the stream. Those that say nothing about rows are `Other`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Begin {
        /// Where its commit is.
        commit: Lsn,
        /// The lower half of its number.
        xid: u32,
    },
    Commit {
        /// What comes after it.
        end: Lsn,
    },
    Relation(Relation),
    Insert {
        relation: u32,
        new: Row,
    },
    Update {
        relation: u32,
        /// The old key if it changed, or the whole old row if that is the replica identity.
        old: Option<Row>,
        new: Row,
    },
    Delete {
        relation: u32,
        old: Row,
    },
    Truncate {
        relations: Vec<u32>,
    },
    Other,
}

/// A table, sent before its first change and when it has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) id: u32,
    pub(super) name: String,
    /// A row is known by all its columns.
    pub(super) is_full: bool,
    pub(super) columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// Part of the replica identity.
    pub(super) is_key: bool,
}

/// The values of a relation's columns, in their order.
pub(super) type Row = Vec<Value>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    /// Kept out of line, and not changed by an update.
    Unchanged,
    Text(String),
}

/// The message is not one of version 1.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("PostgreSQL sent a change that cannot be read")]
pub(super) struct Unreadable;

/// Reads one message.
pub(super) fn read(message: &[u8]) -> Result<Message, Unreadable> {
    let mut rest = Reader(message);
    Ok(match rest.u8()? {
        b'B' => {
            let commit = Lsn(rest.u64()?);
            rest.u64()?;
            Message::Begin { commit, xid: rest.u32()? }
        }
        b'C' => {
            rest.u8()?;
            rest.u64()?;
            Message::Commit { end: Lsn(rest.u64()?) }
        }
        b'R' => {
            let id = rest.u32()?;
            rest.text()?;
            let name = rest.text()?;
            let is_full = rest.u8()? == b'f';
            let columns = (0..rest.u16()?)
                .map(|_| {
                    let is_key = rest.u8()? & 1 == 1;
                    let name = rest.text()?;
                    rest.u64()?;
                    Ok(Column { name, is_key })
                })
                .collect::<Result<_, Unreadable>>()?;
            Message::Relation(Relation { id, name, is_full, columns })
        }
        b'I' => {
            let relation = rest.u32()?;
            rest.expect(b'N')?;
            Message::Insert { relation, new: rest.row()? }
        }
        b'U' => {
            let relation = rest.u32()?;
            let old = match rest.u8()? {
                b'K' | b'O' => {
                    let old = rest.row()?;
                    rest.expect(b'N')?;
                    Some(old)
                }
                b'N' => None,
                _ => return Err(Unreadable),
            };
            Message::Update { relation, old, new: rest.row()? }
        }
        b'D' => {
            let relation = rest.u32()?;
            if !matches!(rest.u8()?, b'K' | b'O') {
                return Err(Unreadable);
            }
            Message::Delete { relation, old: rest.row()? }
        }
        b'T' => {
            let count = rest.u32()?;
            rest.u8()?;
            Message::Truncate { relations: (0..count).map(|_| rest.u32()).collect::<Result<_, _>>()? }
        }
        b'O' | b'Y' | b'M' => Message::Other,
        _ => return Err(Unreadable),
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        self.take(N)?.try_into().map_err(|_| Unreadable)
    }

    fn u8(&mut self) -> Result<u8, Unreadable> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, Unreadable> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Unreadable> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Unreadable> {
        self.array().map(u64::from_be_bytes)
    }

    fn expect(&mut self, tag: u8) -> Result<(), Unreadable> {
        if self.u8()? == tag { Ok(()) } else { Err(Unreadable) }
    }

    /// Text that ends with a zero byte.
    fn text(&mut self) -> Result<String, Unreadable> {
        let length = self.0.iter().position(|byte| *byte == 0).ok_or(Unreadable)?;
        let text = String::from_utf8(self.take(length)?.to_vec()).map_err(|_| Unreadable)?;
        self.u8()?;
        Ok(text)
    }

    fn row(&mut self) -> Result<Row, Unreadable> {
        (0..self.u16()?)
            .map(|_| {
                Ok(match self.u8()? {
                    b'n' => Value::Null,
                    b'u' => Value::Unchanged,
                    b't' => {
                        let length = self.u32()? as usize;
                        let text = self.take(length)?.to_vec();
                        Value::Text(String::from_utf8(text).map_err(|_| Unreadable)?)
                    }
                    _ => return Err(Unreadable),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_and_what_is_cut_off_is_refused() {
        let mut begin = vec![b'B'];
        begin.extend(0x16_B374_D848_u64.to_be_bytes());
        begin.extend(0_u64.to_be_bytes());
        begin.extend(7_u32.to_be_bytes());
        let read_begin = read(&begin).unwrap();
        assert_eq!(read_begin, Message::Begin { commit: Lsn(0x16_B374_D848), xid: 7 });
        assert_eq!(Lsn(0x16_B374_D848).to_string(), "16/B374D848");
        let update = b"U\0\0\0\x05K\0\x02t\0\0\0\x011nN\0\x02t\0\0\0\x012u";
        let text = |text: &str| Value::Text(text.into());
        assert_eq!(
            read(update).unwrap(),
            Message::Update {
                relation: 5,
                old: Some(vec![text("1"), Value::Null]),
                new: vec![text("2"), Value::Unchanged],
            }
        );
        let relation = b"R\0\0\0\x05s\0t\0d\0\x01\x01id\0\0\0\0\x17\xff\xff\xff\xff";
        let columns = vec![Column { name: "id".into(), is_key: true }];
        assert_eq!(
            read(relation).unwrap(),
            Message::Relation(Relation { id: 5, name: "t".into(), is_full: false, columns })
        );
        for message in [&begin[..], update, relation] {
            for length in 0..message.len() {
                assert!(read(&message[..length]).is_err(), "{length}");
            }
        }
    }
}
