// SPDX-License-Identifier: Apache-2.0
//
// Contexts, baggage, and what came with a request (<nanospan/context.h>, <nanospan/propagation.h>) as values of C++.
// Not for direct inclusion.
#ifndef NANOSPAN_NANOSPAN_HPP
#error "include <nanospan/nanospan.hpp>"
#endif
#ifndef NANOSPAN_CPP_CONTEXT_HPP
#define NANOSPAN_CPP_CONTEXT_HPP

#include <cstddef>
#include <optional>
#include <string_view>

namespace nsp {
inline namespace NSP__CPP_NAMESPACE {

// A span's identity: an nsp_context, which it converts to. A plain value of 600 bytes; the default is the invalid one.
class context {
  public:
    context() noexcept : value_() {}
    context(const nsp_context &value) noexcept : value_(value) {}

    // That of the thread's current span; invalid if there is none.
    static context current() noexcept
    {
        context made;
        nsp_span_context(nullptr, &made.value_);
        return made;
    }

    operator const nsp_context &() const noexcept
    {
        return value_;
    }

    const nsp_context &get() const noexcept
    {
        return value_;
    }

    nsp_context &get() noexcept
    {
        return value_;
    }

    bool valid() const noexcept
    {
        return nsp_context_valid(&value_);
    }

    bool sampled() const noexcept
    {
        return (value_.flags & NSP_TRACE_FLAG_SAMPLED) != 0;
    }

    // Reads the two headers, as nsp_context_parsen does.
    nsp_status parse(std::string_view traceparent, std::string_view tracestate = {}) noexcept
    {
        return nsp_context_parsen(&value_, traceparent.data(), traceparent.size(), tracestate.data(),
                                  tracestate.size());
    }

    // The traceparent, in `room`; empty for an invalid context. A zero stands behind it.
    std::string_view traceparent(char (&room)[NSP_TRACEPARENT_SIZE]) const noexcept
    {
        nsp_context_format(&value_, room);
        return room;
    }

    // The tracestate, in `room`, where a zero stands behind it. Members that do not fit are left out from the right.
    std::string_view tracestate(char *room, std::size_t size) const noexcept
    {
        return {room, nsp_context_format_state(&value_, room, size)};
    }

  private:
    nsp_context value_;
};

// The pairs that travel with a request: an nsp_baggage, which it converts to. 8 KiB, so not for small stacks.
class baggage {
  public:
    baggage() noexcept : value_() {}
    baggage(const nsp_baggage &value) noexcept : value_(value) {}

    operator const nsp_baggage &() const noexcept
    {
        return value_;
    }

    const nsp_baggage &get() const noexcept
    {
        return value_;
    }

    nsp_baggage &get() noexcept
    {
        return value_;
    }

    nsp_status parse(std::string_view text) noexcept
    {
        return nsp_baggage_parsen(&value_, text.data(), text.size());
    }

    // The decoded value of a key, in `room`, where a zero stands behind it; nothing if the key is not there, or if the
    // room is too small.
    std::optional<std::string_view> value(const char *key, char *room, std::size_t size) const noexcept
    {
        std::size_t length = 0;
        if (nsp_baggage_get(&value_, key, room, size, &length) != NSP_OK)
            return std::nullopt;
        return std::string_view(room, length);
    }

    // Sets a key, to a value that is not encoded yet. `properties`: as they are sent, or nullptr.
    nsp_status set(const char *key, std::string_view value, const char *properties = nullptr) noexcept
    {
        return nsp_baggage_set_with(&value_, key, value.data() != nullptr ? value.data() : "", value.size(),
                                    properties);
    }

    nsp_status remove(const char *key) noexcept
    {
        return nsp_baggage_remove(&value_, key);
    }

    // Calls visit(key, value, properties) with each member, as std::string_view; the value has percent escapes
    // (nsp_baggage_decode). It must not throw: if it does, the process ends.
    template <class Visit> void each(Visit &&visit) const noexcept
    {
        std::size_t at = 0;
        nsp_baggage_member member;
        while (nsp_baggage_next(&value_, &at, &member))
            visit(std::string_view(member.key, member.key_length),
                  std::string_view(member.value, member.value_length),
                  std::string_view(member.properties, member.properties_length));
    }

  private:
    nsp_baggage value_;
};

// Makes what came with a request current on this thread, until the end of the scope; then what was current before it is
// so again. Scopes nest, so it is neither copied nor moved.
class [[nodiscard]] incoming_scope {
  public:
    explicit incoming_scope(const nsp_incoming &incoming) noexcept : before_(nsp_incoming_enter(&incoming)) {}
    explicit incoming_scope(const nsp_incoming &&) = delete; // it would be gone at once
    ~incoming_scope()
    {
        nsp_incoming_enter(before_);
    }
    incoming_scope(const incoming_scope &) = delete;
    incoming_scope &operator=(const incoming_scope &) = delete;

  private:
    const nsp_incoming *before_;
};

} // namespace NSP__CPP_NAMESPACE
} // namespace nsp

#endif
