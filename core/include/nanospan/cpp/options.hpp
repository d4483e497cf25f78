// SPDX-License-Identifier: Apache-2.0
//
// How a span or a path begins, if not as a child of the current span. Not for direct inclusion.
#ifndef NANOSPAN_NANOSPAN_HPP
#error "include <nanospan/nanospan.hpp>"
#endif
#ifndef NANOSPAN_CPP_OPTIONS_HPP
#define NANOSPAN_CPP_OPTIONS_HPP

#include <cstddef>

namespace nsp {
inline namespace NSP__CPP_NAMESPACE {

namespace detail {

// What the options of spans and of paths have in common. They point to contexts and links, which must stay until the
// span has begun.
template <class Self, class Options> class options_base {
  public:
    Self &kind(nsp::kind value) noexcept
    {
        value_.kind = static_cast<nsp_kind>(value);
        return self();
    }

    // Used instead of the current span; an invalid context counts as none.
    Self &parent(const nsp_context &value) noexcept
    {
        value_.parent = &value;
        return self();
    }
    Self &parent(const nsp_context &&) = delete; // it would be gone at once
    Self &parent(const context &value) noexcept
    {
        return parent(value.get());
    }
    Self &parent(const context &&) = delete;

    // Starts a new trace, whatever span is current.
    Self &new_root(bool value = true) noexcept
    {
        value_.new_root = value;
        return self();
    }

    // A reading that was taken before.
    Self &start(ticks value) noexcept
    {
        value_.start = value;
        return self();
    }

    Self &links(const nsp_link *values, std::size_t count) noexcept
    {
        value_.links = values;
        value_.link_count = count;
        return self();
    }

    const Options &get() const noexcept
    {
        return value_;
    }

  protected:
    explicit options_base(const Options &value) noexcept : value_(value) {}
    ~options_base() = default;
    options_base(const options_base &) = default;
    options_base &operator=(const options_base &) = default;

    Self &self() noexcept
    {
        return static_cast<Self &>(*this);
    }

    Options value_;
};

} // namespace detail

//     nsp::span server("GET /orders"_name, nsp::options().kind(nsp::kind::server).parent(request.context()));
class options : public detail::options_base<options, nsp_span_options> {
  public:
    options() noexcept : options_base(NSP_SPAN_OPTIONS_INIT) {}
};

class path_options : public detail::options_base<path_options, nsp_path_options> {
  public:
    path_options() noexcept : options_base(NSP_PATH_OPTIONS_INIT) {}

    // `message` must stay until the path has begun, or is nullptr.
    path_options &status(span_status value, const char *message = nullptr) noexcept
    {
        value_.status = static_cast<nsp_span_status>(value);
        value_.status_message = message;
        return *this;
    }
};

} // namespace NSP__CPP_NAMESPACE
} // namespace nsp

#endif
