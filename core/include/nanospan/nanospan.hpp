// SPDX-License-Identifier: Apache-2.0
//
// nanospan for C++17 and later: spans that end with their scope, over the C interface, which remains usable beside it.
//
//     using namespace nsp::literals;
//
//     nsp::session session;                             // nsp_init, and nsp_shutdown at the end of the scope
//     nsp::span order("place_order"_name);              // ends with its scope
//     order.set("symbol"_key, symbol);                  // texts, numbers, bool, and arrays of these
//     order.add_event("sent"_name, nsp::attr("venue"_key, "XNAS"));
//
// It is header only, throws nothing, allocates nothing and adds nothing to what the C calls cost: tests/gates/cpp.sh
// counts the instructions of both. What <nanospan/span.h> and the others say about threads, signals, ownership and
// errors is true here too. It needs neither exceptions nor RTTI. With NSP_DISABLE, everything compiles to nothing and
// no library is needed. docs/embedding.md has a whole program.
#ifndef NANOSPAN_NANOSPAN_HPP
#define NANOSPAN_NANOSPAN_HPP

#ifndef __cplusplus
#error "this header is for C++; C includes <nanospan/nanospan.h>"
#elif __cplusplus < 201703L
#error "<nanospan/nanospan.hpp> needs C++17; C++98 to C++14 can use <nanospan/nanospan.h>"
#endif

#include <nanospan/nanospan.h>

// Everything is in this inline namespace of nsp. A source that is compiled with NSP_DISABLE, and one that is not, have
// different definitions of the same functions, and so have sources for different binary interfaces. Linkers would
// silently take one of them for all; with different names, both exist, and what cannot work does not link.
#define NSP__CPP_JOIN_(name, number) name##number
#define NSP__CPP_JOIN(name, number) NSP__CPP_JOIN_(name, number)
#ifdef NSP_DISABLE
#define NSP__CPP_NAMESPACE NSP__CPP_JOIN(disabled_v, NSP_ABI_VERSION)
#else
#define NSP__CPP_NAMESPACE NSP__CPP_JOIN(v, NSP_ABI_VERSION)
#endif

// What has to be inlined to cost nothing: the length of a literal, for example, is known to the compiler only then.
#define NSP__CPP_INLINE inline __attribute__((always_inline))

#include <nanospan/cpp/name.hpp>
#include <nanospan/cpp/value.hpp>
#include <nanospan/cpp/array.hpp>
#include <nanospan/cpp/context.hpp>
#include <nanospan/cpp/carrier.hpp>
#include <nanospan/cpp/handle.hpp>
#include <nanospan/cpp/options.hpp>
#include <nanospan/cpp/span.hpp>
#include <nanospan/cpp/path.hpp>
#include <nanospan/cpp/session.hpp>

#endif
