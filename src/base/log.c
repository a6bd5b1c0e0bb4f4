/*
 * Every thread that logs has a ring of its own: it alone moves the head, the writer thread alone
 * moves the tail, and only whole lines are published, so that neither ever waits for the other and
 * whatever the writer finds can be written as it lies. The writer looks every 50 ms; a producer
 * wakes it earlier only when its ring is half full or somebody should see an error at once, and
 * only if nobody else did: a busy server makes no system call per line. A ring outlives its thread
 * until it is drained.
 */
#include "base/log.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/memory.h"

#define RING_BYTES ((size_t)256 * 1024) /* a power of two */
#define LINE_BYTES ((size_t)8192)
#define RAW_BYTES ((size_t)32 * 1024)
/* Kept free at the end of a line for what closes it: a mark that it was cut, a colour reset, the
 * newline. */
#define TAIL_BYTES ((size_t)32)
#define WRITER_PERIOD_NS 50000000L
/* After so many periods with nothing to write it sleeps longer, and the next line wakes it. A
 * wake-up that is lost to a race, as nobody pays for a fence per line, costs that line a second. */
#define WRITER_IDLE_PERIODS 4u
#define WRITER_IDLE_SECONDS 1
/* How long log_stop waits for somebody to read a full pipe. */
#define STOP_PATIENCE_MS 1000

struct ring {
    struct ring *next;
    bool owner_gone;
    uint64_t dropped;         /* written by the owner */
    char line[LINE_BYTES];    /* the owner formats here */
    _Alignas(64) size_t head; /* bytes ever published */
    _Alignas(64) size_t tail; /* bytes ever written out */
    _Alignas(64) char data[RING_BYTES];
};

enum log_level log__level = LOG_LEVEL_INFO;

static struct {
    pthread_mutex_t lock; /* of the list of rings */
    struct ring *rings;
    uint64_t dropped; /* by rings that are gone, and by the writer */
    uint64_t dropped_told;
    pthread_t writer;
    bool running, stopping;
    bool idle;     /* the writer sleeps long */
    uint32_t wake; /* futex: 1 once somebody asked the writer to look now */
    int fd;
    enum log_format format;
    bool coloured;
    pthread_once_t once;
    pthread_key_t thread_end;
} hub = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .once = PTHREAD_ONCE_INIT,
    .fd = STDERR_FILENO,
};

static __thread struct ring *own_ring;

static void futex(uint32_t *word, int operation, uint32_t value, const struct timespec *timeout)
{
    (void)syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

static void wake_writer(void)
{
    if (__atomic_load_n(&hub.wake, __ATOMIC_RELAXED) == 0 &&
        __atomic_exchange_n(&hub.wake, 1, __ATOMIC_RELEASE) == 0)
        futex(&hub.wake, FUTEX_WAKE, 1, NULL);
}

/* Take a ring out of the list and free it; the lock is held. */
static void ring_remove(struct ring *ring)
{
    struct ring **at = &hub.rings;
    while (*at != ring)
        at = &(*at)->next;
    *at = ring->next;
    __atomic_fetch_add(&hub.dropped, ring->dropped, __ATOMIC_RELAXED);
    free(ring);
}

static void thread_ended(void *arg)
{
    struct ring *ring = arg;
    own_ring = NULL;
    (void)pthread_mutex_lock(&hub.lock);
    if (hub.running)
        __atomic_store_n(&ring->owner_gone, true, __ATOMIC_RELEASE);
    else
        ring_remove(ring);
    (void)pthread_mutex_unlock(&hub.lock);
}

static void set_up(void)
{
    if (pthread_key_create(&hub.thread_end, thread_ended) != 0)
        memory__exhausted(sizeof(pthread_key_t));
}

static __attribute__((noinline)) struct ring *ring_new(void)
{
    (void)pthread_once(&hub.once, set_up);
    struct ring *ring = NULL;
    if (posix_memalign((void **)&ring, 64, sizeof(*ring)) != 0)
        memory__exhausted(sizeof(*ring));
    /* Not the data: its pages come into being as they are written. */
    memset(ring, 0, offsetof(struct ring, data));
    (void)pthread_setspecific(hub.thread_end, ring);
    (void)pthread_mutex_lock(&hub.lock);
    ring->next = hub.rings;
    hub.rings = ring;
    (void)pthread_mutex_unlock(&hub.lock);
    own_ring = ring;
    return ring;
}

static inline struct ring *ring_own(void)
{
    return LIKELY(own_ring != NULL) ? own_ring : ring_new();
}

static void count_dropped(struct ring *ring)
{
    __atomic_store_n(&ring->dropped, ring->dropped + 1, __ATOMIC_RELAXED);
}

/* Copy into the ring without publishing; there is room. */
static size_t ring_copy(struct ring *ring, size_t head, struct slice s)
{
    size_t at = head & (RING_BYTES - 1);
    size_t first = MIN(s.len, RING_BYTES - at);
    memcpy(ring->data + at, s.data, first);
    memcpy(ring->data, s.data + first, s.len - first);
    return head + s.len;
}

/* Write all of it, or as much as whoever reads can be brought to take: how much. */
static size_t write_all(int fd, struct iovec *iov, int iov_len)
{
    int waited_ms = 0;
    size_t written = 0;
    while (iov_len > 0) {
        ssize_t n = writev(fd, iov, iov_len);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd ready = { .fd = fd, .events = POLLOUT };
            (void)poll(&ready, 1, 50);
            waited_ms += 50;
            if (__atomic_load_n(&hub.stopping, __ATOMIC_RELAXED) && waited_ms > STOP_PATIENCE_MS)
                break;
            continue;
        }
        if (n < 0 && errno != EINTR)
            break;
        size_t left = n < 0 ? 0 : (size_t)n;
        written += left;
        while (iov_len > 0 && left >= iov->iov_len) {
            left -= iov->iov_len;
            iov++;
            iov_len--;
        }
        if (iov_len > 0) {
            iov->iov_base = (char *)iov->iov_base + left;
            iov->iov_len -= left;
        }
    }
    return written;
}

