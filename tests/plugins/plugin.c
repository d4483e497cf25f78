// SPDX-License-Identifier: Apache-2.0
//
// An instrumented plug-in that is loaded and unloaded. Its names and texts disappear with it.
#include <stdio.h>

#include <nanospan/nanospan.h>

// Records that many spans of this round; returns their number.
int plugin_record(int round, int spans);

int plugin_record(int round, int spans)
{
    char text[40];
    snprintf(text, sizeof text, "a text on the plug-in's stack %d", round);
    nsp_span *root = nsp_span_begin(NSP_NAME("plug-in root"));
    nsp_span_set_i64(root, NSP_KEY("plug-in round"), round);
    for (int i = 1; i < spans; i++) {
        NSP_SPAN(child, "plug-in child");
        nsp_span_set_str(child, NSP_KEY("plug-in text"), text);
        nsp_span_add_event(child, NSP_NAME("plug-in event"));
    }
    nsp_span_end(root);
    return spans;
}
