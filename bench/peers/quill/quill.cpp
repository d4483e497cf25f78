// SPDX-License-Identifier: Apache-2.0
//
// Quill as a peer: a log call where the span begins, another with the attributes where it ends, to a file in
// the current folder, everything else as by default. The interface is ../peer.h.
#include <cstdio>
#include <exception>

#include <quill/Backend.h>
#include <quill/Frontend.h>
#include <quill/LogMacros.h>
#include <quill/Logger.h>
#include <quill/sinks/FileSink.h>

extern "C" {
#include "peers/loops.h"
}

static const char trace[] = "quill.log";
static quill::Logger *logger;

extern "C" const char *peer_start(const char *, int mode)
{
    static char problem[120];
    try {
        quill::Backend::start();
        logger = quill::Frontend::create_or_get_logger(
            "bench", quill::Frontend::create_or_get_sink<quill::FileSink>(trace));
        if (mode == PEER_DISABLED)
            logger->set_log_level(quill::LogLevel::Error);
        quill::Frontend::preallocate(); // this thread's queue
    } catch (const std::exception &error) {
        std::snprintf(problem, sizeof problem, "%s", error.what());
        return problem;
    }
    return nullptr;
}

static inline void span0()
{
    LOG_INFO(logger, "span0 begins");
    LOG_INFO(logger, "span0 ends");
}

static inline void span3(int64_t quantity)
{
    LOG_INFO(logger, "span3 begins");
    LOG_INFO(logger, "span3 ends: symbol {}, price {}, quantity {}", "BTCUSDT", 101.25, quantity);
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
    logger->flush_log();
    return true;
}

extern "C" void peer_stop()
{
    logger->flush_log();
    quill::Backend::stop();
}

// The default queue grows or waits, so nothing is dropped; the lines in the file are counted all the same.
extern "C" void peer_count(peer_counts *out)
{
    uint64_t lines = 0;
    std::FILE *file = std::fopen(trace, "r");
    for (int byte; file != nullptr && (byte = getc_unlocked(file)) != EOF;)
        lines += byte == '\n';
    if (file != nullptr)
        std::fclose(file);
    out->exported = lines / 2;
    out->dropped = -1;
}
