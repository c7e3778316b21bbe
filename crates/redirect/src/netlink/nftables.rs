//! Our `nf_tables` table: one NAT chain with one rule. Source: `linux/netfilter/nf_tables.h`, linux/netfilter/nfnetlink.h,
//! and what `nft --debug=netlink` shows for the same rule.

use imds_contract::address::IMDS_PORT;
use rustix::io::Errno;

use super::message::{Attribute, Message};
use super::{Subsystem, dump, flag};
use crate::family::Family;

/// The name of our table, ours alone, and of its chain.
pub const TABLE_NAME: &str = "imds-emulator";
const CHAIN_NAME: &str = "output";

/// Before -100 (`NF_IP_PRI_NAT_DST`), where service meshes redirect all that a Pod sends: the first NAT chain that maps
/// a connection has the say.
const PRIORITY: i32 = -110;

/// `NFT_MSG_*`. The request that dumps what one of these creates has the next number.
mod kind {
    const SUBSYSTEM: u16 = 10 << 8;
    pub(super) const NEW_TABLE: u16 = SUBSYSTEM;
    pub(super) const DELETE_TABLE: u16 = SUBSYSTEM | 2;
    pub(super) const NEW_CHAIN: u16 = SUBSYSTEM | 3;
    pub(super) const NEW_RULE: u16 = SUBSYSTEM | 6;
    /// `NFNL_MSG_BATCH_BEGIN`.
    pub(super) const BATCH_BEGIN: u16 = 0x10;
    /// `NFNL_MSG_BATCH_END`.
    pub(super) const BATCH_END: u16 = 0x11;
}

/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
/// The table's name is the first attribute of tables, chains and rules alike: `NFTA_TABLE_NAME`, `NFTA_CHAIN_TABLE`,
/// `NFTA_RULE_TABLE`.
const NFTA_TABLE: u16 = 1;
const NFTA_TABLE_FLAGS: u16 = 2;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_NUMBER: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NF_INET_LOCAL_OUT: u32 = 3;
const NF_ACCEPT: u32 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_LIST_ELEMENT: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
/// The one register that the rule needs (`NFT_REG_1`).
const REGISTER: u32 = 1;

/// What is in our table, in the order of creation: the table, its chain, its rule.
pub fn definition(family: Family, to_port: u16) -> [Message; 3] {
    let hook = vec![
        Attribute::be32(NFTA_HOOK_NUMBER, NF_INET_LOCAL_OUT),
        Attribute::bytes(NFTA_HOOK_PRIORITY, PRIORITY.to_be_bytes()),
    ];
    let chain = vec![
        Attribute::text(NFTA_CHAIN_NAME, CHAIN_NAME),
        Attribute::nested(NFTA_CHAIN_HOOK, hook),
        Attribute::be32(NFTA_CHAIN_POLICY, NF_ACCEPT),
        Attribute::text(NFTA_CHAIN_TYPE, "nat"),
    ];
    let rule = vec![
        Attribute::text(NFTA_RULE_CHAIN, CHAIN_NAME),
        Attribute::list(NFTA_RULE_EXPRESSIONS, redirect(family, to_port)),
    ];
    [
        // No flags: above all, not dormant.
        message(kind::NEW_TABLE, flag::CREATE, family, vec![Attribute::be32(NFTA_TABLE_FLAGS, 0)]),
        message(kind::NEW_CHAIN, flag::CREATE, family, chain),
        message(kind::NEW_RULE, flag::CREATE | flag::APPEND, family, rule),
    ]
}

/// Replaces our table whole, whether or not there is one: only a table that exists can be deleted without an error.
pub fn replacement(family: Family, to_port: u16) -> Vec<Message> {
    let [table, chain, rule] = definition(family, to_port);
    vec![table.clone(), deletion(family), table, chain, rule]
}

/// Deletes our table; `ENOENT` where there is none.
pub fn deletion(family: Family) -> Message {
    message(kind::DELETE_TABLE, 0, family, vec![])
}

