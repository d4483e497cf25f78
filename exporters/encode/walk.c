// SPDX-License-Identifier: Apache-2.0
#include "encode/walk.h"

bool nsp__key_look_up(nsp__keys *keys, nsp_name key)
{
    size_t length = 0;
    nsp__name_table_text(&keys->table, key, &length);
    if (key < NSP__KEY_SLOTS)
        keys->named[key] = length != 0;
    return length != 0;
}
