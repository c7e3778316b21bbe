//! Netlink messages as values, and their bytes. Source: netlink(7), linux/netlink.h.
//!
//! A message that was planned and one that the kernel dumped are compared by containment ([`Attribute::is_in`]): what was
//! planned must be there with its value, and what a kernel adds of its own (handles, counters, attributes of later
//! versions) is no difference.

/// Lengths are padded to this many bytes (`NLMSG_ALIGNTO`, `NLA_ALIGNTO`).
const ALIGNMENT: usize = 4;
/// `sizeof(struct nlmsghdr)`.
const HEADER: usize = 16;
/// `NLA_F_NESTED`: the attribute's payload is attributes.
const NESTED: u16 = 1 << 15;
/// `NLA_TYPE_MASK`: without the two flag bits.
const TYPE_MASK: u16 = 0x3fff;

/// A request to the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`, without those that the transport adds (`NLM_F_REQUEST`, `NLM_F_ACK`, `NLM_F_DUMP`).
    pub flags: u16,
    /// The fixed struct that begins the payload, for example `struct rtmsg`.
    pub header: Vec<u8>,
    /// What follows it.
    pub attributes: Vec<Attribute>,
}

/// A typed value in a message (`struct nlattr`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    kind: u16,
    value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Bytes(Vec<u8>),
    /// Attributes in any order.
    Nested(Vec<Attribute>),
    /// Attributes whose order and number count.
    List(Vec<Attribute>),
}

impl Attribute {
    /// An attribute that holds these bytes as they are.
    pub fn bytes(kind: u16, value: impl Into<Vec<u8>>) -> Self {
        Self { kind, value: Value::Bytes(value.into()) }
    }

    /// A string with the NUL that the kernel ends it with.
    pub fn text(kind: u16, value: &str) -> Self {
        Self::bytes(kind, [value.as_bytes(), &[0]].concat())
    }

    /// A 32-bit number in network order, as `nf_tables` has all its numbers.
    pub fn be32(kind: u16, value: u32) -> Self {
        Self::bytes(kind, value.to_be_bytes())
    }

    /// A 32-bit number in the machine's order, as rtnetlink has all its numbers.
    pub fn native32(kind: u16, value: u32) -> Self {
        Self::bytes(kind, value.to_ne_bytes())
    }

    /// Attributes in an attribute.
    pub fn nested(kind: u16, children: Vec<Self>) -> Self {
        Self { kind, value: Value::Nested(children) }
    }

    /// Attributes in an attribute, of which the order and the number count.
    pub fn list(kind: u16, children: Vec<Self>) -> Self {
        Self { kind, value: Value::List(children) }
    }

    /// Whether the attributes encoded in `dumped` hold this one, with all that was planned in it.
    pub fn is_in(&self, dumped: &[u8]) -> bool {
        attributes(dumped).any(|(kind, payload)| self.is(kind, payload))
    }

    fn is(&self, kind: u16, payload: &[u8]) -> bool {
        kind == self.kind
            && match &self.value {
                Value::Bytes(planned) => payload == planned,
                Value::Nested(planned) => planned.iter().all(|child| child.is_in(payload)),
                Value::List(planned) => {
                    planned.len() == attributes(payload).count()
                        && planned
                            .iter()
                            .zip(attributes(payload))
                            .all(|(child, (kind, value))| child.is(kind, value))
                }
            }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let (kind, payload) = match &self.value {
            Value::Bytes(bytes) => (self.kind, bytes.clone()),
            Value::Nested(children) | Value::List(children) => (self.kind | NESTED, encoded(children)),
        };
        // Our messages are built from constants, all far below 64 KiB.
        let length = u16::try_from(ALIGNMENT + payload.len()).unwrap_or(u16::MAX);
        out.extend(length.to_ne_bytes());
        out.extend(kind.to_ne_bytes());
        out.extend(payload);
        pad(out);
    }
}

impl Message {
    /// Appends the message's bytes to `out`; `sequence` comes back in the kernel's answers to it.
    pub fn encode(&self, transport_flags: u16, sequence: u32, out: &mut Vec<u8>) {
        let mut payload = self.header.clone();
        pad(&mut payload);
        payload.extend(encoded(&self.attributes));
        let length = u32::try_from(HEADER + payload.len()).unwrap_or(u32::MAX);
        out.extend(length.to_ne_bytes());
        out.extend(self.kind.to_ne_bytes());
        out.extend((self.flags | transport_flags).to_ne_bytes());
        out.extend(sequence.to_ne_bytes());
        // The sender's port: the kernel fills it in.
        out.extend(0_u32.to_ne_bytes());
        out.extend(payload);
    }
}

