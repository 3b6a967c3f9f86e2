//! The audit log: who did what, sealed into chains of blocks so that what is altered afterwards is found.
//!
//! A row is hashed over all that it says. A block has the ids and hashes of its rows, and a hash over those and over the block before;
//! so the last block's hash, kept elsewhere, vouches for the whole chain.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    Invalid,
    ids::{AuditId, TenantId},
};

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// What they are.
    pub kind: ActorKind,
    /// A key's or user's id.
    pub id: Option<String>,
    /// A key's or user's name.
    pub name: Option<String>,
}

/// What an [`Actor`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActorKind {
    /// An API key: an operator's or a tenant's.
    Key,
    /// An operator whom the operators' identity provider knows.
    Operator,
    /// A user of a tenant.
    User,
    /// Somebody who is not known.
    Visitor,
    /// Who is logged in to PostgreSQL as that role.
    Role,
    /// Tenantry itself.
    System,
}

crate::names_of! { ActorKind {
    Key = "key", Operator = "operator", User = "user", Visitor = "visitor", Role = "role", System = "system",
} }

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditOutcome {
    /// It is at work.
    Pending,
    /// It was done, or begun as an operation.
    Succeeded,
    /// It was refused, and nothing was changed.
    Refused,
    /// It failed on our side.
    Failed,
    /// Whoever did it died, or was left by the client, before it said.
    Unknown,
}

crate::names_of! { AuditOutcome {
    Pending = "pending", Succeeded = "succeeded", Refused = "refused", Failed = "failed", Unknown = "unknown",
} }

impl AuditOutcome {
    /// What a status of HTTP says.
    pub const fn of_status(status: u16) -> Self {
        match status {
            ..400 => Self::Succeeded,
            400..500 => Self::Refused,
            _ => Self::Failed,
        }
    }
}

/// What something was done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What it is: `tenants`, `users`; of data the table.
    pub kind: String,
    /// Which; none where it did not come about.
    pub id: Option<String>,
}

/// A row of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its id. Appended again with the same one, it is there once.
    pub id: AuditId,
    /// The tenant that it is about, in whose chain it is.
    pub tenant_id: Option<TenantId>,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: Actor,
    /// What: `tenants.suspend`, `users.login`.
    pub action: String,
    /// To what.
    pub target: Option<Target>,
    /// Method, path and query, without secrets.
    pub request: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
    /// Where the request came from.
    pub address: Option<String>,
    /// What came of it.
    pub outcome: AuditOutcome,
    /// The answer's status.
    pub status: Option<u16>,
    /// What was sent, as JSON; no secrets.
    pub input: Option<String>,
    /// What it was before, as JSON; no secrets.
    pub before: Option<String>,
    /// What it is afterwards, or what is to be known otherwise, as JSON; no secrets.
    pub after: Option<String>,
}

/// A SHA-256 hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuditHash([u8; 32]);

impl AuditHash {
    /// What the first block of a chain comes after.
    pub const NONE: Self = Self([0; 32]);

    /// A hash that was stored; `None` if it has another length.
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes, for storage.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Display for AuditHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for AuditHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuditHash({self})")
    }
}

/// Hashes values with their lengths, so that nothing can wander from one to the next.
struct Fields(Sha256);

