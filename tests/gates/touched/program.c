// SPDX-License-Identifier: Apache-2.0
//
// What touched.sh runs: a program like a user's, linked with the shared library.
//
//     nanospan-touched          under valgrind: runs each operation a few times, and surrounds it with stores
//                               that count.py finds again in the list of all accesses; says what lies where
//     nanospan-touched first    prints the page faults of a thread's first span after nsp_thread_attach
#include <alloca.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <nanospan/nanospan.h>

enum { TIMES = 16 };

// Four stores to one address that no other code makes in this order: of 1, 2, 4 and 8 bytes where the
// operation begins, and backwards where it ends.
static uint64_t mark;

#if defined(__x86_64__)
#define MARK(stores) __asm__ __volatile__(stores : "=m"(mark) : : "memory")
#else
#define MARK(stores) (mark = 0) // touched.sh only works on x86-64
#endif
#define MARK_BEGIN MARK("movb $0, %0; movw $0, %0; movl $0, %0; movq $0, %0")
#define MARK_END MARK("movq $0, %0; movl $0, %0; movw $0, %0; movb $0, %0")

// The operations lie on pages of their own: the code of an application does not lie beside the linker's either.
#define OPERATION static __attribute__((noinline, section(".text.operations"))) void
#define PATH_OPERATION static __attribute__((noinline, section(".text.operations_paths"))) void
__asm__(".pushsection .text.operations,\"ax\"\n.balign 4096\n.popsection\n"
        ".pushsection .text.operations_paths,\"ax\"\n.balign 4096\n.popsection");

OPERATION run_span0(int64_t i)
{
    (void)i;
    MARK_BEGIN;
    nsp_span *span = nsp_span_begin(NSP_NAME("span0"));
    nsp_span_end(span);
    MARK_END;
}

OPERATION run_span3(int64_t i)
{
    MARK_BEGIN;
    nsp_span *span = nsp_span_begin(NSP_NAME("span3"));
    nsp_span_set_str(span, NSP_KEY("symbol"), "BTCUSDT");
    nsp_span_set_f64(span, NSP_KEY("price"), 101.25);
    nsp_span_set_i64(span, NSP_KEY("quantity"), i);
    nsp_span_end(span);
    MARK_END;
}

// A root and five phases with an attribute each.
OPERATION run_trace6(int64_t i)
{
    MARK_BEGIN;
    nsp_span *root = nsp_span_begin(NSP_NAME("order"));
    nsp_span_set_i64(root, NSP_KEY("order"), i);
    nsp_span *phase = nsp_span_begin(NSP_NAME("decode"));
    nsp_span_set_i64(phase, NSP_KEY("bytes"), i);
    phase = nsp_span_next(phase, NSP_NAME("risk"));
    nsp_span_set_i64(phase, NSP_KEY("account"), i);
    phase = nsp_span_next(phase, NSP_NAME("match"));
    nsp_span_set_i64(phase, NSP_KEY("level"), i);
    phase = nsp_span_next(phase, NSP_NAME("book"));
    nsp_span_set_i64(phase, NSP_KEY("depth"), i);
    phase = nsp_span_next(phase, NSP_NAME("reply"));
    nsp_span_set_i64(phase, NSP_KEY("bytes"), i);
    nsp_span_end(phase);
    nsp_span_end(root);
    MARK_END;
}

// The same as a declared path.
#define PATH6(PHASE, I64, F64, STR, BOOL)                                                                    \
    I64(order, "order")                                                                                      \
    PHASE(decode, "decode", NSP_PATH_AT_START)                                                               \
    I64(a, "bytes")                                                                                          \
    PHASE(risk, "risk")                                                                                      \
    I64(b, "account")                                                                                        \
    PHASE(match, "match")                                                                                    \
    I64(c, "level")                                                                                          \
    PHASE(book, "book")                                                                                      \
    I64(d, "depth")                                                                                          \
    PHASE(reply, "reply")                                                                                    \
    I64(e, "bytes")
NSP_PATH_DECLARE(path6, "order", PATH6)

PATH_OPERATION run_path6(int64_t i)
{
    MARK_BEGIN;
    path6 *path = path6_begin();
    path->order = i;
    path->a = i;
    NSP_PATH_MARK(path, risk);
    path->b = i;
    NSP_PATH_MARK(path, match);
    path->c = i;
    NSP_PATH_MARK(path, book);
    path->d = i;
    NSP_PATH_MARK(path, reply);
    path->e = i;
    path6_end(path);
    MARK_END;
}

#define DECLARED3(PHASE, I64, F64, STR, BOOL)                                                                \
    STR(symbol, 8, "symbol") F64(price, "price") I64(quantity, "quantity")
NSP_PATH_DECLARE(declared3, "declared3", DECLARED3)

PATH_OPERATION run_declared3(int64_t i)
{
    MARK_BEGIN;
    declared3 *span = declared3_begin();
    NSP_PATH_STR(span, symbol, "BTCUSDT", 7);
    span->price = 101.25;
    span->quantity = i;
    declared3_end(span);
    MARK_END;
}

