// SPDX-License-Identifier: Apache-2.0
//
// Fetches the values of header fields from a carrier.
#ifndef NSP_PROPAGATION_FIELD_H
#define NSP_PROPAGATION_FIELD_H

#include <nanospan/propagation.h>

#include "common/slice.h"

// At most this many fields of one name are read: a carrier with a fault may never end.
enum { NSP__FIELDS_MAX = 4096 };

// The index-th field of this name, without the blanks around it. False if there is none.
static inline bool nsp__field_get(const nsp_carrier *carrier, const char *name, size_t index,
                                  nsp__slice *value)
{
    const char *text = NULL;
    size_t length = 0;
    if (index >= NSP__FIELDS_MAX || !carrier->get(carrier->fields, name, index, &text, &length))
        return false;
    *value = text != NULL ? nsp__slice_trim((nsp__slice){text, length}) : (nsp__slice){"", 0};
    return true;
}

// The value is zero terminated. False: no room.
static inline bool nsp__field_set(const nsp_carrier *carrier, const char *name, const char *value,
                                  size_t length)
{
    return carrier->set(carrier->fields, name, value, length);
}

#endif
