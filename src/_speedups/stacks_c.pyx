"""Keeping the stacks of greenlets that have ended for those that begin; the compiled form.

Since Python 3.11 the frames of a greenlet lie in a block of its own, which the interpreter takes from
its arena allocator and greenlet gives back there: a system call each, and page faults in between.
An arena allocator in front of the one that was there keeps some of these blocks and passes all
else on. It belongs to the process, not to an interpreter: it can be called without a GIL that its
callers share, and after the interpreter is gone. So it is C that uses nothing of Python's, in
static memory, behind a lock that nobody waits for: who does not get it goes on to the allocator
that was there.
"""

cdef extern from * nogil:
    """
#include <string.h>

#if PY_VERSION_HEX < 0x030B0000
#define PGF_OBSTACLE "this Python keeps frames elsewhere"
#elif PY_VERSION_HEX >= 0x030F0000
#define PGF_OBSTACLE "the stacks of this Python are not known"
#elif defined(Py_GIL_DISABLED)
#define PGF_OBSTACLE "the stacks of a free-threaded Python are not known"
#else
#define PGF_OBSTACLE ""
#endif

enum { PGF_MOST_BLOCKS = 256, PGF_MOST_BYTES = 4 << 20 };
/* Less than an arena of the interpreter's own, which is not to be taken for a stack. */
enum { PGF_LARGEST = 128 << 10 };
enum { PGF_SIZES = 8, PGF_OFTEN = 3, PGF_PATIENCE = 1000 };

#if defined(_MSC_VER)
#include <intrin.h>
#define PGF_TAKE(flag) (_InterlockedExchange(&(flag), 1) == 0)
#define PGF_GIVE(flag) ((void)_InterlockedExchange(&(flag), 0))
#define PGF_COUNT(number) ((void)_InterlockedIncrement(&(number)))
#define PGF_READ(value) (value)
#define PGF_WRITE(place, value) ((place) = (value), _ReadWriteBarrier())
#define PGF_PAUSE() ((void)0)
#else
#define PGF_TAKE(flag) (__atomic_exchange_n(&(flag), 1, __ATOMIC_ACQUIRE) == 0)
#define PGF_GIVE(flag) __atomic_store_n(&(flag), 0, __ATOMIC_RELEASE)
#define PGF_COUNT(number) ((void)__atomic_fetch_add(&(number), 1, __ATOMIC_RELAXED))
#define PGF_READ(value) __atomic_load_n(&(value), __ATOMIC_ACQUIRE)
#define PGF_WRITE(place, value) __atomic_store_n(&(place), (value), __ATOMIC_RELEASE)
#include <sched.h>
#define PGF_PAUSE() ((void)sched_yield())
#endif

/* A stack that is used after its greenlet has ended is found as before, when the block was gone. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PGF_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(PGF_SANITIZED)
#include <sanitizer/asan_interface.h>
#define PGF_CLOSE(block) ASAN_POISON_MEMORY_REGION((block), pgf_size)
#define PGF_OPEN(block) ASAN_UNPOISON_MEMORY_REGION((block), pgf_size)
#else
#define PGF_CLOSE(block) ((void)0)
#define PGF_OPEN(block) ((void)0)
#endif

static PyObjectArenaAllocator pgf_before;   /* written once, before it is used */
static int pgf_installed;

static volatile long pgf_lock;              /* for what follows */
static void *pgf_blocks[PGF_MOST_BLOCKS];   /* the last one in is the first one out */
static size_t pgf_kept;
static size_t pgf_hits, pgf_misses;

static size_t pgf_size;                     /* of a stack; 0 until it has been found out */
static size_t pgf_bound;                    /* how many are kept; 0 while nothing is */
static volatile long pgf_passed;            /* misses because somebody else had the lock */

/* What one thread asks for while it runs new greenlets. */
static long pgf_watching;
static unsigned long pgf_watcher;
static struct { size_t size; int taken, given; } pgf_seen[PGF_SIZES];

static void pgf_note(size_t size, int given)
{
    int i;
    if (size > PGF_LARGEST || PyThread_get_thread_ident() != pgf_watcher)
        return;
    for (i = 0; i < PGF_SIZES; i++) {
        if (pgf_seen[i].size == 0)
            pgf_seen[i].size = size;
        if (pgf_seen[i].size == size) {
            if (given)
                pgf_seen[i].given++;
            else
                pgf_seen[i].taken++;
            return;
        }
    }
}

static void *pgf_alloc(void *context, size_t size)
{
    (void)context;
    if (size == PGF_READ(pgf_size)) {
        void *block = NULL;
        if (PGF_READ(pgf_bound) != 0) {
            if (PGF_TAKE(pgf_lock)) {
                if (pgf_kept > 0) {
                    block = pgf_blocks[--pgf_kept];
                    PGF_OPEN(block);
                    pgf_hits++;
                }
                else
                    pgf_misses++;
                PGF_GIVE(pgf_lock);
            }
            else
                PGF_COUNT(pgf_passed);
        }
        if (block != NULL)
            return block;
    }
    else if (PGF_READ(pgf_watching))
        pgf_note(size, 0);
    return pgf_before.alloc(pgf_before.ctx, size);
}

static void pgf_free(void *context, void *block, size_t size)
{
    (void)context;
    if (size == PGF_READ(pgf_size)) {
        int keep = 0;
        if (block != NULL && PGF_READ(pgf_bound) != 0 && PGF_TAKE(pgf_lock)) {
            if (pgf_kept < pgf_bound) {
                PGF_CLOSE(block);
                pgf_blocks[pgf_kept++] = block;
                keep = 1;
            }
            PGF_GIVE(pgf_lock);
        }
        if (keep)
            return;
    }
    else if (PGF_READ(pgf_watching))
        pgf_note(size, 1);
    pgf_before.free(pgf_before.ctx, block, size);
}

static int pgf_wait(void)
{
    int i;
    for (i = 0; i < PGF_PATIENCE; i++) {
        if (PGF_TAKE(pgf_lock))
            return 1;
        PGF_PAUSE();
    }
    return 0;
}

/* A fork copies the lock and what it protects, but not the thread that holds it. */
#if !defined(_WIN32)
#include <pthread.h>
static __thread int pgf_forking;   /* of the thread that forks: whether it has the lock */

static void pgf_before_fork(void)
{
    pgf_forking = pgf_wait();
}

static void pgf_in_parent(void)
{
    if (pgf_forking)
        PGF_GIVE(pgf_lock);
}

static void pgf_in_child(void)
{
    if (!pgf_forking)
        pgf_kept = 0;              /* somebody was in the middle of it: the blocks are lost */
    PGF_WRITE(pgf_watching, 0);    /* the thread that watched may not be here */
    PGF_GIVE(pgf_lock);
}

static void pgf_mind_forks(void)
{
    (void)pthread_atfork(pgf_before_fork, pgf_in_parent, pgf_in_child);
}
#else
static void pgf_mind_forks(void) {}
#endif

static int pgf_outermost(void)
{
    PyObjectArenaAllocator now;
    PyObject_GetArenaAllocator(&now);
    return now.alloc == pgf_alloc && now.free == pgf_free;
}

static void pgf_install(void)
{
    PyObjectArenaAllocator now, ours;
    PyObject_GetArenaAllocator(&now);
    if (now.alloc == pgf_alloc)
        return;
    if (pgf_installed) {
        /* What was there before ours does not call it; what was set since may, and must not then
           be called by ours. */
        if (now.alloc != pgf_before.alloc || now.free != pgf_before.free
                || now.ctx != pgf_before.ctx)
            return;
    }
    else {
        pgf_before = now;
        pgf_installed = 1;
        pgf_mind_forks();
    }
    /* The same context: another interpreter that reads while this is written gets pairs of
       functions and context that fit, whichever they are. */
    ours.ctx = pgf_before.ctx;
    ours.alloc = pgf_alloc;
    ours.free = pgf_free;
    PyObject_SetArenaAllocator(&ours);
}

static int pgf_watch(void)
{
    if (PGF_READ(pgf_watching))
        return 0;
    memset(pgf_seen, 0, sizeof(pgf_seen));
    pgf_watcher = PyThread_get_thread_ident();
    PGF_WRITE(pgf_watching, 1);
    return 1;
}

/* Return the size that was taken and given back again and again; 0 for none, 1 for several. */
static size_t pgf_found(void)
{
    size_t found = 0;
    int i;
    PGF_WRITE(pgf_watching, 0);
    for (i = 0; i < PGF_SIZES; i++) {
        if (pgf_seen[i].taken >= PGF_OFTEN && pgf_seen[i].given >= PGF_OFTEN)
            found = found == 0 ? pgf_seen[i].size : 1;
    }
    return found;
}

static void pgf_keep(size_t size)
{
    size_t most = PGF_MOST_BYTES / size;
    PGF_WRITE(pgf_size, size);
    PGF_WRITE(pgf_bound, most < PGF_MOST_BLOCKS ? most : PGF_MOST_BLOCKS);
}

/* Keep nothing any more; what is kept goes back to where it came from. */
static void pgf_stop(void)
{
    void *blocks[PGF_MOST_BLOCKS];
    size_t number = 0;
    int locked = pgf_wait();
    PGF_WRITE(pgf_bound, 0);
    if (locked) {
        number = pgf_kept;
        memcpy(blocks, pgf_blocks, number * sizeof(void *));
        pgf_kept = 0;
        PGF_GIVE(pgf_lock);
    }
    while (number > 0) {
        PGF_OPEN(blocks[number - 1]);
        pgf_before.free(pgf_before.ctx, blocks[--number], pgf_size);
    }
}
    """
    const char *PGF_OBSTACLE
    int PGF_MOST_BLOCKS
    size_t pgf_hits
    size_t pgf_misses
    size_t pgf_kept
    size_t pgf_size
    size_t pgf_bound
    long pgf_passed
    int pgf_outermost()
    void pgf_install()
    int pgf_watch()
    size_t pgf_found()
    void pgf_keep(size_t size)
    void pgf_stop()

