/*
 * http/files.c - Static files: a folder of the disk under a path.
 *
 * A request passes: the name is checked (hidden names do not exist) -> file_cache.c gives the file
 * as it was at most a second ago -> the best coding of it that the client accepts: a sibling
 * "name.br" that is not older, or one made here once and kept -> conditions -> ranges -> the bytes:
 * from memory when there are few, else from the kernel's cache by net_send_file.
 *
 * Names with a hash in them ("app.3f9a0c11.js") never change and may be kept for ever; others are
 * asked about each time, which costs a 304.
 */
#include "http/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/file_cache.h"

#define NAME_BYTES_MAX ((size_t)1024)
#define HASH_DIGITS_MIN 8u

struct http_files {
    struct http_files_options options;
    struct http__file_cache *cache;
    struct http_files *next; /* of the app */
    char *pattern;           /* of its route; NULL: none */
    char *folder_pattern;
};

/* -- names
 * -------------------------------------------------------------------------------------------------
 */

static const struct {
    const char *extension, *type;
} types[] = {
    { "html", "text/html; charset=utf-8" },
    { "htm", "text/html; charset=utf-8" },
    { "css", "text/css; charset=utf-8" },
    { "js", "text/javascript; charset=utf-8" },
    { "mjs", "text/javascript; charset=utf-8" },
    { "json", "application/json" },
    { "map", "application/json" },
    { "webmanifest", "application/manifest+json" },
    { "xml", "application/xml" },
    { "rss", "application/rss+xml" },
    { "atom", "application/atom+xml" },
    { "txt", "text/plain; charset=utf-8" },
    { "md", "text/markdown; charset=utf-8" },
    { "csv", "text/csv; charset=utf-8" },
    { "ics", "text/calendar; charset=utf-8" },
    { "vtt", "text/vtt; charset=utf-8" },
    { "yaml", "application/yaml" },
    { "yml", "application/yaml" },
    { "ndjson", "application/x-ndjson" },
    { "svg", "image/svg+xml" },
    { "png", "image/png" },
    { "jpg", "image/jpeg" },
    { "jpeg", "image/jpeg" },
    { "gif", "image/gif" },
    { "webp", "image/webp" },
    { "avif", "image/avif" },
    { "ico", "image/x-icon" },
    { "bmp", "image/bmp" },
    { "woff", "font/woff" },
    { "woff2", "font/woff2" },
    { "ttf", "font/ttf" },
    { "otf", "font/otf" },
    { "wasm", "application/wasm" },
    { "pdf", "application/pdf" },
    { "zip", "application/zip" },
    { "gz", "application/gzip" },
    { "zst", "application/zstd" },
    { "tar", "application/x-tar" },
    { "mp3", "audio/mpeg" },
    { "ogg", "audio/ogg" },
    { "opus", "audio/ogg" },
    { "wav", "audio/wav" },
    { "flac", "audio/flac" },
    { "m4a", "audio/mp4" },
    { "mp4", "video/mp4" },
    { "webm", "video/webm" },
    { "mov", "video/quicktime" },
};

const char *http__file_type(struct slice name)
{
    size_t dot = name.len;
    while (dot > 0 && name.data[dot - 1] != '.' && name.data[dot - 1] != '/')
        dot--;
    struct slice extension = slice_from(name, dot);
    for (size_t i = 0; dot > 0 && name.data[dot - 1] == '.' && i < ARRAY_LEN(types); i++) {
        if (slice_eq_nocase(extension, slice_cstr(types[i].extension)))
            return types[i].type;
    }
    return "application/octet-stream";
}

bool http__file_name_is_hashed(struct slice name)
{
    struct slice part;
    size_t slash = name.len;
    while (slash > 0 && name.data[slash - 1] != '/')
        slash--;
    name = slice_from(name, slash);
    unsigned n = 0;
    while (slice_split(&name, '.', &part)) {
        bool is_hash = n++ > 0 && name.data && part.len >= HASH_DIGITS_MIN;
        for (size_t i = 0; i < part.len && is_hash; i++) {
            char c = part.data[i];
            is_hash = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        }
        if (is_hash)
            return true;
    }
    return false;
}