impl Fields {
    fn begin(what: &[u8]) -> Self {
        Self(Sha256::new()).bytes(what)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    fn number(self, number: i64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    /// Nothing is not an empty text.
    fn text(mut self, text: Option<&str>) -> Self {
        self.0.update([u8::from(text.is_some())]);
        self.bytes(text.unwrap_or_default().as_bytes())
    }

    fn end(self) -> AuditHash {
        AuditHash(self.0.finalize().into())
    }
}

impl AuditEntry {
    /// The hash over all that it says. Times count to the microsecond, as they are stored.
    pub fn digest(&self) -> AuditHash {
        let target = self.target.as_ref();
        Fields::begin(b"tenantry audit row 1")
            .bytes(self.id.as_uuid().as_bytes())
            .text(self.tenant_id.map(|tenant| tenant.to_string()).as_deref())
            .number(self.at.timestamp_micros())
            .text(Some(self.actor.kind.as_str()))
            .text(self.actor.id.as_deref())
            .text(self.actor.name.as_deref())
            .text(Some(&self.action))
            .text(target.map(|target| target.kind.as_str()))
            .text(target.and_then(|target| target.id.as_deref()))
            .text(self.request.as_deref())
            .text(self.request_id.as_deref())
            .text(self.address.as_deref())
            .text(Some(self.outcome.as_str()))
            .number(self.status.map_or(-1, i64::from))
            .text(self.input.as_deref())
            .text(self.before.as_deref())
            .text(self.after.as_deref())
            .end()
    }

    /// The chain that it belongs to.
    pub fn chain(&self) -> Chain {
        self.tenant_id.map_or(Chain::System, Chain::Tenant)
    }
}

/// A chain of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Chain {
    /// Of what is no tenant's.
    System,
    /// Of a tenant.
    Tenant(TenantId),
}

impl Chain {
    /// As it is stored.
    pub const fn as_uuid(self) -> Uuid {
        match self {
            Self::System => Uuid::nil(),
            Self::Tenant(tenant) => tenant.as_uuid(),
        }
    }

    /// As it was stored.
    pub fn from_uuid(id: Uuid) -> Self {
        if id.is_nil() { Self::System } else { Self::Tenant(TenantId::from_uuid(id)) }
    }
}

/// A block that seals rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The chain.
    pub chain: Chain,
    /// Its number in the chain, from 1.
    pub number: i64,
    /// Its rows and their hashes, in order.
    pub rows: Vec<(AuditId, AuditHash)>,
    /// Its hash.
    pub hash: AuditHash,
}

impl Block {
    /// The next block of a chain.
    pub fn seal(chain: Chain, head: Option<Head>, entries: &[AuditEntry]) -> Self {
        let rows: Vec<_> = entries.iter().map(|entry| (entry.id, entry.digest())).collect();
        let (number, former) = head.map_or((1, AuditHash::NONE), |head| (head.number + 1, head.hash));
        Self { chain, number, hash: hash_of(chain, number, former, &rows), rows }
    }

    /// As the end of its chain.
    pub fn head(&self) -> Head {
        Head { number: self.number, hash: self.hash }
    }

    /// Whether it and its rows are as they were sealed. `rows` are those of the log that it names or that name it, in
    /// order.
    ///
    /// # Errors
    /// What was done to them.
    pub fn check(&self, former: Option<Head>, rows: &[SealedEntry]) -> Result<(), Fault> {
        let (number, hash) = former.map_or((1, AuditHash::NONE), |head| (head.number + 1, head.hash));
        if self.number != number {
            return Err(Fault::BlockMissing { block: number });
        }
        if self.hash != hash_of(self.chain, self.number, hash, &self.rows) {
            return Err(Fault::BlockAltered { block: number });
        }
        for (id, digest) in &self.rows {
            let Some(row) = rows.iter().find(|row| row.entry.id == *id) else {
                return Err(Fault::RowMissing { block: number, row: *id });
            };
            if row.block != Some(number) || row.entry.digest() != *digest {
                return Err(Fault::RowAltered { block: number, row: *id });
            }
        }
        let is_stranger = |row: &&SealedEntry| self.rows.iter().all(|(id, _)| *id != row.entry.id);
        if let Some(row) = rows.iter().find(is_stranger) {
            return Err(Fault::RowPutIn { block: number, row: row.entry.id });
        }
        match self.rows.iter().zip(rows).find(|((id, _), row)| *id != row.entry.id) {
            Some(((id, _), _)) => Err(Fault::RowAltered { block: number, row: *id }),
            None => Ok(()),
        }
    }
}

fn hash_of(chain: Chain, number: i64, former: AuditHash, rows: &[(AuditId, AuditHash)]) -> AuditHash {
    let begun = Fields::begin(b"tenantry audit block 1")
        .bytes(chain.as_uuid().as_bytes())
        .number(number)
        .bytes(former.as_bytes());
    let all = rows
        .iter()
        .fold(begun, |fields, (id, digest)| fields.bytes(id.as_uuid().as_bytes()).bytes(digest.as_bytes()));
    all.end()
}

/// A row and the block that it says it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedEntry {
    /// The row.
    pub entry: AuditEntry,
    /// The block.
    pub block: Option<i64>,
}

