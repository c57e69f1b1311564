/* An allocator that counts, to be preloaded (LD_PRELOAD) into a program: whose call, on which
 * thread, and for our own calls from where. It adds nothing to glibc's allocator and allocates
 * nothing itself. */
#include "count_allocations.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc's own, under the names that it keeps for interposers */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *old);

enum { RANGES = 128 };

typedef struct range {
    uintptr_t start, end, base;
    count_owner owner;
    char object[COUNT_NAME_BYTES];
} range;

static count_page *page;
static range ranges[RANGES];
static int range_count;
/* initial-exec: the general model allocates at the first use */
static __thread count_thread *mine __attribute__((tls_model("initial-exec")));
static __thread bool without_entry __attribute__((tls_model("initial-exec")));

static int add_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *name = slash ? slash + 1 : info->dlpi_name[0] ? info->dlpi_name : "program";
    const bool zmq = strncmp(name, "libzmq", 6) == 0 || strncmp(name, "libstdc++", 9) == 0;
    for (int h = 0; h < info->dlpi_phnum && range_count < RANGES; h++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[h];
        if (header->p_type != PT_LOAD || !(header->p_flags & PF_X)) {
            continue;
        }
        range *it = &ranges[range_count++];
        it->base = info->dlpi_addr;
        it->start = info->dlpi_addr + header->p_vaddr;
        it->end = it->start + header->p_memsz;
        it->owner = zmq ? COUNT_ZMQ : COUNT_OURS;
        strncpy(it->object, name, sizeof it->object - 1);
    }
    return 0;
}

/* After the libraries are loaded and before main: nothing is loaded later that allocates. */
__attribute__((constructor)) static void set_up(void)
{
    const char *path = getenv(COUNT_ALLOCATIONS_ENV);
    const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    void *memory = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) {
        return;
    }
    dl_iterate_phdr(add_object, NULL);
    page = memory;
    atomic_store(&page->ready, true);
}

static count_thread *entry(void)
{
    if (mine || without_entry) {
        return mine;
    }
    const int id = (int)syscall(SYS_gettid);
    for (int t = 0; t < COUNT_THREADS; t++) {
        int none = 0;
        if (atomic_compare_exchange_strong(&page->thread[t].id, &none, id)) {
            mine = &page->thread[t];
            prctl(PR_GET_NAME, mine->name);
            return mine;
        }
    }
    without_entry = true;
    atomic_fetch_add(&page->threads_beyond, 1);
    return NULL;
}

static const range *object_of(uintptr_t address)
{
    for (int r = 0; r < range_count; r++) {
        if (address >= ranges[r].start && address < ranges[r].end) {
            return &ranges[r];
        }
    }
    return NULL;
}

static void note_caller(const range *object, uintptr_t address)
{
    const uint64_t place = object ? address - object->base : address;
    for (int c = 0; c < COUNT_CALLERS; c++) {
        count_caller *it = &page->caller[c];
        uint64_t there = 0;
        if (atomic_compare_exchange_strong(&it->address, &there, place)) {
            strncpy(it->object, object ? object->object : "unknown", sizeof it->object - 1);
            there = place;
        }
        if (there == place) {
            atomic_fetch_add_explicit(&it->calls, 1, memory_order_relaxed);
            return;
        }
    }
}

static void count(void *caller, size_t bytes, bool frees)
{
    if (!page || !atomic_load_explicit(&page->counting, memory_order_acquire)) {
        return;
    }
    const int kept = errno;
    count_thread *thread = entry();
    if (thread) {
        const uintptr_t address = (uintptr_t)caller;
        const range *object = object_of(address);
        const count_owner owner = object ? object->owner : COUNT_OURS;
        if (frees) {
            atomic_fetch_add_explicit(&thread->frees[owner], 1, memory_order_relaxed);
        } else {
            atomic_fetch_add_explicit(&thread->allocations[owner], 1, memory_order_relaxed);
            atomic_fetch_add_explicit(&thread->bytes[owner], bytes, memory_order_relaxed);
            if (owner == COUNT_OURS) {
                note_caller(object, address);
            }
        }
    }
    errno = kept;
}

void *malloc(size_t size)
{
    count(__builtin_return_address(0), size, false);
    return __libc_malloc(size);
}

void *calloc(size_t items, size_t size)
{
    count(__builtin_return_address(0), items * size, false);
    return __libc_calloc(items, size);
}

void *realloc(void *old, size_t size)
{
    count(__builtin_return_address(0), size, false);
    return __libc_realloc(old, size);
}

void free(void *old)
{
    if (old) {
        count(__builtin_return_address(0), 0, true);
    }
    __libc_free(old);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    count(__builtin_return_address(0), size, false);
    return __libc_memalign(alignment, size);
}

void *memalign(size_t alignment, size_t size)
{
    count(__builtin_return_address(0), size, false);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) {
        return EINVAL;
    }
    count(__builtin_return_address(0), size, false);
    const int kept = errno;
    void *memory = __libc_memalign(alignment, size);
    errno = kept;
    if (!memory) {
        return ENOMEM;
    }
    *out = memory;
    return 0;
}
