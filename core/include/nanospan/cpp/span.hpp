// SPDX-License-Identifier: Apache-2.0
//
// Spans (<nanospan/span.h>) as objects. Not for direct inclusion.
#ifndef NANOSPAN_NANOSPAN_HPP
#error "include <nanospan/nanospan.hpp>"
#endif
#ifndef NANOSPAN_CPP_SPAN_HPP
#define NANOSPAN_CPP_SPAN_HPP

#include <utility>

namespace nsp {
inline namespace NSP__CPP_NAMESPACE {

// A span that ends with its scope, and is the thread's current span until then: a child of the one that was current, or
// a root, for which the sampler decides.
//
// It is neither copied nor moved. Spans of a thread are a stack and end in the reverse order, as objects of a scope do;
// one that was moved out of its scope would end behind those below it, which is misuse. A function may still return one
// as it makes it, because that is no move: `nsp::span handle() { return nsp::span("handle"_name); }`. What moves
// is a detached_span.
class span : public span_handle {
  public:
    template <class Name, detail::if_name<Name> = 0>
    [[nodiscard]] NSP__CPP_INLINE explicit span(Name name) noexcept
        : span_handle(nsp_span_begin(detail::name_of(name)))
    {
    }

    // With a reading that was taken before, without a clock read.
    template <class Name, detail::if_name<Name> = 0>
    [[nodiscard]] NSP__CPP_INLINE span(Name name, ticks start) noexcept
        : span_handle(nsp_span_begin_at(detail::name_of(name), start))
    {
    }

    template <class Name, detail::if_name<Name> = 0>
    [[nodiscard]] span(Name name, const options &how) noexcept
        : span_handle(nsp_span_begin_with(detail::name_of(name), &how.get()))
    {
    }

    // Begins a new trace, whatever span is current.
    template <class Name, detail::if_name<Name> = 0> [[nodiscard]] static span root(Name name) noexcept
    {
        return span(name, options().new_root());
    }

    // Takes over a span that C code has begun on this thread.
    [[nodiscard]] static span adopt(nsp_span *handle) noexcept
    {
        return span(handle);
    }

    span(const span &) = delete;
    span &operator=(const span &) = delete;

    NSP__CPP_INLINE ~span()
    {
        nsp_span_end(handle_);
    }

    // Ends it now. What is done to it later has no effect.
    NSP__CPP_INLINE void end() noexcept
    {
        nsp_span_end(std::exchange(handle_, nullptr));
    }
    NSP__CPP_INLINE void end(ticks at) noexcept
    {
        nsp_span_end_at(std::exchange(handle_, nullptr), at);
    }

    // Ends it, and begins its next sibling with the same reading, which this object is from then on.
    template <class Name, detail::if_name<Name> = 0> NSP__CPP_INLINE void next(Name name) noexcept
    {
        handle_ = nsp_span_next(handle_, detail::name_of(name));
    }
    template <class Name, detail::if_name<Name> = 0> NSP__CPP_INLINE void next(Name name, ticks at) noexcept
    {
        handle_ = nsp_span_next_at(handle_, detail::name_of(name), at);
    }

    // Gives it to C code, which has to end it.
    [[nodiscard]] nsp_span *release() noexcept
    {
        return std::exchange(handle_, nullptr);
    }

  private:
    explicit span(nsp_span *handle) noexcept : span_handle(handle) {}
};

// Makes a detached span current on this thread until the end of the scope.
class [[nodiscard]] span_scope {
  public:
    explicit span_scope(const span_handle &span) noexcept : span_(span.get())
    {
        nsp_span_enter(span_);
    }
    ~span_scope()
    {
        nsp_span_leave(span_);
    }
    span_scope(const span_scope &) = delete;
    span_scope &operator=(const span_scope &) = delete;

  private:
    nsp_span *span_;
};

// A span that is not on the thread's stack: it may be moved, may outlive its parent, and ends with its owner on whatever
// thread that is. To pass it to another thread takes the same synchronisation as to pass any object.
class detached_span : public span_handle {
  public:
    // None; inert, as one that was moved from.
    detached_span() noexcept : span_handle(nullptr) {}

    template <class Name, detail::if_name<Name> = 0>
    [[nodiscard]] explicit detached_span(Name name) noexcept
        : span_handle(nsp_span_begin_detached(detail::name_of(name), nullptr))
    {
    }

    template <class Name, detail::if_name<Name> = 0>
    [[nodiscard]] detached_span(Name name, const options &how) noexcept
        : span_handle(nsp_span_begin_detached(detail::name_of(name), &how.get()))
    {
    }

    // Takes over a detached span that C code has begun.
    [[nodiscard]] static detached_span adopt(nsp_span *handle) noexcept
    {
        return detached_span(handle);
    }

    detached_span(detached_span &&other) noexcept : span_handle(other.release()) {}

    // Ends what it was.
    detached_span &operator=(detached_span &&other) noexcept
    {
        if (this != &other) {
            end();
            handle_ = other.release();
        }
        return *this;
    }

    ~detached_span()
    {
        nsp_span_end(handle_);
    }

    void end() noexcept
    {
        nsp_span_end(std::exchange(handle_, nullptr));
    }
    void end(ticks at) noexcept
    {
        nsp_span_end_at(std::exchange(handle_, nullptr), at);
    }

    // Makes it current on this thread until the end of the scope. It must stay open until then.
    span_scope enter() const noexcept
    {
        return span_scope(*this);
    }

    [[nodiscard]] nsp_span *release() noexcept
    {
        return std::exchange(handle_, nullptr);
    }

    friend void swap(detached_span &a, detached_span &b) noexcept
    {
        std::swap(a.handle_, b.handle_);
    }

  private:
    explicit detached_span(nsp_span *handle) noexcept : span_handle(handle) {}
};

} // namespace NSP__CPP_NAMESPACE
} // namespace nsp

#endif
