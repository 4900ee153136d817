//! `vocar status`.

use super::{Common, Failure, show, telephone};
use serde_json::json;

/// Shows the service's properties.
///
/// # Errors
/// When the service cannot be reached.
pub async fn execute(common: &Common) -> Result<(), Failure> {
    let service = telephone::call(common).await?;
    let health = show::dict(&service.health().await?);
    let status = json!({
        "version": service.version().await?,
        "state": service.state().await?,
        "profile": service.profile().await?,
        "power_level": service.power_level().await?,
        "backend": service.backend().await?,
        "domains": service.domains().await?,
        "adapters": service.adapters().await?,
        "privacy_mode": service.privacy_mode().await?,
        "health": health,
        "metrics": show::dict(&service.metrics().await?),
    });
    if common.json {
        tell!("{status}");
    } else {
        show::table(&status);
    }
    Ok(())
}
