#include "contract/load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"
#include "contract/format.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define SET_BYTES_MAX                                                                              \
    ((size_t)256 << 20) /* of the model: far beyond the most that the limits allow */
#define DESCRIPTION_BYTES_MAX 4000u

/* -- reporting --------------------------------------------------------------- */

void contract__fail(struct contract__loader *ld, const struct contract__draft *d,
                    const struct yaml_node *node, struct slice key, struct slice hint,
                    const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice message = arena_vprintf(ld->arena, format, args);
    va_end(args);
    diag_add(ld->diag, d->file, node ? node->line : 0, node ? node->column : 0, key, hint, "%.*s",
             SLICE_ARG(message));
}

/* Where `text` begins in the file when it stands there as it is, from the node's place on; SIZE_MAX
 * when not. */
static size_t place_in_file(const struct contract__draft *d, const struct yaml_node *node,
                            struct slice text)
{
    size_t i = 0;
    for (int line = 1; line < node->line; line++) {
        size_t end = slice_find(slice_from(d->text, i), '\n');
        if (end == SIZE_MAX)
            return SIZE_MAX;
        i += end + 1;
    }
    size_t start = i + (size_t)(node->column - 1) + (node->quoted ? 1 : 0);
    return slice_starts(slice_from(d->text, start), text) ? start : SIZE_MAX;
}

struct contract_place contract__place_of(const struct contract__draft *d,
                                         const struct yaml_node *node)
{
    return (struct contract_place){ .line = node->line,
                                    .column = node->column + (node->quoted ? 1 : 0),
                                    .is_plain = place_in_file(d, node, node->text) != SIZE_MAX };
}

void contract__fail_at(struct contract__loader *ld, const struct contract__draft *d,
                       const struct yaml_node *node, size_t offset, struct slice key,
                       struct slice hint, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice message = arena_vprintf(ld->arena, format, args);
    va_end(args);
    int column = node->column;
    struct slice before = slice_head(node->text, offset);
    /* Only what stands on one line, unfolded and without escapes, can be pointed into. */
    if (place_in_file(d, node, before) != SIZE_MAX)
        column += (int)utf8_count(before) + (node->quoted ? 1 : 0);
    diag_add(ld->diag, d->file, node->line, column, key, hint, "%.*s", SLICE_ARG(message));
}

struct slice contract__path(struct contract__loader *ld, struct slice parent, struct slice key)
{
    if (parent.len == 0)
        return key;
    struct slice path =
        arena_printf(ld->arena, "%.*s.%.*s", SLICE_ARG(parent), SLICE_ARG(slice_head(key, 80)));
    return path.data ? path : SLICE("");
}

struct slice contract__allowed(struct contract__loader *ld, struct slice wrong,
                               const struct slice *names, size_t names_len)
{
    struct buf out;
    buf_init(&out, ld->arena, 256, 4096);
    struct slice nearest = diag_suggest(ld->arena, wrong, names, names_len);
    buf_put_slice(&out, nearest);
    buf_put_cstr(&out, nearest.len ? " Allowed: " : "Allowed: ");
    for (size_t i = 0; i < names_len; i++) {
        buf_put_cstr(&out, i ? ", " : "");
        buf_put_slice(&out, names[i]);
    }
    buf_putc(&out, '.');
    return buf_slice(&out);
}

void contract__fail_unknown(struct contract__loader *ld, const struct contract__draft *d,
                            const struct yaml_node *node, struct slice path, const char *what,
                            struct slice wrong, const struct slice *names, size_t names_len)
{
    contract__fail(ld, d, node, path, contract__allowed(ld, wrong, names, names_len),
                   "unknown %s `%.*s`", what, SLICE_ARG(slice_head(wrong, 80)));
}

/* -- plain values ------------------------------------------------------------ */

bool contract__read_text(struct contract__loader *ld, const struct contract__draft *d,
                         const struct yaml_node *node, struct slice key, struct slice *ret)
{
    if (node->kind != YAML_SCALAR || yaml_is_null(node)) {
        contract__fail(ld, d, node, key, SLICE_NULL, "must be text");
        return false;
    }
    *ret = node->text;
    return true;
}

bool contract__read_bool(struct contract__loader *ld, const struct contract__draft *d,
                         const struct yaml_node *node, struct slice key, bool *ret)
{
    if (yaml_to_bool(node, ret))
        return true;
    contract__fail(ld, d, node, key, SLICE_NULL, "must be true or false");
    return false;
}

