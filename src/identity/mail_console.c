/*
 * identity/mail_console.c - /console/mail: the mailbox of development, for whoever sits at this
 * machine. What is in it opens accounts, and any page of the internet may make a browser ask for
 * it: so the request has to come from this machine and by a name that only this machine has (a
 * name that somebody else can point here is how pages reach local servers), or from
 * somebody with the permission, whose key no browser sends by itself.
 */
#include "base/address.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/rights.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/mail_mime.h"
#include "identity/mail_pages.h"
#include "identity/mail_private.h"

#define PAGE_MAX ((size_t)4 << 20)
#define PAGE "text/html; charset=utf-8"

/* -- for whom
 * ------------------------------------------------------------------------------------------------
 */

/* "localhost:8000", "127.0.0.1", "[::1]:8000": never a name of the DNS. */
static bool is_local_name(struct slice host)
{
    struct address address;
    bool is_bracketed = host.len > 0 && host.data[0] == '[';
    size_t end = slice_find(host, is_bracketed ? ']' : ':');
    struct slice name = end == SIZE_MAX ? host : slice_head(host, end);
    if (is_bracketed)
        name = slice_from(name, 1);
    return slice_eq_nocase(name, SLICE("localhost")) ||
           (name.len > 10 &&
            slice_eq_nocase(slice_from(name, name.len - 10), SLICE(".localhost"))) ||
           address_parse(name, &address);
}

static enum status let_in(struct task *task, struct http_request *req)
{
    const struct address *from = http_client_address(req);
    bool is_here = !from || address_is_loopback(from); /* NULL: over a unix socket */
    if (task_caller_has(http_caller(req), SLICE(RIGHTS_MAIL)) ||
        (is_here && is_local_name(http_client_host(req))))
        return STATUS_OK;
    return problem_set(task, STATUS_DENIED, "identity/mailbox",
                       "These mails open accounts. Look at them from the machine that the server "
                       "runs on, by the name localhost, or with the permission " RIGHTS_MAIL ".");
}

/* -- what is read
 * -------------------------------------------------------------------------------------------- */

struct listing {
    const char *folder;
    struct arena *arena;
    struct identity__mail_entry *entries;
    unsigned len;
};

static void read_list(void *arg)
{
    struct listing *l = arg;
    struct uuid *ids = arena_array_of(l->arena, struct uuid, IDENTITY__MAIL_FILES_MAX);
    unsigned len = ids ? identity__mail_folder_list(l->folder, ids) : 0;
    for (unsigned i = 0; i < len; i++) {
        struct identity__mail_entry *entry = &l->entries[l->len];
        struct arena *own = arena_new(NULL, 0);
        struct identity__mime_view view;
        struct slice message;
        bool is_read = identity__mail_folder_read(l->folder, &ids[i], own, &message) == STATUS_OK &&
                       identity__mime_read(own, message, &view) == STATUS_OK;
        *entry = (struct identity__mail_entry){ .id = ids[i] };
        /* One that is gone meanwhile, or no mail, is left out. */
        if (is_read && arena_copy(l->arena, view.to, &entry->view.to) == STATUS_OK &&
            arena_copy(l->arena, view.subject, &entry->view.subject) == STATUS_OK &&
            arena_copy(l->arena, view.date, &entry->view.date) == STATUS_OK &&
            arena_copy(l->arena, view.kind, &entry->view.kind) == STATUS_OK)
            l->len++;
        arena_free(own);
    }
}

/* A worker allocates from the heap: the pool of the arena belongs to the loop. */
static enum status offload_with(struct task *task, void (*fn)(void *arg), void *arg)
{
    struct arena_pool *pool = arena_pool_swap(task_arena(task), NULL);
    enum status st = task_offload(task, fn, arg);
    (void)arena_pool_swap(task_arena(task), pool);
    return st;
}

struct reading {
    const char *folder;
    struct uuid id;
    struct arena *arena;
    struct slice message;
    enum status st;
};

static void read_one(void *arg)
{
    struct reading *r = arg;
    r->st = identity__mail_folder_read(r->folder, &r->id, r->arena, &r->message);
}

/* The mail that the request names. */
static enum status load(struct task *task, struct http_request *req,
                        const struct identity_mail *mail, struct uuid *ret_id,
                        struct slice *ret_message)
{
    struct reading reading = { .folder = mail->folder,
                               .arena = task_arena(task),
                               .st = STATUS_NOT_FOUND };
    enum status st = let_in(task, req);
    if (st != STATUS_OK)
        return st;
    if (uuid_parse(http_path_param(req, SLICE("id")), &reading.id))
        st = offload_with(task, read_one, &reading);
    if (st == STATUS_OK)
        st = reading.st;
    if (st == STATUS_NOT_FOUND)
        return problem_set(task, st, "identity/no-such-mail", "There is no such mail any more.");
    *ret_id = reading.id;
    *ret_message = reading.message;
    return st;
}

