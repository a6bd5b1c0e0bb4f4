/*
 * http/signature.c - The step that verifies signed requests: on routes whose policy asks for it,
 * nothing further happens to a request until one of its signatures held.
 *
 * What is checked, cheap things first: the fields parse; the key is known and accepted here; the
 * signature is young enough and covers what the policy asks for; it matches; its nonce is new. The
 * nonce comes last, so that only those who hold a key can fill the table.
 */
#include "http/signature.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/problem.h"
#include "http/internal.h"

#define SIGNATURES_MAX 8u /* in one request */
#define ATTEMPTS_MAX 3u   /* of them that are worth the arithmetic */
#define NONCE_BYTES_MAX 256u
#define CHALLENGE_BYTES_MAX ((size_t)4096)
/* So long at most until settings that were made hold on every loop. */
#define OLDER_MARGIN_US (60 * CLOCK_SECOND)

/* In the order of how far a signature came: the furthest says what was wrong with a request. */
enum outcome {
    MISSING,
    MALFORMED,
    UNKNOWN,
    INCOMPLETE,
    STALE,
    WRONG,
    FULL,
    REPLAYED,
    GOOD,
    OUTCOMES
};

static const struct {
    const char *name; /* in metrics */
    const char *type;
    const char *detail;
} outcomes[OUTCOMES] = {
    [MISSING] = { "missing", "http/signature-required", "This path takes signed requests only." },
    [MALFORMED] = { "malformed", "http/signature-malformed",
                    "The signature's fields are not well-formed, or name what cannot be signed." },
    [UNKNOWN] = { "unknown_key", "http/signature-unknown-key",
                  "No signature here is by a key, and for a purpose, that is accepted." },
    [INCOMPLETE] = { "incomplete", "http/signature-incomplete",
                     "The signature does not cover all it must." },
    [STALE] = { "stale", "http/signature-stale",
                "The signature was made too long ago, or by a clock that runs ahead." },
    [WRONG] = { "wrong", "http/signature-invalid", "The signature does not match the request." },
    [FULL] = { "full", "http/overloaded", "Too many signed requests are remembered; try later." },
    [REPLAYED] = { "replayed", "http/signature-replayed",
                   "The nonce of this signature was used before." },
    [GOOD] = { "good", NULL, NULL },
};

/* A policy's part, taken apart. */
struct rules {
    const struct http_signature_policy *policy;
    struct slice required[HTTP_SIGNATURE_COMPONENTS_MAX];
    unsigned required_len;
    uint64_t keys; /* bits of those accepted */
    struct slice accept;
};

/* Of an app. */
struct http__signatures {
    unsigned nonces_max;
    struct http__nonces *nonces; /* atomic; NULL until a policy asks for signatures */
    struct metrics *metrics;
    metric_series counts[OUTCOMES];
};

/* Of settings. */
struct http__signature_set {
    struct http_signature_key *keys[HTTP_SIGNATURE_KEYS_MAX];
    unsigned keys_len;
    struct rules *rules; /* one for each policy; NULL: none asks for signatures */
    struct http__nonces *nonces;
    int64_t remember_us; /* the longest that any policy may take a signature */
    int64_t skew_us;     /* the part of it that is for clocks that run ahead, at most */
    /* Signatures made before these settings held may have been used while nonces were forgotten
     * sooner: they pass no longer than they did then. */
    int64_t since_us; /* wall clock; 0: there were none before */
    int64_t older_age_us;
};

/* -- at start
 * -------------------------------------------------------------------------------------------- */

static enum status read_required(struct rules *rules)
{
    struct slice rest = rules->policy->components, part;
    while (rest.len && slice_split(&rest, ',', &part)) {
        part = slice_trim(part);
        if (rules->required_len == HTTP_SIGNATURE_COMPONENTS_MAX || !http_signature_component(part))
            return STATUS_INVALID;
        rules->required[rules->required_len++] = part;
    }
    return STATUS_OK;
}

static enum status read_accepted(const struct http__signature_set *s, struct rules *rules)
{
    struct slice rest = rules->policy->keys, part;
    if (rest.len == 0)
        rules->keys = UINT64_MAX;
    while (rest.len && slice_split(&rest, ',', &part)) {
        unsigned k = 0;
        while (k < s->keys_len && !slice_eq(http__key_id(s->keys[k]), slice_trim(part)))
            k++;
        if (k == s->keys_len)
            return STATUS_NOT_FOUND;
        rules->keys |= UINT64_C(1) << k;
    }
    return STATUS_OK;
}