/* Segments that begin with a dot do not exist, but for the folder that RFC 8615 reserves. */
bool http__file_name_is_served(struct slice name)
{
    struct slice segment;
    if (name.len > NAME_BYTES_MAX || memchr(name.data ? name.data : "", '\0', name.len) ||
        slice_find(name, '\\') != SIZE_MAX)
        return false;
    if (slice_ends(name, SLICE("/")))
        name.len--;
    bool is_first = true;
    while (name.len && slice_split(&name, '/', &segment)) {
        bool is_known = is_first && slice_eq(segment, SLICE(".well-known"));
        if (segment.len == 0 || (segment.data[0] == '.' && !is_known))
            return false;
        is_first = false;
    }
    return true;
}

/* -- what is sent of it
 * --------------------------------------------------------------------------------------- */

/* Bytes of one coding of a file: in memory, or of an open file. */
struct content {
    enum http__coding coding;
    struct slice memory; /* data NULL: of `file` */
    struct net_file *file;
    int64_t size;
    struct slice etag;
    int64_t modified_us;
    const char *type;
};

static void of_entry(struct http__file *f, struct content *ret)
{
    ret->memory = f->memory;
    ret->file = &f->open;
    ret->size = f->size;
    ret->etag = slice_of(f->etag, f->etag_len);
    ret->modified_us = f->modified_us;
}

/* Give back what this request holds, and hold another. */
static void hold(struct http_request *req, struct http__file *f)
{
    http__file_release(req->file);
    req->file = f;
}

static bool is_small(const struct http_request *req, const struct http__file *f)
{
    int64_t bytes_min = req->policy->compression.bytes_min;
    return f->size < (bytes_min ? bytes_min : 1024);
}

/*
 * The coding that is best for this client. A sibling is best: whoever made it had time. A range is
 * of the plain bytes: parts of a coding are of no use to who did not begin with it.
 */
static enum status choose(struct task *task, struct http_request *req, struct http_files *files,
                          struct slice name, struct content *c)
{
    struct http__file *f = req->file;
    bool can_code = !req->policy->compression.off && !is_small(req, f) &&
                    f->size <= HTTP__FILE_CODED_BYTES_MAX &&
                    http__is_compressible(req->policy, c->type);
    of_entry(f, c);
    c->coding = HTTP__IDENTITY;
    if (!can_code && !f->siblings)
        return STATUS_OK;
    http__vary_add(req, SLICE("Accept-Encoding"));
    struct slice accept = http__accept_encoding(req);
    if (!accept.data || net_header_get(http_net(req), NET_HEADER_RANGE))
        return STATUS_OK;
    bool identity_refused;
    enum http__coding coding = http__coding_choose(accept, f->siblings, &identity_refused);
    if (coding != HTTP__IDENTITY) {
        struct http__file *sibling;
        enum status st = http__file_get(
            task, files->cache,
            arena_printf(http_arena(req), "%.*s%s", SLICE_ARG(name), http__file_suffix(coding)),
            &sibling);
        if (st == STATUS_NOT_FOUND)
            return STATUS_OK; /* it went in this moment */
        if (st != STATUS_OK)
            return st;
        hold(req, sibling);
        of_entry(sibling, c);
        c->coding = coding;
        return STATUS_OK;
    }
    coding = can_code ? http__coding_choose(accept, HTTP__CODINGS_SENT, &identity_refused)
                      : HTTP__IDENTITY;
    if (coding == HTTP__IDENTITY)
        return STATUS_OK;
    struct slice coded;
    enum status st = http__file_coded(task, f, coding, &coded);
    if (st != STATUS_OK || !coded.data)
        return st;
    c->memory = coded;
    c->size = (int64_t)coded.len;
    c->etag = arena_printf(http_arena(req), "%.*s-%.*s\"", (int)c->etag.len - 1, c->etag.data,
                           SLICE_ARG(http__coding_name(coding)));
    c->coding = coding;
    return c->etag.data ? STATUS_OK : STATUS_EXHAUSTED;
}

