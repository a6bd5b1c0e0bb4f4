/* identity/related_origins.c - Pages of other origins that may use passkeys. */
#include "identity/related_origins.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/macros.h"
#include "http/http.h"
#include "identity/room.h"

#define DOCUMENT_BYTES_MAX ((size_t)16 * 1024)
#define ANDROID "android:apk-key-hash:" /* of the key that signs an app */
#define ANDROID_HASH_LEN 43u            /* base64url of SHA-256, without padding */

static bool next_origin(struct slice *rest, struct slice *ret)
{
    while (rest->len) {
        (void)slice_split(rest, ',', ret);
        *ret = slice_trim(*ret);
        if (ret->len)
            return true;
    }
    return false;
}

bool identity_origin_is_related(struct slice list, struct slice origin)
{
    struct slice one;
    while (next_origin(&list, &one))
        if (slice_eq(one, origin))
            return true;
    return false;
}

/* -- what may be one
 * ----------------------------------------------------------------------------------- */

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

static bool is_base64url(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            return false;
    }
    return true;
}

/* "app.example.org", "localhost:3000": no path, no wildcard, no port that the scheme has anyway. */
static bool is_host(struct slice text, struct slice default_port)
{
    struct slice port = SLICE("");
    size_t colon = slice_find(text, ':');
    int64_t number = 1;
    if (colon != SIZE_MAX) {
        port = slice_from(text, colon + 1);
        text = slice_head(text, colon);
        if (!slice_to_i64(port, &number) || port.data[0] == '0')
            return false;
    }
    for (size_t i = 0; i < text.len; i++)
        if (!is_host_char(text.data[i]))
            return false;
    return text.len > 0 && text.len <= 253 && number > 0 && number <= 65535 &&
           !slice_eq(port, default_port);
}

static bool is_origin(struct slice text)
{
    static const struct slice https = SLICE_INIT("https://"), http = SLICE_INIT("http://"),
                              android = SLICE_INIT(ANDROID);
    if (slice_starts(text, https))
        return is_host(slice_from(text, https.len), SLICE("443"));
    if (slice_starts(text, android))
        return text.len == android.len + ANDROID_HASH_LEN &&
               is_base64url(slice_from(text, android.len));
    struct slice host = slice_from(text, http.len);
    return slice_starts(text, http) && is_host(host, SLICE("80")) &&
           (slice_eq(host, SLICE("localhost")) || slice_starts(host, SLICE("localhost:")));
}

const char *identity_passkey_origins_check(struct slice list)
{
    struct slice one;
    unsigned len = 0;
    while (next_origin(&list, &one)) {
        if (!is_origin(one))
            return "has origins as browsers write them, comma-separated: https://app.example.org, "
                   "http://localhost:3000, " ANDROID "...";
        if (++len > IDENTITY_PASSKEY_ORIGINS_MAX)
            return "has more than 32 origins";
    }
    return NULL;
}

/* -- the document
 * --------------------------------------------------------------------------------------- */

static void serve(struct http_request *req, void *arg)
{
    const struct identity *identity = arg;
    struct slice rest = identity->options.passkey_origins, one;
    struct buf b;
    buf_init(&b, http_arena(req), 512, DOCUMENT_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    json_out_key(&o, SLICE("origins"));
    json_out_array(&o);
    while (next_origin(&rest, &one))
        if (!slice_starts(one, SLICE(ANDROID))) /* apps are known by another document */
            json_out_string(&o, one);
    json_out_end(&o);
    json_out_end(&o);
    if (buf_status(&b) != STATUS_OK) {
        http_send_empty(req, 503);
        return;
    }
    http_header_add(req, SLICE("Cache-Control"), SLICE("public, max-age=300"));
    http_send_json(req, 200, buf_slice(&b));
}

enum status identity__related_origins_open(struct identity *identity)
{
    const char *reason;
    if (!identity->options.passkey_origins.len)
        return STATUS_OK;
    return http_route_add(identity->app,
                          &(struct http_route){ .method = NET_METHOD_GET,
                                                .pattern = "/.well-known/webauthn",
                                                .handle_inline = serve,
                                                .arg = identity,
                                                .priority = HTTP_PRIORITY_READ,
                                                .body_bytes_max = -1,
                                                .any_origin = true,
                                                .summary = "Origins whose pages may use passkeys "
                                                           "of this host.",
                                                .tag = "auth",
                                                .operation_id = "relatedOrigins" },
                          &reason);
}
