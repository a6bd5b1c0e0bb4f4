/*
 * A series is a run of 64-bit cells: one for a counter or gauge; for a histogram one per bucket and
 * one for the sum. Each thread has its own copy of all cells, in pages made when first touched, so
 * that adding is an addition to memory no other thread writes. Whoever reads sums over the threads,
 * plus a base that holds what threads counted that have ended since. A handle carries both the
 * number of the series and that of its first cell: adding needs no look-up. Cell 0 belongs to
 * handle 0, and nobody reads it.
 */
#include "base/metric.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/memory.h"

#define BUCKETS_MAX 20u
#define FAMILIES_MAX 512u
#define HANDLE_SERIES_BITS 13u
#define PAGE_CELLS 512u
#define CELLS_MAX ((size_t)METRIC_SERIES_MAX * (BUCKETS_MAX + 2))
#define PAGES_MAX (CELLS_MAX / PAGE_CELLS)
#define TABLE_SLOTS (2 * METRIC_SERIES_MAX)
#define LABELS_BYTES_MAX ((size_t)4096)

_Static_assert(METRIC_SERIES_MAX == 1u << HANDLE_SERIES_BITS, "a handle holds any series");
_Static_assert(CELLS_MAX <= 1u << (32 - HANDLE_SERIES_BITS), "a handle holds any cell");

const double metric_buckets_seconds[14] = { 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25,
                                            0.5,   0.75, 1,     2.5,  5,     7.5, 10 };

struct family {
    struct metric_desc desc;
    struct slice unit; /* the last word of the name when it is one; empty otherwise */
    unsigned labels_len;
    unsigned cells;
    bool in_seconds;                 /* cells hold microseconds */
    char bounds[BUCKETS_MAX][32];    /* as they are written */
    int64_t thresholds[BUCKETS_MAX]; /* in what metric_observe is given */
    uint32_t first, last;            /* series, in the order they appeared; 0: none */
};

struct series {
    struct family *family;
    struct slice labels; /* escaped: a="x",b="y" */
    uint32_t cell;
    uint32_t next; /* of the same family */
    uint64_t hash;
    metric_read_fn read;
    void *arg;
};

/* One thread's cells in one registry. */
struct cells {
    struct cells *next;
    const void *thread; /* who: the address of its own_cells */
    int64_t *pages[PAGES_MAX];
};

struct metrics {
    struct metrics *next;
    uint64_t id; /* never used twice, unlike an address */
    pthread_mutex_t lock;
    struct family *families[FAMILIES_MAX];
    unsigned families_len;
    uint32_t series_len;
    size_t cells_len;
    uint64_t overflows;
    struct cells *threads;
    struct cells ended;
    struct series series[METRIC_SERIES_MAX];
    uint16_t table[TABLE_SLOTS]; /* open addressing by hash of family and labels; 0: free */
};

/* What this thread used last: nearly always the process's only registry. */
static __thread struct {
    uint64_t id;
    struct cells *cells;
} own_cells;

/* The registries alive, so that a thread that ends finds those it counted in. */
static struct {
    pthread_mutex_t lock;
    struct metrics *registries;
    uint64_t last_id;
    pthread_once_t once;
    pthread_key_t thread_end;
} hub = { .lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT };

static int64_t *page_get(struct cells *c, size_t page)
{
    int64_t *cells = c->pages[page];
    if (LIKELY(cells != NULL))
        return cells;
    cells = memory__calloc(PAGE_CELLS, sizeof(*cells));
    __atomic_store_n(&c->pages[page], cells, __ATOMIC_RELEASE);
    return cells;
}

static void cells_clear(struct cells *c)
{
    for (size_t i = 0; i < PAGES_MAX; i++)
        free(c->pages[i]);
}

/* The lock is held: nobody sums meanwhile. */
static void fold_ended(struct metrics *m, struct cells *c)
{
    for (size_t page = 0; page < PAGES_MAX; page++) {
        if (!c->pages[page])
            continue;
        int64_t *total = page_get(&m->ended, page);
        for (size_t i = 0; i < PAGE_CELLS; i++)
            total[i] += c->pages[page][i];
    }
    cells_clear(c);
    free(c);
}

