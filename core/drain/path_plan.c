// SPDX-License-Identifier: Apache-2.0
#include "drain/path_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/words.h"
#include "common/visible.h"
#include "shm/path.h"

bool nsp__path_plans_init(nsp__path_plans *plans, const nsp__paths *table)
{
    *plans = (nsp__path_plans){.table = table, .room = aligned_alloc(64, NSP__PATH_ROOM)};
    return plans->room != NULL;
}

void nsp__path_plans_free(nsp__path_plans *plans)
{
    for (uint32_t i = 0; i < NSP__PATHS_MAX; i++)
        free(plans->plan[i]);
    free(plans->room);
    *plans = (nsp__path_plans){0};
}

// ---- what a declaration may be ----

static bool field_fits(const nsp__path_layout *layout, const nsp__path_field *field)
{
    const uint32_t readings_end =
        (uint32_t)sizeof(nsp__path_head) + layout->phases * (uint32_t)sizeof(uint64_t);
    uint32_t bytes = field->size, alignment = 1;
    switch (field->type) {
    case NSP_TYPE_I64:
    case NSP_TYPE_F64:
        alignment = 8;
        if (field->size != 8)
            return false;
        break;
    case NSP_TYPE_BOOL:
        if (field->size != 1)
            return false;
        break;
    case NSP_TYPE_STR:
        alignment = sizeof(uint16_t);
        bytes += (uint32_t)sizeof(uint16_t);
        break;
    default: return false;
    }
    return field->offset >= readings_end && field->offset % alignment == 0 &&
           field->offset + bytes <= layout->bytes;
}

const char *nsp__path_layout_problem(const nsp__path_layout *layout)
{
    if (layout->checksum != nsp__path_layout_checksum(layout))
        return "its checksum is wrong";
    if (layout->bytes % 16 != 0 || layout->bytes > NSP_PATH_BYTES_MAX ||
        layout->phases > NSP_PATH_PHASES_MAX || layout->fields > NSP_PATH_FIELDS_MAX ||
        sizeof(nsp__path_head) + layout->phases * sizeof(uint64_t) > layout->bytes)
        return "its size is impossible";
    uint32_t phase = 0;
    for (uint32_t i = 0; i < layout->fields; i++) {
        const nsp__path_field *field = &layout->field[i];
        if (field->phase < phase || field->phase > layout->phases)
            return "a field belongs to no phase";
        phase = field->phase;
        if (!field_fits(layout, field))
            return "a field is not within it";
    }
    return NULL;
}

// ---- plans ----

static void note_fields(nsp__path_plan *plan)
{
    const nsp__path_layout *layout = &plan->layout;
    uint32_t field = 0;
    for (uint32_t phase = 0; phase <= layout->phases; phase++) {
        plan->first[phase] = (uint8_t)field;
        for (; field < layout->fields && layout->field[field].phase == phase; field++)
            if (layout->field[field].type == NSP_TYPE_STR)
                plan->texts[plan->text_count++] = (uint8_t)field;
    }
    plan->first[layout->phases + 1] = (uint8_t)field;
}

static void note_refused(nsp__path_plans *plans, uint32_t number, nsp_name name, const char *problem)
{
    char visible[64];
    size_t length;
    const char *text = plans->name_text != NULL ? plans->name_text(plans->names, name, &length)
                                                : nsp_name_text(name, &length);
    snprintf(plans->untold, sizeof plans->untold, "the declaration of the path %s (number %u) is damaged: %s",
             nsp__visible(visible, sizeof visible, text), number, problem);
}

static void describe(nsp__path_plan *plan, uint32_t number)
{
    const nsp__path_layout *layout = &plan->layout;
    for (uint32_t i = 0; i < layout->fields; i++) {
        const nsp__path_field *field = &layout->field[i];
        plan->fields[i] = (nsp_path_field){.key = field->key,
                                           .offset = field->offset,
                                           .size = field->size,
                                           .type = field->type,
                                           .unset = field->unset};
    }
    plan->shape = (nsp_path_shape){.number = number,
                                   .bytes = layout->bytes,
                                   .phase_count = layout->phases,
                                   .field_count = layout->fields,
                                   .phase_names = layout->phase_names,
                                   .fields = plan->fields,
                                   .first_fields = plan->first};
}

const nsp__path_plan *nsp__path_plan_make(nsp__path_plans *plans, uint32_t number)
{
    const uint32_t index = number - 1;
    if (plans->table == NULL || index >= NSP__PATHS_MAX || (plans->refused >> index & 1) != 0)
        return NULL;
    const nsp__path_layout *shared = &plans->table->path[index];
    if (__atomic_load_n(&shared->checksum, __ATOMIC_ACQUIRE) == 0) // PL2: acquires PL1
        return NULL;
    nsp__path_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return NULL;
    nsp__words_copy(&plan->layout, shared, sizeof plan->layout); // another process may write there
    const char *problem = nsp__path_layout_problem(&plan->layout);
    if (problem != NULL) {
        plans->refused |= UINT64_C(1) << index;
        note_refused(plans, number, plan->layout.name, problem);
        free(plan);
        return NULL;
    }
    note_fields(plan);
    describe(plan, number);
    return plans->plan[index] = plan;
}
