// SPDX-License-Identifier: Apache-2.0
//
// Uses every name of <nanospan/nanospan.hpp>, to show that each compiles and links, with the library, and without it
// under NSP_DISABLE. tests/core/cpp covers what they do. This one checks only their types, and that they do nothing when
// disabled. tools/checks/headers compiles it as C++17 and C++20, without exceptions, and with more warnings.
#include <array>
#include <cstdio>
#include <list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <nanospan/nanospan.hpp>

using namespace nsp::literals;

namespace {

#ifdef NSP_DISABLE
constexpr bool disabled = true;
#else
constexpr bool disabled = false;
#endif

int failures = 0;

void check(bool fine, const char *what, int line)
{
    if (!fine) {
        std::fprintf(stderr, "%s:%d: %s\n", __FILE__, line, what);
        failures++;
    }
}

#define CHECK(condition) check((condition), #condition, __LINE__)

#define ORDER_PATH(PHASE, I64, F64, STR, BOOL)                                                               \
    STR(symbol, 16, "symbol")                                                                                \
    I64(quantity, "quantity")                                                                                \
    PHASE(check, "check", NSP_PATH_AT_START)                                                                 \
    PHASE(submit, "submit")
NSP_PATH_DECLARE(order_path, "order", ORDER_PATH)

// A name that several places use.
constexpr auto shared_key = "shared"_key;

enum side { buy, sell };

nsp::span made_elsewhere()
{
    return nsp::span("made_elsewhere"_name);
}

void set_all(const nsp::span_handle &span)
{
    const std::string text = "text";
    const std::string_view view = text;
    const char *const c_text = text.c_str();
    span.set(shared_key, text);
    span.set(shared_key, view);
    span.set(shared_key, c_text);
    span.set(shared_key, "literal");
    span.set(shared_key, 'c');
    span.set(shared_key, true);
    span.set(shared_key, static_cast<signed char>(1));
    span.set(shared_key, static_cast<unsigned char>(1));
    span.set(shared_key, static_cast<short>(1));
    span.set(shared_key, static_cast<unsigned short>(1));
    span.set(shared_key, 1);
    span.set(shared_key, 1u);
    span.set(shared_key, 1l);
    span.set(shared_key, 1ul);
    span.set(shared_key, 1ll);
    span.set(shared_key, 1ull);
    span.set(shared_key, 1.0f);
    span.set(shared_key, 1.0);
    span.set(shared_key, 1.0l);
    span.set(shared_key, sell);
    span.set(shared_key, {1, 2});
    span.set(shared_key, {1.0, 2.0});
    span.set(shared_key, {true, false});
    span.set(shared_key, {"one", "two"});
    span.set(shared_key, std::vector<std::int64_t>{1});
    span.set(shared_key, std::vector<int>{1});
    span.set(shared_key, std::vector<std::size_t>{1});
    span.set(shared_key, std::vector<double>{1});
    span.set(shared_key, std::vector<float>{1});
    span.set(shared_key, std::vector<bool>{true});
    span.set(shared_key, std::array<bool, 1>{{true}});
    span.set(shared_key, std::array<side, 1>{{buy}});
    span.set(shared_key, std::vector<const char *>{"one"});
    span.set(shared_key, std::list<std::string>{"one"});
    span.set(shared_key, std::vector<std::string_view>{"one"});
    span.set(shared_key, std::vector<std::byte>(2));
    span.set(shared_key, std::vector<unsigned char>(2));
    span.set_bytes(shared_key, "\0\1", 2);
    span.set(nsp::name::intern("at run time"), 1);
    span.add_event("event"_name);
    span.add_event("event"_name, nsp::attr("number"_key, 1), nsp::attr("numbers"_key, {1, 2}),
                   nsp::attr("text"_key, view));
    span.add_event_at("event"_name, nsp::now());
    span.add_event_at("event"_name, nsp::now(), nsp::attr("big"_key, UINT64_MAX));
    span.add_link(nsp::context());
    span.add_link(nsp::context().get(), nsp::attr("texts"_key, std::vector<std::string>{"one"}));
    span.set_status(nsp::span_status::unset);
    span.set_status(nsp::span_status::ok, "ignored");
    span.set_status(nsp::span_status::error, text);
    span.set_name("renamed"_name);
}

void use_spans()
{
    nsp::span root("root"_name);
    CHECK(root.recording() != disabled && (root.get() == nullptr) == disabled &&
          (root.start() == 0) == disabled);
    CHECK(nsp::current().get() == root.get());
    set_all(root);
    nsp::span at("at"_name, nsp::now());
    at.next("next"_name);
    at.next("next"_name, nsp::now());
    at.end(nsp::now());
    const nsp_link link = {nsp::context::current(), nullptr, 0};
    const nsp::context parent = root.context();
    nsp::span with("with"_name, nsp::options()
                                    .kind(nsp::kind::client)
                                    .parent(parent)
                                    .parent(parent.get())
                                    .new_root(false)
                                    .start(nsp::now())
                                    .links(&link, 1));
    with.end();
    CHECK(!with.recording());
    const nsp::span new_root = nsp::span::root("new root"_name);
    const nsp::span elsewhere = made_elsewhere();
    nsp::span adopted = nsp::span::adopt(nsp_span_begin(NSP_NAME("c")));
    nsp_span_end(adopted.release());
    for (const nsp::kind kind :
         {nsp::kind::internal, nsp::kind::server, nsp::kind::producer, nsp::kind::consumer}) {
        const nsp::span of_kind("of a kind"_name, nsp::options().kind(kind));
    }

    nsp::detached_span detached("detached"_name);
    nsp::detached_span other("other"_name, nsp::options().new_root()), none;
    none = std::move(detached);
    swap(none, other);
    nsp::span_ref reference = none;
    reference = nsp::current();
    reference.set("by reference"_key, true);
    {
        const nsp::span_scope scope = none.enter();
        const nsp::span_scope again(other);
    }
    other.end();
    none.end(nsp::now());
    nsp::detached_span taken = nsp::detached_span::adopt(nsp::detached_span("taken"_name).release());
}

void use_paths()
{
    nsp::path<order_path> path;
    NSP_PATH_STR(path, symbol, "BTCUSDT", 7);
    NSP_PATH_MARK(path, submit);
    NSP_PATH_MARK_AT(path, submit, nsp::now());
    path->quantity = 3;
    path.get()->quantity = 4;
    path.span().add_event("event"_name);
    CHECK((path.start() == 0) == disabled && nsp_path_start(path) == path.start());
    CHECK(nsp_path_span(path) == path.span().get());
    nsp::path<order_path> at(nsp::now());
    at.end(nsp::now());
    const nsp::context parent = nsp::context::current();
    nsp::path<order_path> with(nsp::path_options()
                                   .kind(nsp::kind::consumer)
                                   .parent(parent)
                                   .new_root()
                                   .start(nsp::now())
                                   .links(nullptr, 0)
                                   .status(nsp::span_status::error, "message"));
    with.end();
    nsp::detached_path<order_path> detached, other(nsp::path_options().new_root());
    other = std::move(detached);
    nsp::detached_path<order_path> last = std::move(other);
}

void use_requests()
{
    std::map<std::string, std::string> fields;
    const auto set = [&](std::string_view name, std::string_view value) {
        fields[std::string(name)] = value;
    };
    CHECK(nsp::inject(set) == (disabled ? NSP_ERR_DISABLED : NSP_OK));
    const nsp::span span("request"_name);
    CHECK(span.inject(set) == (disabled ? NSP_ERR_DISABLED : NSP_OK));
    nsp::baggage baggage;
    CHECK(baggage.parse("a=b,c=d") == (disabled ? NSP_ERR_DISABLED : NSP_OK));
    CHECK(baggage.set("e", "f", nullptr) == (disabled ? NSP_ERR_DISABLED : NSP_OK));
    CHECK(baggage.remove("a") == (disabled ? NSP_ERR_DISABLED : NSP_OK));
    char room[NSP_BAGGAGE_MAX + 1];
    CHECK(baggage.value("c", room, sizeof room).has_value() != disabled);
    baggage.each([](std::string_view key, std::string_view, std::string_view) { CHECK(!key.empty()); });
    CHECK((baggage.get().length == 0) == disabled && &std::as_const(baggage).get() == &baggage.get());
    CHECK(nsp::inject(span.context(), &baggage.get(), set) == (disabled ? NSP_ERR_DISABLED : NSP_OK));
    CHECK(fields.empty() == disabled);

    nsp::incoming incoming;
    CHECK(incoming.extract([&](std::string_view name) -> const char * {
        const auto found = fields.find(std::string(name));
        return found != fields.end() ? found->second.c_str() : nullptr;
    }) == (disabled ? NSP_ERR_DISABLED : NSP_OK));
    CHECK(incoming.context().remote != disabled && (incoming.baggage().length == 0) == disabled);
    CHECK(&incoming.get() == &std::as_const(incoming).get());
    const nsp::incoming_scope scope = incoming.enter();
    const nsp::incoming_scope again(incoming.get());
    CHECK((nsp_incoming_current() == nullptr) == disabled);

    const nsp::context context = incoming.context();
    char traceparent[NSP_TRACEPARENT_SIZE], tracestate[NSP_TRACESTATE_MAX + 1];
    nsp::context parsed;
    CHECK(parsed.parse(context.traceparent(traceparent), context.tracestate(tracestate, sizeof tracestate)) ==
          (disabled ? NSP_ERR_DISABLED : NSP_OK));
    CHECK(parsed.valid() != disabled && parsed.sampled() != disabled && parsed.get().remote != disabled);
}

void use_names()
{
    const nsp::name name = nsp::name::intern("name"), none;
    CHECK(name == "name"_name && (name != none) != disabled && none.get() == 0);
    CHECK(name.text() == (disabled ? "" : "name") && nsp::name(NSP_KEY("name")) == "name"_key);
}

} // namespace