static void thread_ended(void *thread)
{
    own_cells.id = 0;
    (void)pthread_mutex_lock(&hub.lock);
    for (struct metrics *m = hub.registries; m; m = m->next) {
        (void)pthread_mutex_lock(&m->lock);
        for (struct cells **at = &m->threads; *at; at = &(*at)->next) {
            struct cells *c = *at;
            if (c->thread == thread) {
                *at = c->next;
                fold_ended(m, c);
                break;
            }
        }
        (void)pthread_mutex_unlock(&m->lock);
    }
    (void)pthread_mutex_unlock(&hub.lock);
}

static void set_up(void)
{
    if (pthread_key_create(&hub.thread_end, thread_ended) != 0)
        memory__exhausted(sizeof(pthread_key_t));
}

static __attribute__((noinline)) struct cells *cells_find(struct metrics *m)
{
    (void)pthread_setspecific(hub.thread_end, &own_cells);
    (void)pthread_mutex_lock(&m->lock);
    struct cells *c = m->threads;
    while (c && c->thread != &own_cells)
        c = c->next;
    if (!c) {
        c = memory__calloc(1, sizeof(*c));
        c->thread = &own_cells;
        c->next = m->threads;
        m->threads = c;
    }
    (void)pthread_mutex_unlock(&m->lock);
    own_cells.id = m->id;
    own_cells.cells = c;
    return c;
}

static inline void cell_add(struct cells *c, size_t cell, int64_t delta)
{
    int64_t *at = &page_get(c, cell / PAGE_CELLS)[cell % PAGE_CELLS];
    /* The only writer: no locked instruction, just never a torn value for those who sum. */
    __atomic_store_n(at, (int64_t)((uint64_t)*at + (uint64_t)delta), __ATOMIC_RELAXED);
}

static inline struct cells *cells_get(struct metrics *m)
{
    return LIKELY(own_cells.id == m->id) ? own_cells.cells : cells_find(m);
}

static int64_t cell_read(const struct cells *c, size_t cell)
{
    const int64_t *page = __atomic_load_n(&c->pages[cell / PAGE_CELLS], __ATOMIC_ACQUIRE);
    return page ? __atomic_load_n(&page[cell % PAGE_CELLS], __ATOMIC_RELAXED) : 0;
}

/* Over all threads; the lock is held. */
static int64_t cell_sum(const struct metrics *m, size_t cell)
{
    uint64_t sum = (uint64_t)cell_read(&m->ended, cell);
    for (const struct cells *c = m->threads; c; c = c->next)
        sum += (uint64_t)cell_read(c, cell);
    return (int64_t)sum;
}

struct metrics *metrics_new(void)
{
    (void)pthread_once(&hub.once, set_up);
    struct metrics *m = memory__calloc(1, sizeof(*m));
    (void)pthread_mutex_init(&m->lock, NULL);
    m->series_len = 1;
    m->cells_len = 1;
    (void)pthread_mutex_lock(&hub.lock);
    m->id = ++hub.last_id;
    m->next = hub.registries;
    hub.registries = m;
    (void)pthread_mutex_unlock(&hub.lock);
    return m;
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    (void)pthread_mutex_lock(&hub.lock);
    struct metrics **at = &hub.registries;
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    (void)pthread_mutex_unlock(&hub.lock);

    for (struct cells *c = m->threads, *next; c; c = next) {
        next = c->next;
        cells_clear(c);
        free(c);
    }
    cells_clear(&m->ended);
    for (uint32_t i = 1; i < m->series_len; i++)
        free((char *)(uintptr_t)m->series[i].labels.data);
    for (unsigned i = 0; i < m->families_len; i++)
        free(m->families[i]);
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
}

