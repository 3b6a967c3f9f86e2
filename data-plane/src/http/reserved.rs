//! `/api/auth/...`: kept free for users, passwords and tokens, so that no table takes the name.

use tenantry_http::Problem;

pub(super) async fn auth() -> Problem {
    Problem::not_found("endpoint")
}