/* -- routes
 * --------------------------------------------------------------------------------------------------
 */

static enum status send_page(struct task *task, struct http_request *req, const struct buf *page)
{
    if (buf_status(page) != STATUS_OK)
        return problem_set(task, STATUS_EXHAUSTED, "identity/mailbox", "The page grew too large.");
    http_header_add(req, SLICE("Cache-Control"), SLICE("no-store"));
    http_send(req, 200, PAGE, buf_slice(page));
    return STATUS_OK;
}

static enum status get_list(struct task *task, struct http_request *req, void *arg)
{
    const struct identity_mail *mail = arg;
    struct listing listing = { .folder = mail->folder, .arena = task_arena(task) };
    enum status st = let_in(task, req);
    if (st != STATUS_OK)
        return st;
    listing.entries =
        arena_array_of(listing.arena, struct identity__mail_entry, IDENTITY__MAIL_FILES_MAX);
    st = listing.entries ? offload_with(task, read_list, &listing) : STATUS_EXHAUSTED;
    if (st != STATUS_OK)
        return st;
    struct buf page;
    buf_init(&page, listing.arena, 16384, PAGE_MAX);
    identity__mail_page_list(&page, listing.entries, listing.len, slice_cstr(mail->folder));
    return send_page(task, req, &page);
}

static enum status get_one(struct task *task, struct http_request *req, void *arg)
{
    struct uuid id;
    struct slice message;
    struct identity__mime_view view;
    enum status st = load(task, req, arg, &id, &message);
    if (st == STATUS_OK)
        st = identity__mime_read(task_arena(task), message, &view);
    if (st != STATUS_OK)
        return st;
    struct buf page;
    buf_init(&page, task_arena(task), 16384, PAGE_MAX);
    identity__mail_page_one(&page, &id, &view);
    http_header_add(req, SLICE("Content-Security-Policy"),
                    SLICE(HTTP_CSP_PAGE "; frame-src 'self'"));
    return send_page(task, req, &page);
}

static enum status get_html(struct task *task, struct http_request *req, void *arg)
{
    struct uuid id;
    struct slice message;
    struct identity__mime_view view;
    enum status st = load(task, req, arg, &id, &message);
    if (st == STATUS_OK)
        st = identity__mime_read(task_arena(task), message, &view);
    if (st != STATUS_OK)
        return st;
    struct buf page;
    buf_init(&page, task_arena(task), 16384, PAGE_MAX);
    identity__mail_page_frame(&page, view.html);
    /* Also when it is opened by itself: no script, nothing loaded, no origin. */
    http_header_add(req, SLICE("Content-Security-Policy"),
                    SLICE("sandbox allow-popups allow-popups-to-escape-sandbox; default-src "
                          "'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
                          "form-action 'none'; frame-ancestors 'self'"));
    http_header_add(req, SLICE("X-Frame-Options"), SLICE("SAMEORIGIN"));
    return send_page(task, req, &page);
}

static enum status get_raw(struct task *task, struct http_request *req, void *arg)
{
    struct uuid id;
    struct slice message;
    enum status st = load(task, req, arg, &id, &message);
    if (st != STATUS_OK)
        return st;
    http_header_add(req, SLICE("Cache-Control"), SLICE("no-store"));
    http_send(req, 200, "text/plain; charset=utf-8", message);
    return STATUS_OK;
}

enum status identity_mail_console_add(struct identity_mail *mail, struct http_app *app)
{
    static const struct {
        const char *pattern;
        http_handler_fn fn;
    } routes[] = {
        { "/console/mail", get_list },
        { "/console/mail/{id}", get_one },
        { "/console/mail/{id}/html", get_html },
        { "/console/mail/{id}/raw", get_raw },
    };
    enum status st = STATUS_OK;
    for (size_t i = 0; mail->folder && i < ARRAY_LEN(routes) && st == STATUS_OK; i++) {
        const char *reason;
        st = http_route_add(app,
                            &(struct http_route){ .method = NET_METHOD_GET,
                                                  .pattern = routes[i].pattern,
                                                  .handler = routes[i].fn,
                                                  .arg = mail,
                                                  .body_bytes_max = -1 },
                            &reason);
    }
    return st;
}