static struct slice unit_of(struct slice name)
{
    static const struct slice units[] = { SLICE_INIT("_seconds"), SLICE_INIT("_bytes"),
                                          SLICE_INIT("_ratio"), SLICE_INIT("_celsius") };
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (slice_ends(name, units[i]))
            return slice_from(units[i], 1);
    }
    return SLICE_NULL;
}

/* As OpenMetrics wants numbers in `le`: always with a fraction. */
static void format_bound(double bound, char *text, size_t size)
{
    struct buf b = { .data = text, .cap = size - 1, .max = size - 1, .status = STATUS_OK };
    buf_put_double(&b, bound);
    if (slice_find(buf_slice(&b), '.') == SIZE_MAX && slice_find(buf_slice(&b), 'e') == SIZE_MAX)
        buf_put_lit(&b, ".0");
    text[b.len] = '\0';
}

static struct family *family_new(const struct metric_desc *desc)
{
    struct family *f = memory__calloc(1, sizeof(*f));
    f->desc = *desc;
    f->unit = unit_of(slice_cstr(desc->name));
    f->in_seconds = slice_eq(f->unit, SLICE("seconds"));
    while (f->labels_len < METRIC_LABELS_MAX && desc->labels[f->labels_len])
        f->labels_len++;
    f->cells = 1;
    if (desc->kind == METRIC_HISTOGRAM) {
        f->desc.buckets_len = MIN(desc->buckets_len, BUCKETS_MAX);
        f->cells = f->desc.buckets_len + 2;
        for (unsigned i = 0; i < f->desc.buckets_len; i++) {
            format_bound(desc->buckets[i], f->bounds[i], sizeof(f->bounds[i]));
            f->thresholds[i] = (int64_t)floor(desc->buckets[i] * (f->in_seconds ? 1e6 : 1) + 1e-6);
        }
    }
    return f;
}

unsigned metric_declare(struct metrics *m, const struct metric_desc *desc)
{
    for (unsigned i = 0; i < m->families_len; i++) {
        if (strcmp(m->families[i]->desc.name, desc->name) == 0)
            return i;
    }
    if (m->families_len == FAMILIES_MAX)
        memory__exhausted(sizeof(struct family)); /* a table in the source outgrew the constant */
    m->families[m->families_len] = family_new(desc);
    return m->families_len++;
}

/* Backslash, newline and, in quoted text, the quote (OpenMetrics 1.0, "escaped-string"). */
static void put_escaped(struct buf *b, struct slice s, bool quotes)
{
    bool valid = utf8_is_valid(s);
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (c == '\n')
            buf_put_lit(b, "\\n");
        else if (c == '\\' || (c == '"' && quotes))
            buf_put(b, (const char[]){ '\\', c }, 2);
        else if (!valid && (unsigned char)c >= 0x80)
            buf_putc(b, '?');
        else
            buf_putc(b, c);
    }
}

static void put_labels(struct buf *b, const struct family *f, const struct slice *values)
{
    for (unsigned i = 0; i < f->labels_len; i++) {
        if (i)
            buf_putc(b, ',');
        buf_put_cstr(b, f->desc.labels[i]);
        buf_put_lit(b, "=\"");
        put_escaped(b, values[i], true);
        buf_putc(b, '"');
    }
}

/* The slot of the table that holds the series, or the free one where it belongs. */
static size_t table_find(const struct metrics *m, const struct family *f, struct slice labels,
                         uint64_t hash)
{
    for (size_t slot = hash % TABLE_SLOTS;; slot = (slot + 1) % TABLE_SLOTS) {
        const struct series *s = &m->series[m->table[slot]];
        if (m->table[slot] == 0 ||
            (s->hash == hash && s->family == f && slice_eq(s->labels, labels)))
            return slot;
    }
}

