// SPDX-License-Identifier: Apache-2.0
//
// The table of sections: a reader that knows nothing but the head of the file finds everything through it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "drain/batch_pool.h"
#include "shm/control.h"
#include "shm/slot.h"
#include "shm/speculation.h"
#include "support/sections.h"

static nsp_config config = {
    .size = sizeof(nsp_config), .threads = 3, .detached_spans = 5, .batches = 7, .batch_bytes = 64 * 1024};

static nsp__control *control;

static int make(void **state)
{
    (void)state;
    control = aligned_alloc(_Alignof(nsp__control), sizeof *control);
    assert_non_null(control);
    memset(control, 0, sizeof *control);
    nsp__sections_write(control, &config);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    free(control);
    return 0;
}

static const nsp__section *find(nsp__section_kind kind)
{
    return find_section(control, kind);
}

static void assert_section(nsp__section_kind kind, uint64_t offset, uint64_t stride, uint64_t count)
{
    const nsp__section *section = find(kind);
    if (section == NULL)
        fail_msg("there is no section %s", nsp__section_name((uint32_t)kind));
    if (section->offset != offset || section->stride != stride || section->count != count)
        fail_msg("the section %s is wrong", nsp__section_name((uint32_t)kind));
}

// A later release may move any of this, but not silently: the numbers are those of the structures.
static void entries_say_where_things_lie(void **state)
{
    (void)state;
#define IN_CONTROL(kind, member, element, count)                                                             \
    assert_section(NSP__SECTION_##kind, offsetof(nsp__control, member), sizeof(element), count)
    IN_CONTROL(POLICY_GENERATION, policy_generation, uint32_t, 1);
    IN_CONTROL(POLICY, policies, nsp__policy, 2);
    IN_CONTROL(COUNTERS, counters, nsp__counters, 1);
    IN_CONTROL(CLOCK, clock, nsp__clock, 1);
    IN_CONTROL(PLACES, places, nsp__slot_place, NSP__THREADS_MAX);
    IN_CONTROL(NAMES, names, nsp__shared_name, NSP_NAME_MAX);
    IN_CONTROL(NAME_TEXT, name_text, char, NSP_NAME_TEXT_MAX);
    IN_CONTROL(RESOURCE, resource, char, NSP__RESOURCE_TEXT_MAX);
    IN_CONTROL(DRAINER, drainer, nsp__drainer, 1);
    IN_CONTROL(TUNING, tunings, nsp__tuning, 2);
    IN_CONTROL(FIGURES, figures, nsp__figures, 1);
    IN_CONTROL(OUTLIERS, outliers, nsp__outliers, 2);
    IN_CONTROL(OUTLIER_BOUNDS, outlier_bounds, nsp__outlier_bounds, 1);
#undef IN_CONTROL
    assert_section(NSP__SECTION_SLOT, 0, sizeof(nsp__slot), 3);
    assert_section(NSP__SECTION_SLOT_COUNTERS, offsetof(nsp__slot, counters), sizeof(nsp__slot_counters), 1);
    assert_section(NSP__SECTION_SKIPS, offsetof(nsp__slot, skips.left), sizeof(int64_t), NSP__CLASSES);
    assert_section(NSP__SECTION_SLOT_GENERATION, offsetof(nsp__slot, skips.generation), sizeof(uint32_t), 1);
    assert_section(NSP__SECTION_SPECULATION, NSP__SPECULATION_OFFSET, sizeof(nsp__speculation), 1);
    assert_section(NSP__SECTION_SNAPSHOTS, offsetof(nsp__control, snapshots), sizeof(nsp__snapshots), 1);
    assert_section(NSP__SECTION_LATENCIES, NSP__SLOT_LATENCIES, sizeof(nsp__latencies), 1);
    assert_section(NSP__SECTION_FRAME, 0, sizeof(nsp__frame), 1);
    assert_section(NSP__SECTION_DETACHED, 0, NSP__DETACHED_STRIDE, 5);
    assert_section(NSP__SECTION_RECORD, 0, sizeof(nsp__record), 1);
}

// The engine's section has all that no other section has.
static void nothing_in_control_is_without_a_section(void **state)
{
    (void)state;
    const nsp__section *engine = find(NSP__SECTION_ENGINE);
    assert_non_null(engine);
    assert_true(engine->offset == offsetof(nsp__control, sections) + sizeof control->sections);
    assert_true(engine->offset + engine->stride * engine->count >=
                offsetof(nsp__control, unattached_values_cut) + sizeof control->unattached_values_cut);
    assert_true(engine->offset + engine->stride * engine->count <= offsetof(nsp__control, policy_generation));
    assert_true(control->section_count <= NSP__SECTIONS_MAX);
}

// The table and what lays the pool out agree.
static void batches_lie_where_the_pool_puts_them(void **state)
{
    (void)state;
    nsp__batches_layout layout = nsp__batches_layout_of(&config);
    uint8_t *file = aligned_alloc(4096, (layout.bytes + 4095) & ~(uint64_t)4095);
    assert_non_null(file);
    memset(file, 0, layout.bytes);
    nsp__session session = {.batches = file};
    nsp__counters counters;
    nsp__batch_pool pool;
    assert_true(nsp__batch_pool_init(&pool, 7, &counters));
    nsp__batch_pool_place(&pool, &session, &config);
    const nsp__section *headers = find(NSP__SECTION_BATCH_HEADER), *coverage = find(NSP__SECTION_COVERAGE),
                       *data = find(NSP__SECTION_BATCH_DATA);
    assert_true(headers->count == 7 && coverage->count == 7 && data->count == 7);
    for (uint64_t i = 0; i < 7; i++) {
        const nsp__batch *batch = &pool.batches[i];
        assert_ptr_equal(batch->header, file + headers->offset + i * headers->stride);
        assert_ptr_equal(batch->coverage, file + coverage->offset + i * coverage->stride);
        assert_ptr_equal(batch->exported.data, file + data->offset + i * data->stride);
        assert_true(batch->header->data_offset == data->offset + i * data->stride);
    }
    assert_true(coverage->stride >= config.threads * sizeof(uint64_t));
    assert_true(headers->offset + 7 * headers->stride <= coverage->offset);
    assert_true(coverage->offset + 7 * coverage->stride <= data->offset);
    assert_true(data->offset + 7 * data->stride == layout.bytes);
    nsp__batch_pool_destroy(&pool);
    free(file);
}

static void each_kind_is_there_once_and_has_a_name(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < control->section_count; i++) {
        const nsp__section *section = &control->sections[i];
        assert_non_null(nsp__section_name(section->kind));
        assert_true(section->version != 0 && section->version == nsp__section_version(section->kind));
        assert_true(section->stride != 0 && section->count != 0);
        assert_ptr_equal(find((nsp__section_kind)(section->kind & ~NSP__SECTION_OPTIONAL)), section);
    }
    assert_null(nsp__section_name(12345));
    assert_int_equal(nsp__section_version(12345), 0);
}

static void an_entry_may_be_optional(void **state)
{
    (void)state;
    const uint32_t kind = (uint32_t)NSP__SECTION_CLOCK | NSP__SECTION_OPTIONAL;
    assert_string_equal(nsp__section_name(kind), "clock");
    assert_int_equal(nsp__section_version(kind), nsp__section_version(NSP__SECTION_CLOCK));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(entries_say_where_things_lie, make, drop),
        cmocka_unit_test_setup_teardown(nothing_in_control_is_without_a_section, make, drop),
        cmocka_unit_test_setup_teardown(batches_lie_where_the_pool_puts_them, make, drop),
        cmocka_unit_test_setup_teardown(each_kind_is_there_once_and_has_a_name, make, drop),
        cmocka_unit_test_setup_teardown(an_entry_may_be_optional, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
