//! Logs, traces and metrics.
//!
//! Logs are JSON lines on standard output. Traces go to an OTLP collector where one
//! is configured. Metrics are served in Prometheus' text form on the operations port.
//! None of them may carry the id, token, key or address of anybody.

use std::{collections::HashMap, io::IsTerminal as _, time::Duration};

use metrics::{describe_counter, describe_histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use opentelemetry::{global, propagation::Extractor, trace::TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use serde::{Deserialize, Serialize};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::config::{Validate, require};

/// Upper bounds of the latency histograms, in seconds. The edges of the service
/// levels (0.1, 0.2 and 0.5) are among them.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Upper bounds of the histograms that count things in a batch.
const COUNTS: [f64; 11] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0];

/// How often the histograms fold what they have gathered.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// The section `[telemetry]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// A filter as `tracing_subscriber::EnvFilter` takes it.
    pub log_level: String,
    /// Where spans go, such as `http://collector:4317`; empty for nowhere.
    pub otlp_endpoint: String,
    /// The share of traces that are kept, from 0 to 1, where the caller did not say.
    pub trace_sample: f64,
}

impl Validate for TelemetryConfig {
    fn validate(&self, problems: &mut Vec<String>) {
        require(problems, EnvFilter::try_new(&self.log_level).is_ok(), || {
            "telemetry.log_level: not a filter such as \"info\"".into()
        });
        require(problems, (0.0..=1.0).contains(&self.trace_sample), || {
            "telemetry.trace_sample: must be between 0 and 1".into()
        });
    }
}

/// Renders the metrics of this process.
#[derive(Clone)]
pub struct MetricsHandle(PrometheusHandle);

impl std::fmt::Debug for MetricsHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MetricsHandle")
    }
}

impl MetricsHandle {
    /// All metrics in Prometheus' text form.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds what the histograms gathered since the last call.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }

    /// How often `upkeep` wants to be called.
    pub const fn upkeep_every(&self) -> Duration {
        UPKEEP_EVERY
    }
}

/// What must be flushed when the process ends.
#[derive(Debug)]
pub struct Telemetry {
    spans: Option<SdkTracerProvider>,
    /// The metrics of this process.
    pub metrics: MetricsHandle,
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The exporter's address is wrong.
    #[error("telemetry.otlp_endpoint: spans cannot be exported")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
    /// Something in this process has set up telemetry before.
    #[error("telemetry was set up twice")]
    Twice,
}

/// Sets up the three of them for the process. `role` names it in traces.
///
/// # Errors
///
/// See [`TelemetryError`].
pub fn init(config: &TelemetryConfig, role: &str) -> Result<Telemetry, TelemetryError> {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let spans = match config.otlp_endpoint.as_str() {
        "" => None,
        endpoint => Some(span_provider(endpoint, config.trace_sample, role)?),
    };

    let filter = EnvFilter::try_new(&config.log_level).unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = if std::io::stdout().is_terminal() {
        tracing_subscriber::fmt::layer().compact().boxed()
    } else {
        tracing_subscriber::fmt::layer().json().flatten_event(true).boxed()
    };
    let traces = spans.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("sotto"))
            // Threads and code locations cost more than they tell.
            .with_threads(false)
            .with_location(false)
    });
    tracing_subscriber::registry()
        .with(logs.with_filter(filter.and(filter_fn(may_be_logged))))
        .with(traces.with_filter(EnvFilter::new("info")))
        .try_init()
        .map_err(|_| TelemetryError::Twice)?;

    Ok(Telemetry { spans, metrics: install_metrics()? })
}

/// Whether an event may be logged, whatever level the operator asks for.
///
/// We answer for our own words only. Libraries speak of paths, bodies and headers when
/// they are asked for detail, and of what strangers send as if it were an error of ours.
fn may_be_logged(event: &tracing::Metadata<'_>) -> bool {
    let ours = event.target().starts_with("sotto");
    ours || (*event.level() <= tracing::Level::INFO
        && !event.target().starts_with("actix_http::h1"))
}

fn span_provider(
    endpoint: &str,
    sample: f64,
    role: &str,
) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(TelemetryError::Exporter)?;
    let resource = Resource::builder().with_service_name(format!("sotto-{role}")).build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(sample))))
        .with_resource(resource)
        .build())
}

fn install_metrics() -> Result<MetricsHandle, TelemetryError> {
    use metrics_exporter_prometheus::Matcher;

    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
        .and_then(|builder| builder.set_buckets(&COUNTS))
        .map_err(|_| TelemetryError::Twice)?
        .install_recorder()
        .map(MetricsHandle)
        .map_err(|_| TelemetryError::Twice)?;
    describe_counter!(
        "sotto_http_requests_total",
        "Requests that were answered, by method, pattern of the route and status"
    );
    describe_histogram!(
        "sotto_http_request_seconds",
        metrics::Unit::Seconds,
        "Time until a request was answered, with the same labels"
    );
    Ok(handle)
}

impl Telemetry {
    /// Sends what is still waiting. Blocks for a few seconds at most.
    pub fn flush(&self) {
        if let Some(Err(error)) = self.spans.as_ref().map(SdkTracerProvider::shutdown) {
            tracing::warn!(error = %error, "spans were not flushed");
        }
    }
}

/// Makes the span a child of the trace that the headers carry (W3C Trace Context).
pub fn adopt_parent(span: &tracing::Span, headers: impl Fn(&str) -> Option<String>) {
    let carrier: HashMap<&str, String> = ["traceparent", "tracestate"]
        .into_iter()
        .filter_map(|name| Some((name, headers(name)?)))
        .collect();
    if carrier.is_empty() {
        return;
    }
    let parent =
        global::get_text_map_propagator(|propagator| propagator.extract(&Carrier(&carrier)));
    // It fails only where no tracer is set up, and then there is nothing to adopt.
    let _ = span.set_parent(parent);
}

struct Carrier<'a>(&'a HashMap<&'a str, String>);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().copied().collect()
    }
}