/* One line, without its newline, on its way: to this thread's ring, or straight to stderr. */
static void emit(struct ring *ring, enum log_level level, struct slice line)
{
    if (UNLIKELY(!__atomic_load_n(&hub.running, __ATOMIC_ACQUIRE))) {
        char newline[] = "\n";
        struct iovec iov[] = {
            { .iov_base = (char *)(uintptr_t)line.data, .iov_len = line.len },
            { .iov_base = newline, .iov_len = 1 },
        };
        (void)write_all(STDERR_FILENO, iov, 2); /* there is nobody left to tell */
        return;
    }
    size_t head = ring->head;
    size_t used = head - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
    if (RING_BYTES - used < line.len + 1) {
        count_dropped(ring);
        wake_writer();
        return;
    }
    head = ring_copy(ring, head, line);
    head = ring_copy(ring, head, SLICE("\n"));
    __atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
    if (used + line.len > RING_BYTES / 2 || level == LOG_LEVEL_ERROR ||
        __atomic_load_n(&hub.idle, __ATOMIC_RELAXED))
        wake_writer();
}

/* A line for every gap there was, so that a reader of the log knows of it. */
static void tell_dropped(void)
{
    uint64_t dropped = log_dropped();
    if (dropped == hub.dropped_told)
        return;
    uint64_t lines = dropped - hub.dropped_told;
    hub.dropped_told = dropped;
    log_warn("log.lines_dropped", LOG_U64("lines", lines));
}

static bool ring_drain(struct ring *ring)
{
    size_t tail = ring->tail;
    size_t len = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) - tail;
    if (len == 0)
        return false;
    size_t at = tail & (RING_BYTES - 1);
    size_t first = MIN(len, RING_BYTES - at);
    struct iovec iov[] = {
        { .iov_base = ring->data + at, .iov_len = first },
        { .iov_base = ring->data, .iov_len = len - first },
    };
    size_t written = write_all(hub.fd, iov, len > first ? 2 : 1);
    uint64_t lost = 0;
    for (size_t i = written; i < len; i++)
        lost += ring->data[(at + i) & (RING_BYTES - 1)] == '\n';
    if (lost)
        __atomic_fetch_add(&hub.dropped, lost, __ATOMIC_RELAXED);
    __atomic_store_n(&ring->tail, tail + len, __ATOMIC_RELEASE);
    return true;
}

/*
 * While the writer runs, rings are added at the front and removed only here, so the list is walked
 * without the lock, which a thread that logs its first line must not wait for. The last time it is
 * held throughout.
 */