/// Asks for those of our objects that are of the kind that `planned` creates: the attributes of each. None in a kernel
/// without `nf_tables`.
pub fn ours_like(planned: &Message, family: Family) -> Result<Vec<Vec<u8>>, Errno> {
    let answers = match dump(Subsystem::Netfilter, &message(planned.kind + 1, 0, family, vec![])) {
        // How nfnetlink.c refuses a subsystem that it does not have (`EINVAL`), and a kernel all of netfilter.
        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT) => vec![],
        answers => answers?,
    };
    let table = Attribute::text(NFTA_TABLE, TABLE_NAME);
    let attributes =
        answers.iter().filter_map(|answer| answer.split::<4>()).map(|(_, attributes)| attributes);
    Ok(attributes.filter(|attributes| table.is_in(attributes)).map(<[u8]>::to_vec).collect())
}

pub(super) fn batch_begin() -> Message {
    batch(kind::BATCH_BEGIN)
}

pub(super) fn batch_end() -> Message {
    batch(kind::BATCH_END)
}

/// The rule: to the address, over TCP, to port 80: rewrite the destination to loopback and `to_port`.
fn redirect(family: Family, to_port: u16) -> Vec<Attribute> {
    let destination_address = match family {
        Family::V4 => payload(NETWORK_HEADER, 16, 4),
        Family::V6 => payload(NETWORK_HEADER, 24, 16),
    };
    vec![
        destination_address,
        equals(family.imds_octets()),
        transport_protocol(),
        equals([IPPROTO_TCP]),
        payload(TRANSPORT_HEADER, 2, 2),
        equals(IMDS_PORT.to_be_bytes()),
        load(to_port.to_be_bytes()),
        to_loopback(),
    ]
}

/// `NFT_PAYLOAD_NETWORK_HEADER`.
const NETWORK_HEADER: u32 = 1;
/// `NFT_PAYLOAD_TRANSPORT_HEADER`.
const TRANSPORT_HEADER: u32 = 2;
const IPPROTO_TCP: u8 = 6;

/// Loads `length` bytes of the packet, at `offset` from a header's start.
fn payload(base: u32, offset: u32, length: u32) -> Attribute {
    let (destination, header, start, size) = (1, 2, 3, 4);
    expression(
        "payload",
        vec![
            Attribute::be32(destination, REGISTER),
            Attribute::be32(header, base),
            Attribute::be32(start, offset),
            Attribute::be32(size, length),
        ],
    )
}

/// Loads the transport protocol, for IPv6 the one after all extension headers (`NFT_META_L4PROTO`).
fn transport_protocol() -> Attribute {
    let (destination, key, l4proto) = (1, 2, 16);
    expression("meta", vec![Attribute::be32(destination, REGISTER), Attribute::be32(key, l4proto)])
}

/// Goes on only where what was loaded equals `value` (`NFT_CMP_EQ`).
fn equals(value: impl Into<Vec<u8>>) -> Attribute {
    let (source, operation, data, equal) = (1, 2, 3, 0);
    expression(
        "cmp",
        vec![
            Attribute::be32(source, REGISTER),
            Attribute::be32(operation, equal),
            Attribute::nested(data, vec![Attribute::bytes(NFTA_DATA_VALUE, value)]),
        ],
    )
}

/// Loads a constant.
fn load(value: impl Into<Vec<u8>>) -> Attribute {
    let (destination, data) = (1, 2);
    expression(
        "immediate",
        vec![
            Attribute::be32(destination, REGISTER),
            Attribute::nested(data, vec![Attribute::bytes(NFTA_DATA_VALUE, value)]),
        ],
    )
}

/// Maps the connection to loopback and the port that was loaded (`NFTA_REDIR_REG_PROTO_MIN`).
fn to_loopback() -> Attribute {
    let port = 1;
    expression("redir", vec![Attribute::be32(port, REGISTER)])
}

fn expression(name: &str, data: Vec<Attribute>) -> Attribute {
    Attribute::nested(
        NFTA_LIST_ELEMENT,
        vec![Attribute::text(NFTA_EXPR_NAME, name), Attribute::nested(NFTA_EXPR_DATA, data)],
    )
}

/// A message about our table: `struct nfgenmsg`, the table's name, then what is given.
fn message(kind: u16, flags: u16, family: Family, given: Vec<Attribute>) -> Message {
    let mut attributes = vec![Attribute::text(NFTA_TABLE, TABLE_NAME)];
    attributes.extend(given);
    Message { kind, flags, header: vec![family.number(), 0, 0, 0], attributes }
}

fn batch(kind: u16) -> Message {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    Message { kind, flags: 0, header: vec![0, 0, high, low], attributes: vec![] }
}
