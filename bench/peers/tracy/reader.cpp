// SPDX-License-Identifier: Apache-2.0
//
// Understands the protocol of Tracy 0.14 as far as this needs. Its process is forked from one with threads, so
// it may not allocate.
#include "reader.h"

#include <arpa/inet.h>
#include <csignal>
#include <cstring>
#include <ctime>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <common/TracyProtocol.hpp>
#include <common/TracyQueue.hpp>
#include <common/tracy_lz4.hpp>

using namespace tracy;

namespace {

struct Shared {
    uint64_t zones;
    bool connected;
};

Shared *shared;
pid_t process;

// ---- in the process ----

bool read_all(int from, void *out, size_t size)
{
    for (char *at = static_cast<char *>(out); size != 0;) {
        ssize_t got = read(from, at, size);
        if (got <= 0)
            return false;
        at += got;
        size -= static_cast<size_t>(got);
    }
    return true;
}

bool connect_to(int port, int *out)
{
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *out = socket(AF_INET, SOCK_STREAM, 0);
    return *out >= 0 && connect(*out, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0;
}

bool shake_hands(int client)
{
    char hello[HandshakeShibbolethSize + sizeof ProtocolVersion];
    memcpy(hello, HandshakeShibboleth, HandshakeShibbolethSize);
    memcpy(hello + HandshakeShibbolethSize, &ProtocolVersion, sizeof ProtocolVersion);
    HandshakeStatus status;
    WelcomeMessage welcome;
    return write(client, hello, sizeof hello) == sizeof hello && read_all(client, &status, sizeof status) &&
           status == HandshakeWelcome && read_all(client, &welcome, sizeof welcome);
}

template <typename Length> size_t prefixed(const char *at, size_t more)
{
    Length length;
    memcpy(&length, at, sizeof length);
    return sizeof length + length + more;
}

// The size of an item, with the string that some have after them.
size_t item_size(const char *at)
{
    const auto kind = static_cast<QueueType>(static_cast<uint8_t>(*at));
    const size_t fixed = QueueDataSize[static_cast<uint8_t>(kind)];
    switch (kind) {
    case QueueType::SingleStringData8:
    case QueueType::SecondStringData8: return fixed + prefixed<uint8_t>(at + fixed, 0);
    case QueueType::SingleStringData:
    case QueueType::SecondStringData: return fixed + prefixed<uint16_t>(at + fixed, ProtocolOffset8Bit);
    case QueueType::FrameImageData:
    case QueueType::SymbolCode:
    case QueueType::SourceCode: return fixed + prefixed<uint32_t>(at + fixed, 0);
    default: return kind >= QueueType::StringData ? fixed + prefixed<uint16_t>(at + fixed, 0) : fixed;
    }
}

uint64_t count_zones(const char *at, const char *end)
{
    uint64_t zones = 0;
    while (at < end && static_cast<uint8_t>(*at) < static_cast<uint8_t>(QueueType::NUM_TYPES)) {
        const auto kind = static_cast<QueueType>(static_cast<uint8_t>(*at));
        zones += kind == QueueType::ZoneEnd || kind == QueueType::ZoneEnd32 || kind == QueueType::ZoneEnd16;
        at += item_size(at);
    }
    return zones;
}

// What was decompressed before must stay where it was, because later frames refer to it.
void read_frames(int client)
{
    static char packed[LZ4Size], plain[3 * TargetFrameSize];
    static LZ4_streamDecode_t stream;
    size_t offset = 0;
    LZ4_setStreamDecode(&stream, nullptr, 0);
    for (lz4sz_t size; read_all(client, &size, sizeof size) && size <= sizeof packed;) {
        if (!read_all(client, packed, size))
            return;
        char *into = plain + offset;
        int length =
            LZ4_decompress_safe_continue(&stream, packed, into, static_cast<int>(size), TargetFrameSize);
        if (length < 0)
            return;
        __atomic_fetch_add(&shared->zones, count_zones(into, into + length), __ATOMIC_RELEASE);
        offset += static_cast<size_t>(length);
        if (offset > 2 * TargetFrameSize)
            offset = 0;
    }
}

[[noreturn]] void read_client(int port)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int client;
    if (connect_to(port, &client) && shake_hands(client)) {
        __atomic_store_n(&shared->connected, true, __ATOMIC_RELEASE);
        read_frames(client);
    }
    _exit(0);
}

} // namespace

// ---- in the peer ----

const char *reader_start(int port)
{
    void *memory = mmap(nullptr, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return "out of memory";
    shared = static_cast<Shared *>(memory);
    // The client begins to listen in a thread of its own.
    for (int tries = 0; tries < 200; tries++) {
        process = fork();
        if (process == 0)
            read_client(port);
        for (int status; process > 0 && waitpid(process, &status, WNOHANG) == 0;) {
            if (__atomic_load_n(&shared->connected, __ATOMIC_ACQUIRE))
                return nullptr;
            timespec pause = {0, 1000 * 1000};
            nanosleep(&pause, nullptr);
        }
        process = 0;
        timespec pause = {0, 20 * 1000 * 1000};
        nanosleep(&pause, nullptr);
    }
    return "Tracy's client accepts no connection";
}

uint64_t reader_zones()
{
    return shared != nullptr ? __atomic_load_n(&shared->zones, __ATOMIC_ACQUIRE) : 0;
}

void reader_stop()
{
    if (process > 0) {
        kill(process, SIGKILL);
        waitpid(process, nullptr, 0);
    }
    process = 0;
}
