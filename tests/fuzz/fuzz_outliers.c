// SPDX-License-Identifier: Apache-2.0
//
// Input: outlier rules as a text. Either they can be in force, and then each is valid, and reads back from what is
// written of it; or one line says what is wrong, and at which character.
//
// Parsers: core/trace/outlier_text.c common/decimal.c
#include "fuzz.h"

#include "trace/outlier_rules.h"
#include "trace/outlier_text.h"

static void check_rule(const char *pattern, const nsp_outlier_rule *rule)
{
    char text[NSP_SAMPLER_PATTERN_MAX + 3 + NSP_OUTLIER_RULE_TEXT_MAX], problem[320];
    char again_pattern[NSP_SAMPLER_PATTERN_MAX + 1], conditions[NSP_OUTLIER_RULE_TEXT_MAX];
    nsp_outlier_rule again = NSP_OUTLIER_RULE_INIT;
    size_t at = 0;
    MUST(nsp__outlier_rule_valid(rule, problem, sizeof problem));
    MUST(nsp_outlier_rule_text(rule, conditions, sizeof conditions) == strlen(conditions));
    snprintf(text, sizeof text, "%s: %s", pattern, conditions);
    MUST(nsp_outlier_rule_read(text, &at, again_pattern, &again) == NSP_OK);
    MUST(at == strlen(text) && strcmp(pattern, again_pattern) == 0);
    MUST(again.slower_ns == rule->slower_ns && again.slowest == rule->slowest && again.limit == rule->limit);
    MUST(again.history_ns == rule->history_ns);
    MUST(again.errors == rule->errors && again.asked == rule->asked && again.measure == rule->measure);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = fuzz_text(bytes, size), problem[320], pattern[NSP_SAMPLER_PATTERN_MAX + 1];
    static nsp__outliers outliers;
    nsp_outlier_rule rule = NSP_OUTLIER_RULE_INIT;
    size_t at = 0, count = 0, character = 0;
    const bool valid = nsp__outlier_text_valid(text, problem, sizeof problem);
    nsp_status status;
    while ((status = nsp_outlier_rule_read(text, &at, pattern, &rule)) == NSP_OK) {
        check_rule(pattern, &rule);
        count++;
    }
    memset(&outliers, 0, sizeof outliers);
    if (valid) {
        MUST(status == NSP_ERR_NOT_FOUND && count <= NSP_OUTLIER_RULES_MAX);
        MUST(nsp__outliers_replace(&outliers, text, NSP_SAMPLER_CODE) == NSP_OK && outliers.rules == count);
    } else {
        MUST(strpbrk(problem, "\r\n\033") == NULL);
        MUST(sscanf(problem, "character %zu, ", &character) == 1 && character >= 1 &&
             character <= strlen(text) + 1);
    }
    free(text);
    return 0;
}