/// The end of a chain: `<block>:<hash>`. Kept elsewhere it shows later that nothing before it was altered, and that the chain was not
/// cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last block's number.
    pub number: i64,
    /// Its hash.
    pub hash: AuditHash,
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.number, self.hash)
    }
}

impl std::str::FromStr for Head {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || {
            Invalid::because(
                "must be a block's number and hash, such as 17:9f86d0…, as `head` of an earlier answer",
            )
        };
        let (number, hash) = text.split_once(':').ok_or_else(wrong)?;
        let number = number.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?;
        let digit = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let plain = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bytes =
            plain.then(|| hash.as_bytes().chunks(2).map(digit).collect::<Option<Vec<u8>>>()).flatten();
        let hash = bytes.and_then(|bytes| AuditHash::from_stored(&bytes)).ok_or_else(wrong)?;
        Ok(Self { number, hash })
    }
}

/// What was done to a chain: the first of it that is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A row says something else than when it was sealed, or has changed places with another.
    #[error("row {row} of block {block} was altered")]
    RowAltered {
        /// The block.
        block: i64,
        /// The row.
        row: AuditId,
    },
    /// A row is gone.
    #[error("row {row} of block {block} was removed")]
    RowMissing {
        /// The block.
        block: i64,
        /// The row.
        row: AuditId,
    },
    /// A row says that it is in a block which does not know it.
    #[error("row {row} was put into block {block}")]
    RowPutIn {
        /// The block.
        block: i64,
        /// The row.
        row: AuditId,
    },
    /// A block does not follow the one before it, or says something else than when it was sealed.
    #[error("block {block} was altered, or a block before it was made anew")]
    BlockAltered {
        /// The block.
        block: i64,
    },
    /// A block is gone.
    #[error("block {block} was removed")]
    BlockMissing {
        /// The block.
        block: i64,
    },
    /// The chain ends before the head that somebody has kept, or has another block there.
    #[error("block {block} is not the one that was kept: the chain was cut off there, or made anew")]
    HeadDiffers {
        /// The block.
        block: i64,
    },
}

