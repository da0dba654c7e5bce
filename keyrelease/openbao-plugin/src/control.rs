//! The small services around the backend: shutdown, captured output, health, multiplexing, version.
//!
//! Trusted: the host, the only peer.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::life::{End, Life};
use crate::wire::health::health_check_response::ServingStatus;
use crate::wire::health::health_server::Health;
use crate::wire::health::{HealthCheckRequest, HealthCheckResponse};
use crate::wire::logical::VersionReply;
use crate::wire::logical::plugin_version_server::PluginVersion;
use crate::wire::multiplexing::plugin_multiplexing_server::PluginMultiplexing;
use crate::wire::multiplexing::{MultiplexingSupportRequest, MultiplexingSupportResponse};
use crate::wire::plugin::StdioData;
use crate::wire::plugin::grpc_controller_server::GrpcController;
use crate::wire::plugin::grpc_stdio_server::GrpcStdio;
use crate::wire::{logical, plugin};

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    pub(crate) life: Arc<Life>,
    pub(crate) version: &'static str,
}

#[tonic::async_trait]
impl GrpcController for Control {
    async fn shutdown(&self, _request: Request<plugin::Empty>) -> Result<Response<plugin::Empty>, Status> {
        self.life.end(End::Asked);
        Ok(Response::new(plugin::Empty {}))
    }
}

#[tonic::async_trait]
impl GrpcStdio for Control {
    type StreamStdioStream = tokio_stream::Pending<Result<StdioData, Status>>;

    // Output goes to the log as lines of its own; without this service the host warns.
    async fn stream_stdio(&self, _request: Request<()>) -> Result<Response<Self::StreamStdioStream>, Status> {
        Ok(Response::new(tokio_stream::pending()))
    }
}

#[tonic::async_trait]
impl Health for Control {
    type WatchStream = tokio_stream::Pending<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match request.into_inner().service.as_str() {
            "" | "plugin" => Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() })),
            other => Err(Status::not_found(format!("service {other:?}, expected \"plugin\""))),
        }
    }

    async fn watch(
        &self,
        _request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("health is asked for, not watched"))
    }
}

#[tonic::async_trait]
impl PluginMultiplexing for Control {
    async fn multiplexing_support(
        &self,
        _request: Request<MultiplexingSupportRequest>,
    ) -> Result<Response<MultiplexingSupportResponse>, Status> {
        Ok(Response::new(MultiplexingSupportResponse { supported: true }))
    }
}

#[tonic::async_trait]
impl PluginVersion for Control {
    async fn version(&self, _request: Request<logical::Empty>) -> Result<Response<VersionReply>, Status> {
        Ok(Response::new(VersionReply { plugin_version: self.version.to_owned() }))
    }
}
