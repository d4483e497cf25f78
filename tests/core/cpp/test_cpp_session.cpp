// SPDX-License-Identifier: Apache-2.0
//
// Start and stop by <nanospan/nanospan.hpp>.
#include "core/cpp/twins.hpp"

#include <limits>
#include <thread>

namespace {

void configure(nsp::config &config)
{
    capture_config(&config.get());
    config->sample_rate = 1;
}

void test_a_session_ends_with_its_scope(void **)
{
    nsp::config config;
    assert_int_equal(config->size, sizeof(nsp_config));
    configure(config);
    {
        nsp::session session(config, std::chrono::seconds(60));
        assert_int_equal(session.status(), NSP_OK);
        assert_int_equal(nsp::attach_thread("a name", 1 << 16), NSP_OK);
        {
            nsp::span span("span"_name);
        }
        assert_int_equal(nsp::flush(std::chrono::minutes(1)), NSP_OK);
        assert_int_equal(capture_count(), 1);
        assert_int_equal(nsp::stats().exported, 1);
        nsp::span late("late"_name);
        late.end();
    }
    assert_int_equal(capture_count(), 2);
    assert_int_equal(nsp_flush(0), NSP_ERR_NOT_INITIALISED);
}

void test_a_session_that_fails_ends_nobody_elses(void **)
{
    nsp::config config;
    configure(config);
    nsp::session session(config, std::chrono::seconds(60));
    {
        nsp::session second(config);
        assert_int_equal(second.status(), NSP_ERR_ALREADY);
        assert_int_equal(second.shutdown(), NSP_ERR_ALREADY);
    }
    assert_int_equal(nsp::flush(std::chrono::minutes(1)), NSP_OK); // it is still there
    assert_int_equal(session.shutdown(), NSP_OK);
    assert_int_equal(session.status(), NSP_ERR_NOT_INITIALISED);
    // Somebody else's now.
    assert_int_equal(nsp_init(&config.get()), NSP_OK);
    assert_int_equal(session.shutdown(), NSP_ERR_NOT_INITIALISED);
    assert_int_equal(nsp::shutdown(std::chrono::seconds(60)), NSP_OK);
}

void test_a_bad_configuration(void **)
{
    nsp::config config;
    configure(config);
    config->sample_rate = 2;
    nsp::session session(config);
    assert_int_equal(session.status(), NSP_ERR_CONFIG);
    assert_non_null(std::strstr(nsp_error_detail(), "sample_rate"));
    nsp::span span("off"_name);
    assert_false(span.recording());
}

void test_timeouts(void **)
{
    nsp::config config;
    configure(config);
    nsp::session session(config, std::chrono::nanoseconds::max());
    capture_answer(NSP_SEND_RETRY);
    {
        nsp::span span("span"_name);
    }
    assert_int_equal(nsp::flush(std::chrono::nanoseconds::min()), NSP_ERR_TIMEOUT); // not 292 years
    capture_answer(NSP_SEND_EXPORTED);
    assert_int_equal(nsp::flush(std::chrono::nanoseconds::max()), NSP_OK);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_session_ends_with_its_scope, capture_teardown),
        cmocka_unit_test_teardown(test_a_session_that_fails_ends_nobody_elses, capture_teardown),
        cmocka_unit_test_teardown(test_a_bad_configuration, capture_teardown),
        cmocka_unit_test_teardown(test_timeouts, capture_teardown),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
