/*
 * What a match needs besides the pattern (where groups begin, the stack of the machine code) is
 * kept per thread: a match never suspends, so fibers of one thread cannot meet in it. The stack of
 * the machine code is our own because PCRE2 would otherwise take 32 KiB of a fiber's.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "contract/pattern.h"

#include <pcre2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "contract/pattern_ecma.h"

#define MATCH_LIMIT 200000u
#define DEPTH_LIMIT 1000u
#define HEAP_LIMIT_KIB 512u
#define PARENS_DEPTH_MAX 50u
#define JIT_STACK_FIRST_BYTES ((size_t)16 * 1024)
#define JIT_STACK_BYTES_MAX ((size_t)128 * 1024)

struct contract_pattern {
    pcre2_code *code;
    bool jit;
};

struct workspace {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t workspace_key;
static __thread struct workspace *workspace; /* what the key holds, without the call */

static void workspace_free(void *arg)
{
    struct workspace *w = arg;
    pcre2_match_data_free(w->data);
    pcre2_match_context_free(w->context);
    pcre2_jit_stack_free(w->stack);
    free(w);
    workspace = NULL;
}

static void make_key(void)
{
    (void)pthread_key_create(&workspace_key, workspace_free);
}

static struct workspace *workspace_get(void)
{
    if (LIKELY(workspace))
        return workspace;
    (void)pthread_once(&once, make_key);
    struct workspace *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->data = pcre2_match_data_create(1, NULL);
    w->context = pcre2_match_context_create(NULL);
    w->stack = pcre2_jit_stack_create(JIT_STACK_FIRST_BYTES, JIT_STACK_BYTES_MAX, NULL);
    if (!w->data || !w->context || pthread_setspecific(workspace_key, w) != 0) {
        workspace_free(w);
        return NULL;
    }
    (void)pcre2_set_match_limit(w->context, MATCH_LIMIT);
    (void)pcre2_set_depth_limit(w->context, DEPTH_LIMIT);
    (void)pcre2_set_heap_limit(w->context, HEAP_LIMIT_KIB);
    if (w->stack)
        pcre2_jit_stack_assign(w->context, /* callback= */ NULL, w->stack);
    workspace = w;
    return w;
}

/* `text` is what the contract says, `translated` the same for PCRE2. */
static pcre2_code *compile(struct slice text, struct slice translated,
                           struct contract_pattern_error *ret_error)
{
    const uint32_t options =
        PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (context)
        (void)pcre2_set_parens_nest_limit(context, PARENS_DEPTH_MAX);
    int code_error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)(translated.len ? translated.data : ""),
                                     translated.len, options, &code_error, &offset, context);
    pcre2_compile_context_free(context);
    if (!code) {
        ret_error->offset = contract__pattern_origin(text, offset);
        PCRE2_UCHAR words[sizeof(ret_error->reason)];
        (void)pcre2_get_error_message(code_error, words, sizeof(words));
        (void)snprintf(ret_error->reason, sizeof(ret_error->reason), "%s", (const char *)words);
    }
    return code;
}

enum status contract_pattern_compile(struct slice text, struct arena *arena,
                                     struct contract_pattern **ret,
                                     struct contract_pattern_error *ret_error)
{
    if (text.len > CONTRACT_PATTERN_BYTES_MAX) {
        ret_error->offset = CONTRACT_PATTERN_BYTES_MAX;
        (void)snprintf(ret_error->reason, sizeof(ret_error->reason), "longer than %u bytes",
                       CONTRACT_PATTERN_BYTES_MAX);
        return STATUS_TOO_LARGE;
    }
    struct contract_pattern *pattern = arena_new_of(arena, struct contract_pattern);
    if (!pattern)
        return STATUS_EXHAUSTED;
    struct arena_mark mark = arena_mark(arena);
    struct buf translated;
    buf_init(&translated, arena, text.len + 32, CONTRACT__PATTERN_GROWTH_MAX);
    enum status st = contract__pattern_from_ecma(text, &translated, ret_error);
    if (st == STATUS_OK) {
        pattern->code = compile(text, buf_slice(&translated), ret_error);
        st = pattern->code ? STATUS_OK : STATUS_INVALID;
    }
    arena_rewind(arena, mark);
    if (st != STATUS_OK)
        return st;
    /* Without JIT (hardened kernels, odd machines) the interpreter answers the same, slower. */
    pattern->jit = pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE) == 0;
    *ret = pattern;
    return STATUS_OK;
}

void contract_pattern_free(struct contract_pattern *pattern)
{
    if (!pattern)
        return;
    pcre2_code_free(pattern->code);
    pattern->code = NULL;
}

enum contract_pattern_answer contract_pattern_try(const struct contract_pattern *pattern,
                                                  struct slice text)
{
    struct workspace *w = workspace_get();
    if (!w)
        return CONTRACT_PATTERN_SPENT;
    PCRE2_SPTR subject = (PCRE2_SPTR)(text.len ? text.data : "");
    int answer = pattern->jit && w->stack
                     ? pcre2_jit_match(pattern->code, subject, text.len, 0, 0, w->data, w->context)
                     : pcre2_match(pattern->code, subject, text.len, 0,
                                   PCRE2_NO_UTF_CHECK | (pattern->jit ? PCRE2_NO_JIT : 0), w->data,
                                   w->context);
    /* 0: it matched, and had more groups than anybody asked for. */
    return answer >= 0                     ? CONTRACT_PATTERN_MATCHES
           : answer == PCRE2_ERROR_NOMATCH ? CONTRACT_PATTERN_FAILS
                                           : CONTRACT_PATTERN_SPENT;
}

bool contract_pattern_match(const struct contract_pattern *pattern, struct slice text)
{
    return contract_pattern_try(pattern, text) == CONTRACT_PATTERN_MATCHES;
}
