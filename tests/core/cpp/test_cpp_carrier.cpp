// SPDX-License-Identifier: Apache-2.0
//
// Contexts and baggage of <nanospan/nanospan.hpp>, and carriers that are lambdas: what they may take and return, and
// what happens when they throw.
#include "core/cpp/twins.hpp"

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

namespace {

const char *const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

using fields = std::map<std::string, std::string, std::less<>>;

const fields request = {
    {"traceparent", traceparent}, {"tracestate", "vendor=1"}, {"baggage", "account=7,tier=gold"}};

nsp::incoming read(const fields &from)
{
    nsp::incoming incoming;
    incoming.extract([&](std::string_view name) -> const char * {
        const auto found = from.find(name);
        return found != from.end() ? found->second.c_str() : nullptr;
    });
    return incoming;
}

void assert_whole(const nsp::incoming &incoming)
{
    char text[NSP_TRACEPARENT_SIZE];
    assert_true(nsp::context(incoming.context()).traceparent(text) == traceparent);
    assert_int_equal(incoming.context().tracestate_length, 8);
    assert_string_equal(incoming.baggage().text, "account=7,tier=gold");
}

// ---- getters ----

void test_what_getters_return(void **)
{
    nsp::incoming incoming;
    const auto find = [](std::string_view name) {
        const auto found = request.find(name);
        return found != request.end() ? &found->second : nullptr;
    };
    assert_int_equal(incoming.extract([&](std::string_view name) {
        const std::string *value = find(name);
        return value != nullptr ? std::string_view(*value) : std::string_view();
    }),
                     NSP_OK);
    assert_whole(incoming);
    assert_int_equal(incoming.extract([&](std::string_view name) -> std::optional<std::string_view> {
        const std::string *value = find(name);
        return value != nullptr ? std::optional<std::string_view>(*value) : std::nullopt;
    }),
                     NSP_OK);
    assert_whole(incoming);
    assert_int_equal(incoming.extract([&](std::string_view name) -> const std::string & {
        static const std::string none;
        const std::string *value = find(name);
        return value != nullptr ? *value : none;
    }),
                     NSP_OK);
    assert_whole(incoming);
    assert_whole(read(request));
    assert_int_equal(incoming.extract([](std::string_view) { return nullptr; }), NSP_ERR_NOT_FOUND);
    assert_int_equal(incoming.extract([](std::string_view) { return std::nullopt; }), NSP_ERR_NOT_FOUND);
    assert_int_equal(incoming.baggage().length, 0);
}

// An object that is neither copied nor moved, and a name that C can use.
struct getter {
    getter() = default;
    getter(const getter &) = delete;
    getter &operator=(const getter &) = delete;
    int calls = 0;