static bool drain_all(bool last_time)
{
    bool any = false;
    (void)pthread_mutex_lock(&hub.lock);
    struct ring *first = hub.rings;
    if (last_time)
        __atomic_store_n(&hub.running, false, __ATOMIC_RELEASE);
    else
        (void)pthread_mutex_unlock(&hub.lock);
    for (struct ring *ring = first, *next; ring; ring = next) {
        next = ring->next;
        /* Asked before draining: what its thread logged last is then in the ring. */
        bool gone = __atomic_load_n(&ring->owner_gone, __ATOMIC_ACQUIRE);
        any |= ring_drain(ring);
        if (!gone)
            continue;
        if (!last_time)
            (void)pthread_mutex_lock(&hub.lock);
        ring_remove(ring);
        if (!last_time)
            (void)pthread_mutex_unlock(&hub.lock);
    }
    if (last_time)
        (void)pthread_mutex_unlock(&hub.lock);
    return any;
}

static void *writer_main(void *arg)
{
    (void)arg;
    (void)pthread_setname_np(pthread_self(), "log");
    unsigned quiet = 0;
    while (!__atomic_load_n(&hub.stopping, __ATOMIC_ACQUIRE)) {
        bool idle = quiet >= WRITER_IDLE_PERIODS;
        const struct timespec period = {
            .tv_sec = idle ? WRITER_IDLE_SECONDS : 0,
            .tv_nsec = idle ? 0 : WRITER_PERIOD_NS,
        };
        __atomic_store_n(&hub.idle, idle, __ATOMIC_RELAXED);
        futex(&hub.wake, FUTEX_WAIT, 0, &period);
        __atomic_store_n(&hub.wake, 0, __ATOMIC_RELAXED);
        tell_dropped();
        quiet = drain_all(/* last_time= */ false) ? 0 : quiet + 1;
    }
    tell_dropped();
    (void)drain_all(/* last_time= */ true);
    return NULL;
}

enum status log_start(const struct log_options *options)
{
    (void)pthread_once(&hub.once, set_up);
    hub.fd = options->fd;
    hub.format = options->format;
    hub.coloured = isatty(options->fd) && !getenv("NO_COLOR");
    hub.dropped_told = log_dropped();
    log_level_set(options->level);
    __atomic_store_n(&hub.stopping, false, __ATOMIC_RELAXED);
    __atomic_store_n(&hub.wake, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&hub.running, true, __ATOMIC_RELEASE);

    /* Signals are the loops' business: the writer is born with all of them blocked. */
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&hub.writer, NULL, writer_main, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        __atomic_store_n(&hub.running, false, __ATOMIC_RELEASE);
        return STATUS_EXHAUSTED;
    }
    return STATUS_OK;
}

void log_stop(void)
{
    if (!__atomic_load_n(&hub.running, __ATOMIC_ACQUIRE))
        return;
    __atomic_store_n(&hub.stopping, true, __ATOMIC_RELEASE);
    wake_writer();
    /* The writer drains to the end: on its thread alone a reader that is gone raises no signal. */
    (void)pthread_join(hub.writer, NULL);
}

void log_level_set(enum log_level level)
{
    __atomic_store_n(&log__level, level, __ATOMIC_RELAXED);
}

/* ASCII but DEL: what is left to escape, JSON escapes by itself. */
static bool is_plain(struct slice s)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    uint64_t odd = 0;
    size_t i = 0;
    for (; s.len - i >= 8; i += 8) {
        uint64_t v;
        memcpy(&v, s.data + i, sizeof(v));
        /* One more than DEL has the high bit; a carry comes only from a byte that had it anyway. */
        odd |= v | (v + ones);
    }
    for (; i < s.len; i++)
        odd |= (unsigned char)s.data[i] >= 0x7f ? high : 0;
    return (odd & high) == 0;
}

/* What terminals and viewers act on beyond the ASCII controls: DEL, C1 (U+009B starts a sequence),
 * U+2028/9. */
static unsigned control_code(struct slice sequence)
{
    const unsigned char *p = (const unsigned char *)sequence.data;
    if (sequence.len == 1)
        return p[0] < 0x20 || p[0] == 0x7f ? p[0] : 0;
    if (sequence.len == 2 && p[0] == 0xc2 && p[1] < 0xa0)
        return p[1];
    if (sequence.len == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9))
        return 0x2000u + (p[2] & 0x3fu);
    return 0;
}