bool contract__read_integer(struct contract__loader *ld, const struct contract__draft *d,
                            const struct yaml_node *node, struct slice key, int64_t min,
                            int64_t max, int64_t *ret)
{
    int64_t value;
    if (!yaml_to_i64(node, &value)) {
        contract__fail(ld, d, node, key, SLICE_NULL, "must be a whole number");
        return false;
    }
    if (value < min || value > max) {
        contract__fail(ld, d, node, key, SLICE_NULL, "must be between %lld and %lld",
                       (long long)min, (long long)max);
        return false;
    }
    *ret = value;
    return true;
}

void *contract__calloc(struct contract__loader *ld, size_t count, size_t size)
{
    void *p = arena_calloc(ld->arena, MAX(count, 1), size);
    ld->exhausted |= !p;
    return p;
}

/* -- a file ------------------------------------------------------------------ */

static bool name_is_reserved(struct slice name)
{
    /* Tables of the program and of SQLite, and a path of the API. */
    return slice_eq(name, SLICE("batch")) || slice_starts(name, SLICE("purlin_")) ||
           slice_starts(name, SLICE("sqlite_")) || slice_starts(name, SLICE("identity_"));
}

static bool read_name(struct contract__loader *ld, const struct contract__draft *d,
                      struct slice *ret)
{
    const struct slice key = SLICE("resource");
    const struct yaml_node *node = yaml_get(d->root, key);
    struct slice name;
    if (!node) {
        contract__fail(ld, d, d->root, key, SLICE_NULL, "missing: the name of the resource");
        return false;
    }
    if (!contract__read_text(ld, d, node, key, &name))
        return false;
    if (!contract__name_is_valid(name)) {
        contract__fail(
            ld, d, node, key, SLICE("As in `blog_posts`."),
            "must begin with a lower-case letter and have at most 63 lower-case letters, "
            "digits and underscores");
        return false;
    }
    if (name_is_reserved(name) || slice_find_slice(name, SLICE("__")) != SIZE_MAX) {
        contract__fail(
            ld, d, node, key, SLICE_NULL,
            "`%.*s` is reserved, as are batch, purlin_*, sqlite_*, identity_* and names with "
            "two underscores in a row",
            SLICE_ARG(name));
        return false;
    }
    *ret = name;
    return true;
}

static void check_top_keys(struct contract__loader *ld, const struct contract__draft *d)
{
    for (const struct yaml_node *value = d->root->first; value; value = value->next) {
        struct slice key = value->key->text;
        unsigned i = 0;
        while (i < contract__top_keys_len && !slice_eq(key, contract__top_keys[i]))
            i++;
        if (i == contract__top_keys_len)
            contract__fail_unknown(ld, d, value->key, SLICE_NULL, "key", key, contract__top_keys,
                                   contract__top_keys_len);
    }
}

static struct contract *contract_new(struct contract__loader *ld, struct contract__draft *d,
                                     struct slice name)
{
    struct contract *c = contract__calloc(ld, 1, sizeof(*c));
    if (!c || arena_copy(ld->arena, name, &c->name) != STATUS_OK ||
        arena_copy(ld->arena, d->file, &c->file) != STATUS_OK) {
        ld->exhausted = true;
        return NULL;
    }
    const struct yaml_node *description = yaml_get(d->root, SLICE("description"));
    c->description = SLICE("");
    if (description &&
        contract__read_text(ld, d, description, SLICE("description"), &c->description) &&
        c->description.len > DESCRIPTION_BYTES_MAX)
        contract__fail(ld, d, description, SLICE("description"), SLICE_NULL, "longer than %u bytes",
                       DESCRIPTION_BYTES_MAX);
    const struct yaml_node *soft = yaml_get(d->root, SLICE("soft_delete"));
    if (soft)
        (void)contract__read_bool(ld, d, soft, SLICE("soft_delete"), &c->soft_delete);
    return c;
}

static void read_draft(struct contract__loader *ld, struct contract__draft *d)
{
    struct yaml_node *root;
    enum status st =
        yaml_read(d->text, d->file, (struct yaml_limits){ .bytes_max = FILE_BYTES_MAX }, ld->arena,
                  ld->diag, &root);
    ld->incomplete |= st != STATUS_OK;
    ld->exhausted |= st == STATUS_EXHAUSTED;
    if (st != STATUS_OK)
        return;
    d->root = root;
    if (root->kind != YAML_MAP) {
        contract__fail(ld, d, root, SLICE_NULL, SLICE_NULL,
                       "a contract is a map that begins with `resource: NAME`");
        ld->incomplete = true;
        return;
    }
    check_top_keys(ld, d);
    struct slice name;
    if (!read_name(ld, d, &name)) {
        ld->incomplete = true;
        return;
    }
    d->contract = contract_new(ld, d, name);
    if (d->contract)
        contract__read_fields(ld, d);
}

/* -- all files --------------------------------------------------------------- */

