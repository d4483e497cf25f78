// SPDX-License-Identifier: Apache-2.0

// OpenTelemetry Go as a peer: its batch processor with default settings, a parent-based sampler, OTLP over
// HTTP. The interface is ../peer.h.
package main

/*
#include <stdlib.h>
#define NSP_BENCH_PEER_TYPES
#include "../peer.h"
*/
import "C"

import (
	"context"
	"math"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"nanospan/bench/peers/go/ticks"
)

var (
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	exported atomic.Uint64
)

// A counter counts the spans that its exporter has delivered; without an exporter, those that it receives.
type counter struct{ otlp sdktrace.SpanExporter }

func (c counter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if c.otlp != nil {
		if err := c.otlp.ExportSpans(ctx, spans); err != nil {
			return err
		}
	}
	exported.Add(uint64(len(spans)))
	return nil
}

func (c counter) Shutdown(ctx context.Context) error {
	if c.otlp != nil {
		return c.otlp.Shutdown(ctx)
	}
	return nil
}

func start(endpoint string, mode C.int) error {
	if mode == C.PEER_DISABLED {
		tracer = noop.NewTracerProvider().Tracer("bench")
		return nil
	}
	var exporter counter
	if endpoint != "" {
		otlp, err := otlptracehttp.New(context.Background(), otlptracehttp.WithInsecure(),
			otlptracehttp.WithEndpoint(strings.TrimPrefix(endpoint, "http://")))
		if err != nil {
			return err
		}
		exporter.otlp = otlp
	}
	ratio := 0.0
	if mode == C.PEER_SAMPLED {
		ratio = 1
	}
	provider = sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio))),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "bench"))))
	tracer = provider.Tracer("bench")
	return nil
}

func span0(ctx context.Context) {
	_, span := tracer.Start(ctx, "span0")
	span.End()
}

func span3(ctx context.Context, i int) {
	_, span := tracer.Start(ctx, "span3")
	span.SetAttributes(
		attribute.String("symbol", "BTCUSDT"),
		attribute.Float64("price", 101.25),
		attribute.Int("quantity", i))
	span.End()
}

//export peer_start
func peer_start(endpoint *C.char, mode C.int) *C.char {
	url := ""
	if endpoint != nil {
		url = C.GoString(endpoint)
	}
	if err := start(url, mode); err != nil {
		return C.CString(err.Error())
	}
	return nil
}

//export peer_run
func peer_run(operation C.int, count C.size_t) {
	ctx := context.Background()
	if operation == C.PEER_SPAN0 {
		for range int(count) {
			span0(ctx)
		}
		return
	}
	for i := range int(count) {
		span3(ctx, i)
	}
}

//export peer_sample
func peer_sample(operation C.int, out *C.uint32_t, count C.size_t) {
	ctx := context.Background()
	samples := unsafe.Slice((*uint32)(unsafe.Pointer(out)), int(count))
	for i := range samples {
		from := ticks.Fenced()
		if operation == C.PEER_SPAN0 {
			span0(ctx)
		} else {
			span3(ctx, i)
		}
		samples[i] = uint32(min(ticks.Fenced()-from, math.MaxUint32))
	}
}

//export peer_stop
func peer_stop() {
	if provider != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = provider.Shutdown(ctx)
	}
}

//export peer_count
func peer_count(out *C.peer_counts) {
	out.exported = C.uint64_t(exported.Load())
	out.dropped = -1
}

func main() {}
