// SPDX-License-Identifier: Apache-2.0
//
// The table of sections: everything is found where it says, and sections that are unknown or impossible are
// refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/copied_session.h"
#include "support/sections.h"

static nsp__section section_of(nsp__section_kind kind, uint64_t *at)
{
    nsp__session_copy copy = copied_open();
    const nsp__section *table = copy.control->sections;
    const nsp__section *found = find_section(copy.control, kind);
    assert_non_null(found);
    nsp__section section = *found;
    *at = offsetof(nsp__control, sections) + (size_t)(found - table) * sizeof section;
    nsp__session_copy_close(&copy);
    return section;
}

// Moves a section of the control file to its end, with `more` bytes between its elements.
static void move(nsp__section_kind kind, uint64_t more)
{
    uint64_t at, end = copied_size("control");
    nsp__section old = section_of(kind, &at), moved = old;
    moved.offset = end;
    moved.stride += more;
    int fd = open(copied_path("control"), O_RDWR);
    uint8_t *element = calloc(1, moved.stride), nothing[64] = {0};
    for (uint64_t i = 0; i < old.count; i++) {
        assert_int_equal(pread(fd, element, old.stride, (off_t)(old.offset + i * old.stride)), old.stride);
        assert_int_equal(pwrite(fd, element, moved.stride, (off_t)(end + i * moved.stride)), moved.stride);
    }
    // What lay there before means nothing now.
    for (uint64_t i = 0; i < old.count * old.stride; i += sizeof nothing) {
        uint64_t left = old.count * old.stride - i;
        assert_true(
            pwrite(fd, nothing, left < sizeof nothing ? left : sizeof nothing, (off_t)(old.offset + i)) > 0);
    }
    assert_int_equal(pwrite(fd, &moved, sizeof moved, (off_t)at), sizeof moved);
    free(element);
    close(fd);
}

static void sections_are_found_where_the_table_says(void **state)
{
    (void)state;
    static const nsp__section_kind kinds[] = {
        NSP__SECTION_ENGINE,   NSP__SECTION_POLICY_GENERATION,
        NSP__SECTION_POLICY,   NSP__SECTION_COUNTERS,
        NSP__SECTION_CLOCK,    NSP__SECTION_PLACES,
        NSP__SECTION_RESOURCE,
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        move(kinds[i], 0);
        copied_assert_whole();
    }
    move(NSP__SECTION_PLACES, 16); // elements with something behind them
    copied_assert_whole();
    move(NSP__SECTION_NAMES, 8);
    copied_assert_whole();
    move(NSP__SECTION_COUNTERS, 64);
    copied_assert_whole();
}

static void unknown_sections_are_refused_by_name(void **state)
{
    (void)state;
    uint64_t at;
    uint32_t one = 1, many = NSP__SECTIONS_MAX + 1;
    nsp__section old = section_of(NSP__SECTION_SKIPS, &at), other = old;
    other.version = 7;
    copied_write("control", at, &other, sizeof other);
    copied_assert_look(NSP__SESSION_OTHER_VERSION,
                       "another version of nanospan (section skips has version 7, not 1)");
    other.kind |= NSP__SECTION_OPTIONAL; // passed over, but it is needed
    copied_write("control", at, &other, sizeof other);
    copied_assert_look(NSP__SESSION_OTHER_VERSION, "(it has no section skips)");
    other = old;
    other.kind = 1000;
    copied_write("control", at, &other, sizeof other);
    copied_assert_look(NSP__SESSION_OTHER_VERSION, "(section 1000 is not known here)");
    copied_write("control", at, &old, sizeof old);

    nsp__session_copy copy = copied_open();
    uint32_t count = copy.control->section_count + 1;
    nsp__session_copy_close(&copy);
    other.kind |= NSP__SECTION_OPTIONAL;
    copied_write("control", offsetof(nsp__control, sections) + (count - 1) * sizeof other, &other,
                 sizeof other);
    copied_write("control", offsetof(nsp__control, section_count), &count, sizeof count);
    copied_assert_whole(); // one more that nobody needs to know
    copied_write("control", offsetof(nsp__control, section_count), &many, sizeof many);
    copied_assert_look(NSP__SESSION_DAMAGED, "too many sections");
    copied_write("control", offsetof(nsp__control, version), &one, sizeof one);
    copied_assert_look(NSP__SESSION_OTHER_VERSION, "(layout 1, not 2)");
}