impl Fault {
    /// Its kind, for programs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::RowAltered { .. } => "row_altered",
            Self::RowMissing { .. } => "row_missing",
            Self::RowPutIn { .. } => "row_put_in",
            Self::BlockAltered { .. } => "block_altered",
            Self::BlockMissing { .. } => "block_missing",
            Self::HeadDiffers { .. } => "head_differs",
        }
    }

    /// The block that it was found in.
    pub const fn block(&self) -> i64 {
        match self {
            Self::RowAltered { block, .. }
            | Self::RowMissing { block, .. }
            | Self::RowPutIn { block, .. }
            | Self::BlockAltered { block }
            | Self::BlockMissing { block }
            | Self::HeadDiffers { block } => *block,
        }
    }

    /// The row, if it is one.
    pub const fn row(&self) -> Option<AuditId> {
        match self {
            Self::RowAltered { row, .. } | Self::RowMissing { row, .. } | Self::RowPutIn { row, .. } => {
                Some(*row)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u128) -> AuditEntry {
        AuditEntry {
            id: AuditId::from_uuid(Uuid::from_u128(number)),
            tenant_id: None,
            at: DateTime::UNIX_EPOCH,
            actor: Actor { kind: ActorKind::Key, id: Some("k".into()), name: None },
            action: "plans.update".into(),
            target: Some(Target { kind: "plans".into(), id: Some("basic".into()) }),
            request: None,
            request_id: Some(number.to_string()),
            address: None,
            outcome: AuditOutcome::Succeeded,
            status: Some(200),
            input: None,
            before: None,
            after: Some("{}".into()),
        }
    }

    fn sealed(numbers: &[u128], former: Option<Head>) -> (Block, Vec<SealedEntry>) {
        let entries: Vec<_> = numbers.iter().map(|number| entry(*number)).collect();
        let block = Block::seal(Chain::System, former, &entries);
        let rows =
            entries.into_iter().map(|entry| SealedEntry { entry, block: Some(block.number) }).collect();
        (block, rows)
    }

    #[test]
    fn each_member_counts_and_nothing_wanders_from_one_to_the_next() {
        let changes: [fn(&mut AuditEntry); 17] = [
            |row| row.id = AuditId::from_uuid(Uuid::from_u128(2)),
            |row| row.tenant_id = Some(TenantId::from_uuid(Uuid::nil())),
            |row| row.at += chrono::TimeDelta::microseconds(1),
            |row| row.actor.kind = ActorKind::User,
            |row| row.actor.id = None,
            |row| row.actor.name = Some(String::new()),
            |row| row.action = "plans.delete".into(),
            |row| row.target = None,
            |row| row.request = Some("DELETE /".into()),
            |row| row.request_id = None,
            |row| row.address = Some("10.0.0.1".into()),
            |row| row.outcome = AuditOutcome::Refused,
            |row| row.status = None,
            |row| row.input = Some("{}".into()),
            |row| row.before = Some("{}".into()),
            |row| row.after = None,
            |row| row.after = Some("{ }".into()),
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut row = entry(1);
            change(&mut row);
            assert_ne!(row.digest(), entry(1).digest(), "change {at}");
        }
        let (mut one, mut other) = (entry(1), entry(1));
        (one.actor.id, one.actor.name) = (Some("ab".into()), Some("c".into()));
        (other.actor.id, other.actor.name) = (Some("a".into()), Some("bc".into()));
        assert_ne!(one.digest(), other.digest());
    }

    #[test]
    fn what_was_done_to_a_block_is_found_and_named() {
        let (first, _) = sealed(&[9], None);
        let (block, rows) = sealed(&[1, 2, 3], Some(first.head()));
        assert_eq!(block.check(Some(first.head()), &rows), Ok(()));
        let id = |number| AuditId::from_uuid(Uuid::from_u128(number));
        let find = |change: fn(&mut Vec<SealedEntry>)| {
            let mut rows = rows.clone();
            change(&mut rows);
            block.check(Some(first.head()), &rows).unwrap_err()
        };
        let altered = Fault::RowAltered { block: 2, row: id(2) };
        assert_eq!(find(|rows| rows[1].entry.action = "x".into()), altered);
        assert_eq!(find(|rows| rows[1].block = None), altered);
        assert_eq!(find(|rows| drop(rows.remove(1))), Fault::RowMissing { block: 2, row: id(2) });
        let put_in = |rows: &mut Vec<SealedEntry>| rows.push(SealedEntry { entry: entry(4), block: Some(2) });
        assert_eq!(find(put_in), Fault::RowPutIn { block: 2, row: id(4) });
        let swap = |rows: &mut Vec<SealedEntry>| {
            let (first, second) = rows.split_at_mut(1);
            std::mem::swap(&mut first[0].entry.id, &mut second[0].entry.id);
        };
        assert_eq!(find(swap), Fault::RowAltered { block: 2, row: id(1) });
        assert_eq!(find(|rows| rows.swap(0, 1)), Fault::RowAltered { block: 2, row: id(1) });

        let (mut forged, rows) = sealed(&[1, 3], Some(first.head()));
        assert_eq!(block.check(None, &rows), Err(Fault::BlockMissing { block: 1 }));
        forged.rows.pop();
        assert_eq!(forged.check(Some(first.head()), &rows), Err(Fault::BlockAltered { block: 2 }));
        // Made anew whole: only the next block, or a head that somebody has kept, tells.
        let (anew, rows) = sealed(&[1, 3], Some(first.head()));
        assert_eq!(anew.check(Some(first.head()), &rows), Ok(()));
        let (next, _) = sealed(&[5], Some(block.head()));
        assert_eq!(next.check(Some(anew.head()), &[]), Err(Fault::BlockAltered { block: 3 }));
    }

    #[test]
    fn a_head_reads_as_it_is_written() {
        let head = sealed(&[1], None).0.head();
        assert_eq!(head.to_string().parse(), Ok(head));
        for text in [
            "",
            "1",
            "1:",
            ":ab",
            "0:".to_owned().as_str(),
            "x:00",
            &format!("1:{}", "é".repeat(32)),
            &format!("-1:{}", head.hash),
        ] {
            assert!(text.parse::<Head>().is_err(), "{text:?}");
        }
    }
}
