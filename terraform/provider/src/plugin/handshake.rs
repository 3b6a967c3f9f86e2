//! What Terraform gives a plugin in its environment, and the line that it expects.

use std::net::SocketAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

/// What says that Terraform has started us, and nobody by mistake.
const COOKIE: (&str, &str) =
    ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2");
/// The version of Terraform's plugin protocol.
const PROTOCOL: &str = "6";

/// What Terraform has asked for.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// The only certificate that a client may have, as PEM text.
    pub(crate) client_certificate: String,
}

/// Why a plugin does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error(
        "this is a plugin of Terraform, which starts it itself: name it in a configuration's required_providers, see \
         docs/terraform.md"
    )]
    NotTerraform,
    #[error(
        "Terraform speaks plugin protocol {0}, and this provider {PROTOCOL} only; use Terraform 1.0 or later"
    )]
    Protocol(String),
    #[error("Terraform gave no certificate (PLUGIN_CLIENT_CERT), so that anybody could connect")]
    NoCertificate,
}

impl Handshake {
    /// Reads it; `variable` looks a variable up.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, HandshakeError> {
        if variable(COOKIE.0).as_deref() != Some(COOKIE.1) {
            return Err(HandshakeError::NotTerraform);
        }
        let versions = variable("PLUGIN_PROTOCOL_VERSIONS").unwrap_or_else(|| PROTOCOL.to_owned());
        if !versions.split(',').any(|version| version == PROTOCOL) {
            return Err(HandshakeError::Protocol(versions));
        }
        let client_certificate = variable("PLUGIN_CLIENT_CERT").ok_or(HandshakeError::NoCertificate)?;
        Ok(Self { client_certificate })
    }

    /// The line that tells Terraform where the plugin is and which certificate it has.
    pub(crate) fn line(address: SocketAddr, certificate: &[u8]) -> String {
        format!("1|{PROTOCOL}|tcp|{address}|grpc|{}", STANDARD_NO_PAD.encode(certificate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Handshake, HandshakeError> {
        Handshake::read(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn only_terraform_starts_a_plugin() {
        assert!(matches!(read(&[]), Err(HandshakeError::NotTerraform)));
        let old = [COOKIE, ("PLUGIN_PROTOCOL_VERSIONS", "4,5")];
        assert!(matches!(read(&old), Err(HandshakeError::Protocol(_))));
        let open = [COOKIE, ("PLUGIN_PROTOCOL_VERSIONS", "5,6")];
        assert!(matches!(read(&open), Err(HandshakeError::NoCertificate)));
        assert!(read(&[COOKIE, ("PLUGIN_CLIENT_CERT", "pem")]).is_ok());
    }

    #[test]
    fn the_line_has_the_certificate_without_padding() {
        let line = Handshake::line("127.0.0.1:4711".parse().unwrap(), b"a");
        assert_eq!(line, "1|6|tcp|127.0.0.1:4711|grpc|YQ");
    }
}
