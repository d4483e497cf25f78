// SPDX-License-Identifier: Apache-2.0
//
// Names of spans and keys of attributes. "text"_name and "text"_key are interned once and cost one load and one branch
// after that, as NSP_NAME and NSP_KEY do. Not for direct inclusion.
//
// No macro is needed: a literal operator template gets the text as template arguments, so that each text is a type,
// and a type can have a static variable. That variable holds the interned name, for all call sites with this text, and
// the value of the expression is an empty object that finds it. This form of the operator is an extension that gcc and
// clang have in all their modes; the form of C++20 would give the same text another type, so that sources for C++17
// and C++20 would differ.
#ifndef NANOSPAN_NANOSPAN_HPP
#error "include <nanospan/nanospan.hpp>"
#endif
#ifndef NANOSPAN_CPP_NAME_HPP
#define NANOSPAN_CPP_NAME_HPP

#include <cstddef>
#include <string_view>
#include <type_traits>

namespace nsp {
inline namespace NSP__CPP_NAMESPACE {

// A name as a plain value, for texts that are known only at run time. All zero means "no name".
class name {
  public:
    constexpr name() noexcept = default;
    constexpr explicit name(nsp_name value) noexcept : value_(value) {}

    // Interns a text (nsp_intern). Not for an unbounded variety of texts, because names are never freed.
    static name intern(std::string_view text) noexcept
    {
        return name(nsp_intern(text.data(), text.size()));
    }

    constexpr nsp_name get() const noexcept
    {
        return value_;
    }

    // The text, which is never freed; a zero stands behind it.
    std::string_view text() const noexcept
    {
        std::size_t length = 0;
        const char *const text = nsp_name_text(value_, &length);
        return {text, length};
    }

    friend constexpr bool operator==(name a, name b) noexcept
    {
        return a.value_ == b.value_;
    }

    friend constexpr bool operator!=(name a, name b) noexcept
    {
        return a.value_ != b.value_;
    }

  private:
    nsp_name value_ = 0;
};

// What "text"_name and "text"_key are. Empty, so it may be passed, copied and kept in a constant at no cost:
//     inline constexpr auto symbol = "trade.symbol"_key;
template <char... Text> class literal {
  public:
    static_assert(sizeof...(Text) <= NSP_NAME_LENGTH_MAX, "a name has at most 1023 bytes");

#ifdef NSP_DISABLE
    constexpr nsp_name get() const noexcept
    {
        return 0;
    }
#else
    NSP__CPP_INLINE nsp_name get() const noexcept
    {
        nsp_name value = __atomic_load_n(&site, __ATOMIC_RELAXED);
        if (NSP__UNLIKELY(value == 0))
            value = nsp__name_intern_site(&site, text, sizeof...(Text));
        return value;
    }
#endif

    NSP__CPP_INLINE operator name() const noexcept
    {
        return name(get());
    }

  private:
#ifndef NSP_DISABLE
    // Hidden, so that a shared library has its own, finds them without a detour, and can be unloaded: a linker makes
    // variables like these, if they are visible, unique in the process, and keeps the library that has them.
    __attribute__((visibility("hidden"))) static constexpr char text[] = {Text..., '\0'};
    __attribute__((visibility("hidden"))) static inline nsp_name site = 0;
#endif
};

namespace detail {

template <class T> struct is_name : std::is_same<T, name> {
};
template <char... Text> struct is_name<literal<Text...>> : std::true_type {
};

// What a constructor or function that takes a name says of its type parameter.
template <class T> using if_name = std::enable_if_t<is_name<T>::value, int>;

} // namespace detail

inline namespace literals {

#pragma GCC diagnostic push
#ifdef __clang__
#pragma GCC diagnostic ignored "-Wgnu-string-literal-operator-template"
#else
#pragma GCC diagnostic ignored "-Wpedantic"
#endif

template <class Char, Char... Text> constexpr literal<Text...> operator""_name() noexcept
{
    static_assert(std::is_same_v<Char, char>, "a name or key is UTF-8, in a literal without a prefix");
    return {};
}

template <class Char, Char... Text> constexpr literal<Text...> operator""_key() noexcept
{
    static_assert(std::is_same_v<Char, char>, "a name or key is UTF-8, in a literal without a prefix");
    return {};
}

#pragma GCC diagnostic pop

} // namespace literals
} // namespace NSP__CPP_NAMESPACE
} // namespace nsp

#endif
