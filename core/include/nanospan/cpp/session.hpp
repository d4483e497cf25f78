// SPDX-License-Identifier: Apache-2.0
//
// Start, flush and stop (<nanospan/lifecycle.h>), and the structures whose size has to be set. Everything else is as
// simple in the C interface: the sampler, rules for outliers, threads. Not for direct inclusion.
#ifndef NANOSPAN_NANOSPAN_HPP
#error "include <nanospan/nanospan.hpp>"
#endif
#ifndef NANOSPAN_CPP_SESSION_HPP
#define NANOSPAN_CPP_SESSION_HPP

#include <chrono>
#include <cstdint>

namespace nsp {
inline namespace NSP__CPP_NAMESPACE {

// The defaults, then what the environment says, then what the program changes:
//     nsp::config config;
//     config->service_name = "execution";
// Texts have to stay in place until the session has begun.
class config {
  public:
    config() noexcept
    {
        nsp_config_init(&value_);
    }

    nsp_config *operator->() noexcept
    {
        return &value_;
    }

    nsp_config &get() noexcept
    {
        return value_;
    }

    const nsp_config &get() const noexcept
    {
        return value_;
    }

  private:
    nsp_config value_ = NSP_CONFIG_INIT;
};

namespace detail {

inline std::uint64_t timeout_of(std::chrono::nanoseconds timeout) noexcept
{
    return timeout.count() > 0 ? static_cast<std::uint64_t>(timeout.count()) : 0;
}

} // namespace detail

// A negative timeout counts as 0.
inline nsp_status flush(std::chrono::nanoseconds timeout) noexcept
{
    return nsp_flush(detail::timeout_of(timeout));
}

inline nsp_status shutdown(std::chrono::nanoseconds timeout) noexcept
{
    return nsp_shutdown(detail::timeout_of(timeout));
}

// Tracing from its construction to its destruction, which takes at most the timeout. A program without it calls
// nsp_init and nsp_shutdown; one that leaves by exit() is flushed all the same (nsp_config.exit_timeout_ns).
class session {
  public:
    // Configured by the environment. If it fails, everything is inert, and the program can go on.
    explicit session(std::chrono::nanoseconds timeout = std::chrono::seconds(2)) noexcept
        : timeout_(timeout), status_(nsp_init(nullptr))
    {
    }

    explicit session(const config &how, std::chrono::nanoseconds timeout = std::chrono::seconds(2)) noexcept
        : timeout_(timeout), status_(nsp_init(&how.get()))
    {
    }

    session(const session &) = delete;
    session &operator=(const session &) = delete;

    ~session()
    {
        shutdown();
    }

    // What nsp_init has returned; nsp_error_detail() says more, until the next call that fails.
    nsp_status status() const noexcept
    {
        return status_;
    }

    // Stops tracing now, and returns what nsp_shutdown does. If this session did not begin or has ended, nothing
    // happens; it returns status().
    nsp_status shutdown() noexcept
    {
        if (status_ != NSP_OK)
            return status_;
        status_ = NSP_ERR_NOT_INITIALISED;
        return nsp::shutdown(timeout_);
    }

  private:
    std::chrono::nanoseconds timeout_;
    nsp_status status_;
};

// The accounting; all 0 before the first nsp_init.
inline nsp_stats stats() noexcept
{
    nsp_stats made = NSP_STATS_INIT;
    nsp_stats_get(&made);
    return made;
}

// A rule in which nothing is set, for nsp_outlier_set_rule.
inline nsp_outlier_rule outlier_rule() noexcept
{
    return NSP_OUTLIER_RULE_INIT;
}

// Gives this thread its ring (nsp_thread_attach). 0 and nullptr mean the defaults.
inline nsp_status attach_thread(const char *name = nullptr, std::size_t ring_bytes = 0) noexcept
{
    nsp_thread_options options = NSP_THREAD_OPTIONS_INIT;
    options.name = name;
    options.ring_bytes = ring_bytes;
    return nsp_thread_attach(&options);
}

} // namespace NSP__CPP_NAMESPACE
} // namespace nsp

#endif
