// SPDX-License-Identifier: Apache-2.0
//
// Tells ThreadSanitizer about synchronisation that it cannot see, such as inline assembly. The macros do
// nothing in other builds: they order no memory, but only describe an order that exists.
#ifndef NSP_BASE_TSAN_H
#define NSP_BASE_TSAN_H

#if defined(__SANITIZE_THREAD__)
#define NSP__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NSP__TSAN 1
#endif
#endif

#ifdef NSP__TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
// Everything that this thread did before the release happens before everything that a thread does after it
// acquires the same address.
#define NSP__TSAN_RELEASE(address) __tsan_release((void *)(address))
#define NSP__TSAN_ACQUIRE(address) __tsan_acquire((void *)(address))
#else
#define NSP__TSAN_RELEASE(address) ((void)(address))
#define NSP__TSAN_ACQUIRE(address) ((void)(address))
#endif

#endif
