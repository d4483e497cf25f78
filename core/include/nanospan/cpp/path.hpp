// SPDX-License-Identifier: Apache-2.0
//
// Declared paths (<nanospan/path.h>) that end with their scope. Not for direct inclusion.
//
//     NSP_PATH_DECLARE(match_path, "match", MATCH)      // as in C
//
//     nsp::path<match_path> path;
//     NSP_PATH_MARK(path, fill);                        // the macros take it like the pointer of C
//     path->fills = 3;
#ifndef NANOSPAN_NANOSPAN_HPP
#error "include <nanospan/nanospan.hpp>"
#endif
#ifndef NANOSPAN_CPP_PATH_HPP
#define NANOSPAN_CPP_PATH_HPP

#include <utility>

namespace nsp {
inline namespace NSP__CPP_NAMESPACE {

namespace detail {

// What both kinds of paths have. It converts to the C interface's pointer, which the macros of <nanospan/path.h> take.
template <class T> class path_handle {
  public:
    NSP__CPP_INLINE operator T *() const noexcept
    {
        return path_;
    }

    NSP__CPP_INLINE T *operator->() const noexcept
    {
        return path_;
    }

    NSP__CPP_INLINE T *get() const noexcept
    {
        return path_;
    }

    // The path's own span, for events, links, the status and contexts.
    NSP__CPP_INLINE span_ref span() const noexcept
    {
        return span_ref(nsp_path_span(path_));
    }

    // The reading with which it began; 0 if it is not recorded.
    NSP__CPP_INLINE ticks start() const noexcept
    {
        return nsp_path_start(path_);
    }

    // Ends the path, and its last phase, now. Nothing may be done to it later.
    NSP__CPP_INLINE void end(ticks at = 0) noexcept
    {
        if (path_ == nullptr)
            return;
        nsp__path_ended(path_, at);
        path_ = nullptr;
    }

    path_handle(const path_handle &) = delete;
    path_handle &operator=(const path_handle &) = delete;

  protected:
    NSP__CPP_INLINE explicit path_handle(T *path) noexcept : path_(path) {}
    path_handle() noexcept : path_(nullptr) {}
    ~path_handle() = default;

    T *path_;
};

inline nsp_path_options detached(const path_options &how) noexcept
{
    nsp_path_options options = how.get();
    options.detached = true;
    return options;
}

} // namespace detail

// A path of the declared type T that ends with its scope, and is the thread's current span until then. Neither copied
// nor moved, for the same reason as nsp::span.
template <class T> class path : public detail::path_handle<T> {
  public:
    [[nodiscard]] NSP__CPP_INLINE path() noexcept
        : detail::path_handle<T>(nsp__path_begun(static_cast<const T *>(nullptr), ticks{0}))
    {
    }

    // With a reading that was taken before.
    [[nodiscard]] NSP__CPP_INLINE explicit path(ticks start) noexcept
        : detail::path_handle<T>(nsp__path_begun(static_cast<const T *>(nullptr), start))
    {
    }

    [[nodiscard]] NSP__CPP_INLINE explicit path(const path_options &how) noexcept
        : detail::path_handle<T>(nsp__path_begun(static_cast<const T *>(nullptr), how.get()))
    {
    }

    NSP__CPP_INLINE ~path()
    {
        this->end();
    }

    path(const path &) = delete;
    path &operator=(const path &) = delete;
};

// A detached path: it may be moved, and ends with its owner, on whatever thread that is. One that was moved from, or has
// ended, is empty: get() is NULL, and nothing may be done to it but to end it, destroy it, and assign to it.
template <class T> class detached_path : public detail::path_handle<T> {
  public:
    [[nodiscard]] explicit detached_path(const path_options &how = path_options()) noexcept
        : detail::path_handle<T>(nsp__path_begun(static_cast<const T *>(nullptr), detail::detached(how)))
    {
    }

    detached_path(detached_path &&other) noexcept : detail::path_handle<T>()
    {
        this->path_ = std::exchange(other.path_, nullptr);
    }

    // Ends what it was.
    detached_path &operator=(detached_path &&other) noexcept
    {
        if (this != &other) {
            this->end();
            this->path_ = std::exchange(other.path_, nullptr);
        }
        return *this;
    }

    ~detached_path()
    {
        this->end();
    }
};

} // namespace NSP__CPP_NAMESPACE
} // namespace nsp

#endif
