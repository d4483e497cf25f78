// SPDX-License-Identifier: Apache-2.0
//
// fastrace as a peer: default settings, with spans reported through fastrace-opentelemetry to the OTLP/HTTP
// exporter of OpenTelemetry Rust. It has no sampler: its users decide, and set the decision in the context
// with which they begin a root. The interface is ../../../peer.h.
#[path = "../../shared.rs"]
mod shared;

use std::borrow::Cow;
use std::sync::OnceLock;

use fastrace::collector::Config;
use fastrace::prelude::*;
use fastrace_opentelemetry::OpenTelemetryReporter;
use opentelemetry::InstrumentationScope;
use shared::{Counter, Mode};

static MODE: OnceLock<Mode> = OnceLock::new();

fn start(endpoint: Option<&str>, mode: Mode) -> Result<(), String> {
    let _ = MODE.set(mode);
    if !matches!(mode, Mode::Disabled) {
        let scope = InstrumentationScope::builder("bench").build();
        let resource = Cow::Owned(shared::resource());
        let reporter = OpenTelemetryReporter::new(Counter::new(endpoint)?, resource, scope);
        fastrace::set_reporter(reporter, Config::default());
    }
    Ok(())
}

#[inline(always)]
fn root(name: &'static str, mode: Mode) -> Span {
    match mode {
        Mode::Sampled => Span::root(name, SpanContext::random()),
        Mode::Unsampled => Span::root(name, SpanContext::random().sampled(false)),
        Mode::Disabled => Span::noop(),
    }
}

#[inline(always)]
fn span0(mode: Mode) {
    let _span = root("span0", mode);
}

// fastrace's attributes are texts, and users convert numbers like this. The attributes are passed when the
// span begins: one that is added later is a separate record, and costs as much as a span.
#[inline(always)]
fn span3(mode: Mode, i: usize) {
    let price = std::hint::black_box(101.25f64);
    let _span = root("span3", mode).with_properties(|| {
        [
            ("symbol", Cow::Borrowed("BTCUSDT")),
            ("price", Cow::Owned(price.to_string())),
            ("quantity", Cow::Owned(i.to_string())),
        ]
    });
}

fn run(operation: i32, count: usize) {
    let Some(&mode) = MODE.get() else { return };
    match operation {
        shared::SPAN0 => (0..count).for_each(|_| span0(mode)),
        _ => (0..count).for_each(|i| span3(mode, i)),
    }
}

fn sample(operation: i32, ticks: &mut [u32]) {
    let Some(&mode) = MODE.get() else { return };
    for (i, one) in ticks.iter_mut().enumerate() {
        *one = shared::timed(|| match operation {
            shared::SPAN0 => span0(mode),
            _ => span3(mode, i),
        });
    }
}

fn stop() {
    fastrace::flush();
}
