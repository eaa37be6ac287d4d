//! A collector of spans, as OpenTelemetry's own would be: what the processes export is
//! kept as it came over the wire.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use prost::Message as _;
use sotto_testkit::search::{Needles, Searched};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

/// A running collector. It ends with the handle.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    kept: Kept,
    serving: JoinHandle<()>,
}

#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Starts one on a free port.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    #[expect(clippy::disallowed_methods, reason = "ends with the handle")]
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let kept = Kept::default();
        let service = TraceServiceServer::new(kept.clone());
        let serving = tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            drop(Server::builder().add_service(service).serve_with_incoming(incoming).await);
        });
        Ok(Self { address, kept, serving })
    }

    /// Where processes send their spans.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The names of all spans that have come.
    pub fn names(&self) -> Vec<String> {
        self.requests()
            .into_iter()
            .flat_map(|request| request.resource_spans)
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .map(|span| span.name)
            .collect()
    }

    /// Looks through all that has come.
    pub fn search(&self, needles: &Needles) -> Searched {
        let mut searched = Searched::default();
        for request in self.requests() {
            searched.look(needles, "exported spans", &request.encode_to_vec());
        }
        searched
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        self.kept.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