// What the reader takes for `external`, which is in the one section that need not be there.
static void assert_external(uint32_t expected)
{
    nsp__session_copy copy = copied_open();
    assert_int_equal(copy.control->drainer.external, expected);
    nsp__session_copy_close(&copy);
}

static void a_session_without_a_drainers_section_drains_itself(void **state)
{
    (void)state;
    uint64_t at;
    nsp__section old = section_of(NSP__SECTION_DRAINER, &at), other = old;
    uint32_t external = 1;
    copied_write("control", old.offset + offsetof(nsp__drainer, external), &external, sizeof external);
    assert_external(1);
    other.kind = UINT32_C(1000) | NSP__SECTION_OPTIONAL; // as the release before wrote it: without
    copied_write("control", at, &other, sizeof other);
    assert_external(0);
    other = old;
    other.version = 7; // as a later one may
    copied_write("control", at, &other, sizeof other);
    assert_external(0);
    copied_assert_whole();
}

static void impossible_sections_are_refused(void **state)
{
    (void)state;
    static const nsp__section wild[] = {
        {.offset = UINT64_MAX - 7, .stride = 1 << 20, .count = 4},
        {.offset = 0, .stride = UINT64_MAX / 2, .count = 4},
        {.offset = 0, .stride = 1 << 20, .count = UINT64_MAX},
        {.offset = 0, .stride = 0, .count = 4},
        {.offset = INT64_MAX, .stride = 1 << 20, .count = 4},
    };
    for (int kind = NSP__SECTION_ENGINE; kind < NSP__SECTION_KINDS; kind++) {
        if (kind == NSP__SECTION_FRAME || kind == NSP__SECTION_RECORD)
            continue; // only the version is used
        if (nsp__section_name((uint32_t)kind) == NULL)
            continue; // there is none of this number
        uint64_t at;
        nsp__section old = section_of((nsp__section_kind)kind, &at);
        for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++) {
            char problem[160];
            nsp__section other = wild[i];
            other.kind = old.kind;
            other.version = old.version;
            // Parts of a slot are read by the beginning of one element.
            if (other.stride != 0 && other.offset == 0 &&
                ((kind >= NSP__SECTION_SLOT && kind <= NSP__SECTION_SKIPS) ||
                 kind == NSP__SECTION_SLOT_GENERATION))
                continue;
            copied_write("control", at, &other, sizeof other);
            if (copied_look(problem) == NSP__SESSION_READABLE)
                fail_msg("section %d, case %zu is accepted", kind, i);
        }
        copied_write("control", at, &old, sizeof old);
    }
    copied_assert_whole();
}

// Counting the one would change the other.
static void sections_that_overlap_are_refused(void **state)
{
    (void)state;
    static const struct {
        nsp__section_kind kind, over;
        uint64_t into; // bytes from the beginning of the other one
        const char *problem;
    } cases[] = {
        {NSP__SECTION_SLOT_COUNTERS, NSP__SECTION_SLOT, 246, "slot and slot counters overlap"},
        {NSP__SECTION_SLOT_GENERATION, NSP__SECTION_SLOT_COUNTERS, 8,
         "slot counters and slot generation overlap"},
        {NSP__SECTION_COUNTERS, NSP__SECTION_PLACES, 24, "counters and places overlap"},
        {NSP__SECTION_DRAINER, NSP__SECTION_ENGINE, 0, "engine and drainer overlap"},
        {NSP__SECTION_COVERAGE, NSP__SECTION_BATCH_HEADER, 8, "batch header and coverage overlap"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t at, other_at;
        nsp__section old = section_of(cases[i].kind, &at), moved = old;
        moved.offset = section_of(cases[i].over, &other_at).offset + cases[i].into;
        copied_write("control", at, &moved, sizeof moved);
        copied_assert_look(NSP__SESSION_DAMAGED, cases[i].problem);
        copied_write("control", at, &old, sizeof old);
    }
    copied_assert_whole();
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, copied_session_make, copied_session_remove)
    const struct CMUnitTest tests[] = {
        TEST(sections_are_found_where_the_table_says),
        TEST(unknown_sections_are_refused_by_name),
        TEST(a_session_without_a_drainers_section_drains_itself),
        TEST(impossible_sections_are_refused),
        TEST(sections_that_overlap_are_refused),
    };
    return cmocka_run_group_tests_name("session_sections", tests, NULL, NULL);
}
