//! Writes the documents that are generated from the code: the OpenAPI descriptions of both planes
//! and the reference of all settings.

use std::{fs, path::Path};

fn main() -> anyhow::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    fs::create_dir_all(docs.join("openapi"))?;
    let planes = [
        ("control-plane", tenantry_control_plane::openapi().to_pretty_json()?),
        ("data-plane", tenantry_data_plane::openapi().to_pretty_json()?),
    ];
    for (plane, json) in planes {
        fs::write(docs.join(format!("openapi/{plane}.json")), json + "\n")?;
    }
    fs::write(docs.join("configuration.md"), tenantry_cli::configuration_reference())?;
    Ok(())
}