static bool is_page(const struct content *c)
{
    return slice_starts(slice_cstr(c->type), SLICE("text/html"));
}

/* Pages name the versions of everything else, so they are asked about each time. */
static struct slice keeping(struct arena *arena, const struct http_files *files, struct slice name,
                            const struct content *c)
{
    if (http__file_name_is_hashed(name))
        return SLICE("public, max-age=31536000, immutable");
    if (files->options.max_age_s <= 0 || is_page(c))
        return SLICE("no-cache");
    return arena_printf(arena, "public, max-age=%lld", (long long)files->options.max_age_s);
}

static void add_headers(struct http_request *req, const struct http_files *files, struct slice name,
                        const struct content *c)
{
    struct arena *arena = http_arena(req);
    char *date = arena_alloc(arena, CLOCK_HTTP_DATE_LEN);
    http_header_add(req, SLICE("ETag"), c->etag);
    if (date) {
        clock_format_http(c->modified_us, date);
        http_header_add(req, SLICE("Last-Modified"), slice_of(date, CLOCK_HTTP_DATE_LEN));
    }
    http_header_add(req, SLICE("Cache-Control"), keeping(arena, files, name, c));
    http_header_add(req, SLICE("Accept-Ranges"), SLICE("bytes"));
}

/* -- ranges
 * ------------------------------------------------------------------------------------------------
 */

static struct slice content_range(struct arena *arena, const struct http_range *r, int64_t size)
{
    return arena_printf(arena, "bytes %lld-%lld/%lld", (long long)r->first,
                        (long long)(r->first + r->length - 1), (long long)size);
}

static enum status send_range(struct task *task, struct http_request *req, int status,
                              const struct content *c, const struct http_range *r)
{
    if (!c->memory.data)
        return http__send_file(task, req, status, c->type, c->file, r->first, r->length);
    http_send(req, status, c->type,
              slice_head(slice_from(c->memory, (size_t)r->first), (size_t)r->length));
    return STATUS_OK;
}

/* A part: its head, then its bytes. */
static enum status write_part(struct task *task, struct http_request *req, const struct content *c,
                              struct slice head, const struct http_range *r)
{
    enum status st = net_stream_write(task, req->x, head);
    if (st != STATUS_OK)
        return st;
    if (!c->memory.data)
        return net_stream_file(task, req->x, c->file, r->first, r->length);
    return net_stream_write(task, req->x,
                            slice_head(slice_from(c->memory, (size_t)r->first), (size_t)r->length));
}

/* multipart/byteranges (RFC 9110 section 14.6). */
static enum status send_parts(struct task *task, struct http_request *req, const struct content *c,
                              const struct http_range *ranges, unsigned len)
{
    struct arena *arena = http_arena(req);
    char boundary[16];
    struct slice heads[HTTP_RANGES_MAX], tail;
    http__hex64(random_fast(), boundary);
    int64_t total = 0;
    for (unsigned i = 0; i < len; i++) {
        heads[i] = arena_printf(
            arena, "%s--%.16s\r\nContent-Type: %s\r\nContent-Range: %.*s\r\n\r\n", i ? "\r\n" : "",
            boundary, c->type, SLICE_ARG(content_range(arena, &ranges[i], c->size)));
        total += (int64_t)heads[i].len + ranges[i].length;
        if (!heads[i].data)
            return STATUS_EXHAUSTED;
    }
    tail = arena_printf(arena, "\r\n--%.16s--\r\n", boundary);
    struct slice type =
        arena_printf(arena, "multipart/byteranges; boundary=%.16s%c", boundary, '\0');
    if (!tail.data || !type.data)
        return STATUS_EXHAUSTED;
    total += (int64_t)tail.len;
    enum status st = http__stream_begin_sized(task, req, 206, type.data, total);
    for (unsigned i = 0; i < len && st == STATUS_OK; i++)
        st = write_part(task, req, c, heads[i], &ranges[i]);
    if (st == STATUS_OK)
        st = net_stream_write(task, req->x, tail);
    return st;
}

