// SPDX-License-Identifier: Apache-2.0
//
// Start, flush, stop. These calls take up to 16 KiB of stack, besides what a log function or an exporter of the
// application's own takes; nsp_flush in thread mode takes less than 4 KiB.
//
// These calls, nsp_stats_get, the sampler's and nsp_thread_attach are no cancellation points: a thread that is
// cancelled inside one of them ends after it. Called where they would wait for their own caller (by an exporter,
// a log callback on a thread of ours, or a signal handler that interrupted another of them), nsp_init, nsp_flush
// and nsp_shutdown return NSP_ERR_INVALID and do nothing.
//
// The exit of the process flushes for nsp_config.exit_timeout_ns and stops our threads, before the exit
// handlers of the libraries that the exporter uses. From then on nsp_init returns NSP_ERR_SYSTEM. If the main
// thread ends by pthread_exit, the process ends with its last other thread, as it would without us: our
// threads notice within half a second, and one of them calls exit(0).
#ifndef NANOSPAN_LIFECYCLE_H
#define NANOSPAN_LIFECYCLE_H

#include <nanospan/base.h>
#include <nanospan/config.h>

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// None of these waits for a fork: in another library's handler of fork that runs while ours hold the mutexes, and in a child that
// was made without handlers (_Fork, clone), they return NSP_ERR_UNSUPPORTED at once, nsp_do_work 0. So do nsp_stats_get
// and what sets the sampler.

// Starts tracing: makes the session, calibrates the clock (about 10 ms), starts our threads. NULL: from the environment
// alone. A second call: NSP_ERR_ALREADY. Tracing turned off by configuration is NSP_OK: all calls are inert. A value
// out of range or of no meaning: NSP_ERR_CONFIG with nsp_error_detail, and nothing is started. Shared memory or a
// backend that cannot be had is no error: one log line, and the engine runs on. Logs one line at NSP_LOG_INFO that says where
// spans are sent and what share of traces is recorded, or a line that says why none are sent. Thread safe.
NSP_API nsp_status nsp_init(const nsp_config *config);

// Collects what was ended before the call and sends it. NSP_ERR_TIMEOUT if the backend has not taken all of it when
// the timeout (nanoseconds) is over; nothing is lost by that. In invoker mode it also does the invoker's work. Thread safe.
NSP_API nsp_status nsp_flush(uint64_t timeout_ns);

// Flushes, stops our threads and ends the session, within the timeout plus at most 250 ms, whatever the
// backend does. What could not be sent is counted (nsp_stats_get still answers). May race with any span call:
// spans are inert afterwards. nsp_init may follow. NSP_ERR_TIMEOUT: stopped, but not all could be sent; or, 2
// s after the timeout, not stopped, because another thread's nsp_flush or nsp_do_work hangs in an exporter's
// encoder. A call while another thread's is under way waits for that one and returns the same as it, or
// NSP_ERR_TIMEOUT where its own timeout is over first; so whoever has got NSP_OK may exit.
// NSP_ERR_NOT_INITIALISED: there was nothing to shut down. Thread safe.
NSP_API nsp_status nsp_shutdown(uint64_t timeout_ns);

// Invoker mode: one pass of the collector on the calling thread; drains and encodes at most max_spans spans (rounded
// to whole steps), never touches the network, never blocks. Returns the number of spans. One thread at a time (a second
// one returns 0). 0 in the other modes.
NSP_API size_t nsp_do_work(size_t max_spans);

#endif
NSP_END_DECLS
#endif
