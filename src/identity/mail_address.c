/*
 * identity/mail_address.c - Which addresses mail is sent to. What servers read in different ways
 * (quoted local parts, comments, routes, address literals) is refused instead of understood, and so
 * is whatever could end a header line.
 */
#include "identity/mail_address.h"

#include <curl/curl.h>
#include <locale.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "identity/mail.h"
#include "identity/mail_mime.h"

#define LOCAL_MAX 64u
#define DOMAIN_MAX 253u
#define LABEL_MAX 63u

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* RFC 5322 section 3.2.3. */
static bool is_atext(char c)
{
    return is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static const char *local_fault(struct slice local)
{
    if (local.len == 0)
        return "has nothing before the @.";
    if (local.len > LOCAL_MAX)
        return "has more than 64 characters before the @.";
    for (size_t i = 0; i < local.len; i++) {
        char c = local.data[i];
        bool is_dot = c == '.' && i > 0 && i + 1 < local.len && local.data[i - 1] != '.';
        if ((unsigned char)c >= 0x80)
            return "has letters before the @ that not every mail server takes.";
        if (!is_dot && !is_atext(c))
            return "has a character or a dot before the @ that cannot stand there.";
    }
    return NULL;
}

static bool is_label(struct slice label)
{
    if (label.len == 0 || label.len > LABEL_MAX || label.data[0] == '-' ||
        label.data[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_alnum(label.data[i]) && label.data[i] != '-')
            return false;
    return true;
}

static bool is_number(struct slice label)
{
    for (size_t i = 0; i < label.len; i++)
        if (label.data[i] < '0' || label.data[i] > '9')
            return false;
    return true;
}

static const char *domain_fault(struct slice domain)
{
    struct slice rest = domain, label = SLICE_NULL;
    if (domain.len == 0)
        return "has nothing after the @.";
    if (domain.len > DOMAIN_MAX)
        return "has a domain that is too long.";
    while (slice_split(&rest, '.', &label))
        if (!is_label(label))
            return "has no domain name after the @.";
    return is_number(label) ? "has a number for a domain." : NULL;
}

/* libcurl asks libidn2, which reads names in the encoding of the thread's locale. */
static enum status to_ascii(struct arena *arena, const char *domain, struct slice *ret_domain)
{
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    locale_t before = utf8 ? uselocale(utf8) : NULL;
    CURLU *url = utf8 ? curl_url() : NULL;
    char *host = NULL;
    enum status st = STATUS_INVALID;
    if (url && curl_url_set(url, CURLUPART_SCHEME, "http", 0) == CURLUE_OK &&
        curl_url_set(url, CURLUPART_HOST, domain, 0) == CURLUE_OK &&
        curl_url_get(url, CURLUPART_HOST, &host, CURLU_PUNYCODE) == CURLUE_OK)
        st = arena_copy(arena, slice_cstr(host), ret_domain);
    curl_free(host);
    curl_url_cleanup(url);
    if (utf8) {
        (void)uselocale(before);
        freelocale(utf8);
    }
    return st;
}

static bool is_ascii(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] >= 0x80)
            return false;
    return true;
}

static enum status read_domain(struct arena *arena, struct slice text, struct slice *ret_domain,
                               const char **ret_reason)
{
    *ret_reason = "has a domain with letters that have no form for mail.";
    if (text.len > DOMAIN_MAX || memchr(text.data, 0, text.len))
        return STATUS_INVALID;
    char *domain = arena_cstr(arena, text);
    if (!domain)
        return STATUS_EXHAUSTED;
    struct slice ascii = slice_of(domain, text.len);
    if (!is_ascii(text)) {
        if (!utf8_is_valid(text))
            return STATUS_INVALID;
        enum status st = to_ascii(arena, domain, &ascii);
        if (st != STATUS_OK)
            return st;
    }
    *ret_reason = domain_fault(ascii);
    if (*ret_reason)
        return STATUS_INVALID;
    char *lower = arena_cstr(arena, ascii);
    if (!lower)
        return STATUS_EXHAUSTED;
    for (size_t i = 0; i < ascii.len; i++)
        if (lower[i] >= 'A' && lower[i] <= 'Z')
            lower[i] = (char)(lower[i] | 0x20);
    *ret_domain = slice_of(lower, ascii.len);
    return STATUS_OK;
}