static enum status send_unsatisfiable(struct task *task, struct http_request *req,
                                      const struct content *c)
{
    http_header_add(req, SLICE("Content-Range"),
                    arena_printf(http_arena(req), "bytes */%lld", (long long)c->size));
    return http__refuse(task, STATUS_INVALID, 416, "http/range",
                        "The file has no such bytes, or too many ranges were asked for.");
}

static enum status send_content(struct task *task, struct http_request *req,
                                const struct content *c)
{
    const struct net_request *r = http_net(req);
    const struct net_header *range = net_header_get(r, NET_HEADER_RANGE);
    const struct http_validators validators = { .etag = c->etag, .modified_us = c->modified_us };
    struct http_range ranges[HTTP_RANGES_MAX];
    unsigned len;
    if (!range || r->method != NET_METHOD_GET || !http__range_holds(r, &validators))
        return send_range(task, req, 200, c, &(struct http_range){ .length = c->size });
    switch (http_ranges_parse(range->value, c->size, ranges, &len)) {
    case HTTP_RANGES_SOME:
        break;
    case HTTP_RANGES_REFUSED:
        return send_unsatisfiable(task, req, c);
    case HTTP_RANGES_NONE:
        return send_range(task, req, 200, c, &(struct http_range){ .length = c->size });
    }
    if (len > 1)
        return send_parts(task, req, c, ranges, len);
    http_header_add(req, SLICE("Content-Range"), content_range(http_arena(req), ranges, c->size));
    return send_range(task, req, 206, c, ranges);
}

/* -- requests
 * ---------------------------------------------------------------------------------------------- */

static enum status not_found(struct task *task)
{
    return problem_set(task, STATUS_NOT_FOUND, "http/no-file", "There is no such file.");
}

/* The entry of req->file, by `name`. */
static enum status send_held(struct task *task, struct http_request *req, struct http_files *files,
                             struct slice name)
{
    struct content c = { .type = http__file_type(name) };
    enum status st = choose(task, req, files, name, &c);
    if (st != STATUS_OK)
        return st;
    req->compress = HTTP__COMPRESS_NEVER; /* it was decided here */
    add_headers(req, files, name, &c);
    const struct http_validators validators = { .etag = c.etag, .modified_us = c.modified_us };
    switch (http_conditions(req, &validators)) {
    case HTTP_NOT_MODIFIED:
        req->represents = c.type;
        http_send_empty(req, 304);
        return STATUS_OK;
    case HTTP_PRECONDITION_FAILED:
        return http__refuse(task, STATUS_CONFLICT, 412, "http/precondition-failed",
                            "The file is not in the state that the request asks for.");
    case HTTP_PROCEED:
        break;
    }
    if (c.coding != HTTP__IDENTITY)
        http_header_add(req, SLICE("Content-Encoding"), http__coding_name(c.coding));
    return send_content(task, req, &c);
}

enum status http_files_send(struct task *task, struct http_request *req, struct http_files *files,
                            struct slice name)
{
    struct http__file *f;
    if (!http__file_name_is_served(name) || name.len == 0 || slice_ends(name, SLICE("/")))
        return not_found(task);
    enum status st = http__file_get(task, files->cache, name, &f);
    if (st == STATUS_NOT_FOUND)
        return not_found(task);
    if (st != STATUS_OK)
        return st;
    if (f->is_folder) {
        http__file_release(f);
        return not_found(task);
    }
    hold(req, f);
    return send_held(task, req, files, name);
}

/* To the same with a slash, so that relative links in its page lead where they should. */
static enum status redirect_to_folder(struct http_request *req)
{
    struct slice path = http_path(req), query = http_net(req)->query;
    struct slice target = arena_printf(http_arena(req), "%.*s/%s%.*s", SLICE_ARG(path),
                                       query.data ? "?" : "", SLICE_ARG(query));
    if (!target.data)
        return STATUS_EXHAUSTED;
    http_header_add(req, SLICE("Location"), target);
    http_send_empty(req, 301);
    return STATUS_OK;
}

