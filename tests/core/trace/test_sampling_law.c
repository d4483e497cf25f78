// SPDX-License-Identifier: Apache-2.0
//
// The exact distribution of sampling: how many roots, with what gaps, with what ids. Each check raises a
// false alarm with a probability below 1e-9, and each is shown to detect its fault: rates 1 % off, gaps of
// another distribution, threads that draw the same numbers. Seeds are fixed except where the threads' own
// seeds are tested.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "context/threshold.h"
#include "support/capture.h"
#include "trace/thread_state.h"
#include "trace/sampler.h"

// A normal variable exceeds this on either side with a probability below 1e-9 in a hundred checks.
#define FAR 6.2
#define FAR_OF_MANY 6.9
// The same for sqrt(n) D of Kolmogorov and Smirnov: 2 exp(-2 x^2).
#define KS_FAR 3.35

static int begin(void **state)
{
    (void)state;
    nsp_thread_reset();
    nsp_config config;
    capture_config(&config);
    config.custom_exporter = NULL;
    config.exporter = "none"; // spans are counted and discarded
    config.watermark = 1.0;   // no trace is refused
    capture_start(&config);
    return 0;
}

static int end(void **state)
{
    (void)state;
    nsp_thread_reset();
    capture_end();
    return 0;
}

// From here on the seed determines this thread's draws.
static nsp__producer *seed(uint64_t value)
{
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
    nsp__producer *producer = nsp__producer_self();
    producer->random = value;
    assert_true(nsp__sampler_refresh(producer));
    assert_true(nsp__sampler_settle(producer, 0));
    return producer;
}

static double set_rate(double rate)
{
    assert_int_equal(nsp_sampler_set_rate(rate), NSP_OK);
    return nsp_sampler_rate(); // after quantisation, which is part of the law
}

static uint64_t randomness_of(const nsp_context *context)
{
    uint64_t right = 0;
    for (size_t i = 9; i < 16; i++)
        right = right << 8 | context->trace_id[i];
    return right;
}

static bool begin_and_end(nsp_name name)
{
    nsp_span *root = nsp_span_begin(name);
    bool recording = nsp_span_recording(root);
    nsp_span_end(root);
    return recording;
}

// ---- how many ----

static bool count_fits(uint64_t roots, uint64_t hits, double rate)
{
    double n = (double)roots;
    return fabs((double)hits - n * rate) <= FAR * sqrt(n * rate * (1 - rate));
}

// Counts the hits among that many roots, and compares the accounting of the others.
static uint64_t hits_of(nsp_name name, uint64_t roots)
{
    uint64_t before = capture_balance().roots_unsampled;
    uint64_t recorded = 0;
    for (uint64_t i = 0; i < roots; i++)
        recorded += begin_and_end(name);
    nsp_stats stats = capture_balance();
    assert_int_equal(recorded, roots - (stats.roots_unsampled - before));
    assert_int_equal(stats.roots_refused, 0);
    return recorded;
}

static void the_rate_is_right_and_one_percent_off_is_seen(void **state)
{
    (void)state;
    // The number of roots at which 1 % of the hits is twice FAR.
    static const struct {
        double rate;
        uint64_t roots;
    } cases[] = {{0.9, 200000}, {0.3, 3600000}};
    for (size_t i = 0; i < 2; i++) {
        double rate = set_rate(cases[i].rate);
        seed(1000 + i);
        assert_true(count_fits(cases[i].roots, hits_of(NSP_NAME("root"), cases[i].roots), rate));
        set_rate(cases[i].rate * 1.01);
        assert_false(count_fits(cases[i].roots, hits_of(NSP_NAME("root"), cases[i].roots), rate));
        set_rate(cases[i].rate * 0.99);
        assert_false(count_fits(cases[i].roots, hits_of(NSP_NAME("root"), cases[i].roots), rate));
    }
}

// At these rates a root is hit too rarely to count hits, so this checks the gaps themselves, used in the way
// roots use them.
static bool gaps_fit(nsp__producer *producer, double rate, uint64_t hits)
{
    double sum = 0;
    for (uint64_t i = 0; i < hits; i++) {
        nsp__sampler_draw(producer, 0);
        sum += (double)producer->slot->skips.left[0];
    }
    // Sum of geometric numbers: mean (1 - p) / p, variance (1 - p) / p^2 each.
    double n = (double)hits, mean = n * (1 - rate) / rate;
    return fabs(sum - mean) <= FAR * sqrt(n * (1 - rate)) / rate;
}