static int compare_drafts(const void *a, const void *b)
{
    const struct contract__draft *x = a, *y = b;
    if (!x->contract || !y->contract)
        return !x->contract - !y->contract;
    int by_name = slice_cmp(x->contract->name, y->contract->name);
    return by_name != 0 ? by_name : slice_cmp(x->file, y->file);
}

/* Sort by name, refuse doubles, and list the contracts in the set. */
static void collect(struct contract__loader *ld)
{
    struct contract_set *set = &ld->owned->set;
    qsort(ld->drafts, ld->drafts_len, sizeof(ld->drafts[0]), compare_drafts);
    set->contracts = contract__calloc(ld, ld->drafts_len, sizeof(struct contract *));
    if (!set->contracts)
        return;
    for (unsigned i = 0; i < ld->drafts_len; i++) {
        struct contract__draft *d = &ld->drafts[i];
        if (!d->contract)
            break;
        if (set->len > 0 && slice_eq(set->contracts[set->len - 1]->name, d->contract->name)) {
            contract__fail(ld, d, yaml_get(d->root, SLICE("resource")), SLICE("resource"),
                           SLICE_NULL, "`%.*s` is also the resource of %.*s",
                           SLICE_ARG(d->contract->name),
                           SLICE_ARG(set->contracts[set->len - 1]->file));
            d->contract = NULL;
            continue;
        }
        d->contract->index = set->len;
        set->contracts[set->len++] = d->contract;
        set->fingerprint = hash64(d->text, set->fingerprint);
    }
}

static enum status build(struct contract__loader *ld)
{
    unsigned before = ld->diag->len + ld->diag->dropped;
    for (unsigned i = 0; i < ld->drafts_len && !ld->exhausted; i++)
        read_draft(ld, &ld->drafts[i]);
    if (!ld->exhausted)
        collect(ld);
    if (!ld->exhausted)
        contract__link(ld);
    for (unsigned i = 0; i < ld->drafts_len && !ld->exhausted; i++) {
        if (ld->drafts[i].contract)
            contract__read_options(ld, &ld->drafts[i]);
    }
    if (ld->exhausted)
        return STATUS_EXHAUSTED;
    return ld->diag->len + ld->diag->dropped == before ? STATUS_OK : STATUS_INVALID;
}

enum status contract_set_parse(const struct contract_source *sources, unsigned sources_len,
                               struct diag *diag, struct contract_set **ret_set)
{
    if (sources_len > CONTRACT_RESOURCES_MAX) {
        diag_add(diag, SLICE_NULL, 0, 0, SLICE_NULL, SLICE_NULL, "more than %u contracts",
                 CONTRACT_RESOURCES_MAX);
        return STATUS_INVALID;
    }
    struct arena *arena = arena_new(/* pool= */ NULL, SET_BYTES_MAX);
    struct contract__loader ld = { .arena = arena, .diag = diag, .drafts_len = sources_len };
    struct contract__owned *owned = contract__calloc(&ld, 1, sizeof(*owned));
    ld.drafts = contract__calloc(&ld, sources_len, sizeof(*ld.drafts));
    if (ld.exhausted) {
        arena_free(arena);
        return STATUS_EXHAUSTED;
    }
    owned->set.arena = arena;
    owned->set.version_number = 1;
    owned->set.version = SLICE("v1");
    ld.owned = owned;
    enum status st = STATUS_OK;
    for (unsigned i = 0; i < sources_len && st == STATUS_OK; i++) {
        /* The model points into the texts: it keeps its own. */
        st = arena_copy(arena, sources[i].file, &ld.drafts[i].file);
        if (st == STATUS_OK)
            st = arena_copy(arena, sources[i].text, &ld.drafts[i].text);
    }
    if (st == STATUS_OK)
        st = build(&ld);
    if (st != STATUS_OK) {
        contract_set_free(&owned->set);
        return st;
    }
    *ret_set = &owned->set;
    return STATUS_OK;
}

/* -- a folder ---------------------------------------------------------------- */

static int is_contract_file(const struct dirent *entry)
{
    struct slice name = slice_cstr(entry->d_name);
    return name.len > 0 && name.data[0] != '.' && !slice_ends(name, SLICE(".test.yaml")) &&
           (slice_ends(name, SLICE(".yaml")) || slice_ends(name, SLICE(".yml")));
}

static enum status read_file(const char *path, struct arena *arena, struct slice *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return STATUS_UNAVAILABLE;
    /* One byte more than is allowed shows that there is more. */
    char *data = malloc(FILE_BYTES_MAX + 1);
    size_t len = 0;
    ssize_t n = data ? 1 : -1;
    while (n > 0 && len <= FILE_BYTES_MAX) {
        n = read(fd, data + len, FILE_BYTES_MAX + 1 - len);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            len += (size_t)n;
    }
    (void)close(fd);
    enum status st = n < 0 ? STATUS_UNAVAILABLE : arena_copy(arena, slice_of(data, len), ret);
    free(data);
    return st;
}

