// SPDX-License-Identifier: Apache-2.0
//
// The operations in C++. With SABOTAGE, each of them executes one more instruction.
#include "operations.h"

#include <nanospan/nanospan.hpp>

using namespace nsp::literals;

NSP_PATH_DECLARE(order_path, "order", ORDER_PATH)

namespace {

inline __attribute__((always_inline)) void sabotage()
{
#ifdef SABOTAGE
    __asm__ __volatile__("nop");
#endif
}

// As in C, what the setter needs is in the object itself. A lambda that captures it by reference has to follow that.
struct counting_setter {
    size_t bytes = 0;

    void operator()(std::string_view, std::string_view value)
    {
        bytes += value.size();
    }
};

} // namespace

void run_span0(int64_t, const char *, size_t)
{
    sabotage();
    nsp::span span("span0"_name);
}

void run_span3(int64_t number, const char *, size_t)
{
    sabotage();
    nsp::span span("span3"_name);
    span.set("symbol"_key, "BTCUSDT");
    span.set("price"_key, static_cast<double>(number));
    span.set("quantity"_key, number);
}

void run_texts(int64_t number, const char *text, size_t length)
{
    sabotage();
    nsp::span span("texts"_name);
    span.set("one"_key, text);
    span.set("two"_key, std::string_view(text, length));
    span.set("three"_key, number != 0);
}

void run_child(int64_t number, const char *, size_t)
{
    sabotage();
    nsp::span root("order"_name);
    nsp::span child("check"_name);
    child.set("account"_key, number);
}

void run_next(int64_t, const char *, size_t)
{
    sabotage();
    nsp::span root("order"_name);
    const nsp::ticks start = root.start();
    nsp::span phase("check"_name, start);
    phase.next("submit"_name);
}

void run_supplied(int64_t number, const char *, size_t)
{
    sabotage();
    const nsp::ticks now = nsp::now();
    nsp::span span("supplied"_name, now);
    span.end(now + static_cast<nsp::ticks>(number));
}

void run_event(int64_t number, const char *text, size_t length)
{
    sabotage();
    nsp::span span("event"_name);
    span.add_event("sent"_name, nsp::attr("quantity"_key, number),
                   nsp::attr("venue"_key, std::string_view(text, length)));
}

void run_array(int64_t number, const char *, size_t)
{
    sabotage();
    nsp::span span("array"_name);
    span.set("fills"_key, {number, int64_t{2}, int64_t{3}});
}

void run_detached(int64_t number, const char *, size_t)
{
    sabotage();
    nsp::detached_span made("detached"_name);
    made.set("order"_key, number);
    nsp::detached_span span = std::move(made);
    nsp::span_scope scope = span.enter();
}

void run_root(int64_t, const char *, size_t)
{
    sabotage();
    nsp::span span("root"_name, nsp::options().kind(nsp::kind::server).new_root());
    span.set_status(nsp::span_status::error, "refused");
}

void run_inject(int64_t, const char *, size_t)
{
    sabotage();
    nsp::span span("request"_name);
    counting_setter set;
    span.inject(set);
    fields_bytes = set.bytes;
}

void run_path(int64_t number, const char *text, size_t length)
{
    sabotage();
    nsp::path<order_path> path;
    NSP_PATH_STR(path, symbol, text, length);
    path->quantity = number;
    path->price = static_cast<double>(number);
    NSP_PATH_MARK(path, submit);
}