static enum status read_parts(struct arena *arena, struct slice text, struct slice *ret_address,
                              struct slice *ret_domain, const char **ret_reason)
{
    size_t at = slice_find(text, '@');
    if (at == SIZE_MAX) {
        *ret_reason = "has no @.";
        return STATUS_INVALID;
    }
    struct slice local = slice_head(text, at), domain = SLICE_NULL;
    *ret_reason = local_fault(local);
    if (*ret_reason)
        return STATUS_INVALID;
    struct slice rest = slice_from(text, at + 1);
    if (rest.len == 0) {
        *ret_reason = domain_fault(rest);
        return STATUS_INVALID;
    }
    enum status st = read_domain(arena, rest, &domain, ret_reason);
    if (st != STATUS_OK)
        return st;
    if (local.len + 1 + domain.len > IDENTITY__MAIL_ADDRESS_MAX) {
        *ret_reason = "is longer than 254 characters.";
        return STATUS_INVALID;
    }
    *ret_address = arena_printf(arena, "%.*s@%.*s", SLICE_ARG(local), SLICE_ARG(domain));
    if (!ret_address->data)
        return STATUS_EXHAUSTED;
    *ret_domain = slice_from(*ret_address, at + 1);
    return STATUS_OK;
}

enum status identity_mail_address_read(struct arena *arena, struct slice text,
                                       struct slice *ret_address, const char **ret_reason)
{
    struct slice domain, address;
    enum status st = read_parts(arena, text, &address, &domain, ret_reason);
    if (st == STATUS_OK)
        *ret_address = address;
    return st;
}

/* -- with a name
 * --------------------------------------------------------------------------------------------- */

/* A quoted name without its quotes and escapes, or one that stands as it is. */
static enum status read_name(struct arena *arena, struct slice text, struct slice *ret_name)
{
    bool is_quoted = text.len >= 2 && text.data[0] == '"' && text.data[text.len - 1] == '"';
    if (is_quoted)
        text = slice_of(text.data + 1, text.len - 2);
    if (text.len > IDENTITY__MAIL_NAME_MAX || !utf8_is_valid(text))
        return STATUS_INVALID;
    struct buf out;
    buf_init(&out, arena, text.len + 1, IDENTITY__MAIL_NAME_MAX + 1);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (is_quoted && c == '\\' && i + 1 < text.len)
            c = text.data[++i];
        else if (is_quoted && c == '"')
            return STATUS_INVALID;
        if ((unsigned char)c < 0x20 || c == 0x7f || (!is_quoted && strchr("<>\"@", c)))
            return STATUS_INVALID;
        buf_putc(&out, c);
    }
    *ret_name = buf_slice(&out);
    return buf_status(&out);
}

enum status identity__mailbox_read(struct arena *arena, struct slice text,
                                   struct identity__mailbox *ret_mailbox, const char **ret_reason)
{
    struct identity__mailbox mailbox = { .name = SLICE("") };
    struct slice address = slice_trim(text);
    if (address.len > 0 && address.data[address.len - 1] == '>') {
        size_t open = address.len - 1;
        while (open > 0 && address.data[open] != '<')
            open--;
        if (address.data[open] != '<') {
            *ret_reason = "has a > without a <.";
            return STATUS_INVALID;
        }
        enum status st = read_name(arena, slice_trim(slice_head(address, open)), &mailbox.name);
        if (st == STATUS_INVALID)
            *ret_reason = "has a name that is too long or malformed; put it in double quotes.";
        if (st != STATUS_OK)
            return st;
        address = slice_of(address.data + open + 1, address.len - open - 2);
    }
    enum status st = read_parts(arena, address, &mailbox.address, &mailbox.domain, ret_reason);
    if (st == STATUS_OK)
        *ret_mailbox = mailbox;
    return st;
}

void identity__mailbox_put(struct buf *out, const struct identity__mailbox *mailbox)
{
    if (mailbox->name.len == 0) {
        buf_put_slice(out, mailbox->address);
        return;
    }
    if (is_ascii(mailbox->name)) {
        buf_putc(out, '"');
        for (size_t i = 0; i < mailbox->name.len; i++) {
            if (mailbox->name.data[i] == '"' || mailbox->name.data[i] == '\\')
                buf_putc(out, '\\');
            buf_putc(out, mailbox->name.data[i]);
        }
        buf_putc(out, '"');
    } else {
        identity__mime_put_words(out, mailbox->name);
    }
    /* On a line of its own: whatever the name, no line grows too long. */
    buf_put_lit(out, "\r\n <");
    buf_put_slice(out, mailbox->address);
    buf_putc(out, '>');
}

struct slice identity__mail_mask(struct slice address, char out[IDENTITY__MAIL_MASK_MAX])
{
    size_t at = slice_find(address, '@');
    if (at == SIZE_MAX || at == 0 || address.len > IDENTITY__MAIL_ADDRESS_MAX)
        return SLICE("?");
    size_t len = 0;
    out[len++] = address.data[0];
    memcpy(out + len, "\xe2\x80\xa6", 3);
    len += 3;
    memcpy(out + len, address.data + at, address.len - at);
    return slice_of(out, len + address.len - at);
}
