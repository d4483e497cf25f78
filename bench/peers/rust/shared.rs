// SPDX-License-Identifier: Apache-2.0
//
// What the Rust peers have in common: the C functions of ../peer.h, an exporter that counts, and the fenced
// clock. Each peer adds its own start, run, sample and stop.
use std::ffi::{c_char, CStr, CString};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_otlp::{Protocol, WithExportConfig};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use opentelemetry_sdk::Resource;

pub const SPAN0: i32 = 0;

#[derive(Clone, Copy)]
pub enum Mode {
    Sampled,
    Unsampled,
    Disabled,
}

// ---- what is exported ----

static EXPORTED: AtomicU64 = AtomicU64::new(0);

/// Counts the spans that its OTLP exporter has delivered; without an exporter, those that it receives.
#[derive(Debug)]
pub struct Counter {
    otlp: Option<opentelemetry_otlp::SpanExporter>,
}

impl Counter {
    pub fn new(endpoint: Option<&str>) -> Result<Self, String> {
        let build = |url: &str| {
            opentelemetry_otlp::SpanExporter::builder()
                .with_http()
                .with_protocol(Protocol::HttpBinary)
                .with_endpoint(format!("{url}/v1/traces"))
                .build()
        };
        let otlp = endpoint.map(build).transpose().map_err(|error| error.to_string())?;
        Ok(Counter { otlp })
    }
}

impl SpanExporter for Counter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        if let Some(otlp) = &self.otlp {
            otlp.export(batch).await?;
        }
        EXPORTED.fetch_add(spans, Ordering::Relaxed);
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.as_ref().map_or(Ok(()), |otlp| otlp.shutdown_with_timeout(timeout))
    }

    fn set_resource(&mut self, resource: &Resource) {
        if let Some(otlp) = &mut self.otlp {
            otlp.set_resource(resource);
        }
    }
}

pub fn resource() -> Resource {
    Resource::builder().with_service_name("bench").build()
}

// ---- the clock ----

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn ticks() -> u64 {
    use core::arch::x86_64::{_mm_lfence, _rdtsc};
    // Every x86-64 processor has these instructions.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn ticks() -> u64 {
    let ticks: u64;
    // User space is allowed to read this counter.
    unsafe { core::arch::asm!("isb", "mrs {}, cntvct_el0", "isb", out(reg) ticks) };
    ticks
}

#[inline(always)]
pub fn timed(operation: impl FnOnce()) -> u32 {
    let start = ticks();
    operation();
    (ticks() - start).min(u32::MAX as u64) as u32
}

// ---- the functions ----

#[repr(C)]
pub struct Counts {
    exported: u64,
    dropped: i64,
}

/// # Safety
/// endpoint must be NULL or a C string.
#[no_mangle]
pub unsafe extern "C" fn peer_start(endpoint: *const c_char, mode: i32) -> *const c_char {
    let endpoint = (!endpoint.is_null()).then(|| CStr::from_ptr(endpoint).to_string_lossy());
    let mode = match mode {
        0 => Mode::Sampled,
        1 => Mode::Unsampled,
        _ => Mode::Disabled,
    };
    match super::start(endpoint.as_deref(), mode) {
        Ok(()) => ptr::null(),
        Err(problem) => CString::new(problem).unwrap_or_default().into_raw(),
    }
}

#[no_mangle]
pub extern "C" fn peer_run(operation: i32, count: usize) {
    super::run(operation, count);
}

/// # Safety
/// ticks must have room for count values.
#[no_mangle]
pub unsafe extern "C" fn peer_sample(operation: i32, ticks: *mut u32, count: usize) {
    super::sample(operation, std::slice::from_raw_parts_mut(ticks, count));
}

#[no_mangle]
pub extern "C" fn peer_stop() {
    super::stop();
}

/// # Safety
/// out must be writable.
#[no_mangle]
pub unsafe extern "C" fn peer_count(out: *mut Counts) {
    *out = Counts { exported: EXPORTED.load(Ordering::Relaxed), dropped: -1 };
}
