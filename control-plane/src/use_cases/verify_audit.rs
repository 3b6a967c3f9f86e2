//! Reading a chain of the audit log, and finding what was done to it.

use tenantry_domain::audit::{Chain, Fault, Head};
use tenantry_registry::{Registry, RegistryError};

/// Blocks per question to the registry.
const BATCH: i64 = 50;

/// What was found of a chain.
#[derive(Debug)]
pub(crate) struct ChainVerdict {
    /// The chain.
    pub(crate) chain: Chain,
    /// Blocks that are as they were sealed.
    pub(crate) blocks: u64,
    /// Their rows.
    pub(crate) rows: u64,
    /// Rows that are not sealed yet.
    pub(crate) unsealed: u64,
    /// The last of those blocks.
    pub(crate) head: Option<Head>,
    /// What was done to it first.
    pub(crate) fault: Option<Fault>,
}

impl ChainVerdict {
    /// Of a chain that was not looked at.
    pub(crate) fn unread(chain: Chain) -> Self {
        Self { chain, blocks: 0, rows: 0, unsealed: 0, head: None, fault: None }
    }
}

/// Reads a chain from its beginning to what is wrong with it. `kept` must be in it.
pub(crate) async fn verify_chain(
    registry: &Registry,
    chain: Chain,
    kept: Option<Head>,
) -> Result<ChainVerdict, RegistryError> {
    let mut verdict = ChainVerdict::unread(chain);
    loop {
        let last = verdict.head.map_or(0, |head| head.number);
        let blocks = registry.audit_blocks(chain, last, BATCH).await?;
        if blocks.is_empty() {
            break;
        }
        for block in blocks {
            let rows = registry.audit_rows_of(&block).await?;
            let differs = kept.is_some_and(|kept| kept.number == block.number && kept.hash != block.hash);
            verdict.fault = match block.check(verdict.head, &rows) {
                Err(fault) => Some(fault),
                Ok(()) if differs => Some(Fault::HeadDiffers { block: block.number }),
                Ok(()) => None,
            };
            if verdict.fault.is_some() {
                return Ok(verdict);
            }
            verdict.blocks += 1;
            verdict.rows += block.rows.len() as u64;
            verdict.head = Some(block.head());
        }
    }
    let last = verdict.head.map_or(0, |head| head.number);
    let (unsealed, later) = registry.audit_rest(chain, last).await?;
    verdict.unsealed = unsealed;
    let cut_off =
        kept.filter(|kept| kept.number > last).map(|kept| Fault::HeadDiffers { block: kept.number });
    verdict.fault = later.map(|block| Fault::BlockMissing { block }).or(cut_off);
    Ok(verdict)
}