BOUND = PGF_MOST_BLOCKS
"""The largest number of stacks that are kept."""

# A stack that the thread has left over may serve one of them, so more than PGF_OFTEN.
cdef int _GREENLETS = 8


def obstacle():
    """Say what keeps this form, or this interpreter, from keeping stacks; "" for nothing."""
    return PGF_OBSTACLE.decode("ascii")


def start(run):
    """Keep stacks from now on; say why not, or return "".

    The size of a stack is found out the first time: `run`, which has to run a new greenlet to its
    end, is called a few times. Its errors are the caller's.
    """
    cdef size_t size
    cdef int i
    if obstacle():
        return obstacle()
    pgf_install()
    if pgf_size == 0:
        if not pgf_watch():
            return "another thread is about to find out their size"
        size = 0
        try:
            for i in range(_GREENLETS):
                run()
        finally:
            size = pgf_found()
        if size == 0:
            return (
                "a new greenlet asks for none"
                if pgf_outermost()
                else "another allocator has been set, which does not call this one"
            )
        if size == 1:
            return "new greenlets ask for several sizes"
        pgf_keep(size)
    elif pgf_bound == 0:
        pgf_keep(pgf_size)
    return ""


def stop():
    """Keep nothing any more, and give back what is kept.

    The allocator stays where it is, and passes everything on: somebody else's may call it.
    """
    pgf_stop()


def numbers():
    """Return hits, misses, stacks kept, bytes of each, and how many may be kept."""
    return pgf_hits, pgf_misses + <size_t>pgf_passed, pgf_kept, pgf_size, pgf_bound


def outermost():
    """Tell whether the interpreter asks this form first."""
    return pgf_outermost() != 0
