// SPDX-License-Identifier: Apache-2.0
//
// Attributes of <nanospan/nanospan.hpp>: what each type of value becomes, and that this is what the C calls give.
#include "core/cpp/twins.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <list>
#include <set>
#include <string>
#include <vector>

namespace {

// Sets one attribute of this value, and checks its type and its text.
template <class Value> void assert_set(const Value &value, nsp_type type, const char *text)
{
    capture_settle();
    capture_forget();
    {
        nsp::span span("span"_name);
        span.set("key"_key, value);
        span.add_event("event"_name, nsp::attr("key"_key, value));
    }
    capture_settle();
    const captured_span *span = capture_named("span");
    assert_int_equal(span->attribute_count, 1);
    assert_string_equal(span->attributes[0].key, "key");
    assert_int_equal(span->attributes[0].type, type);
    assert_string_equal(span->attributes[0].text, text);
    assert_int_equal(span->event_count, 1);
    assert_same_attributes(span->attributes, 1, span->events[0].attributes, span->events[0].attribute_count);
}

void test_integers(void **)
{
    assert_set(static_cast<signed char>(-128), NSP_TYPE_I64, "-128");
    assert_set(static_cast<unsigned char>(255), NSP_TYPE_I64, "255");
    assert_set(static_cast<short>(-32768), NSP_TYPE_I64, "-32768");
    assert_set(static_cast<unsigned short>(65535), NSP_TYPE_I64, "65535");
    assert_set(std::numeric_limits<int>::min(), NSP_TYPE_I64, "-2147483648");
    assert_set(std::numeric_limits<unsigned>::max(), NSP_TYPE_I64, "4294967295");
    assert_set(std::numeric_limits<long>::min(), NSP_TYPE_I64, "-9223372036854775808");
    assert_set(std::numeric_limits<long long>::max(), NSP_TYPE_I64, "9223372036854775807");
    assert_set(std::uint64_t{9223372036854775807u}, NSP_TYPE_I64, "9223372036854775807");
}

// As the specification of OpenTelemetry wants it: integers beyond int64_t are texts.
void test_large_unsigned_ones_are_texts(void **)
{
    assert_set(std::uint64_t{9223372036854775808u}, NSP_TYPE_STR, "9223372036854775808");
    assert_set(std::numeric_limits<unsigned long>::max(), NSP_TYPE_STR, "18446744073709551615");
    assert_set(std::numeric_limits<unsigned long long>::max(), NSP_TYPE_STR, "18446744073709551615");
    assert_set(std::vector<std::uint64_t>{1, 9223372036854775807u}, NSP_TYPE_I64S, "[1,9223372036854775807]");
    assert_set(std::vector<std::uint64_t>{1, 0, 9223372036854775808u}, NSP_TYPE_STRS,
               "[1,0,9223372036854775808]");
}

enum side { buy = 1, sell = 2 };
enum small : unsigned char { one = 1 };
enum flag : bool { off, on };

void test_other_scalars(void **)
{
    assert_set(true, NSP_TYPE_BOOL, "true");
    assert_set(false, NSP_TYPE_BOOL, "false");
    assert_set('B', NSP_TYPE_STR, "B");
    assert_set(sell, NSP_TYPE_I64, "2");
    assert_set(one, NSP_TYPE_I64, "1");
    assert_set(on, NSP_TYPE_BOOL, "true");
    assert_set(0.1, NSP_TYPE_F64, "0.10000000000000001");
    assert_set(0.5f, NSP_TYPE_F64, "0.5");
    assert_set(0.1L, NSP_TYPE_F64, "0.10000000000000001");
    assert_set(std::numeric_limits<double>::infinity(), NSP_TYPE_F64, "inf");
    const volatile int changing = 3;
    assert_set(changing, NSP_TYPE_I64, "3");
}

struct converting {
    operator std::string_view() const noexcept
    {
        return "converted";
    }
};

void test_texts(void **)
{
    const char array[16] = "array";
    char buffer[16] = "buffer";
    char *pointer = buffer;
    const char *none = nullptr;
    assert_set("literal", NSP_TYPE_STR, "literal");
    assert_set("a literal with more than 16 bytes", NSP_TYPE_STR, "a literal with more than 16 bytes");
    assert_set("", NSP_TYPE_STR, "");
    assert_set(array, NSP_TYPE_STR, "array"); // not the zeroes behind it
    assert_set(buffer, NSP_TYPE_STR, "buffer");
    assert_set(pointer, NSP_TYPE_STR, "buffer");
    assert_set(none, NSP_TYPE_STR, "");
    assert_set(std::string("string"), NSP_TYPE_STR, "string");
    assert_set(std::string_view(array, 3), NSP_TYPE_STR, "arr");
    assert_set(std::string_view(), NSP_TYPE_STR, "");
    assert_set(converting(), NSP_TYPE_STR, "converted");
    const captured_span *span = assert_twins(
        [](nsp_span *c) {
            nsp_span_set_strn(c, NSP_KEY("zero"), "a\0b", 3);
            nsp_span_set_str(c, NSP_KEY("utf8"), "\xc3\xa9\xff");
            nsp_span_set_bytes(c, NSP_KEY("bytes"), "a\0b", 3);
        },
        [](const nsp::span &cpp) {
            cpp.set("zero"_key, std::string("a\0b", 3));
            cpp.set("utf8"_key, "\xc3\xa9\xff");
            cpp.set_bytes("bytes"_key, "a\0b", 3);
        });
    assert_int_equal(span->attributes[0].count, 3);
}

// A range without data(), whose elements are computed.
struct squares {
    struct iterator {
        int at;
        int operator*() const
        {
            return at * at;
        }
        iterator &operator++()
        {
            ++at;
            return *this;
        }
        bool operator!=(const iterator &other) const
        {
            return at != other.at;
        }
    };
    using value_type = int;
    iterator begin() const
    {
        return {1};
    }
    iterator end() const
    {
        return {4};
    }
    std::size_t size() const
    {
        return 3;
    }
};

void test_arrays(void **)
{
    const double prices[] = {1.5, 2.5};
    assert_set(prices, NSP_TYPE_F64S, "[1.5,2.5]");
    assert_set(std::vector<std::int64_t>{1, -2}, NSP_TYPE_I64S, "[1,-2]");
    assert_set(std::vector<long long>{1, -2}, NSP_TYPE_I64S, "[1,-2]");
    assert_set(std::vector<int>{1, -2}, NSP_TYPE_I64S, "[1,-2]");
    assert_set(std::vector<unsigned>{1, 4294967295u}, NSP_TYPE_I64S, "[1,4294967295]");
    assert_set(std::array<short, 2>{{1, -2}}, NSP_TYPE_I64S, "[1,-2]");
    assert_set(std::list<signed char>{1, -2}, NSP_TYPE_I64S, "[1,-2]");
    assert_set(std::set<int>{3, 1, 2}, NSP_TYPE_I64S, "[1,2,3]");
    assert_set(std::vector<side>{buy, sell}, NSP_TYPE_I64S, "[1,2]");
    assert_set(squares(), NSP_TYPE_I64S, "[1,4,9]");
    assert_set(std::vector<double>{0.5, -1}, NSP_TYPE_F64S, "[0.5,-1]");
    assert_set(std::vector<float>{0.5f, -1}, NSP_TYPE_F64S, "[0.5,-1]");
    assert_set(std::array<long double, 1>{{0.5L}}, NSP_TYPE_F64S, "[0.5]");
    assert_set(std::vector<bool>{true, false, true}, NSP_TYPE_BOOLS, "[true,false,true]");
    assert_set(std::array<bool, 2>{{true, false}}, NSP_TYPE_BOOLS, "[true,false]");
    assert_set(std::vector<const char *>{"a", "b"}, NSP_TYPE_STRS, "[a,b]");
    assert_set(std::list<const char *>{"a", nullptr, "b"}, NSP_TYPE_STRS, "[a,,b]");
    assert_set(std::vector<std::string>{"a", "", "b"}, NSP_TYPE_STRS, "[a,,b]");
    assert_set(std::vector<std::string_view>{"a", {}, std::string_view("bc", 1)}, NSP_TYPE_STRS, "[a,,b]");
    assert_set(std::vector<std::byte>{std::byte{1}, std::byte{0xff}}, NSP_TYPE_BYTES, "01ff");
    assert_set(std::array<unsigned char, 2>{{1, 0xff}}, NSP_TYPE_BYTES, "01ff");
    assert_set(std::vector<int>(), NSP_TYPE_I64S, "[]");
    assert_set(std::vector<std::string>(), NSP_TYPE_STRS, "[]");
    assert_set(std::vector<std::int64_t>(), NSP_TYPE_I64S, "[]");
}

void test_braces(void **)
{
    capture_forget();
    {
        nsp::span span("span"_name);
        span.set("integers"_key, {1, 2, 3});
        span.set("reals"_key, {1.5, 2.0});
        span.set("booleans"_key, {true, false});
        span.set("texts"_key, {"one", "two"});
        span.add_event("event"_name, nsp::attr("integers"_key, {1, 2}),
                       nsp::attr("texts"_key, {"one", "two"}));
    }
    capture_settle();
    const captured_span *span = capture_named("span");
    assert_string_equal(captured_text(span, "integers"), "[1,2,3]");
    assert_string_equal(captured_text(span, "reals"), "[1.5,2]");
    assert_string_equal(captured_text(span, "booleans"), "[true,false]");
    assert_string_equal(captured_text(span, "texts"), "[one,two]");
    assert_string_equal(span->events[0].attributes[0].text, "[1,2]");
    assert_string_equal(span->events[0].attributes[1].text, "[one,two]");
}

// Arrays that do not fit are cut where those of C are, whether they are converted or not, and are counted.
void test_long_arrays_are_cut_as_in_c(void **)
{
    constexpr std::size_t many = 20000;
    const std::vector<std::int64_t> integers(many, 7);
    const std::vector<int> converted(many, 7);
    std::vector<std::string> texts;
    std::vector<std::string_view> views;
    std::vector<const char *> c_texts;
    for (std::size_t i = 0; i < many; i++)
        texts.push_back(i % 7 == 0 ? "" : std::to_string(i));
    for (const std::string &text : texts) {
        views.push_back(text);
        c_texts.push_back(text.c_str());
    }
    const std::string long_text(100000, 'x');
    const char *const c_long[] = {"a", long_text.c_str(), "b"};
    const std::uint64_t before = nsp::stats().values_cut;
    assert_twins([&](nsp_span *c) { nsp_span_set_i64s(c, NSP_KEY("key"), integers.data(), many); },
                 [&](const nsp::span &cpp) { cpp.set("key"_key, integers); });
    assert_twins([&](nsp_span *c) { nsp_span_set_i64s(c, NSP_KEY("key"), integers.data(), many); },
                 [&](const nsp::span &cpp) { cpp.set("key"_key, converted); });
    assert_twins([&](nsp_span *c) { nsp_span_set_strs(c, NSP_KEY("key"), c_texts.data(), many); },
                 [&](const nsp::span &cpp) { cpp.set("key"_key, texts); });
    assert_twins([&](nsp_span *c) { nsp_span_set_strs(c, NSP_KEY("key"), c_texts.data(), many); },
                 [&](const nsp::span &cpp) { cpp.set("key"_key, views); });
    const captured_span *span =
        assert_twins([&](nsp_span *c) { nsp_span_set_strs(c, NSP_KEY("key"), c_long, 3); },
                     [&](const nsp::span &cpp) {
                         cpp.set("key"_key, std::array<std::string_view, 3>{{"a", long_text, "b"}});
                     });
    assert_true(std::strlen(span->attributes[0].text) > 1000);
    assert_int_equal(nsp::stats().values_cut - before, 10);
    assert_twins(
        [&](nsp_span *c) {
            const nsp_attr attributes[] = {nsp_attr_i64s(NSP_KEY("key"), integers.data(), many)};
            nsp_span_add_event_with(c, NSP_NAME("event"), 0, attributes, 1);
        },
        [&](const nsp::span &cpp) { cpp.add_event("event"_name, nsp::attr("key"_key, converted)); });
}

// What is set on a span that does not record is evaluated, but its key is not interned.
void test_a_span_that_does_not_record(void **)
{
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    {
        nsp::span span("unsampled"_name);
        span.set("a key that nobody else uses"_key, 1);
        span.set("a key that nobody else uses"_key, {1, 2});
        span.add_event("a name that nobody else uses"_name, nsp::attr("a key that nobody else uses"_key, 1));
    }
    assert_int_equal(nsp_sampler_set_rate(1), NSP_OK);
    for (nsp_name name = 2; nsp_name_text(name, nullptr)[0] != '\0'; name++)
        assert_null(std::strstr(nsp_name_text(name, nullptr), "that nobody else uses"));
}

// The same text is one name, wherever it stands: in several functions, in C, and at run time.
void test_a_text_is_one_name(void **)
{
    const nsp::name name = "one text"_name;
    assert_true(name == "one text"_key);
    assert_true(name == nsp::name(NSP_NAME("one text")));
    assert_true(name == nsp::name::intern("one text"));
    assert_true(name != "another text"_name);
    assert_true(name.text() == "one text");
    assert_true(nsp::name::intern(std::string_view("a\0b", 3)) == "a\0b"_name);
    assert_true(nsp::name("\xc3\xa9"_name).text() == "\xc3\xa9");
    assert_true(std::is_empty_v<decltype("one text"_name)>);
    assert_true((std::is_same_v<decltype("one text"_name), decltype("one text"_key)>));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_integers, capture_sampled, capture_reset),
        cmocka_unit_test_setup_teardown(test_large_unsigned_ones_are_texts, capture_sampled, capture_reset),
        cmocka_unit_test_setup_teardown(test_other_scalars, capture_sampled, capture_reset),
        cmocka_unit_test_setup_teardown(test_texts, capture_sampled, capture_reset),
        cmocka_unit_test_setup_teardown(test_arrays, capture_sampled, capture_reset),
        cmocka_unit_test_setup_teardown(test_braces, capture_sampled, capture_reset),
        cmocka_unit_test_setup_teardown(test_long_arrays_are_cut_as_in_c, capture_sampled, capture_reset),
        cmocka_unit_test_setup_teardown(test_a_span_that_does_not_record, capture_sampled, capture_reset),
        cmocka_unit_test_setup_teardown(test_a_text_is_one_name, capture_sampled, capture_reset),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