// valgrind gives a program no restartable sequences, in which the kernel keeps the number of a thread's CPU. So that
// local roots have one all the same (core/trace/cpu.h), this program says in the C library's place that they lie in its
// own thread-local memory, beside which the C library's would lie.
static __thread uint32_t restartable[8] __attribute__((aligned(32), used)) = {1, 1};
#if defined(__x86_64__)
__asm__(".pushsection .data.rel.ro,\"aw\"\n.balign 8\n"
        ".globl __rseq_offset, __rseq_size\n"
        ".type __rseq_offset, @object\n.size __rseq_offset, 8\n"
        ".type __rseq_size, @object\n.size __rseq_size, 4\n"
        "__rseq_offset: .quad restartable@tpoff\n"
        "__rseq_size: .long 32\n"
        ".popsection");
#endif

static void configure(nsp_config *config)
{
    nsp_config_init(config);
    config->collector = NSP_COLLECTOR_INVOKER; // nobody else is in the list of accesses
    config->clock = NSP_CLOCK_COUNTER; // with a counter that the kernel distrusts, auto takes its clock
}

static void run(const char *name, void (*operation)(int64_t))
{
    for (int i = 0; i < TIMES; i++)
        operation(i);
    printf("operation %s %d\n", name, TIMES);
}

static void place(const char *name, const void *address)
{
    printf("place %#lx %s\n", (unsigned long)(uintptr_t)address, name);
}

// Addresses of what has no symbol.
static void print_places(void)
{
    nsp_span *span = nsp_span_begin(NSP_NAME("place"));
    if (!nsp_span_recording(span))
        exit(1);
    const nsp__thread *thread = nsp__thread_v4;
    place("the pointer to the thread's state (thread-local)", &nsp__thread_v4);
    place("the thread's state", thread);
    place("the stack of open spans", thread->top - 1);
    place("the first frame", nsp__frame_of(span));
    place("the policy's generation", &thread->skips->generation);
    place("the classes of names", thread->classes);
    place("the thread's skips", thread->skips);
    place("the program's own stack", __builtin_frame_address(0));
    nsp_span *child = nsp_span_begin(NSP_NAME("child"));
    place("the second frame", nsp__frame_of(child));
    nsp_span_end(child);
    nsp_span_end(span);
}

static void print_mappings(void)
{
    char line[600];
    FILE *file = fopen("/proc/self/maps", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        printf("mapping %s", line);
    if (file != NULL)
        fclose(file);
}

// ---- the first span ----

// Takes the library's code out of this process's page tables, as if nothing of it had run yet.
static void forget_code(void)
{
    char line[600];
    FILE *file = fopen("/proc/self/maps", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        unsigned long begin, end;
        if (strstr(line, "libnanospan") != NULL && strstr(line, " r-xp ") != NULL &&
            sscanf(line, "%lx-%lx", &begin, &end) == 2)
            madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
    if (file != NULL)
        fclose(file);
}

static long faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_minflt + usage.ru_majflt;
}

// The program's own pages are touched before: those of the operations, and of the words in which call sites
// keep their names.
static int print_faults(void)
{
    nsp_config config;
    configure(&config);
    run_trace6(0); // tracing is still off
    run_path6(0);
    if (nsp_init(&config) != NSP_OK)
        return 1;
    forget_code();
    faults();
    if (nsp_thread_attach(NULL) != NSP_OK)
        return 1;
    long before = faults();
    run_span3(0);
    long first = faults() - before;
    before = faults();
    run_trace6(0);
    long trace = faults() - before;
    before = faults();
    run_path6(0);
    printf("first_span %ld first_trace %ld first_path %ld\n", first, trace, faults() - before);
    return 0;
}

int main(int argc, char **argv)
{
    // The operations' part of the stack begins in the middle of a page. Where the stack begins depends on the
    // size of the environment and the arguments, and an operation touches one page more where it crosses into
    // another.
    char *room = alloca((uintptr_t)__builtin_frame_address(0) % 4096 + 2048);
    __asm__ volatile("" : : "r"(room) : "memory");
    if (argc == 2 && strcmp(argv[1], "first") == 0)
        return print_faults();
    run("disabled", run_span3);
    run("disabled_path6", run_path6);
    nsp_config config;
    configure(&config);
    if (nsp_init(&config) != NSP_OK || nsp_thread_attach(NULL) != NSP_OK)
        return 1;
    print_places();
    run("span0", run_span0);
    run("span3", run_span3);
    run("trace6", run_trace6);
    run("path6", run_path6);
    run("declared3", run_declared3);
    if (nsp_sampler_set_rate(0.0) != NSP_OK)
        return 1;
    run("unsampled3", run_span3);
    run("unsampled_path6", run_path6);
    print_mappings();
    return fflush(stdout) == 0 ? 0 : 1;
}
