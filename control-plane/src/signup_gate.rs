//! How often a visitor may sign up. Sign-ups that failed on our side do not count.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock, DefaultClock},
};
use tenantry_http::Problem;

use crate::{SignupSettings, refusal::Refusal, visitor::Visitor};

/// Addresses that are remembered before those that may sign up again are forgotten.
const REMEMBERED: usize = 10_000;

/// Public sign-up as it is configured.
pub(crate) struct SignupGate {
    pub(crate) settings: SignupSettings,
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    /// Sign-ups that were counted and should not have been, by network. The limiter takes nothing back.
    given_back: Mutex<HashMap<IpAddr, u32>>,
    clock: DefaultClock,
}

impl SignupGate {
    pub(crate) fn new(settings: SignupSettings) -> Self {
        let limiter = DefaultKeyedRateLimiter::keyed(Quota::per_minute(settings.per_minute));
        Self { settings, limiter, given_back: Mutex::default(), clock: DefaultClock::default() }
    }

    /// Lets a sign-up through; or says for how many seconds not.
    fn admit(&self, address: IpAddr) -> Result<(), u64> {
        if self.take_given_back(network(address)) {
            return Ok(());
        }
        if self.limiter.len() > REMEMBERED {
            self.limiter.retain_recent();
        }
        self.limiter
            .check_key(&network(address))
            .map_err(|refused| tenantry_http::whole_seconds(refused.wait_time_from(self.clock.now())))
    }
}

/// On an answer to a sign-up that does not count: it took up one that had failed on our side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uncounted;

impl SignupGate {
    fn take_given_back(&self, network: IpAddr) -> bool {
        let mut given_back = self.given_back.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = given_back.get_mut(&network) else { return false };
        *count -= 1;
        if *count == 0 {
            given_back.remove(&network);
        }
        true
    }

    /// Lets an address sign up once more than it may.
    fn give_back(&self, address: IpAddr) {
        let mut given_back = self.given_back.lock().unwrap_or_else(PoisonError::into_inner);
        if given_back.len() < REMEMBERED {
            *given_back.entry(network(address)).or_default() += 1;
        }
    }
}

/// What one customer's line has: an IPv4 address, or a /64 network of IPv6.
pub(crate) fn network(address: IpAddr) -> IpAddr {
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
    // Without a connection (a router that is called directly) all share one allowance.
    let address =
        request.extensions().get().map_or(Ipv6Addr::UNSPECIFIED.into(), |Visitor(address)| *address);
    gate.admit(address).map_err(|seconds| {
        metrics::counter!("tenantry_signups_limited_total").increment(1);
        let detail = format!("too many sign-ups from this address; try again in {seconds} s");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_signups", detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    })?;
    let response = next.run(request).await;
    if response.status().is_server_error() || response.extensions().get::<Uncounted>().is_some() {
        gate.give_back(address);
    }
    Ok(response)
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
    fn a_sign_up_that_failed_on_our_side_is_given_back_once() {
        let gate = SignupGate::new(SignupSettings {
            per_minute: NonZeroU32::MIN,
            plan: PlanName::parse("basic").unwrap(),
            app: None,
        });
        let here: IpAddr = "10.0.0.1".parse().unwrap();
        assert!(gate.admit(here).is_ok() && gate.admit(here).is_err());
        gate.give_back(here);
        assert!(gate.admit("10.0.0.2".parse().unwrap()).is_ok());
        assert!(gate.admit(here).is_ok() && gate.admit(here).is_err());
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    }
}