static void load_files(const char *folder, struct dirent **entries, unsigned len,
                       struct arena *arena, struct diag *diag, struct contract_source *sources)
{
    for (unsigned i = 0; i < len; i++) {
        struct slice path = arena_printf(arena, "%s/%s", folder, entries[i]->d_name);
        char *name = arena_cstr(arena, path);
        sources[i].file = path;
        if (slice_ends(path, SLICE(".yml")))
            diag_add(diag, path, 0, 0, SLICE_NULL, SLICE_NULL,
                     "contracts are named *.yaml; rename it");
        if (!name || read_file(name, arena, &sources[i].text) != STATUS_OK)
            diag_add(diag, path, 0, 0, SLICE_NULL, SLICE_NULL, "cannot be read");
    }
}

static int is_version_folder(const struct dirent *entry)
{
    return contract__version_of(slice_cstr(entry->d_name)) > 0;
}

/* The *.yaml of a folder, in the order of their names. The number of them, or -1. */
static int scan_files(const char *folder, struct arena *arena, struct diag *diag,
                      struct contract_source **ret_sources)
{
    struct dirent **entries = NULL;
    int found = scandir(folder, &entries, is_contract_file, alphasort);
    unsigned len = MIN((unsigned)MAX(found, 0), CONTRACT_RESOURCES_MAX + 1);
    struct contract_source *sources = arena_array_of(arena, struct contract_source, MAX(len, 1u));
    load_files(folder, entries, len, arena, diag, sources);
    for (int i = 0; i < found; i++)
        free(entries[i]);
    free(entries);
    *ret_sources = sources;
    return found < 0 ? -1 : (int)len;
}

static enum status load_versions(const char *folder, const struct contract_source *sources,
                                 unsigned sources_len, struct arena *arena, struct diag *diag,
                                 struct contract_set *set)
{
    struct dirent **entries = NULL;
    int found = scandir(folder, &entries, is_version_folder, alphasort);
    enum status st = STATUS_OK;
    if (found > (int)CONTRACT_VERSIONS_MAX) {
        diag_add(diag, slice_cstr(folder), 0, 0, SLICE_NULL, SLICE_NULL,
                 "more than %u older versions", CONTRACT_VERSIONS_MAX);
        st = STATUS_INVALID;
    }
    for (int i = 0; i < found; i++) {
        struct slice name = slice_cstr(entries[i]->d_name);
        char *path = arena_cstr(arena, arena_printf(arena, "%s/%.*s", folder, SLICE_ARG(name)));
        struct contract_source *overlays;
        int len = path && st != STATUS_EXHAUSTED ? scan_files(path, arena, diag, &overlays) : -1;
        if (len < 0)
            diag_add(diag, slice_cstr(folder), 0, 0, name, SLICE_NULL,
                     "this folder of an older version cannot be read");
        enum status each =
            len < 0 ? STATUS_INVALID
                    : contract_set_version_add(set, contract__version_of(name), sources,
                                               sources_len, overlays, (unsigned)len, diag);
        st = st == STATUS_OK ? each : st;
        free(entries[i]);
    }
    free(entries);
    return st;
}

enum status contract_set_load(struct slice folder, struct diag *diag, struct contract_set **ret_set)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(/* pool= */ NULL, /* budget_bytes= */ 0);
    char *name = arena_cstr(arena, folder.len > 1 && slice_ends(folder, SLICE("/"))
                                       ? slice_head(folder, folder.len - 1)
                                       : folder);
    unsigned before = diag->len + diag->dropped;
    struct contract_source *sources = NULL;
    int len = name ? scan_files(name, arena, diag, &sources) : -1;
    if (len <= 0) {
        diag_add(diag, folder, 0, 0, SLICE_NULL, SLICE_NULL,
                 len < 0 ? "this folder of contracts cannot be read"
                         : "no contracts (*.yaml) here");
        return STATUS_INVALID;
    }
    struct contract_set *set = NULL;
    enum status st = contract_set_parse(sources, (unsigned)len, diag, &set);
    if (st != STATUS_OK)
        return st;
    st = load_versions(name, sources, (unsigned)len, arena, diag, set);
    if (st == STATUS_OK && diag->len + diag->dropped != before)
        st = STATUS_INVALID;
    if (st == STATUS_OK)
        *ret_set = set;
    else
        contract_set_free(set);
    return st;
}