    const char *operator()(std::string_view name)
    {
        calls++;
        assert_int_equal(std::strlen(name.data()), name.size());
        return name == "traceparent" ? traceparent : nullptr;
    }
};

void test_a_getter_is_called_in_place(void **)
{
    nsp::incoming incoming;
    getter get;
    assert_int_equal(incoming.extract(get), NSP_OK);
    assert_true(get.calls >= 3);
    const auto constant = [](std::string_view name) { return name == "traceparent" ? traceparent : nullptr; };
    assert_int_equal(incoming.extract(constant), NSP_OK);
    const auto owner = std::make_unique<std::string>(traceparent);
    assert_int_equal(incoming.extract([&owner](std::string_view name) {
        return name == "traceparent" ? std::string_view(*owner) : std::string_view();
    }),
                     NSP_OK);
}

void test_getters_with_an_index(void **)
{
    nsp::incoming incoming;
    const char *const states[] = {"a=1", "b=2"};
    const auto get = [&](std::string_view name, std::size_t index) -> const char * {
        if (name == "traceparent")
            return index == 0 ? traceparent : nullptr;
        return name == "tracestate" && index < 2 ? states[index] : nullptr;
    };
    assert_int_equal(incoming.extract(get), NSP_OK);
    char text[NSP_TRACESTATE_MAX + 1];
    assert_true(nsp::context(incoming.context()).tracestate(text, sizeof text) == "a=1,b=2");
    // Two fields that must be one are malformed, as in C.
    assert_int_equal(incoming.extract([&](std::string_view name, std::size_t index) -> const char * {
        return name == "traceparent" && index < 2 ? traceparent : nullptr;
    }),
                     NSP_ERR_INVALID);
}

void test_getters_that_throw(void **)
{
    nsp::incoming incoming;
    assert_int_equal(
        incoming.extract([](std::string_view) -> const char * { throw std::runtime_error("no"); }),
        NSP_ERR_NOT_FOUND);
    assert_false(nsp_context_valid(&incoming.context()));
    // One field throws, and only that one is absent.
    assert_int_equal(incoming.extract([](std::string_view name) -> std::string_view {
        if (name == "tracestate")
            throw 1;
        const auto found = request.find(name);
        return found != request.end() ? std::string_view(found->second) : std::string_view();
    }),
                     NSP_OK);
    assert_true(nsp_context_valid(&incoming.context()));
    assert_int_equal(incoming.context().tracestate_length, 0);
    assert_string_equal(incoming.baggage().text, "account=7,tier=gold");
}

// ---- setters ----

void test_what_is_written_is_what_c_writes(void **)
{
    nsp::span span("request"_name);
    const nsp::incoming incoming = read(request);
    const nsp::incoming_scope scope = incoming.enter();
    fields by_c, by_cpp, by_current, by_context;
    const nsp_carrier carrier = {&by_c, nullptr,
                                 [](void *to, const char *name, const char *value, std::size_t length) {
                                     (*static_cast<fields *>(to))[name] = std::string(value, length);
                                     return true;
                                 }};
    assert_int_equal(nsp_inject_span(span.get(), &carrier), NSP_OK);
    assert_int_equal(span.inject([&](std::string_view name, std::string_view value) {
        assert_int_equal(std::strlen(name.data()), name.size());
        assert_int_equal(std::strlen(value.data()), value.size());
        by_cpp[std::string(name)] = value;
    }),
                     NSP_OK);
    assert_int_equal(nsp::inject([&](std::string_view name, std::string_view value) {
                         by_current[std::string(name)] = value;
                         return true;
                     }),
                     NSP_OK);
    assert_int_equal(nsp::inject(span.context(), &incoming.baggage(),
                                 [&](std::string_view name, std::string_view value) {
                                     by_context[std::string(name)] = value;
                                 }),
                     NSP_OK);
    assert_true(by_c == by_cpp && by_c == by_current && by_c == by_context);
    assert_true(by_c.count("traceparent") == 1 && by_c.at("baggage") == "account=7,tier=gold");
    by_context.clear();
    const auto set = [&](std::string_view name, std::string_view value) {
        by_context[std::string(name)] = value;
    };
    assert_int_equal(nsp::inject(span.context(), nullptr, set), NSP_OK);
    assert_int_equal(by_context.count("baggage"), 0);
    span.end();
    // What was written is read by the next process.
    const nsp::incoming next = read(by_cpp);
    assert_true(next.context().remote);
    assert_string_equal(next.baggage().text, "account=7,tier=gold");
}

void test_setters_without_room_and_that_throw(void **)
{
    nsp::span span("request"_name);
    const nsp::incoming incoming = read(request);
    const nsp::incoming_scope scope = incoming.enter();
    fields set;
    assert_int_equal(span.inject([](std::string_view, std::string_view) { return false; }), NSP_ERR_FULL);
    assert_int_equal(span.inject([](std::string_view, std::string_view) { throw std::bad_alloc(); }),
                     NSP_ERR_FULL);
    assert_int_equal(span.inject([&](std::string_view name, std::string_view value) {
        if (name == "traceparent")
            throw std::runtime_error("no");
        set[std::string(name)] = value;
    }),
                     NSP_ERR_FULL);
    assert_int_equal(set.count("traceparent"), 0);
    assert_true(set.at("baggage") == "account=7,tier=gold");
    assert_true(span.recording());
}

// ---- scopes ----

void test_what_came_in_is_current_in_a_scope(void **)
{
    const nsp::incoming outer = read(request), inner;
    assert_null(nsp_incoming_current());
    {
        const nsp::incoming_scope scope = outer.enter();
        assert_ptr_equal(nsp_incoming_current(), &outer.get());
        {
            const nsp::incoming_scope nested(inner.get());
            assert_ptr_equal(nsp_incoming_current(), &inner.get());
        }
        assert_ptr_equal(nsp_incoming_current(), &outer.get());
        nsp::span server("server"_name, nsp::options().kind(nsp::kind::server).parent(outer.context()));
    }
    assert_null(nsp_incoming_current());
    capture_settle();
    assert_true(capture_named("server")->parent_remote);
}

// ---- contexts ----

void test_contexts(void **)
{
    nsp::context context;
    assert_false(context.valid() || context.sampled());
    char text[NSP_TRACEPARENT_SIZE], state[NSP_TRACESTATE_MAX + 1];
    assert_true(context.traceparent(text).empty());
    assert_int_equal(context.parse("nonsense"), NSP_ERR_INVALID);
    assert_int_equal(context.parse(traceparent, "vendor=1"), NSP_OK);
    assert_true(context.valid() && context.sampled() && context.get().remote);
    assert_true(context.traceparent(text) == traceparent);
    assert_true(context.tracestate(state, sizeof state) == "vendor=1");
    assert_true(context.tracestate(state, 4).empty());
    const nsp::context copy = context;
    assert_memory_equal(&copy.get(), &context.get(), sizeof(nsp_context));
    assert_false(nsp::context::current().valid());
    nsp::span span("span"_name);
    assert_memory_equal(&nsp::context::current().get(), &span.context().get(), sizeof(nsp_context));
}

void test_baggage(void **)
{
    nsp::baggage baggage;
    char room[64];
    assert_int_equal(baggage.parse("account=7,tier=gold;p=1"), NSP_OK);
    assert_true(baggage.value("tier", room, sizeof room) == "gold");
    assert_false(baggage.value("none", room, sizeof room).has_value());
    assert_false(baggage.value("tier", room, 2).has_value());
    assert_int_equal(baggage.set("note", std::string_view("a b\0c", 5), "p=2"), NSP_OK);
    assert_true(baggage.value("note", room, sizeof room) == std::string_view("a b\0c", 5));
    assert_int_equal(baggage.set("empty", {}), NSP_OK);
    assert_true(baggage.value("empty", room, sizeof room) == "");
    assert_int_equal(baggage.set("not a key", "x"), NSP_ERR_INVALID);
    assert_int_equal(baggage.remove("account"), NSP_OK);
    assert_int_equal(baggage.remove("account"), NSP_ERR_NOT_FOUND);
    std::string all;
    baggage.each([&](std::string_view key, std::string_view value, std::string_view properties) {
        all.append(key).append("=").append(value).append(";").append(properties).append(" ");
    });
    assert_string_equal(all.c_str(), "tier=gold;p=1 note=a%20b%00c;p=2 empty=; ");
}

} // namespace

#define TEST(function) cmocka_unit_test_setup_teardown(function, capture_sampled, capture_reset)

int main()
{
    const CMUnitTest tests[] = {
        TEST(test_what_getters_return),
        TEST(test_a_getter_is_called_in_place),
        TEST(test_getters_with_an_index),
        TEST(test_getters_that_throw),
        TEST(test_what_is_written_is_what_c_writes),
        TEST(test_setters_without_room_and_that_throw),
        TEST(test_what_came_in_is_current_in_a_scope),
        TEST(test_contexts),
        TEST(test_baggage),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