static void small_rates_are_right_too(void **state)
{
    (void)state;
    const double rates[] = {0.1, 1e-3, 1e-10};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        double rate = set_rate(rates[i]);
        assert_true(gaps_fit(seed(2000 + i), rate, 1800000));
        set_rate(rates[i] * 1.01);
        assert_false(gaps_fit(seed(2100 + i), rate, 1800000));
        set_rate(rates[i] * 0.99);
        assert_false(gaps_fit(seed(2200 + i), rate, 1800000));
    }
}

static void each_class_has_its_own_rate(void **state)
{
    (void)state;
    enum { ROOTS = 400000 };
    const double rates[] = {0.5, 0.05, 0.2};
    const nsp_name names[] = {NSP_NAME("a.x"), NSP_NAME("b.x"), NSP_NAME("other")};
    assert_int_equal(nsp_sampler_set_rule("a.*", rates[0]), NSP_OK);
    assert_int_equal(nsp_sampler_set_rule("b.*", rates[1]), NSP_OK);
    set_rate(rates[2]);
    seed(3000);
    uint64_t hits[3] = {0};
    double both = 0;
    for (int i = 0; i < ROOTS; i++) {
        bool hit[3];
        for (size_t k = 0; k < 3; k++) // interleaved, so that a class that disturbs another is noticed
            hits[k] += hit[k] = begin_and_end(names[k]);
        both += hit[0] && hit[2];
    }
    assert_int_equal(capture_balance().roots_refused, 0);
    for (size_t k = 0; k < 3; k++)
        assert_true(count_fits(ROOTS, hits[k], nsp__threshold_rate(nsp__threshold_from_rate(rates[k]))));
    assert_true(count_fits(ROOTS, (uint64_t)both, 0.5 * nsp__threshold_rate(nsp__threshold_from_rate(0.2))));
}

// ---- with what gaps ----

// The chi-square of counts for given probabilities, as a normal deviate (Wilson and Hilferty, 1931).
static double chi_square_deviate(const uint64_t *counts, const double *chances, size_t bins, uint64_t n)
{
    double sum = 0;
    for (size_t i = 0; i < bins; i++) {
        double expected = chances[i] * (double)n;
        sum += ((double)counts[i] - expected) * ((double)counts[i] - expected) / expected;
    }
    double df = (double)bins - 1, ninth = 2 / (9 * df);
    return (cbrt(sum / df) - (1 - ninth)) / sqrt(ninth);
}

enum { BINS = 40, GAPS = 100000 };

// Bins of about equal probability under the geometric distribution; bins that fall on the same gap are
// merged.
static size_t gap_bins(double rate, uint64_t first[BINS], double chances[BINS])
{
    size_t bins = 0;
    double base = log1p(-rate);
    for (size_t i = 0; i < BINS; i++) {
        uint64_t from = i == 0 ? 0 : (uint64_t)ceil(log1p(-(double)i / BINS) / base);
        if (bins == 0 || from > first[bins - 1])
            first[bins++] = from;
    }
    for (size_t i = 0; i < bins; i++) // the probability of a gap from first[i] up to the next first
        chances[i] = exp(base * (double)first[i]) - (i + 1 < bins ? exp(base * (double)first[i + 1]) : 0);
    return bins;
}

static size_t bin_of(const uint64_t *first, size_t bins, uint64_t gap)
{
    size_t bin = bins - 1;
    while (gap < first[bin])
        bin--;
    return bin;
}

static bool gaps_are_geometric(const uint64_t *gaps, double rate)
{
    uint64_t first[BINS], counts[BINS] = {0}, pairs[4] = {0};
    double chances[BINS];
    size_t bins = gap_bins(rate, first, chances);
    for (size_t i = 0; i < GAPS; i++)
        counts[bin_of(first, bins, gaps[i])]++;
    // Consecutive gaps are independent: this counts pairs of long and short ones.
    double is_short = 0;
    uint64_t middle = (uint64_t)ceil(-log(2) / log1p(-rate));
    is_short = -expm1(log1p(-rate) * (double)middle);
    for (size_t i = 0; i + 1 < GAPS; i += 2)
        pairs[(gaps[i] < middle) * 2 + (gaps[i + 1] < middle)]++;
    const double pair_chances[4] = {(1 - is_short) * (1 - is_short), (1 - is_short) * is_short,
                                    is_short * (1 - is_short), is_short * is_short};
    return chi_square_deviate(counts, chances, bins, GAPS) < FAR &&
           chi_square_deviate(pairs, pair_chances, 4, GAPS / 2) < FAR;
}

static void collect_gaps(uint64_t *gaps)
{
    nsp_name name = NSP_NAME("root");
    for (size_t i = 0; i < GAPS; i++)
        for (gaps[i] = 0; !begin_and_end(name); gaps[i]++)
            ;
}

