// SPDX-License-Identifier: Apache-2.0
//
// docs/configuration.md contains exactly the rows of the table of variables, in the same order.
// `test_configuration_doc print` prints the rows that it should contain.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/environment.h"

enum { ROW_SIZE = 1024 };

static void compose(const nsp__variable *variable, char row[ROW_SIZE])
{
    char accepts[200], fallback[100];
    nsp__variable_accepts(variable, false, accepts, sizeof accepts);
    snprintf(fallback, sizeof fallback, *variable->fallback ? "`%s`" : "%s", variable->fallback);
    snprintf(row, ROW_SIZE, "| `%s` | `%s` | %s | %s | %s |\n", variable->name,
             variable->kind == &nsp__kind_ignored ? "none" : variable->member, fallback, accepts,
             variable->meaning);
}

static void the_page_has_every_row(void **state)
{
    (void)state;
    FILE *page = fopen(NSP_SOURCE_DIR "/docs/configuration.md", "r");
    assert_non_null(page);
    char line[ROW_SIZE], row[ROW_SIZE];
    size_t at = 0;
    while (fgets(line, sizeof line, page)) {
        if (strncmp(line, "| `", 3) != 0)
            continue;
        assert_true(at < nsp__variable_count);
        compose(&nsp__variables[at++], row);
        assert_string_equal(line, row);
    }
    fclose(page);
    assert_int_equal(at, nsp__variable_count);
}

int main(int count, char **arguments)
{
    if (count == 2 && !strcmp(arguments[1], "print")) {
        char row[ROW_SIZE];
        for (size_t i = 0; i < nsp__variable_count; i++) {
            compose(&nsp__variables[i], row);
            fputs(row, stdout);
        }
        return 0;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_page_has_every_row)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