/* Text as a JSON string that is harmless wherever it is shown, whatever bytes it is made of. */
static void put_text(struct buf *b, struct slice s)
{
    if (LIKELY(is_plain(s))) {
        json_put_string(b, s);
        return;
    }
    buf_putc(b, '"');
    while (s.len) {
        size_t n = utf8_sequence(s);
        struct slice sequence = slice_head(s, n);
        unsigned code = n ? control_code(sequence) : 0xfffd;
        if (code)
            buf_printf(b, "\\u%04x", code);
        else if (s.data[0] == '"' || s.data[0] == '\\')
            buf_printf(b, "\\%c", s.data[0]);
        else
            buf_put_slice(b, sequence);
        s = slice_from(s, n ? n : 1);
    }
    buf_putc(b, '"');
}

static void put_value(struct buf *b, const struct log_field *field, bool bare_words)
{
    switch (field->kind) {
    case LOG_KIND_TEXT:
        if (bare_words && field->as.text.len) {
            /* Words with nothing special in them are easier to read, and to copy, without quotes.
             */
            size_t i = 0;
            while (i < field->as.text.len && field->as.text.data[i] > ' ' &&
                   field->as.text.data[i] < 0x7f && !strchr("\"\\=", field->as.text.data[i]))
                i++;
            if (i == field->as.text.len) {
                buf_put_slice(b, field->as.text);
                break;
            }
        }
        put_text(b, field->as.text);
        break;
    case LOG_KIND_I64:
        buf_put_i64(b, field->as.i64);
        break;
    case LOG_KIND_U64:
        buf_put_u64(b, field->as.u64);
        break;
    case LOG_KIND_DOUBLE:
        buf_put_double(b, field->as.real);
        break;
    case LOG_KIND_BOOL:
        buf_put_slice(b, field->as.boolean ? SLICE("true") : SLICE("false"));
        break;
    }
}

struct layout {
    void (*start)(struct buf *b, enum log_level level, const char *event);
    void (*name)(struct buf *b, const char *name);
    bool bare_words;
    struct slice cut; /* what says that fields are missing */
    struct slice end;
};

#define EVENT_BYTES ((size_t)128)

static const char *const level_names[] = { "debug", "info", "warn", "error", "off" };

static const struct slice level_texts[] = {
    SLICE_INIT("\",\"level\":\"debug\",\"msg\":"), SLICE_INIT("\",\"level\":\"info\",\"msg\":"),
    SLICE_INIT("\",\"level\":\"warn\",\"msg\":"),  SLICE_INIT("\",\"level\":\"error\",\"msg\":"),
    SLICE_INIT("\",\"level\":\"off\",\"msg\":"),
};

static void json_start(struct buf *b, enum log_level level, const char *event)
{
    char *p = buf_reserve(b, sizeof("{\"ts\":\"") - 1 + CLOCK_RFC3339_LEN);
    if (!p)
        return;
    memcpy(p, "{\"ts\":\"", sizeof("{\"ts\":\"") - 1);
    clock_format_rfc3339(clock_wall_us(), p + sizeof("{\"ts\":\"") - 1);
    b->len += sizeof("{\"ts\":\"") - 1 + CLOCK_RFC3339_LEN;
    buf_put_slice(b, level_texts[level]);
    put_text(b, slice_head(slice_cstr(event), EVENT_BYTES));
}

static void json_name(struct buf *b, const char *name)
{
    /* Names stand in the source: there is nothing to escape. */
    size_t len = strlen(name);
    char *p = buf_reserve(b, len + 4);
    if (!p)
        return;
    p[0] = ',';
    p[1] = '"';
    memcpy(p + 2, name, len);
    p[len + 2] = '"';
    p[len + 3] = ':';
    b->len += len + 4;
}

#define EVENT_COLUMNS 28u

static void pretty_start(struct buf *b, enum log_level level, const char *event)
{
    static const char *const labels[] = { "DEBUG", "INFO ", "WARN ", "ERROR", "OFF  " };
    static const char *const colours[] = { "\x1b[36m", "\x1b[32m", "\x1b[33m", "\x1b[31m", "" };
    char ts[CLOCK_RFC3339_LEN];
    clock_format_rfc3339(clock_wall_us(), ts);
    if (hub.coloured)
        buf_put_lit(b, "\x1b[2m");
    buf_put(b, ts + 11, sizeof("03:04:05.678") - 1);
    buf_put_cstr(b, hub.coloured ? "\x1b[0m " : " ");
    buf_put_cstr(b, hub.coloured ? colours[level] : "");
    buf_put_cstr(b, labels[level]);
    buf_put_cstr(b, hub.coloured ? "\x1b[0m " : " ");
    size_t before = b->len;
    put_value(b, &LOG_TEXT("msg", slice_head(slice_cstr(event), EVENT_BYTES)), true);
    while (b->status == STATUS_OK && b->len - before < EVENT_COLUMNS)
        buf_putc(b, ' ');
}

