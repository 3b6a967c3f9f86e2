//! How often an address may sign up.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock, DefaultClock},
};
use tenantry_http::{PeerAddr, Problem};

use crate::{SignupSettings, refusal::Refusal};

/// Addresses that are remembered before those that may sign up again are forgotten.
const REMEMBERED: usize = 10_000;

/// Public sign-up as it is configured.
pub(crate) struct SignupGate {
    pub(super) settings: SignupSettings,
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
}

impl SignupGate {
    pub(crate) fn new(settings: SignupSettings) -> Self {
        let limiter = DefaultKeyedRateLimiter::keyed(Quota::per_minute(settings.per_minute));
        Self { settings, limiter, clock: DefaultClock::default() }
    }

    /// Lets a sign-up through; or says for how many seconds not.
    fn admit(&self, address: IpAddr) -> Result<(), u64> {
        if self.limiter.len() > REMEMBERED {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&network(address)).map_err(|refused| {
            let wait = refused.wait_time_from(self.clock.now());
            wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
        })
    }
}

/// What one customer's line has: an IPv4 address, or a /64 network of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// Refuses sign-ups where they are off, or when an address had too many.
pub(crate) async fn limit(
    State(gate): State<Option<Arc<SignupGate>>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let Some(gate) = gate else {
        let detail = "public sign-up is switched off here; ask the operator";
        return Err(Problem::new(StatusCode::NOT_FOUND, "signup_disabled", detail).into());
    };
    let peer = request.extensions().get::<ConnectInfo<PeerAddr>>();
    // Without a peer (a router that is called directly) all share one allowance.
    let address = peer.map_or(Ipv6Addr::UNSPECIFIED.into(), |peer| peer.0.0.ip());
    gate.admit(address).map_err(|seconds| {
        metrics::counter!("tenantry_signups_limited_total").increment(1);
        let detail = format!("too many sign-ups from this address; try again in {seconds} s");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_signups", detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    })?;
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use tenantry_domain::plan::PlanName;

    use super::*;

    #[test]
    fn an_address_may_sign_up_so_often_and_its_neighbours_too() {
        let gate = SignupGate::new(SignupSettings {
            per_minute: NonZeroU32::new(2).unwrap(),
            plan: PlanName::parse("basic").unwrap(),
            app: None,
        });
        let here: IpAddr = "10.0.0.1".parse().unwrap();
        assert!(gate.admit(here).is_ok() && gate.admit(here).is_ok());
        assert!((1..=30).contains(&gate.admit(here).unwrap_err()));
        assert!(gate.admit("10.0.0.2".parse().unwrap()).is_ok());
        assert!(gate.admit("::ffff:10.0.0.1".parse().unwrap()).is_err());
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    }
}
