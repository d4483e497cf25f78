// SPDX-License-Identifier: Apache-2.0
//
// What can be done to an open span (<nanospan/span.h>). Not for direct inclusion.
#ifndef NANOSPAN_NANOSPAN_HPP
#error "include <nanospan/nanospan.hpp>"
#endif
#ifndef NANOSPAN_CPP_HANDLE_HPP
#define NANOSPAN_CPP_HANDLE_HPP

#include <string>

namespace nsp {
inline namespace NSP__CPP_NAMESPACE {

using ticks = nsp_ticks;

NSP__CPP_INLINE ticks now() noexcept
{
    return nsp_now();
}

enum class kind {
    internal = NSP_KIND_INTERNAL,
    server = NSP_KIND_SERVER,
    client = NSP_KIND_CLIENT,
    producer = NSP_KIND_PRODUCER,
    consumer = NSP_KIND_CONSUMER
};

enum class span_status {
    unset = NSP_SPAN_STATUS_UNSET,
    ok = NSP_SPAN_STATUS_OK,
    error = NSP_SPAN_STATUS_ERROR
};

// An attribute of an event or a link, as an argument of add_event or add_link. It refers to its value.
template <class Key, class Value> struct attribute {
    Key key;
    const Value &value;
};

template <class Key, class Value, detail::if_name<Key> = 0>
[[nodiscard]] NSP__CPP_INLINE attribute<Key, Value> attr(Key key, const Value &value) noexcept
{
    return {key, value};
}

template <class Key, class Value, std::size_t Count, detail::if_name<Key> = 0>
[[nodiscard]] NSP__CPP_INLINE attribute<Key, Value[Count]> attr(Key key,
                                                                const Value (&values)[Count]) noexcept
{
    return {key, values};
}

namespace detail {

NSP__CPP_INLINE nsp_name name_of(name value) noexcept
{
    return value.get();
}
template <char... Text> NSP__CPP_INLINE nsp_name name_of(literal<Text...> value) noexcept
{
    return value.get();
}

// Puts the attributes into a list, and calls `then` while the values to which it points exist.
template <class Then> NSP__CPP_INLINE void with_attributes(nsp_span *, nsp_attr *, const Then &then) noexcept
{
    then();
}
template <class Then, class Key, class Value, class... More>
inline void with_attributes(nsp_span *span, nsp_attr *list, const Then &then,
                            const attribute<Key, Value> &first, const More &...more) noexcept
{
    const auto next = [&](const nsp_attr &made) noexcept {
        *list = made;
        with_attributes(span, list + 1, then, more...);
    };
    put(attr_sink<decltype(next)>{span, name_of(first.key), next}, first.value);
}

} // namespace detail

// What can be done to an open span. One that is not recorded, and one that has ended or was moved from, does nothing:
// it does not look at keys, but its arguments are evaluated.
class span_handle {
  public:
    // For calls of the C interface; it stays this object's. NULL is possible.
    NSP__CPP_INLINE nsp_span *get() const noexcept
    {
        return handle_;
    }

    // True if what is set on this span will be exported.
    NSP__CPP_INLINE bool recording() const noexcept
    {
        return nsp_span_recording(handle_);
    }

    // The ticks at which it began; 0 if it is not recording.
    NSP__CPP_INLINE ticks start() const noexcept
    {
        return nsp_span_start(handle_);
    }

    // Sets an attribute, by the type of its value:
    //   text     what converts to std::string_view; const char * and arrays of char, up to the first zero; char
    //   bool     bool
    //   integer  every other integral type; enumerations that are not scoped. Of an unsigned one with 64 bits, what is
    //            above INT64_MAX becomes its decimal digits as a text, as OpenTelemetry wants it
    //   double   float, double, and long double, rounded to a double
    //   array    ranges of these, in braces too: set("fills"_key, {3, 4}). Numbers become int64_t and double. If one of
    //            an unsigned type with 64 bits is above INT64_MAX, all become texts. char is no element
    //   bytes    ranges of std::byte and of unsigned char
    // Nothing else compiles: no pointers, no scoped enumerations. The value is copied.
    template <class Key, class Value, detail::if_name<Key> = 0>
    NSP__CPP_INLINE void set(Key key, const Value &value) const noexcept
    {
        if (recording())
            detail::put(detail::span_sink{handle_, detail::name_of(key)}, value);
    }

    template <class Key, class Value, std::size_t Count, detail::if_name<Key> = 0>
    NSP__CPP_INLINE void set(Key key, const Value (&values)[Count]) const noexcept
    {
        if (recording())
            detail::put(detail::span_sink{handle_, detail::name_of(key)}, values);
    }

    template <class Value>
    void set(const char *, const Value &) const = delete; // a key is "text"_key, or an nsp::name

    template <class Key, detail::if_name<Key> = 0>
    void set_bytes(Key key, const void *value, std::size_t size) const noexcept
    {
        if (recording())
            nsp_span_set_bytes(handle_, detail::name_of(key), value, size);
    }

    // Adds an event, with attributes: add_event("sent"_name, nsp::attr("venue"_key, "XNAS")).
    template <class Name, class... Attributes, detail::if_name<Name> = 0>
    NSP__CPP_INLINE void add_event(Name name, const Attributes &...attributes) const noexcept
    {
        add_event_at(name, 0, attributes...);
    }

    // Does the same with a reading that was taken before.
    template <class Name, class... Attributes, detail::if_name<Name> = 0>
    NSP__CPP_INLINE void add_event_at(Name name, ticks at, const Attributes &...attributes) const noexcept
    {
        if (!recording())
            return;
        const nsp_name number = detail::name_of(name);
        if constexpr (sizeof...(Attributes) == 0) {
            nsp_span_add_event_at(handle_, number, at);
        } else {
            nsp_attr list[sizeof...(Attributes)];
            detail::with_attributes(
                handle_, list,
                [&]() noexcept { nsp_span_add_event_with(handle_, number, at, list, sizeof...(Attributes)); },
                attributes...);
        }
    }

    // Adds a link to another span, with attributes. An invalid context is ignored.
    template <class... Attributes>
    void add_link(const nsp_context &context, const Attributes &...attributes) const noexcept
    {
        if (!recording())
            return;
        if constexpr (sizeof...(Attributes) == 0) {
            nsp_span_add_link(handle_, &context);
        } else {
            nsp_attr list[sizeof...(Attributes)];
            detail::with_attributes(
                handle_, list,
                [&]() noexcept { nsp_span_add_link_with(handle_, &context, list, sizeof...(Attributes)); },
                attributes...);
        }
    }

    // `message` ends at its first zero; it is kept only with span_status::error.
    NSP__CPP_INLINE void set_status(span_status status, const char *message = nullptr) const noexcept
    {
        nsp_span_set_status(handle_, static_cast<nsp_span_status>(status), message);
    }

    void set_status(span_status status, const std::string &message) const noexcept
    {
        set_status(status, message.c_str());
    }

    template <class Name, detail::if_name<Name> = 0> NSP__CPP_INLINE void set_name(Name name) const noexcept
    {
        if (recording())
            nsp_span_set_name(handle_, detail::name_of(name));
    }

    // Its identity, to send it or to link to it (nsp_span_context): of one that has ended or was moved from, as of NULL,
    // that of the current span.
    nsp::context context() const noexcept
    {
        nsp::context made;
        nsp_span_context(handle_, &made.get());
        return made;
    }

    // Writes its context and the incoming baggage into a request (nsp_inject_span); carrier.hpp says what a setter is.
    template <class Set> nsp_status inject(Set &&set) const noexcept
    {
        const nsp_carrier carrier = detail::writing(set);
        return nsp_inject_span(handle_, &carrier);
    }

    span_handle(const span_handle &) = delete;
    span_handle &operator=(const span_handle &) = delete;

  protected:
    NSP__CPP_INLINE explicit span_handle(nsp_span *handle) noexcept : handle_(handle) {}
    ~span_handle() = default;

    nsp_span *handle_;
};

// A span that somebody else ends: the current one, that of a path, or one of the C interface.
class span_ref : public span_handle {
  public:
    explicit span_ref(nsp_span *handle) noexcept : span_handle(handle) {}
    span_ref(const span_handle &span) noexcept : span_handle(span.get()) {}
    span_ref(const span_ref &other) noexcept : span_handle(other.handle_) {}
    span_ref &operator=(const span_ref &other) noexcept
    {
        handle_ = other.handle_;
        return *this;
    }
    ~span_ref() = default;
};

// This thread's innermost span; inert if there is none.
NSP__CPP_INLINE span_ref current() noexcept
{
    return span_ref(nsp_span_current());
}

} // namespace NSP__CPP_NAMESPACE
} // namespace nsp

#endif
