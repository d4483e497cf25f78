// SPDX-License-Identifier: Apache-2.0
//
// Where debuggers and tracers look for traces that were slow. It does nothing, so what it costs is a call.
#include <nanospan/outlier.h>

#ifdef NSP_USDT
#include <sys/sdt.h>
#else
#define DTRACE_PROBE2(provider, name, first, second)
#endif

#if defined(__clang__)
#define WHOLE __attribute__((noinline, used)) // clang makes no copies for certain arguments
#else
#define WHOLE __attribute__((noinline, noclone, used))
#endif

// Neither inlined nor copied, and the arguments are in their places when it begins.
WHOLE void nsp_outlier_kept(const char *name, uint64_t duration_ns)
{
    DTRACE_PROBE2(nanospan, outlier_kept, name, duration_ns);
    __asm__ __volatile__("" : : "r"(name), "r"(duration_ns) : "memory");
}