static bool is_navigation(struct http_request *req)
{
    const struct net_header *accept = net_header_get(http_net(req), NET_HEADER_ACCEPT);
    return accept && slice_find_slice(accept->value, SLICE("text/html")) != SIZE_MAX;
}

/* Nothing is there: pages of a front end that routes by itself begin with its one page. */
static enum status send_fallback(struct task *task, struct http_request *req,
                                 struct http_files *files)
{
    http__vary_add(req, SLICE("Accept"));
    if (!files->options.fallback.len || !is_navigation(req))
        return not_found(task);
    return http_files_send(task, req, files, files->options.fallback);
}

static enum status get_file(struct task *task, struct http_request *req, void *arg)
{
    struct http_files *files = arg;
    struct slice name = http_path_param(req, SLICE("path"));
    struct http__file *f;
    if (!name.data || !http__file_name_is_served(name))
        return not_found(task);
    if (name.len == 0 || slice_ends(name, SLICE("/"))) {
        name = arena_printf(http_arena(req), "%.*sindex.html", SLICE_ARG(name));
        if (!name.data)
            return STATUS_EXHAUSTED;
    }
    enum status st = http__file_get(task, files->cache, name, &f);
    if (st == STATUS_NOT_FOUND)
        return files->options.fallback.len ? send_fallback(task, req, files) : not_found(task);
    if (st != STATUS_OK)
        return st;
    if (f->is_folder) {
        http__file_release(f);
        return redirect_to_folder(req);
    }
    hold(req, f);
    return send_held(task, req, files, name);
}

static void get_folder(struct http_request *req, void *arg)
{
    (void)arg;
    if (redirect_to_folder(req) != STATUS_OK)
        http__send_simple(req, STATUS_EXHAUSTED, 0, NULL, NULL);
}

static void done(struct http_request *req)
{
    http__file_release(req->file);
    req->file = NULL;
}

const struct http__step http__step_files = {
    .name = "files",
    .done = done,
};

/* -- life
 * ------------------------------------------------------------------------------------------------
 */

static char *join(const char *path, const char *tail)
{
    size_t len = strlen(path), tail_len = strlen(tail);
    if (len > 0 && path[len - 1] == '/')
        len--;
    char *joined = malloc(len + tail_len + 1);
    if (joined) {
        memcpy(joined, path, len);
        memcpy(joined + len, tail, tail_len + 1);
    }
    return joined;
}

static enum status add_routes(struct http_app *app, struct http_files *files,
                              const char **ret_reason)
{
    const char *path = files->options.path;
    files->pattern = join(path, "/{path*}");
    files->folder_pattern = join(path, "");
    if (!files->pattern || !files->folder_pattern)
        return STATUS_EXHAUSTED;
    struct http_route route = { .method = NET_METHOD_GET,
                                .pattern = files->pattern,
                                .handler = get_file,
                                .arg = files,
                                .body_bytes_max = -1 };
    enum status st = http_route_add(app, &route, ret_reason);
    if (st != STATUS_OK || !files->folder_pattern[0])
        return st;
    route.pattern = files->folder_pattern;
    route.handler = NULL;
    route.handle_inline = get_folder;
    return http_route_add(app, &route, ret_reason);
}

enum status http_files_add(struct http_app *app, const struct http_files_options *options,
                           struct http_files **ret_files, const char **ret_reason)
{
    *ret_reason = "out of memory";
    struct http_files *files = calloc(1, sizeof(*files));
    if (!files)
        return STATUS_EXHAUSTED;
    files->options = *options;
    enum status st = http__file_cache_new(app, options->folder, &files->cache, ret_reason);
    if (st == STATUS_OK && options->path) /* NULL: somebody else finds the names */
        st = add_routes(app, files, ret_reason);
    if (st != STATUS_OK) {
        http__files_free(files);
        return st;
    }
    files->next = app->files;
    app->files = files;
    if (ret_files)
        *ret_files = files;
    return STATUS_OK;
}

void http__files_free(struct http_files *files)
{
    for (struct http_files *next; files; files = next) {
        next = files->next;
        http__file_cache_free(files->cache);
        free(files->pattern);
        free(files->folder_pattern);
        free(files);
    }
}
