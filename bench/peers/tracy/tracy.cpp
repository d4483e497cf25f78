// SPDX-License-Identifier: Apache-2.0
//
// Tracy's client as a peer: zones, sent over TCP to a process that reads them. The interface is ../peer.h.
#include <arpa/inet.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <sys/socket.h>
#include <unistd.h>

#include <tracy/Tracy.hpp>

#include "reader.h"

extern "C" {
#include "peers/loops.h"
}

static int port;
static uint64_t spans, before; // since the process began, and those of them before anything was measured

// The client reads this variable in a constructor of its own, of a later priority. With a port that was free a
// moment ago, neither another program nor a profiler that someone has open can be mistaken for this one.
__attribute__((constructor(101))) static void choose_port()
{
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto *any = reinterpret_cast<sockaddr *>(&address);
    int probe = socket(AF_INET, SOCK_STREAM, 0);
    if (probe >= 0 && bind(probe, any, length) == 0 && getsockname(probe, any, &length) == 0)
        port = ntohs(address.sin_port);
    close(probe);
    char text[8];
    std::snprintf(text, sizeof text, "%d", port);
    setenv("TRACY_PORT", text, 1);
}

static inline void span0()
{
    ZoneScopedN("span0");
}

// A zone takes text and whole numbers, so the price is passed on as its bits.
static inline void span3(int64_t quantity)
{
    ZoneScopedN("span3");
    const double price = 101.25;
    uint64_t bits;
    std::memcpy(&bits, &price, sizeof bits);
    ZoneText("BTCUSDT", 7);
    ZoneValue(bits);
    ZoneValue(static_cast<uint64_t>(quantity));
}

extern "C" void peer_run(int operation, size_t count)
{
    spans += count;
    peer_run_loop(operation, count, span0, span3);
}

extern "C" void peer_sample(int operation, uint32_t *ticks, size_t count)
{
    spans += count;
    peer_sample_loop(operation, ticks, count, span0, span3);
}

// Tracy has no flush: its thread looks every 10 ms whether there is something to send.
extern "C" bool peer_drained()
{
    for (int i = 0; i < 5000 && reader_zones() < spans; i++) {
        timespec pause = {0, 1000 * 1000};
        nanosleep(&pause, nullptr);
    }
    return reader_zones() >= spans;
}

// Its queue is allocated for 256 Ki items. They are used once here, because the pages that they lie in would
// otherwise be touched for the first time while spans are measured.
static void warm_up()
{
    constexpr size_t zones = (256 << 10) / 2, at_once = zones / 16;
    for (size_t done = 0; done < zones; done += at_once) {
        peer_run(PEER_SPAN0, at_once);
        peer_drained();
    }
    before = spans;
}

extern "C" const char *peer_start(const char *, int)
{
    const char *problem = port != 0 ? reader_start(port) : "no free port";
    if (problem == nullptr)
        warm_up();
    return problem;
}

extern "C" void peer_stop()
{
    peer_drained();
    reader_stop();
}

extern "C" void peer_count(peer_counts *out)
{
    out->exported = reader_zones() - before;
    out->dropped = -1;
}
