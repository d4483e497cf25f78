// SPDX-License-Identifier: Apache-2.0
//
// What an attribute's value becomes, by its type. Not for direct inclusion.
//
// A value goes to a sink, which has a function for each of the C interface's types: it sets an attribute of a span, or
// makes one for an event or a link.
#ifndef NANOSPAN_NANOSPAN_HPP
#error "include <nanospan/nanospan.hpp>"
#endif
#ifndef NANOSPAN_CPP_VALUE_HPP
#define NANOSPAN_CPP_VALUE_HPP

#include <cstdint>
#include <string_view>
#include <type_traits>

namespace nsp {
inline namespace NSP__CPP_NAMESPACE {
namespace detail {

// ---- sinks ----

// The bytes that the record of a span may have.
NSP__CPP_INLINE std::size_t record_bytes([[maybe_unused]] const nsp_span *span) noexcept
{
#ifdef NSP_DISABLE
    return 0;
#else
    return nsp__frame_of(span)->limit;
#endif
}

// The setters for spans of which it is known that they record: the public ones would ask once more.
#ifdef NSP_DISABLE
#define NSP__CPP_SETTER(type) nsp_span_set_##type
#else
#define NSP__CPP_SETTER(type) nsp__set_##type
#endif

// Sets an attribute of a span that records.
struct span_sink {
    nsp_span *span;
    nsp_name key;

    NSP__CPP_INLINE void boolean(bool value) const noexcept
    {
        NSP__CPP_SETTER(bool)(span, key, value);
    }
    NSP__CPP_INLINE void integer(std::int64_t value) const noexcept
    {
        NSP__CPP_SETTER(i64)(span, key, value);
    }
    NSP__CPP_INLINE void real(double value) const noexcept
    {
        NSP__CPP_SETTER(f64)(span, key, value);
    }
    NSP__CPP_INLINE void text(const char *value) const noexcept
    {
        NSP__CPP_SETTER(str)(span, key, value);
    }
    NSP__CPP_INLINE void text(const char *value, std::size_t length) const noexcept
    {
        NSP__CPP_SETTER(strn)(span, key, value, length);
    }
    void bytes(const void *value, std::size_t count) const noexcept
    {
        nsp_span_set_bytes(span, key, value, count);
    }
    void texts(const char *const *values, std::size_t count) const noexcept
    {
        nsp_span_set_strs(span, key, values, count);
    }
    void booleans(const bool *values, std::size_t count) const noexcept
    {
        nsp_span_set_bools(span, key, values, count);
    }
    void integers(const std::int64_t *values, std::size_t count) const noexcept
    {
        nsp_span_set_i64s(span, key, values, count);
    }
    void reals(const double *values, std::size_t count) const noexcept
    {
        nsp_span_set_f64s(span, key, values, count);
    }
};

#undef NSP__CPP_SETTER

// Makes an attribute and calls `then` with it, which uses it before it returns: what the attribute points to may be a
// variable of the function that called this.
template <class Then> struct attr_sink {
    nsp_span *span; // on which it will be
    nsp_name key;
    const Then &then;

    void boolean(bool value) const noexcept
    {
        then(nsp_attr_bool(key, value));
    }
    void integer(std::int64_t value) const noexcept
    {
        then(nsp_attr_i64(key, value));
    }
    void real(double value) const noexcept
    {
        then(nsp_attr_f64(key, value));
    }
    void text(const char *value) const noexcept
    {
        then(nsp_attr_str(key, value));
    }
    void text(const char *value, std::size_t length) const noexcept
    {
        then(nsp_attr_strn(key, value, length));
    }
    void bytes(const void *value, std::size_t count) const noexcept
    {
        then(nsp_attr_bytes(key, value, count));
    }
    void texts(const char *const *values, std::size_t count) const noexcept
    {
        then(nsp_attr_strs(key, values, count));
    }
    void booleans(const bool *values, std::size_t count) const noexcept
    {
        then(nsp_attr_bools(key, values, count));
    }
    void integers(const std::int64_t *values, std::size_t count) const noexcept
    {
        then(nsp_attr_i64s(key, values, count));
    }
    void reals(const double *values, std::size_t count) const noexcept
    {
        then(nsp_attr_f64s(key, values, count));
    }
};

// ---- types ----

template <class T> inline constexpr bool is_nothing = false; // for a static_assert that fails

// const char *, char *, and arrays of char, whose text ends at the first zero.
template <class T>
inline constexpr bool is_c_text =
    std::is_same_v<std::decay_t<T>, char *> || std::is_same_v<std::decay_t<T>, const char *>;

template <class T>
inline constexpr bool is_text =
    !std::is_null_pointer_v<T> && std::is_convertible_v<const T &, std::string_view>;

template <class T>
inline constexpr bool is_wide_character =
    std::is_integral_v<T> && !std::is_same_v<T, char> &&
    (std::is_same_v<T, wchar_t> || std::is_same_v<T, char16_t> || std::is_same_v<T, char32_t>
#ifdef __cpp_char8_t
     || std::is_same_v<T, char8_t>
#endif
    );

// Without a value that an int64_t cannot have.
template <class T>
inline constexpr bool fits_integer = std::is_signed_v<T> || sizeof(T) < sizeof(std::int64_t);

// An enumeration that C++ converts to its number by itself. A scoped one it does not, and neither does this.
template <class T, bool = std::is_enum_v<T>> struct converts : std::false_type {
};
template <class T> struct converts<T, true> : std::is_convertible<T, std::underlying_type_t<T>> {
};

// The decimal digits of a number, which stand at the end of `digits`.
struct decimal {
    explicit decimal(std::uint64_t value) noexcept
    {
        do {
            digits[--begin] = static_cast<char>('0' + value % 10);
            value /= 10;
        } while (value != 0);
    }

    std::string_view text() const noexcept
    {
        return {digits + begin, sizeof digits - begin};
    }

    std::size_t begin = 20;
    char digits[20] = {};
};

template <class Sink>
__attribute__((noinline, cold)) void put_decimal(const Sink &sink, std::uint64_t value) noexcept
{
    const decimal number(value);
    const std::string_view text = number.text();
    sink.text(text.data(), text.size());
}

template <class Sink, class Range> void put_array(const Sink &sink, const Range &range) noexcept; // array.hpp
template <class T, class = void> struct is_array : std::false_type {
};

// ---- values ----

template <class Sink, class Value> NSP__CPP_INLINE void put(const Sink &sink, const Value &value) noexcept
{
    using T = std::remove_cv_t<Value>;
    if constexpr (std::is_same_v<T, bool>) {
        sink.boolean(value);
    } else if constexpr (std::is_same_v<T, char>) {
        sink.text(&value, 1);
    } else if constexpr (is_c_text<Value>) {
        sink.text(value);
    } else if constexpr (is_text<T>) {
        const std::string_view text = value;
        sink.text(text.data(), text.size());
    } else if constexpr (is_wide_character<T>) {
        static_assert(is_nothing<T>, "a wide character is neither a number nor UTF-8: set one of these");
    } else if constexpr (std::is_integral_v<T> && sizeof(T) > sizeof(std::int64_t)) {
        static_assert(is_nothing<T>, "an attribute's number has at most 64 bits");
    } else if constexpr (std::is_integral_v<T> && fits_integer<T>) {
        sink.integer(static_cast<std::int64_t>(value));
    } else if constexpr (std::is_integral_v<T>) {
        if (NSP__LIKELY(value <= static_cast<T>(INT64_MAX)))
            sink.integer(static_cast<std::int64_t>(value));
        else
            put_decimal(sink, value);
    } else if constexpr (std::is_floating_point_v<T>) {
        sink.real(static_cast<double>(value));
    } else if constexpr (converts<T>::value) {
        put(sink, static_cast<std::underlying_type_t<T>>(value));
    } else if constexpr (std::is_enum_v<T>) {
        static_assert(is_nothing<T>,
                      "a scoped enumeration has no value here: set its static_cast, or a text");
    } else if constexpr (is_array<T>::value) {
        put_array(sink, value);
    } else {
        static_assert(is_nothing<T>,
                      "an attribute is a text, a number, a bool, or an array of these; a pointer is "
                      "none, and neither are durations and objects");
    }
}

} // namespace detail
} // namespace NSP__CPP_NAMESPACE
} // namespace nsp

#endif
