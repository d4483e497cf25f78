// SPDX-License-Identifier: Apache-2.0
//
// Attributes that are arrays: of ranges with std::begin, std::end and std::size, such as std::vector, std::array,
// std::span and braces. Not for direct inclusion.
//
// A range that lies in memory as the C interface wants it is passed as it is. The elements of any other one are
// converted on the stack first, no more of them than fit into the span's record, so that nothing is allocated. What is
// beyond that is cut, and counted in nsp_stats.values_cut, as it is in C.
#ifndef NANOSPAN_NANOSPAN_HPP
#error "include <nanospan/nanospan.hpp>"
#endif
#ifndef NANOSPAN_CPP_ARRAY_HPP
#define NANOSPAN_CPP_ARRAY_HPP

#include <cstddef>
#include <cstring>
#include <iterator>
#include <string>

namespace nsp {
inline namespace NSP__CPP_NAMESPACE {
namespace detail {

template <class T>
struct is_array<
    T, std::void_t<decltype(std::begin(std::declval<const T &>()), std::end(std::declval<const T &>()),
                            std::size(std::declval<const T &>()))>> : std::true_type {
};

// The type of a range's elements; bool for the bits of a std::vector<bool>.
template <class T> struct element {
    using type = typename T::value_type;
};
template <class T, std::size_t Count> struct element<T[Count]> {
    using type = T;
};
template <class T> using element_of = std::remove_cv_t<typename element<std::remove_cv_t<T>>::type>;

// What std::data gives, or void for a range that is not in one piece.
template <class T, class = void> struct data_of {
    using type = void;
};
template <class T> struct data_of<T, std::void_t<decltype(std::data(std::declval<const T &>()))>> {
    using type = decltype(std::data(std::declval<const T &>()));
};
template <class Range, class To>
inline constexpr bool lies_as = std::is_convertible_v<typename data_of<Range>::type, const To *>
    &&std::is_same_v<element_of<Range>, std::remove_cv_t<To>>;
template <class Range>
inline constexpr bool lies_as_texts =
    std::is_convertible_v<typename data_of<Range>::type, const char *const *>;

// How many elements are worth converting. A record has a fixed part too, so `fit` elements never do, and the code that
// writes it cuts and counts.
template <class Range> std::size_t most_of(const Range &range, std::size_t fit) noexcept
{
    const std::size_t count = std::size(range);
    return count < fit ? count : fit;
}

// Converts the elements to numbers, or to bool.
template <class To, class Sink, class Range, class Then>
__attribute__((noinline)) void with_numbers(const Sink &sink, const Range &range, const Then &then) noexcept
{
    const std::size_t count = most_of(range, record_bytes(sink.span) / sizeof(To));
    To *const numbers = static_cast<To *>(__builtin_alloca(count * sizeof(To) + 1));
    std::size_t at = 0;
    for (auto one = std::begin(range); at < count; ++one, ++at)
        numbers[at] = static_cast<To>(*one);
    then(static_cast<const To *>(numbers), count);
}

// The text of an element. `scratch` is for those that have to be made.
inline std::string_view text_of(std::string_view text, char *) noexcept
{
    return text;
}
inline std::string_view text_of(const char *text, char *) noexcept
{
    return text != nullptr ? std::string_view(text) : std::string_view();
}
inline std::string_view text_of(std::uint64_t number, char *scratch) noexcept
{
    const decimal made(number);
    const std::string_view text = made.text();
    std::memcpy(scratch, text.data(), text.size());
    return {scratch, text.size()};
}

// Copies the elements' texts, because the C interface wants a zero behind each. A zero within a text ends it.
template <class Sink, class Range>
__attribute__((noinline)) void put_texts(const Sink &sink, const Range &range) noexcept
{
    const std::size_t most = record_bytes(sink.span);
    char scratch[sizeof(decimal::digits)];
    std::size_t count = 0, bytes = 0, used = 0;
    for (auto one = std::begin(range); one != std::end(range) && used <= most; ++one, ++count) {
        const std::size_t length = text_of(*one, scratch).size();
        used += 2 + length; // in the record
        bytes += (length < most ? length : most) + 1;
    }
    const char **const texts =
        static_cast<const char **>(__builtin_alloca((count + 1) * sizeof(const char *)));
    char *to = static_cast<char *>(__builtin_alloca(bytes + 1));
    std::size_t left = bytes; // should the second walk find longer texts than the first
    auto one = std::begin(range);
    for (std::size_t at = 0; at < count; ++one, ++at) {
        const std::string_view text = text_of(*one, scratch);
        const std::size_t room =
            left > count - at ? left - (count - at) : 0; // without the zeroes that follow
        const std::size_t cut = text.size() < most ? text.size() : most, length = cut < room ? cut : room;
        texts[at] = to;
        if (length != 0)
            std::memcpy(to, text.data(), length);
        to[length] = '\0';
        to += length + 1;
        left -= length + 1;
    }
    sink.texts(texts, count);
}

template <class T, class Range> bool any_beyond_integers(const Range &range) noexcept
{
    for (const T number : range)
        if (number > static_cast<T>(INT64_MAX))
            return true;
    return false;
}

template <class Sink, class Range> void put_array(const Sink &sink, const Range &range) noexcept
{
    using T = element_of<Range>;
    if constexpr (lies_as<Range, bool>) {
        sink.booleans(std::data(range), std::size(range));
    } else if constexpr (lies_as<Range, std::int64_t>) {
        sink.integers(std::data(range), std::size(range));
    } else if constexpr (lies_as<Range, double>) {
        sink.reals(std::data(range), std::size(range));
    } else if constexpr (lies_as<Range, std::byte> || lies_as<Range, unsigned char>) {
        sink.bytes(std::data(range), std::size(range));
    } else if constexpr (lies_as_texts<Range>) {
        sink.texts(std::data(range), std::size(range));
    } else if constexpr (std::is_same_v<T, bool>) {
        with_numbers<bool>(sink, range,
                           [&](const bool *values, std::size_t n) noexcept { sink.booleans(values, n); });
    } else if constexpr (is_c_text<T> || is_text<T>) {
        put_texts(sink, range);
    } else if constexpr (std::is_same_v<T, char> || is_wide_character<T>) {
        static_assert(is_nothing<T>, "an array of characters is no text: set a std::string_view of it");
    } else if constexpr (std::is_floating_point_v<T>) {
        with_numbers<double>(sink, range,
                             [&](const double *values, std::size_t n) noexcept { sink.reals(values, n); });
    } else if constexpr (std::is_integral_v<T> || converts<T>::value) {
        static_assert(sizeof(T) <= sizeof(std::int64_t), "an attribute's number has at most 64 bits");
        if constexpr (std::is_integral_v<T> && !fits_integer<T>) {
            if (NSP__UNLIKELY(any_beyond_integers<T>(range))) {
                put_texts(sink, range);
                return;
            }
        }
        with_numbers<std::int64_t>(sink, range, [&](const std::int64_t *values, std::size_t n) noexcept {
            sink.integers(values, n);
        });
    } else {
        static_assert(is_nothing<T>, "an array's elements are texts, numbers or bool");
    }
}

} // namespace detail
} // namespace NSP__CPP_NAMESPACE
} // namespace nsp

#endif