/* Accept-Signature says what a signature has to cover (RFC 9421 section 5.1). */
static enum status make_accept(struct arena *arena, struct rules *rules)
{
    struct buf out;
    buf_init(&out, arena, 128, CHALLENGE_BYTES_MAX);
    buf_put_lit(&out, "sig1=(");
    for (unsigned i = 0; i < rules->required_len; i++)
        buf_printf(&out, "%s\"%.*s\"", i ? " " : "", SLICE_ARG(rules->required[i]));
    buf_put_lit(&out, ");created;keyid");
    const struct http__sf_value tag = { .type = HTTP__SF_STRING, .text = rules->policy->tag };
    enum status st = STATUS_OK;
    if (rules->policy->tag.len) {
        buf_put_lit(&out, ";tag=");
        st = http__sf_put_value(&out, &tag);
    }
    if (st == STATUS_OK)
        st = buf_status(&out);
    rules->accept = buf_slice(&out);
    return st;
}

static enum status make_rules(struct http__signature_set *s, const struct http_settings *settings)
{
    s->rules = arena_array_of(settings->arena, struct rules, settings->policies_len);
    if (!s->rules)
        return STATUS_EXHAUSTED;
    for (unsigned i = 0; i < settings->policies_len; i++) {
        struct rules *rules = &s->rules[i];
        rules->policy = &settings->policies[i].signature;
        if (rules->policy->mode == HTTP_SIGNATURE_OFF)
            continue;
        s->remember_us =
            MAX(s->remember_us, rules->policy->max_age_us + rules->policy->clock_skew_us);
        s->skew_us = MAX(s->skew_us, rules->policy->clock_skew_us);
        enum status st = read_required(rules);
        if (st == STATUS_OK)
            st = read_accepted(s, rules);
        if (st == STATUS_OK)
            st = make_accept(settings->arena, rules);
        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

static double read_nonces(void *arg)
{
    struct http__signatures *s = arg;
    struct http__nonces *nonces = __atomic_load_n(&s->nonces, __ATOMIC_ACQUIRE);
    return nonces ? http__nonces_len(nonces) : 0;
}

static void declare(struct http__signatures *s)
{
    unsigned checks = metric_declare(
        s->metrics, &(struct metric_desc){ .name = "purlin_signature_checks",
                                           .help = "Signed requests verified, by outcome.",
                                           .kind = METRIC_COUNTER,
                                           .labels = { "outcome" } });
    unsigned nonces = metric_declare(
        s->metrics, &(struct metric_desc){ .name = "purlin_signature_nonces",
                                           .help = "Nonces of signatures remembered now.",
                                           .kind = METRIC_GAUGE });
    for (unsigned i = 0; i < OUTCOMES; i++) {
        struct slice value = slice_cstr(outcomes[i].name);
        s->counts[i] = metric_series_get(s->metrics, checks, &value);
    }
    metric_callback(s->metrics, nonces, NULL, read_nonces, s);
}

struct http__signatures *http__signatures_new(const struct http_options *options)
{
    struct http__signatures *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->nonces_max = options->signature_nonces_max ? options->signature_nonces_max
                                                  : HTTP_SIGNATURE_NONCES_DEFAULT;
    s->metrics = options->metrics;
    if (s->metrics)
        declare(s);
    return s;
}

void http__signatures_free(struct http__signatures *s)
{
    if (!s)
        return;
    http__nonces_free(s->nonces);
    free(s);
}

/* -- of settings
 * ----------------------------------------------------------------------------------------- */

/* The table outlives settings: what was used under the old ones is used. */
static enum status take_nonces(struct http__signatures *s, struct http__signature_set *set)
{
    if (!s->nonces) {
        struct http__nonces *nonces = http__nonces_new(s->nonces_max);
        if (!nonces)
            return STATUS_EXHAUSTED;
        __atomic_store_n(&s->nonces, nonces, __ATOMIC_RELEASE);
    }
    set->nonces = s->nonces;
    return STATUS_OK;
}

static enum status set_init(struct http_settings *settings)
{
    struct http__signature_set *set = settings->signatures;
    bool asked = false;
    for (unsigned i = 0; i < settings->policies_len; i++)
        asked |= settings->policies[i].signature.mode != HTTP_SIGNATURE_OFF;
    if (!asked)
        return STATUS_OK;
    const struct http_settings *older = settings->app->latest;
    if (older && older->signatures->rules) {
        set->since_us = clock_wall_us() + older->signatures->skew_us + OLDER_MARGIN_US;
        set->older_age_us = older->signatures->remember_us - older->signatures->skew_us;
    }
    enum status st = take_nonces(settings->app->signatures, set);
    return st == STATUS_OK ? make_rules(set, settings) : st;
}

enum status http__signature_set_init(struct http_settings *settings,
                                     const struct http_options *options)
{
    struct http__signature_set *set = calloc(1, sizeof(*set));
    for (unsigned i = 0; i < options->signature_keys_len; i++) {
        struct http_signature_key *key = options->signature_keys[i];
        if (set && set->keys_len < HTTP_SIGNATURE_KEYS_MAX)
            set->keys[set->keys_len++] = key;
        else
            http_signature_key_free(key);
    }
    settings->signatures = set;
    return set ? set_init(settings) : STATUS_EXHAUSTED;
}

void http__signature_set_free(struct http__signature_set *set)
{
    if (!set)
        return;
    for (unsigned i = 0; i < set->keys_len; i++)
        http_signature_key_free(set->keys[i]);
    free(set);
}

/* -- the request as it is signed
 * ------------------------------------------------------------------------- */

/* Path and query as sent: the base has them before anything was normalised. */
static void split_target(struct slice target, struct http__signed *m)
{
    m->target = target;
    size_t scheme = slice_find_slice(target, SLICE("://"));
    struct slice rest = target;
    if (target.len && target.data[0] != '/' && scheme != SIZE_MAX) {
        size_t at = scheme + 3;
        while (at < target.len && target.data[at] != '/' && target.data[at] != '?')
            at++;
        rest = slice_from(target, at);
    }
    size_t mark = slice_find(rest, '?');
    m->path = slice_head(rest, mark);
    m->query = mark == SIZE_MAX ? SLICE_NULL : slice_from(rest, mark + 1);
}

static struct http__signed signed_of(struct http_request *req)
{
    const struct net_request *r = http_net(req);
    struct http__signed m = {
        .method = r->method_text,
        .scheme = http_client_scheme(req),
        .authority = http_client_host(req),
        .headers = r->headers,
        .headers_len = r->headers_len,
    };
    split_target(r->target, &m);
    return m;
}

/* -- one signature
 * --------------------------------------------------------------------------------------- */

struct check {
    struct http_request *req;
    const struct http__signature_set *s;
    const struct rules *rules;
    int64_t now_us;
    unsigned attempts;
    struct slice missing;        /* what INCOMPLETE speaks of */
    struct http__digest *digest; /* of the body, as signed */
    const struct http_signature_key *key;
};

static const struct http_signature_key *key_at(const struct check *c, unsigned i)
{
    return c->rules->keys >> i & 1 ? c->s->keys[i] : NULL;
}

static const struct http_signature_key *find_key(const struct check *c, struct slice id)
{
    for (unsigned i = 0; i < c->s->keys_len; i++) {
        const struct http_signature_key *key = key_at(c, i);
        if (key && slice_eq(http__key_id(key), id))
            return key;
    }
    return NULL;
}

static bool is_fresh(const struct check *c, int64_t created_s)
{
    const struct http_signature_policy *p = c->rules->policy;
    int64_t created_us;
    if (__builtin_mul_overflow(created_s, CLOCK_SECOND, &created_us))
        return false;
    int64_t age_us = p->max_age_us;
    if (created_us < c->s->since_us)
        age_us = MIN(age_us, c->s->older_age_us);
    return created_us <= c->now_us + p->clock_skew_us && created_us >= c->now_us - age_us;
}

/* Named by itself or by one that says as much; ";sf" and ";bs" say all of a field, ";key" not. */
static bool covers(const struct http__sf_member *input, struct slice name)
{
    bool of_uri = slice_eq(name, SLICE("@path")) || slice_eq(name, SLICE("@query"));
    bool of_target =
        of_uri || slice_eq(name, SLICE("@authority")) || slice_eq(name, SLICE("@scheme"));
    for (unsigned i = 0; i < input->inner_len; i++) {
        const struct http__sf_item *item = &input->inner[i];
        if (http__sf_param(&item->params, SLICE("key")))
            continue;
        if (slice_eq(item->value.text, name) ||
            (of_target && slice_eq(item->value.text, SLICE("@target-uri"))) ||
            (of_uri && slice_eq(item->value.text, SLICE("@request-target"))))
            return true;
    }
    return false;
}

/* What a request does not have needs no cover: to add it later would make it be asked for. */
static bool has_component(const struct net_request *r, struct slice name)
{
    if (slice_eq(name, SLICE("content-digest")))
        return r->has_body;
    if (slice_eq(name, SLICE("@query")))
        return r->query.data != NULL;
    return name.data[0] == '@' || net_header_find(r, name).data != NULL;
}

static bool covers_required(struct check *c, const struct http__sf_member *input)
{
    const struct net_request *r = http_net(c->req);
    for (unsigned i = 0; i < c->rules->required_len; i++) {
        struct slice name = c->rules->required[i];
        if (has_component(r, name) && !covers(input, name)) {
            c->missing = name;
            return false;
        }
    }
    return true;
}

/* A signed body has a signed digest that can be checked. */
static enum outcome take_digest(struct check *c, const struct http__sf_member *input)
{
    struct arena *arena = http_arena(c->req);
    const struct net_request *r = http_net(c->req);
    c->digest = NULL;
    if (!r->has_body || !covers(input, SLICE("content-digest")))
        return GOOD;
    struct slice text;
    struct http__digest *digest = arena_new_of(arena, struct http__digest);
    if (!digest || http__field_joined(arena, r, SLICE("content-digest"), &text) != STATUS_OK)
        return MALFORMED;
    if (!text.data || http__digest_parse(arena, text, digest) != STATUS_OK ||
        (!digest->has_sha256 && !digest->has_sha512)) {
        c->missing = SLICE("content-digest, by sha-256 or sha-512");
        return INCOMPLETE;
    }
    c->digest = digest;
    return GOOD;
}

static enum outcome use_nonce(const struct check *c, const struct http_signature_key *key,
                              struct slice nonce)
{
    enum status st = http__nonce_use(c->s->nonces, http__key_id(key), nonce, c->now_us,
                                     c->now_us + c->s->remember_us);
    if (st == STATUS_OK)
        return GOOD;
    return st == STATUS_CONFLICT ? REPLAYED : FULL;
}

/* The texts and numbers of Signature-Input's parameters; false when one has another type. */
struct params {
    struct slice key_id, alg, nonce, tag;
    int64_t created_s, expires_s;
    bool has_created, has_expires, has_alg;
};

static bool read_params(const struct http__sf_params *params, struct params *ret)
{
    *ret = (struct params){ .created_s = 0 };
    for (unsigned i = 0; i < params->len; i++) {
        const struct http__sf_param *p = &params->items[i];
        bool is_text = p->value.type == HTTP__SF_STRING;
        bool is_number = p->value.type == HTTP__SF_INTEGER, good = true;
        if (slice_eq(p->key, SLICE("keyid"))) {
            good = is_text;
            ret->key_id = p->value.text;
        } else if (slice_eq(p->key, SLICE("alg"))) {
            good = ret->has_alg = is_text;
            ret->alg = p->value.text;
        } else if (slice_eq(p->key, SLICE("nonce"))) {
            good = is_text && p->value.text.len <= NONCE_BYTES_MAX;
            ret->nonce = p->value.text;
        } else if (slice_eq(p->key, SLICE("tag"))) {
            good = is_text;
            ret->tag = p->value.text;
        } else if (slice_eq(p->key, SLICE("created"))) {
            good = ret->has_created = is_number;
            ret->created_s = p->value.number;
        } else if (slice_eq(p->key, SLICE("expires"))) {
            good = ret->has_expires = is_number;
            ret->expires_s = p->value.number;
        }
        if (!good)
            return false;
    }
    return true;
}

static enum outcome incomplete(struct check *c, struct slice what)
{
    c->missing = what;
    return INCOMPLETE;
}

static enum outcome check_params(struct check *c, const struct params *p,
                                 const struct http_signature_key **ret_key)
{
    const struct http_signature_policy *policy = c->rules->policy;
    const struct http_signature_key *key = find_key(c, p->key_id);
    if (!key || (p->has_alg && !slice_eq(p->alg, http__key_alg_name(key))) ||
        (policy->tag.len && !slice_eq(p->tag, policy->tag)))
        return UNKNOWN;
    if (!p->has_created)
        return incomplete(c, SLICE("created"));
    if (policy->nonce == HTTP_SIGNATURE_REQUIRED && p->nonce.len == 0)
        return incomplete(c, SLICE("nonce"));
    if (!is_fresh(c, p->created_s) || (p->has_expires && c->now_us / CLOCK_SECOND >= p->expires_s))
        return STALE;
    *ret_key = key;
    return GOOD;
}

static enum outcome check_message(struct check *c, const struct http__signed *message,
                                  const struct http__sf_member *input,
                                  const struct http__sf_member *signature)
{
    struct params params;
    const struct http_signature_key *key = NULL;
    if (input->value.type != HTTP__SF_INNER || !signature ||
        signature->value.type != HTTP__SF_BYTES || !read_params(&input->params, &params))
        return MALFORMED;
    enum outcome outcome = check_params(c, &params, &key);
    if (outcome != GOOD)
        return outcome;
    if (!covers_required(c, input))
        return INCOMPLETE;
    outcome = take_digest(c, input);
    if (outcome != GOOD)
        return outcome;
    struct buf base;
    buf_init(&base, http_arena(c->req), 1024, HTTP__BASE_BYTES_MAX);
    if (http__signature_base(http_arena(c->req), message, input, &base) != STATUS_OK)
        return MALFORMED;
    if (c->attempts++ == ATTEMPTS_MAX ||
        !http__key_verify(key, buf_slice(&base), signature->value.text))
        return WRONG;
    if (params.nonce.len && c->rules->policy->nonce != HTTP_SIGNATURE_OFF)
        outcome = use_nonce(c, key, params.nonce);
    if (outcome == GOOD)
        c->key = key;
    return outcome;
}

static enum outcome check_messages(struct check *c, struct slice input_text)
{
    struct arena *arena = http_arena(c->req);
    struct slice text;
    struct http__sf_list inputs, signatures;
    if (http__field_joined(arena, http_net(c->req), SLICE("signature"), &text) != STATUS_OK ||
        !text.data ||
        http__sf_parse(arena, input_text, HTTP__SF_KIND_DICTIONARY, SIGNATURES_MAX, &inputs) !=
            STATUS_OK ||
        http__sf_parse(arena, text, HTTP__SF_KIND_DICTIONARY, SIGNATURES_MAX, &signatures) !=
            STATUS_OK)
        return MALFORMED;
    const struct http__signed message = signed_of(c->req);
    enum outcome furthest = MALFORMED;
    struct slice missing = SLICE_NULL;
    for (unsigned i = 0; i < inputs.len && furthest != GOOD; i++) {
        const struct http__sf_member *input = &inputs.members[i];
        enum outcome outcome =
            check_message(c, &message, input, http__sf_get(&signatures, input->key));
        if (outcome < furthest)
            continue;
        furthest = outcome;
        missing = c->missing;
    }
    c->missing = missing;
    return furthest;
}

/* -- the plain profile
 * ----------------------------------------------------------------------------------- */

static const struct http_signature_key *find_plain_key(const struct check *c,
                                                       const struct http__plain *plain,
                                                       struct slice base, bool *ret_any)
{
    *ret_any = false;
    for (unsigned i = 0; i < c->s->keys_len; i++) {
        const struct http_signature_key *key = key_at(c, i);
        if (!key || http__key_alg(key) != HTTP__ALG_HMAC_SHA256 ||
            (plain->key_id.len && !slice_eq(plain->key_id, http__key_id(key))))
            continue;
        *ret_any = true;
        if (http__key_verify(key, base, slice_of((const char *)plain->mac, sizeof(plain->mac))))
            return key;
    }
    return NULL;
}

static enum outcome check_plain(struct check *c, struct slice text)
{
    const struct net_request *r = http_net(c->req);
    struct http__plain plain;
    if (!http__plain_parse(text, &plain))
        return MALFORMED;
    if (r->has_body && plain.body_hex.len == 0)
        return incomplete(c, SLICE("b, the digest of the body"));
    if (!is_fresh(c, plain.created_s))
        return STALE;
    struct buf base;
    buf_init(&base, http_arena(c->req), 512, HTTP__BASE_BYTES_MAX);
    http__plain_base(&plain, r->method_text, r->target, &base);
    struct http__digest *digest = arena_new_of(http_arena(c->req), struct http__digest);
    if (buf_status(&base) != STATUS_OK || !digest)
        return MALFORMED;
    digest->has_sha256 = true;
    memcpy(digest->sha256, plain.body_sha256, sizeof(digest->sha256));
    c->digest = digest;
    bool is_known;
    const struct http_signature_key *key = find_plain_key(c, &plain, buf_slice(&base), &is_known);
    if (!key)
        return is_known ? WRONG : UNKNOWN;
    enum outcome outcome =
        c->rules->policy->nonce == HTTP_SIGNATURE_OFF ? GOOD : use_nonce(c, key, plain.nonce);
    if (outcome == GOOD)
        c->key = key;
    return outcome;
}

/* -- the step
 * -------------------------------------------------------------------------------------------- */

static enum outcome check(struct check *c)
{
    struct arena *arena = http_arena(c->req);
    const struct net_request *r = http_net(c->req);
    const struct http_signature_policy *policy = c->rules->policy;
    struct slice text;
    if (policy->takes_messages) {
        if (http__field_joined(arena, r, SLICE("signature-input"), &text) != STATUS_OK)
            return MALFORMED;
        if (text.data)
            return check_messages(c, text);
    }
    if (policy->takes_plain) {
        if (http__field_joined(arena, r, SLICE("x-signature"), &text) != STATUS_OK)
            return MALFORMED;
        if (text.data)
            return check_plain(c, text);
    }
    return MISSING;
}

static void refuse(struct check *c, enum outcome outcome)
{
    struct http_request *req = c->req;
    req->signature_refused = outcome != FULL;
    struct problem problem = {
        .status = outcome == FULL ? STATUS_EXHAUSTED : STATUS_UNAUTHENTICATED,
        .type = outcomes[outcome].type,
        .detail = slice_cstr(outcomes[outcome].detail),
    };
    if (outcome == INCOMPLETE && c->missing.len) {
        struct slice detail =
            arena_printf(http_arena(req), "The signature must cover %.*s.", SLICE_ARG(c->missing));
        if (detail.len)
            problem.detail = detail;
    }
    http_send_problem(req, problem.status, &problem);
}

static bool before(struct http_request *req)
{
    const struct http_signature_policy *policy = &req->policy->signature;
    /* What no route serves does nothing that a signature could protect; preflights cannot sign. */
    if (LIKELY(policy->mode == HTTP_SIGNATURE_OFF) || !req->route)
        return true;
    const struct http__signature_set *s = req->settings->signatures;
    const struct http__signatures *shared = req->app->signatures;
    struct check c = {
        .req = req,
        .s = s,
        .rules = &s->rules[req->policy - req->settings->policies],
        .now_us = clock_wall_us(),
    };
    enum outcome outcome = check(&c);
    if (outcome == MISSING && policy->mode == HTTP_SIGNATURE_OPTIONAL)
        return true;
    if (shared->metrics)
        metric_add(shared->metrics, shared->counts[outcome], 1);
    if (outcome != GOOD) {
        refuse(&c, outcome);
        return false;
    }
    req->signature_key = c.key;
    req->signed_digest = c.digest;
    return true;
}

bool http__signature_challenge(struct http_request *req)
{
    if (!req->signature_refused)
        return false;
    const struct http__signature_set *s = req->settings->signatures;
    const struct rules *rules = &s->rules[req->policy - req->settings->policies];
    http_header_add(req, SLICE("WWW-Authenticate"), SLICE("Signature realm=\"purlin\""));
    if (rules->policy->takes_messages)
        http_header_add(req, SLICE("Accept-Signature"), rules->accept);
    return true;
}

struct slice http_signature_key(const struct http_request *req)
{
    return req->signature_key ? http__key_id(req->signature_key) : SLICE_NULL;
}

static void done(struct http_request *req)
{
    http__digest_drop(req);
}

const struct http__step http__step_signature = {
    .name = "signature",
    .before = before,
    .done = done,
};