static uint32_t series_new(struct metrics *m, struct family *f, struct slice labels, uint64_t hash)
{
    uint32_t index = m->series_len;
    if (index == METRIC_SERIES_MAX || m->cells_len + f->cells > CELLS_MAX) {
        m->overflows++;
        return 0;
    }
    char *copy = memory__alloc(labels.len + 1);
    memcpy(copy, labels.data, labels.len);
    m->series[index] = (struct series){
        .family = f,
        .labels = slice_of(copy, labels.len),
        .cell = (uint32_t)m->cells_len,
        .hash = hash,
    };
    m->series_len++;
    m->cells_len += f->cells;
    if (f->last)
        m->series[f->last].next = index;
    else
        f->first = index;
    f->last = index;
    return index;
}

/* The number of the series, made when new; 0 when there is no room. The lock is held. */
static uint32_t series_find(struct metrics *m, unsigned metric, const struct slice *values)
{
    struct family *f = m->families[metric];
    CLEANUP(buf_fini) struct buf labels;
    buf_init(&labels, NULL, 256, LABELS_BYTES_MAX);
    put_labels(&labels, f, values);
    if (labels.status != STATUS_OK) {
        m->overflows++;
        return 0;
    }
    uint64_t hash = hash64(buf_slice(&labels), metric);
    size_t slot = table_find(m, f, buf_slice(&labels), hash);
    if (m->table[slot] == 0)
        m->table[slot] = (uint16_t)series_new(m, f, buf_slice(&labels), hash);
    return m->table[slot];
}

metric_series metric_series_get(struct metrics *m, unsigned metric, const struct slice *values)
{
    (void)pthread_mutex_lock(&m->lock);
    uint32_t index = series_find(m, metric, values);
    metric_series handle = index ? m->series[index].cell << HANDLE_SERIES_BITS | index : 0;
    (void)pthread_mutex_unlock(&m->lock);
    return handle;
}

void metric_add(struct metrics *m, metric_series series, int64_t delta)
{
    cell_add(cells_get(m), series >> HANDLE_SERIES_BITS, delta);
}

void metric_observe(struct metrics *m, metric_series series, int64_t value)
{
    if (series == 0)
        return;
    const struct family *f = m->series[series & (METRIC_SERIES_MAX - 1)].family;
    assert(f->desc.kind == METRIC_HISTOGRAM);
    size_t cell = series >> HANDLE_SERIES_BITS;
    struct cells *c = cells_get(m);
    unsigned buckets_len = f->desc.buckets_len;
    unsigned i = 0;
    while (i < buckets_len && value > f->thresholds[i])
        i++;
    cell_add(c, cell + i, 1);
    cell_add(c, cell + buckets_len + 1, value);
}

void metric_callback(struct metrics *m, unsigned metric, const struct slice *values,
                     metric_read_fn read, void *arg)
{
    (void)pthread_mutex_lock(&m->lock);
    uint32_t index = series_find(m, metric, values);
    if (index) {
        m->series[index].read = read;
        m->series[index].arg = arg;
    }
    (void)pthread_mutex_unlock(&m->lock);
}

int64_t metric_value(struct metrics *m, metric_series series)
{
    if (series == 0)
        return 0;
    (void)pthread_mutex_lock(&m->lock);
    const struct family *f = m->series[series & (METRIC_SERIES_MAX - 1)].family;
    size_t cell = series >> HANDLE_SERIES_BITS;
    unsigned counts = f->desc.kind == METRIC_HISTOGRAM ? f->cells - 1 : 1;
    int64_t sum = 0;
    for (unsigned i = 0; i < counts; i++)
        sum += cell_sum(m, cell + i);
    (void)pthread_mutex_unlock(&m->lock);
    return sum;
}

static void put_number(struct buf *b, double value)
{
    if (isnan(value))
        buf_put_lit(b, "NaN");
    else if (isinf(value))
        buf_put_cstr(b, value > 0 ? "+Inf" : "-Inf");
    else
        buf_put_double(b, value);
}