int main()
{
    nsp::config config;
    config->exporter = "none";
    config->shm_dir = "none";
    config->log_level = NSP_LOG_ERROR;
    config.get().collector = NSP_COLLECTOR_INVOKER;
    CHECK(std::as_const(config).get().size == sizeof(nsp_config));
    {
        nsp::session session(config, std::chrono::seconds(10));
        CHECK(session.status() == NSP_OK);
        CHECK(nsp::attach_thread("main", 0) == NSP_OK);
        use_names();
        use_spans();
        use_paths();
        use_requests();
        CHECK(nsp_do_work(1000) <= 1000);
        CHECK(nsp::flush(std::chrono::seconds(10)) == NSP_OK);
        const nsp_stats stats = nsp::stats();
        CHECK(stats.size == sizeof stats && (stats.attempted == 0) == disabled && stats.misused <= 1);
        CHECK(nsp::outlier_rule().size == sizeof(nsp_outlier_rule));
        CHECK(session.shutdown() == NSP_OK);
        CHECK(session.shutdown() == NSP_ERR_NOT_INITIALISED);
    }
    nsp::session by_environment(std::chrono::seconds(10));
    CHECK(nsp::shutdown(std::chrono::seconds(10)) == NSP_OK);
    return failures == 0 ? 0 : 1;
}
