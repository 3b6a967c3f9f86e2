//! Who asks, and whether they may. [`authenticate`] runs before every route but sign-up; each
//! handler names the scope it needs in its signature ([`Authorized`]).

mod bearer;
mod caller;
mod key_ring;
mod operator_issuer;
mod scope;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use tenantry_http::Problem;
use tenantry_tokens::{RefusedOfOthers, is_token};

pub(crate) use caller::Caller;
pub(crate) use key_ring::KeyRing;
pub(crate) use operator_issuer::OperatorIssuer;
pub use operator_issuer::{OperatorIssuerUrl, OperatorRole, OperatorSettings};
pub(crate) use scope::{Authorized, require, scopes};

use self::{bearer::BearerError, operator_issuer::OperatorRefused};
use crate::refusal::Refusal;

/// Lets a request through if it comes with a live key of the control plane, or with a token of the operators' identity provider.
pub(crate) async fn authenticate(
    State(keys): State<KeyRing>,
    State(operators): State<Option<OperatorIssuer>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let token = bearer::token(request.headers()).map_err(|error| match error {
        BearerError::Missing => unauthenticated(
            "send a key in the header: `Authorization: Bearer <api key>`",
            "Bearer realm=\"tenantry\"",
        ),
        BearerError::Garbled => unauthenticated(
            "the Authorization header must be `Bearer <api key>`, once",
            "Bearer realm=\"tenantry\", error=\"invalid_request\"",
        ),
    })?;
    if let Some(operators) = operators.filter(|_| is_token(token)) {
        let operator = operators.verify(token).await.map_err(token_refused)?;
        request.extensions_mut().insert(Caller::Operator(operator.into()));
        return Ok(next.run(request).await);
    }
    let key = keys
        .find(token)
        .await?
        .ok_or_else(|| unauthenticated("the key is unknown, revoked or expired", INVALID_TOKEN))?;
    if key.tenant_id.is_some() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "wrong_kind_of_key",
            "this is a tenant's key, which opens the data plane only; send an operator's key",
        )
        .into());
    }
    request.extensions_mut().insert(Caller::Key(key));
    Ok(next.run(request).await)
}

const INVALID_TOKEN: &str = "Bearer realm=\"tenantry\", error=\"invalid_token\"";

fn token_refused(refused: OperatorRefused) -> Refusal {
    let detail = match refused {
        OperatorRefused::Token(RefusedOfOthers::Invalid) => {
            "the token is not the identity provider's, or not for Tenantry; sign in again"
        }
        OperatorRefused::Token(RefusedOfOthers::Expired) => "the token has expired; sign in again",
        OperatorRefused::Token(RefusedOfOthers::NotYetValid) => "the token is not valid yet",
        OperatorRefused::Unavailable => {
            return Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "identity_provider_unavailable",
                "the identity provider does not answer, so that the token cannot be checked; try again, or send an API key",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("10"))
            .into();
        }
    };
    unauthenticated(detail, INVALID_TOKEN)
}

fn unauthenticated(detail: &'static str, challenge: &'static str) -> Refusal {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
        .into()
}
