//! How a plugin ends.

use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::watch;
use tonic::{Request, Response, Status, async_trait};

use crate::protocol::plugin::{
    Empty, StdioData, grpc_controller_server::GrpcController, grpc_stdio_server::GrpcStdio,
};

/// Whether the plugin is to end.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown(watch::Sender<bool>);

impl Shutdown {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Returns when it is to end.
    pub(crate) async fn requested(self) {
        // The sender is in self.
        let _ = self.0.subscribe().wait_for(|requested| *requested).await;
    }
}

/// Ends the plugin when Terraform says so.
pub(crate) struct Controller(pub(crate) Shutdown);

#[async_trait]
impl GrpcController for Controller {
    async fn shutdown(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        self.0.0.send_replace(true);
        Ok(Response::new(Empty {}))
    }
}

/// A stream without anything in it, as long as the plugin runs.
pub(crate) struct Stdio(pub(crate) Shutdown);

#[async_trait]
impl GrpcStdio for Stdio {
    type StreamStdioStream = BoxStream<'static, Result<StdioData, Status>>;

    async fn stream_stdio(&self, _: Request<Empty>) -> Result<Response<Self::StreamStdioStream>, Status> {
        let end = self.0.clone().requested();
        Ok(Response::new(stream::pending().take_until(Box::pin(end)).boxed()))
    }
}

/// Returns when Terraform is gone without a word.
pub(crate) async fn end_with_parent() {
    #[cfg(unix)]
    {
        let parent = std::os::unix::process::parent_id();
        while std::os::unix::process::parent_id() == parent {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    #[cfg(not(unix))]
    std::future::pending::<()>().await;
}