static void pretty_name(struct buf *b, const char *name)
{
    buf_put_cstr(b, hub.coloured ? " \x1b[2m" : " ");
    buf_put_cstr(b, name);
    buf_put_cstr(b, hub.coloured ? "=\x1b[0m" : "=");
}

static const struct layout layouts[] = {
    [LOG_FORMAT_JSON] = { .start = json_start,
                          .name = json_name,
                          .cut = SLICE_INIT(",\"cut\":true"),
                          .end = SLICE_INIT("}") },
    [LOG_FORMAT_PRETTY] = { .start = pretty_start,
                            .name = pretty_name,
                            .bare_words = true,
                            .cut = SLICE_INIT(" ...") },
};

#define CUT_TEXT_MIN ((size_t)16)

/* A field with what fits of its text, after the whole did not; nothing when even that is not worth
 * it. */
static void put_cut_field(struct buf *b, const struct layout *layout, const struct log_field *field)
{
    size_t before = b->len;
    b->status = STATUS_OK;
    layout->name(b, field->name);
    size_t start = b->len;
    /* Escaping makes up to six bytes of one: whatever of the text does not fit, half of it may. */
    size_t len = b->status == STATUS_OK && field->kind == LOG_KIND_TEXT ? b->max - b->len : 0;
    for (len = MIN(len, field->as.text.len); len >= CUT_TEXT_MIN; len /= 2) {
        while (len > 0 && len < field->as.text.len &&
               ((unsigned char)field->as.text.data[len] & 0xc0) == 0x80)
            len--;
        put_text(b, slice_head(field->as.text, len));
        if (b->status == STATUS_OK)
            return;
        b->status = STATUS_OK;
        b->len = start;
    }
    b->status = STATUS_OK;
    b->len = before;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields,
               unsigned fields_len)
{
    struct ring *ring = ring_own();
    const struct layout *layout = &layouts[hub.format];
    const size_t max = LINE_BYTES - TAIL_BYTES;
    /* Room and maximum are the same: it never grows. */
    struct buf b = { .data = ring->line, .cap = max, .max = max, .status = STATUS_OK };
    layout->start(&b, level, event);
    for (unsigned i = 0; i < fields_len; i++) {
        size_t before = b.len;
        layout->name(&b, fields[i].name);
        put_value(&b, &fields[i], layout->bare_words);
        if (UNLIKELY(b.status != STATUS_OK)) {
            b.len = before;
            put_cut_field(&b, layout, &fields[i]);
            b.cap = b.max = LINE_BYTES;
            buf_put_slice(&b, layout->cut);
            break;
        }
    }
    b.cap = b.max = LINE_BYTES;
    buf_put_slice(&b, layout->end);
    emit(ring, level, buf_slice(&b));
}

void log_raw(struct slice json_line)
{
    struct ring *ring = ring_own();
    if (json_line.len > RAW_BYTES)
        count_dropped(ring);
    else if (json_line.len)
        emit(ring, LOG_LEVEL_INFO, json_line);
}

bool log_is_pretty(void)
{
    return hub.format == LOG_FORMAT_PRETTY;
}

bool log_level_parse(struct slice name, enum log_level *ret)
{
    if (slice_eq_nocase(name, SLICE("warning")))
        name = SLICE("warn");
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (slice_eq_nocase(name, slice_cstr(level_names[i]))) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

uint64_t log_dropped(void)
{
    (void)pthread_mutex_lock(&hub.lock);
    uint64_t dropped = __atomic_load_n(&hub.dropped, __ATOMIC_RELAXED);
    for (struct ring *ring = hub.rings; ring; ring = ring->next)
        dropped += __atomic_load_n(&ring->dropped, __ATOMIC_RELAXED);
    (void)pthread_mutex_unlock(&hub.lock);
    return dropped;
}
