// SPDX-License-Identifier: Apache-2.0
//
// Reading contexts from requests and writing them into requests, with lambdas. Not for direct inclusion.
//
//     nsp::incoming request;
//     request.extract([&](std::string_view name) { return headers.find(name); });
//     nsp::inject([&](std::string_view name, std::string_view value) { out.add(name, value); });
//
// A lambda is called in place: it is neither copied nor moved, and nothing is allocated. Only calls that take one throw
// away what it throws: a field whose getter throws counts as absent, one whose setter throws as one without room
// (NSP_ERR_FULL). Without exceptions (-fno-exceptions) there is nothing to throw. A thread that is cancelled in a
// lambda, or that calls pthread_exit there, ends the process.
#ifndef NANOSPAN_NANOSPAN_HPP
#error "include <nanospan/nanospan.hpp>"
#endif
#ifndef NANOSPAN_CPP_CARRIER_HPP
#define NANOSPAN_CPP_CARRIER_HPP

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>

namespace nsp {
inline namespace NSP__CPP_NAMESPACE {
namespace detail {

// Calls `call`, and returns `otherwise` if that throws.
template <class Result, class Call> Result caught(Result otherwise, const Call &call) noexcept
{
#ifdef __cpp_exceptions
    try {
        return call();
    } catch (...) {
        return otherwise;
    }
#else
    (void)otherwise;
    return call();
#endif
}

// What a getter has returned: nothing, or a text that stays where it is.
inline std::optional<std::string_view> field(std::optional<std::string_view> text) noexcept
{
    return text.has_value() && text->data() != nullptr ? text : std::nullopt;
}
inline std::optional<std::string_view> field(const char *text) noexcept
{
    return text != nullptr ? std::optional<std::string_view>(text) : std::nullopt;
}
inline std::optional<std::string_view> field(std::nullptr_t) noexcept
{
    return std::nullopt;
}
inline std::optional<std::string_view> field(std::nullopt_t) noexcept
{
    return std::nullopt;
}

template <class Result>
inline constexpr bool stays = std::is_lvalue_reference_v<Result> || std::is_pointer_v<Result> ||
                              std::is_same_v<std::remove_cv_t<Result>, std::string_view> ||
                              std::is_same_v<std::remove_cv_t<Result>, std::optional<std::string_view>> ||
                              std::is_same_v<std::remove_cv_t<Result>, std::nullptr_t> ||
                              std::is_same_v<std::remove_cv_t<Result>, std::nullopt_t>;

template <class Get>
bool get_field(void *fields, const char *name, std::size_t index, const char **value,
               std::size_t *length) noexcept
{
    Get &get = *static_cast<Get *>(fields);
    const auto found = caught(std::optional<std::string_view>(), [&]() -> std::optional<std::string_view> {
        if constexpr (std::is_invocable_v<Get &, std::string_view, std::size_t>) {
            using Result = std::invoke_result_t<Get &, std::string_view, std::size_t>;
            static_assert(stays<Result>,
                          "a getter returns a text that stays in place: std::string_view, an optional "
                          "of one, const char *, or a reference to a std::string");
            return field(get(std::string_view(name), index));
        } else {
            static_assert(std::is_invocable_v<Get &, std::string_view>,
                          "a getter takes a std::string_view, and perhaps a std::size_t");
            using Result = std::invoke_result_t<Get &, std::string_view>;
            static_assert(stays<Result>,
                          "a getter returns a text that stays in place: std::string_view, an optional "
                          "of one, const char *, or a reference to a std::string");
            return index == 0 ? field(get(std::string_view(name))) : std::nullopt;
        }
    });
    if (!found.has_value())
        return false;
    *value = found->data();
    *length = found->size();
    return true;
}

template <class Set>
bool set_field(void *fields, const char *name, const char *value, std::size_t length) noexcept
{
    Set &set = *static_cast<Set *>(fields);
    static_assert(std::is_invocable_v<Set &, std::string_view, std::string_view>,
                  "a setter takes a name and a value, as std::string_view");
    return caught(false, [&]() -> bool {
        using Result = std::invoke_result_t<Set &, std::string_view, std::string_view>;
        const std::string_view text(value, length);
        if constexpr (std::is_void_v<Result>) {
            set(std::string_view(name), text);
            return true;
        } else {
            return static_cast<bool>(set(std::string_view(name), text));
        }
    });
}

template <class Function> void *address_of(Function &function) noexcept
{
    return const_cast<void *>(static_cast<const volatile void *>(std::addressof(function)));
}

template <class Set> nsp_carrier writing(Set &set) noexcept
{
    return {address_of(set), nullptr, set_field<Set>};
}

} // namespace detail

// What came with a request: an nsp_incoming, which it converts to. 9 KiB, so not for small stacks.
class incoming {
  public:
    incoming() noexcept : value_() {}

    // Reads a request's fields, as nsp_extract does. The getter is called with a name in lower case and, if it takes
    // one, an index: it returns the index-th field of that name. One that takes no index is for carriers that have
    // each name once. It returns a std::string_view, an optional of one, a const char *, or a reference to a
    // std::string; an empty optional, and a null pointer, mean that there is none. A zero stands behind the name.
    template <class Get> nsp_status extract(Get &&get) noexcept
    {
        const nsp_carrier carrier = {detail::address_of(get), detail::get_field<std::remove_reference_t<Get>>,
                                     nullptr};
        return nsp_extract(&value_, &carrier);
    }

    operator const nsp_incoming &() const noexcept
    {
        return value_;
    }

    const nsp_incoming &get() const noexcept
    {
        return value_;
    }

    nsp_incoming &get() noexcept
    {
        return value_;
    }

    // For options::parent, whether it is valid or not.
    const nsp_context &context() const noexcept
    {
        return value_.context;
    }

    const nsp_baggage &baggage() const noexcept
    {
        return value_.baggage;
    }

    // Makes it current on this thread until the end of the scope. It has to stay where it is until then.
    incoming_scope enter() const &noexcept
    {
        return incoming_scope(value_);
    }
    incoming_scope enter() const && = delete;

  private:
    nsp_incoming value_;
};

// Writes the context of the thread's current span and the incoming baggage, as nsp_inject_span does with NULL. The
// setter is called with a name and a value; a zero stands behind both, which are gone when it returns. It returns
// whether there was room, or nothing.
template <class Set> nsp_status inject(Set &&set) noexcept
{
    const nsp_carrier carrier = detail::writing(set);
    return nsp_inject_span(nullptr, &carrier);
}

// Writes a context, and baggage unless that is nullptr, as nsp_inject does.
template <class Set>
nsp_status inject(const nsp_context &context, const nsp_baggage *baggage, Set &&set) noexcept
{
    const nsp_carrier carrier = detail::writing(set);
    return nsp_inject(&context, baggage, &carrier);
}

} // namespace NSP__CPP_NAMESPACE
} // namespace nsp

#endif
