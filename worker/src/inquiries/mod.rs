//! Inquiries: questions of the control plane that need a tenant server. One file per question.
//!
//! Beside the queues, with a few places of its own. An answer that is lost is asked for again; one that comes twice
//! is the same.

mod audit_server;
pub(crate) mod check_server;
mod describe_version;
mod preflight_move;
mod try_rollout;
mod try_version;
mod verify_tenants;

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use tenantry_domain::{
    app::App,
    ids::InquiryId,
    inquiry::{Answer, Question},
};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{Resources, operations::move_tenant::Input, step_error::StepError};

/// Inquiries at a time.
const AT_ONCE: usize = 4;

/// How long an answer may take. Whoever asks waits for a little longer.
const LIMIT: Duration = Duration::from_secs(17);

/// How long a server that is away or busy is tried again.
const TRY_AGAIN_FOR: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(250);

/// How long an inquiry stays taken without a sign of life from its worker.
const CLAIM: Duration = Duration::from_secs(4);

/// How often it is looked for inquiries without news of any.
const POLL: Duration = Duration::from_secs(2);

/// Answers inquiries until `stop`. Those at hand are left to other workers then.
pub(crate) async fn run(resources: Arc<Resources>, stop: CancellationToken) {
    let mut news = resources.registry.inquiry_feed();
    let mut at_hand = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            // Whatever they are: answers of others too are few.
            _ = news.next() => {}
            Some(_) = at_hand.join_next() => {}
            () = tokio::time::sleep(POLL) => {}
        }
        while at_hand.len() < AT_ONCE {
            match resources.registry.inquiry_take(CLAIM).await {
                Ok(Some((id, question))) => {
                    at_hand.spawn(answer(Arc::clone(&resources), id, question));
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "inquiries cannot be looked for");
                    break;
                }
            }
        }
    }
}

async fn answer(resources: Arc<Resources>, id: InquiryId, question: Question) {
    let kind = question.as_str();
    let renew = async {
        loop {
            tokio::time::sleep(CLAIM / 3).await;
            if let Err(error) = resources.registry.inquiry_renew(id, CLAIM).await {
                tracing::debug!(%error, inquiry.id = %id, "an inquiry cannot be kept");
            }
        }
    };
    let started = std::time::Instant::now();
    let found = tokio::select! {
        found = timeout(LIMIT, find_out(&resources, &question)) => found,
        () = renew => return,
    };
    metrics::histogram!("tenantry_inquiry_duration_seconds", "kind" => kind)
        .record(started.elapsed().as_secs_f64());
    let answer = match found {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Answer::Failed { message: error.to_string() },
        Err(_) => {
            Answer::Failed { message: format!("it took longer than {} s; try again later", LIMIT.as_secs()) }
        }
    };
    if let Answer::Failed { message } = &answer {
        tracing::warn!(inquiry.id = %id, kind, "inquiry {kind} failed: {message}");
    }
    if let Err(error) = resources.registry.inquiry_answer(id, &answer).await {
        tracing::debug!(%error, inquiry.id = %id, "an answer cannot be given; the inquiry is taken again");
    }
}

/// What is away for a moment, or busy, is asked again.
async fn find_out(resources: &Resources, question: &Question) -> Result<Answer, StepError> {
    let started = std::time::Instant::now();
    loop {
        match find_out_once(resources, question).await {
            Err(
                StepError::ServerAway { .. } | StepError::RegistryAway { .. } | StepError::Transient { .. },
            ) if started.elapsed() < TRY_AGAIN_FOR => tokio::time::sleep(PAUSE).await,
            found => return found,
        }
    }
}

async fn find_out_once(resources: &Resources, question: &Question) -> Result<Answer, StepError> {
    Ok(match question.clone() {
        Question::TryVersion { app, manifest, seed, migration } => {
            let app = App { name: app, manifest, seed, migrations: vec![migration], promoted: None };
            Answer::VersionTried(try_version::run(resources, app).await?)
        }
        Question::DescribeVersion { app, version } => {
            Answer::VersionDescribed { typescript: describe_version::run(resources, &app, version).await? }
        }
        Question::CheckServer(server) => Answer::ServerChecked(check_server::run(resources, &server).await?),
        Question::AuditServer { server } => {
            Answer::ServerAudited(audit_server::run(resources, server).await?)
        }
        Question::PreflightMove { tenant, tier, server, offline } => {
            let input =
                Input { tier, server, plan: None, offline, undoes: false, undo_window: Duration::ZERO };
            Answer::MovePreflighted(preflight_move::run(resources, tenant, &input).await?)
        }
        Question::TryRollout { app, target, lock_timeout_ms } => {
            Answer::RolloutTried(try_rollout::run(resources, &app, target, lock_timeout_ms).await?)
        }
        Question::VerifyTenants { app, tenants } => {
            Answer::TenantsVerified(verify_tenants::run(resources, &app, tenants).await?)
        }
    })
}