/// A message from the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// The sequence number of the request that it answers.
    pub sequence: u32,
    /// The fixed struct and the attributes.
    pub payload: Vec<u8>,
}

impl Answer {
    /// The fixed struct of `N` bytes that begins the payload, and the attributes after it; `None` where it is shorter.
    pub fn split<const N: usize>(&self) -> Option<(&[u8; N], &[u8])> {
        self.payload.split_first_chunk()
    }
}

/// The messages in one datagram; `None` where it is malformed.
pub fn answers(mut datagram: &[u8]) -> Option<Vec<Answer>> {
    let mut found = Vec::new();
    while !datagram.is_empty() {
        let length = usize::try_from(u32::from_ne_bytes(*datagram.first_chunk()?)).ok()?;
        let (header, payload) = datagram.get(..length)?.split_first_chunk::<HEADER>()?;
        let [_, _, _, _, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *header;
        found.push(Answer {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            payload: payload.to_vec(),
        });
        datagram = datagram.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
    Some(found)
}

/// The attributes encoded in `bytes`, as type and payload. Ends at the first malformed one.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let &[l0, l1, k0, k1] = bytes.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let payload = bytes.get(ALIGNMENT..length)?;
        bytes = bytes.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some((u16::from_ne_bytes([k0, k1]) & TYPE_MASK, payload))
    })
}

/// The payload of the first attribute of this type.
pub fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(found, payload)| (found == kind).then_some(payload))
}

fn encoded(attributes: &[Attribute]) -> Vec<u8> {
    let mut out = Vec::new();
    for attribute in attributes {
        attribute.encode(&mut out);
    }
    out
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_reads_back() {
        let message = Message {
            kind: 7,
            flags: 0x400,
            header: vec![1, 2, 3],
            attributes: vec![Attribute::text(5, "abcd")],
        };
        let mut bytes = Vec::new();
        message.encode(1, 9, &mut bytes);
        message.encode(1, 10, &mut bytes);
        let found = answers(&bytes).unwrap();
        assert_eq!(found.iter().map(|answer| answer.sequence).collect::<Vec<_>>(), [9, 10]);
        let first = found.first().unwrap();
        assert_eq!((first.kind, first.flags), (7, 0x401));
        let (header, rest) = first.split::<4>().unwrap();
        assert_eq!(header, &[1, 2, 3, 0]);
        assert_eq!(attribute(rest, 5), Some(b"abcd\0".as_slice()));
    }

    #[test]
    fn what_the_kernel_adds_is_no_difference() {
        let planned = Attribute::nested(4, vec![Attribute::be32(1, 3)]);
        let dumped = encoded(&[
            Attribute::be32(2, 77),
            Attribute::nested(4, vec![Attribute::be32(9, 9), Attribute::be32(1, 3)]),
        ]);
        assert!(planned.is_in(&dumped));
    }

    #[test]
    fn a_changed_value_is_a_difference() {
        let planned = Attribute::nested(4, vec![Attribute::be32(1, 3)]);
        assert!(!planned.is_in(&encoded(&[Attribute::nested(4, vec![Attribute::be32(1, 4)])])));
        assert!(!planned.is_in(&encoded(&[Attribute::nested(5, vec![Attribute::be32(1, 3)])])));
        assert!(!planned.is_in(&[]));
    }

    #[test]
    fn order_and_number_count_in_a_list() {
        let (one, two) = (Attribute::be32(1, 1), Attribute::be32(1, 2));
        let planned = Attribute::list(4, vec![one.clone(), two.clone()]);
        assert!(planned.is_in(&encoded(&[Attribute::list(4, vec![one.clone(), two.clone()])])));
        assert!(!planned.is_in(&encoded(&[Attribute::list(4, vec![two.clone(), one.clone()])])));
        assert!(!planned.is_in(&encoded(&[Attribute::list(4, vec![one.clone(), two.clone(), one])])));
    }

    #[test]
    fn garbage_is_refused_and_never_read_past_its_end() {
        assert_eq!(answers(&[1, 2, 3]), None);
        assert_eq!(answers(&[200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(answers(&[0; 16]), None, "a length of 0 must not loop for ever");
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[9, 0, 1, 0, 5]).count(), 0);
    }
}