static void gaps_between_hits_are_geometric(void **state)
{
    (void)state;
    uint64_t *gaps = calloc(GAPS, sizeof *gaps);
    assert_non_null(gaps);
    const double rates[] = {0.6, 0.25, 0.05};
    for (size_t i = 0; i < 3; i++) {
        double rate = set_rate(rates[i]);
        seed(4000 + i);
        collect_gaps(gaps);
        assert_int_equal(capture_balance().roots_refused, 0);
        assert_true(gaps_are_geometric(gaps, rate));
        set_rate(rates[i] * 1.05);
        collect_gaps(gaps);
        assert_false(gaps_are_geometric(gaps, rate));
        // Exactly every nth root, with the right mean.
        for (size_t k = 0; k < GAPS; k++)
            gaps[k] =
                (uint64_t)((double)(k + 1) * (1 - rate) / rate) - (uint64_t)((double)k * (1 - rate) / rate);
        assert_false(gaps_are_geometric(gaps, rate));
    }
    free(gaps);
}

// ---- on threads ----

enum { THREADS = 3, DECISIONS = 200000, LAGS = 8 };

static struct decisions {
    bool hit[DECISIONS];
    uint64_t span_ids[1000];
    uint64_t seed; // 0: the thread's own
} decisions[THREADS];

static void *decide(void *argument)
{
    struct decisions *mine = argument;
    if (mine->seed != 0)
        seed(mine->seed);
    size_t ids = 0;
    for (size_t i = 0; i < DECISIONS; i++) {
        nsp_span *root = nsp_span_begin(NSP_NAME("root"));
        mine->hit[i] = nsp_span_recording(root);
        if (mine->hit[i] && ids < 1000) {
            nsp_context context;
            nsp_span_context(root, &context);
            memcpy(&mine->span_ids[ids++], context.span_id, 8);
        }
        nsp_span_end(root);
    }
    return NULL;
}

