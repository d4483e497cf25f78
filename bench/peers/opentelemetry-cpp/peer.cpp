// SPDX-License-Identifier: Apache-2.0
//
// opentelemetry-cpp as a peer: its batch processor with default settings, a parent-based sampler, OTLP over
// HTTP. The interface is ../peer.h.
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <opentelemetry/exporters/otlp/otlp_http_exporter_factory.h>
#include <opentelemetry/exporters/otlp/otlp_http_exporter_options.h>
#include <opentelemetry/exporters/otlp/otlp_recordable.h>
#include <opentelemetry/sdk/resource/resource.h>
#include <opentelemetry/sdk/trace/batch_span_processor_factory.h>
#include <opentelemetry/sdk/trace/batch_span_processor_options.h>
#include <opentelemetry/sdk/trace/exporter.h>
#include <opentelemetry/sdk/trace/samplers/parent_factory.h>
#include <opentelemetry/sdk/trace/samplers/trace_id_ratio_factory.h>
#include <opentelemetry/sdk/trace/tracer_provider.h>
#include <opentelemetry/sdk/trace/tracer_provider_factory.h>
#include <opentelemetry/trace/provider.h>

extern "C" {
#include "peers/loops.h"
}

namespace otlp = opentelemetry::exporter::otlp;
namespace sdk = opentelemetry::sdk;
namespace trace = opentelemetry::trace;
namespace nostd = opentelemetry::nostd;

namespace {

std::atomic<uint64_t> exported;
std::unique_ptr<sdk::trace::TracerProvider> provider;
nostd::shared_ptr<trace::Tracer> tracer;

// Counts the spans that its OTLP exporter has delivered; without an exporter, those that it receives. The
// recordable, into which the calling thread writes, is that of the OTLP exporter in both cases.
class Counter final : public sdk::trace::SpanExporter {
  public:
    explicit Counter(const char *endpoint)
    {
        if (endpoint == nullptr)
            return;
        otlp::OtlpHttpExporterOptions options;
        options.url = std::string(endpoint) + "/v1/traces";
        otlp_ = otlp::OtlpHttpExporterFactory::Create(options);
    }

    std::unique_ptr<sdk::trace::Recordable> MakeRecordable() noexcept override
    {
        return otlp_ ? otlp_->MakeRecordable() : std::make_unique<otlp::OtlpRecordable>();
    }

    sdk::common::ExportResult Export(
        const nostd::span<std::unique_ptr<sdk::trace::Recordable>> &spans) noexcept override
    {
        const auto result = otlp_ ? otlp_->Export(spans) : sdk::common::ExportResult::kSuccess;
        if (result == sdk::common::ExportResult::kSuccess)
            exported += spans.size();
        return result;
    }

    bool ForceFlush(std::chrono::microseconds timeout) noexcept override
    {
        return !otlp_ || otlp_->ForceFlush(timeout);
    }

    bool Shutdown(std::chrono::microseconds timeout) noexcept override
    {
        return !otlp_ || otlp_->Shutdown(timeout);
    }

  private:
    std::unique_ptr<sdk::trace::SpanExporter> otlp_;
};

inline void span0()
{
    tracer->StartSpan("span0")->End();
}

inline void span3(int64_t quantity)
{
    auto span = tracer->StartSpan("span3");
    span->SetAttribute("symbol", "BTCUSDT");
    span->SetAttribute("price", 101.25);
    span->SetAttribute("quantity", quantity);
    span->End();
}

} // namespace

extern "C" const char *peer_start(const char *endpoint, int mode)
{
    if (mode == PEER_DISABLED) {
        // The tracer that an instrumented library gets if the application has not set a provider.
        tracer = trace::Provider::GetTracerProvider()->GetTracer("bench");
        return nullptr;
    }
    provider = sdk::trace::TracerProviderFactory::Create(
        sdk::trace::BatchSpanProcessorFactory::Create(std::make_unique<Counter>(endpoint),
                                                      sdk::trace::BatchSpanProcessorOptions{}),
        sdk::resource::Resource::Create({{"service.name", "bench"}}),
        sdk::trace::ParentBasedSamplerFactory::Create(
            sdk::trace::TraceIdRatioBasedSamplerFactory::Create(mode == PEER_SAMPLED ? 1 : 0)));
    tracer = provider->GetTracer("bench");
    return nullptr;
}

extern "C" void peer_run(int operation, size_t count)
{
    peer_run_loop(operation, count, span0, span3);
}

extern "C" void peer_sample(int operation, uint32_t *ticks, size_t count)
{
    peer_sample_loop(operation, ticks, count, span0, span3);
}

extern "C" bool peer_drained()
{
    return provider->ForceFlush();
}

extern "C" void peer_stop()
{
    if (provider)
        provider->Shutdown();
}

// It logs each span that it drops, but does not count them.
extern "C" void peer_count(peer_counts *out)
{
    out->exported = exported;
    out->dropped = -1;
}
