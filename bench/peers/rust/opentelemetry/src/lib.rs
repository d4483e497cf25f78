// SPDX-License-Identifier: Apache-2.0
//
// OpenTelemetry Rust as a peer: its batch processor with default settings, a parent-based sampler, OTLP over
// HTTP with the blocking client. The interface is ../../../peer.h.
#[path = "../../shared.rs"]
mod shared;

use std::sync::OnceLock;

use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::trace::{Span, Tracer, TracerProvider};
use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use shared::{Counter, Mode};

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();
static TRACER: OnceLock<SdkTracer> = OnceLock::new();
static DISABLED: OnceLock<BoxedTracer> = OnceLock::new();

fn start(endpoint: Option<&str>, mode: Mode) -> Result<(), String> {
    if let Mode::Disabled = mode {
        // The tracer that an instrumented library gets if the application has not set a provider.
        let _ = DISABLED.set(global::tracer("bench"));
        return Ok(());
    }
    let ratio = if let Mode::Sampled = mode { 1.0 } else { 0.0 };
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(Counter::new(endpoint)?)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
        .with_resource(shared::resource())
        .build();
    let _ = TRACER.set(provider.tracer("bench"));
    let _ = PROVIDER.set(provider);
    Ok(())
}

#[inline(always)]
fn span0<T: Tracer>(tracer: &T) {
    let mut span = tracer.start("span0");
    span.end();
}

#[inline(always)]
fn span3<T: Tracer>(tracer: &T, i: i64) {
    let mut span = tracer.start("span3");
    span.set_attribute(KeyValue::new("symbol", "BTCUSDT"));
    span.set_attribute(KeyValue::new("price", 101.25));
    span.set_attribute(KeyValue::new("quantity", i));
    span.end();
}

fn run(operation: i32, count: usize) {
    match (TRACER.get(), DISABLED.get()) {
        (Some(tracer), _) if operation == shared::SPAN0 => (0..count).for_each(|_| span0(tracer)),
        (Some(tracer), _) => (0..count).for_each(|i| span3(tracer, i as i64)),
        (None, Some(tracer)) if operation == shared::SPAN0 => (0..count).for_each(|_| span0(tracer)),
        (None, Some(tracer)) => (0..count).for_each(|i| span3(tracer, i as i64)),
        (None, None) => {}
    }
}

fn sample(operation: i32, ticks: &mut [u32]) {
    let Some(tracer) = TRACER.get() else { return };
    for (i, one) in ticks.iter_mut().enumerate() {
        *one = shared::timed(|| match operation {
            shared::SPAN0 => span0(tracer),
            _ => span3(tracer, i as i64),
        });
    }
}

fn stop() {
    if let Some(provider) = PROVIDER.get() {
        let _ = provider.shutdown();
    }
}