static void decide_on_threads(uint64_t first_seed, uint64_t step)
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        decisions[i].seed = first_seed + i * step;
        assert_int_equal(pthread_create(&threads[i], NULL, decide, &decisions[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

// At rate 1/2 any two sequences, shifted by any lag, agree in half of all places.
static bool independent(const struct decisions *a, const struct decisions *b)
{
    for (size_t lag = 0; lag <= LAGS; lag++) {
        double agree[2] = {0, 0}, n = DECISIONS - LAGS;
        for (size_t i = 0; i < DECISIONS - LAGS; i++) {
            agree[0] += a->hit[i] == b->hit[i + lag];
            agree[1] += a->hit[i + lag] == b->hit[i];
        }
        if (fabs(agree[0] - n / 2) > FAR_OF_MANY * sqrt(n) / 2 ||
            fabs(agree[1] - n / 2) > FAR_OF_MANY * sqrt(n) / 2)
            return false;
    }
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static bool ids_distinct(void)
{
    static uint64_t ids[THREADS * 1000];
    for (size_t i = 0; i < THREADS; i++)
        memcpy(ids + i * 1000, decisions[i].span_ids, sizeof decisions[i].span_ids);
    qsort(ids, THREADS * 1000, sizeof ids[0], compare_ids);
    for (size_t i = 1; i < THREADS * 1000; i++)
        if (ids[i] == ids[i - 1])
            return false;
    return true;
}

static void threads_draw_independently(void **state)
{
    (void)state;
    set_rate(0.5);
    decide_on_threads(0, 0);
    for (size_t a = 0; a < THREADS; a++)
        for (size_t b = a + 1; b < THREADS; b++)
            assert_true(independent(&decisions[a], &decisions[b]));
    assert_true(ids_distinct());
    // A repeated id is noticed, and so is the same seed on all threads.
    decisions[1].span_ids[500] = decisions[0].span_ids[0];
    assert_false(ids_distinct());
    decide_on_threads(5000, 0);
    assert_false(independent(&decisions[0], &decisions[1]));
}

// ---- with what ids ----

enum { IDS = 40000 };

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

// The Kolmogorov-Smirnov test for the uniform distribution on [0, 1).
static bool uniform(double *values)
{
    double distance = 0;
    qsort(values, IDS, sizeof *values, compare);
    for (size_t i = 0; i < IDS; i++) {
        double below = values[i] - (double)i / IDS, above = (double)(i + 1) / IDS - values[i];
        distance = fmax(distance, fmax(below, above));
    }
    return values[0] >= 0 && values[IDS - 1] < 1 && distance * sqrt(IDS) <= KS_FAR;
}

static uint64_t word_of(const uint8_t *bytes)
{
    uint64_t word = 0;
    for (size_t i = 0; i < 8; i++)
        word = word << 8 | bytes[i];
    return word;
}

// The root's context, begun in one of the ways in which a root can be begun.
static bool root_context(size_t way, nsp_context *context)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    nsp_span *span = way % 3 == 0   ? nsp_span_begin(NSP_NAME("root"))
                     : way % 3 == 1 ? nsp_span_begin_with(NSP_NAME("root"), &options)
                                    : nsp_span_begin_detached(NSP_NAME("root"), NULL);
    bool recording = nsp_span_recording(span);
    nsp_span_context(span, context);
    nsp_span_end(span);
    return recording;
}

static void ids_are_uniform_above_the_threshold_or_below(void **state)
{
    (void)state;
    double *values[2][3];
    for (size_t i = 0; i < 6; i++)
        assert_non_null(values[i / 3][i % 3] = calloc(IDS, sizeof(double)));
    const double rates[] = {0.5, 0.1, 0.8};
    for (size_t k = 0; k < 3; k++) {
        set_rate(rates[k]);
        uint64_t threshold = nsp__threshold_from_rate(rates[k]);
        double t = (double)threshold;
        seed(6000 + k);
        size_t count[2] = {0, 0};
        for (size_t way = 0; count[0] < IDS || count[1] < IDS; way++) {
            nsp_context context;
            bool sampled = root_context(way, &context);
            uint64_t random = randomness_of(&context);
            // There is no exception: a process that compares again decides the same.
            assert_int_equal(random >= threshold, sampled);
            assert_int_equal(context.flags, sampled ? 3 : NSP_TRACE_FLAG_RANDOM);
            assert_true(context.threshold == (sampled ? threshold : NSP_CONTEXT_UNKNOWN));
            if (count[sampled] == IDS)
                continue;
            size_t at = count[sampled]++;
            values[sampled][0][at] = sampled ? ((double)random - t) / (0x1p56 - t) : (double)random / t;
            values[sampled][1][at] = (double)(word_of(context.trace_id) >> 11) * 0x1p-53;
            values[sampled][2][at] = (double)(word_of(context.span_id) >> 11) * 0x1p-53;
        }
        for (size_t i = 0; i < 6; i++)
            assert_true(uniform(values[i / 3][i % 3]));
        // A slightly different distribution is noticed.
        for (size_t i = 0; i < IDS; i++)
            values[1][0][i] = pow(values[1][0][i], 1.1);
        assert_false(uniform(values[1][0]));
    }
    for (size_t i = 0; i < 6; i++)
        free(values[i / 3][i % 3]);
}

// ---- log lines ----

static void every_context_says_its_threshold(void **state)
{
    (void)state;
    static const struct {
        double rate;
        const char *state;
    } cases[] = {
        {1, "ot=th:0"},
        {0.5, "ot=th:8"},
        {0.25, "ot=th:c"},
        {0.1, "ot=th:e666"},
        {0.001, "ot=th:ffbe77"},
        {0x1p-55, "ot=th:fffffffffffffe"},
        {0x1p-56, "ot=th:ffffffffffffff"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set_rate(cases[i].rate);
        nsp__producer *producer = seed(7000 + i);
        producer->slot->skips.left[0] = 0; // the next root is a hit
        nsp_span *spans[4];
        spans[0] = nsp_span_begin(NSP_NAME("root"));
        spans[1] = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
        spans[2] = nsp_span_next(nsp_span_begin(NSP_NAME("child")), NSP_NAME("sibling"));
        nsp_context parent;
        nsp_span_context(spans[0], &parent);
        nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
        options.parent = &parent;
        spans[3] = nsp_span_begin_with(NSP_NAME("explicit"), &options);
        for (size_t k = 4; k-- > 0;) {
            nsp_context context;
            char text[64];
            assert_true(nsp_span_recording(spans[k]));
            nsp_span_context(spans[k], &context);
            assert_int_equal(nsp_context_format_state(&context, text, sizeof text), strlen(cases[i].state));
            assert_string_equal(text, cases[i].state);
            assert_true(randomness_of(&context) >= nsp__threshold_from_rate(cases[i].rate));
            nsp_span_end(spans[k]);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(the_rate_is_right_and_one_percent_off_is_seen),
        TEST(small_rates_are_right_too),
        TEST(each_class_has_its_own_rate),
        TEST(gaps_between_hits_are_geometric),
        TEST(threads_draw_independently),
        TEST(ids_are_uniform_above_the_threshold_or_below),
        TEST(every_context_says_its_threshold),
    };
    return cmocka_run_group_tests_name("sampling_law", tests, NULL, NULL);
}