/* name_suffix{labels,le="..."} and the space before the value */
static void put_sample(struct buf *b, const struct series *s, const char *suffix, const char *le)
{
    buf_put_cstr(b, s->family->desc.name);
    buf_put_cstr(b, suffix);
    if (s->labels.len || le) {
        buf_putc(b, '{');
        buf_put_slice(b, s->labels);
        if (le) {
            buf_put_cstr(b, s->labels.len ? ",le=\"" : "le=\"");
            buf_put_cstr(b, le);
            buf_putc(b, '"');
        }
        buf_putc(b, '}');
    }
    buf_putc(b, ' ');
}

static void put_cell(const struct metrics *m, const struct family *f, size_t cell, struct buf *b)
{
    int64_t value = cell_sum(m, cell);
    if (f->in_seconds)
        put_number(b, (double)value / 1e6);
    else
        buf_put_i64(b, value);
}

static void render_histogram(const struct metrics *m, const struct series *s, struct buf *out)
{
    const struct family *f = s->family;
    int64_t count = 0;
    for (unsigned i = 0; i <= f->desc.buckets_len; i++) {
        count += cell_sum(m, s->cell + i);
        put_sample(out, s, "_bucket", i < f->desc.buckets_len ? f->bounds[i] : "+Inf");
        buf_put_i64(out, count);
        buf_putc(out, '\n');
    }
    put_sample(out, s, "_sum", NULL);
    put_cell(m, f, s->cell + f->desc.buckets_len + 1, out);
    buf_putc(out, '\n');
    put_sample(out, s, "_count", NULL);
    buf_put_i64(out, count);
    buf_putc(out, '\n');
}

static void render_series(const struct metrics *m, const struct series *s, struct buf *out)
{
    enum metric_kind kind = s->family->desc.kind;
    if (kind == METRIC_HISTOGRAM) {
        render_histogram(m, s, out);
        return;
    }
    put_sample(out, s, kind == METRIC_COUNTER ? "_total" : "", NULL);
    if (s->read)
        put_number(out, s->read(s->arg));
    else
        put_cell(m, s->family, s->cell, out);
    buf_putc(out, '\n');
}

static void render_head(const struct family *f, bool open_metrics, struct buf *out)
{
    static const char *const kinds[] = { "counter", "gauge", "histogram" };
    /* The older format names the sample, OpenMetrics the family. */
    const char *suffix = !open_metrics && f->desc.kind == METRIC_COUNTER ? "_total" : "";
    buf_put_lit(out, "# HELP ");
    buf_put_cstr(out, f->desc.name);
    buf_put_cstr(out, suffix);
    buf_putc(out, ' ');
    put_escaped(out, slice_cstr(f->desc.help), open_metrics);
    buf_put_lit(out, "\n# TYPE ");
    buf_put_cstr(out, f->desc.name);
    buf_put_cstr(out, suffix);
    buf_putc(out, ' ');
    buf_put_cstr(out, kinds[f->desc.kind]);
    buf_putc(out, '\n');
    if (open_metrics && f->unit.len) {
        buf_put_lit(out, "# UNIT ");
        buf_put_cstr(out, f->desc.name);
        buf_putc(out, ' ');
        buf_put_slice(out, f->unit);
        buf_putc(out, '\n');
    }
}

static void render_overflows(const struct metrics *m, bool open_metrics, struct buf *out)
{
    const struct family f = {
        .desc = { .name = "purlin_metric_overflow",
                  .help = "Requests for a metric series that no longer fitted.",
                  .kind = METRIC_COUNTER },
    };
    render_head(&f, open_metrics, out);
    buf_put_lit(out, "purlin_metric_overflow_total ");
    buf_put_u64(out, m->overflows);
    buf_putc(out, '\n');
}

void metrics_render(struct metrics *m, bool open_metrics, struct buf *out)
{
    (void)pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < m->families_len; i++) {
        const struct family *f = m->families[i];
        render_head(f, open_metrics, out);
        for (uint32_t at = f->first; at; at = m->series[at].next)
            render_series(m, &m->series[at], out);
    }
    render_overflows(m, open_metrics, out);
    (void)pthread_mutex_unlock(&m->lock);
    if (open_metrics)
        buf_put_lit(out, "# EOF\n");
}
