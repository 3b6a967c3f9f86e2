//! A value of a tenant's configuration: no panic, and what passes the check is what a data plane reads of it.
//!
//! The input is the key, a line break, and the value as JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tenantry_domain::{
    config::{self, ConfigKey, MaintenanceWindow},
    permission::{Permissions, Verb},
    trusted_issuer::{IssuerKeys, KeySource, TrustedIssuer},
    user::{Password, PasswordPolicy, Role},
};

fuzz_target!(|input: &str| {
    let Some((key, value)) = input.split_once('\n') else { return };
    let Ok(value) = serde_json::from_str::<Value>(value) else { return };
    let Ok(key) = ConfigKey::parse(key) else { return };
    let passes = key.check(&value).is_ok();
    let _ = (key.feature(), key.is_read_by_tenantry());

    // Whatever key it came with: each reader is given each value.
    let policy = PasswordPolicy::from_config(&value);
    let permissions = Permissions::from_config(&value);
    let issuers = TrustedIssuer::list_from_config(&value);
    let window = MaintenanceWindow::from_config(&value);
    if passes {
        let is_read = match key.as_str() {
            config::PASSWORD_POLICY => policy.is_ok(),
            config::SESSION_TIMEOUT => config::session_timeout(&value).is_ok(),
            config::RATE_LIMIT => config::positive(&value).is_ok(),
            config::ROLES => permissions.is_ok(),
            config::ISSUERS => issuers.is_ok(),
            "maintenance.window" => window.is_ok(),
            _ => true,
        };
        assert!(is_read, "{key}: {value}");
    }
    if let Ok(policy) = policy {
        let longest = Password::choose("Aa1 ".repeat(32).into()).expect("a password");
        assert_eq!(policy.check(&longest), Ok(()), "no password will do: {policy:?}");
    }
    if let Ok(permissions) = permissions {
        // A route is written and read as JSON.
        let written = serde_json::to_value(&permissions).expect("JSON");
        assert_eq!(Permissions::from_config(&written).as_ref(), Ok(&permissions));
        for verb in Verb::ALL {
            assert!(permissions.allow(&[Role::Owner], *verb, "deals"), "{permissions:?}");
            assert!(!permissions.allow(&[], *verb, "deals"), "{permissions:?}");
        }
    }
    if let Ok(issuers) = issuers {
        assert_eq!(TrustedIssuer::list_from_config(&value), Ok(issuers.clone()));
        for issuer in issuers {
            // As the registry keeps it.
            if let IssuerKeys::Fetched(source) = issuer.keys {
                assert_eq!(KeySource::parse(source.kind(), source.url()), Ok(source));
            }
        }
    }
    if let Ok(window) = window {
        let written = serde_json::to_value(&window).expect("JSON");
        assert_eq!(MaintenanceWindow::from_config(&written).as_ref(), Ok(&window));
    }
});
