/*
 * tests/contract/test_schema_limits.c - Schemas that are refused and where, complaints and their
 * places, and the bounds: depth, work, stack and memory.
 */
#include "schema_cases.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "fiber/loop.h"
#include "fiber/task.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* -- what is no schema
 * ---------------------------------------------------------------------------------------------- */

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *pointer;
    } rows[] = {
        { "1", "" },
        { "'x'", "" },
        { "[]", "" },
        { "null", "" },
        { "{'type':'strung'}", "/type" },
        { "{'type':[]}", "/type" },
        { "{'type':['null','null']}", "/type" },
        { "{'type':[1]}", "/type" },
        { "{'minimum':'1'}", "/minimum" },
        { "{'multipleOf':0}", "/multipleOf" },
        { "{'multipleOf':-1.5}", "/multipleOf" },
        { "{'minLength':-1}", "/minLength" },
        { "{'maxLength':1.5}", "/maxLength" },
        { "{'maxItems':'1'}", "/maxItems" },
        { "{'minProperties':-1.0}", "/minProperties" },
        { "{'uniqueItems':1}", "/uniqueItems" },
        { "{'enum':{}}", "/enum" },
        { "{'required':'a'}", "/required" },
        { "{'required':[1]}", "/required" },
        { "{'dependentRequired':[]}", "/dependentRequired" },
        { "{'dependentRequired':{'a':1}}", "/dependentRequired" },
        { "{'pattern':1}", "/pattern" },
        { "{'pattern':'('}", "/pattern" },
        { "{'format':1}", "/format" },
        { "{'patternProperties':{'[':true}}", "/patternProperties" },
        { "{'properties':[]}", "/properties" },
        { "{'properties':{'a':1}}", "/properties/a" },
        { "{'properties':{'a':{'items':{'type':1}}}}", "/properties/a/items/type" },
        { "{'$defs':{'a/b':{'t~':1,'type':2}}}", "/$defs/a~1b/type" },
        { "{'allOf':[]}", "/allOf" },
        { "{'allOf':{}}", "/allOf" },
        { "{'allOf':[true,{},3]}", "/allOf/2" },
        { "{'items':[true]}", "/items" },
        { "{'not':null}", "/not" },
        { "{'contentSchema':1}", "/contentSchema" },
        { "{'$ref':1}", "/$ref" },
        { "{'items':{'$ref':'#/nowhere'}}", "/items/$ref" },
        { "{'$ref':'#nowhere'}", "/$ref" },
        { "{'$ref':'other.json'}", "/$ref" },
        { "{'$ref':'#/properties/01','properties':{'1':true}}", "/$ref" },
        { "{'$ref':'#/allOf/01','allOf':[true,true]}", "/$ref" },
        { "{'$ref':'#/allOf/2','allOf':[true,true]}", "/$ref" },
        { "{'$ref':'#/allOf/-','allOf':[true,true]}", "/$ref" },
        { "{'$ref':'#/type','type':'null'}",
          "" }, /* the text there is no schema; it has a place, but none of its own */
        { "{'$dynamicRef':'#a'}", "/$dynamicRef" },
        { "{'$dynamicRef':2}", "/$dynamicRef" },
        { "{'$id':1}", "/$id" },
        { "{'$id':'a#b'}", "/$id" },
        { "{'items':{'$id':'#a'}}", "/items/$id" },
        { "{'$anchor':'1'}", "/$anchor" },
        { "{'$anchor':''}", "/$anchor" },
        { "{'$anchor':'a/b'}", "/$anchor" },
        { "{'$dynamicAnchor':[]}", "/$dynamicAnchor" },
        { "{'$ref':'https://json-schema.org/draft/2020-12/schema#/nowhere'}", "/$ref" },
        { "{'$ref':'https://json-schema.org/draft/2019-09/schema'}", "/$ref" },
        { "{'$ref':'#/a%00b','a':true}", "/$ref" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *arena = arena_new(NULL, (size_t)1 << 20);
        struct json_schema *schema = NULL;
        struct json_schema_error error = { 0 };
        const json_t *json = case_json(arena, rows[i].schema, rows[i].schema);
        check_status(rows[i].schema, json_schema_compile(json, arena, &schema, &error),
                     STATUS_INVALID);
        assert_null(schema);
        assert_true(error.reason.len > 0);
        if (rows[i].pointer[0])
            check_text(rows[i].schema, error.pointer, slice_cstr(rows[i].pointer));
        assert_int_equal(json_schema_compile(json, arena, &schema, NULL), STATUS_INVALID);
        arena_free(arena);
    }
    json_schema_free(NULL);
}

/* -- complaints
 * -----------------------------------------------------------------------------------------------------
 */

static void test_complaints(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *instance,
            *want; /* each "pointer detail", in order, with " | " between */
    } rows[] = {
        { "{'type':['string','null']}", "1", "/v must be null or a string" },
        { "{'properties':{'a':{'type':'integer'},'b':{'minLength':2}},'required':['c']}",
          "{'a':'x','b':'y','d':1}",
          "/v/c is required | /v/a must be an integer | /v/b must have at least 2 characters" },
        { "{'additionalProperties':false}", "{'a/b':1,'~':2}",
          "/v/a~1b is not a known member | /v/~0 is not a known member" },
        { "{'items':{'maximum':3}}", "[1,4,2,5]",
          "/v/1 must be at most 3 | /v/3 must be at most 3" },
        { "{'uniqueItems':true}", "[1,2,1]", "/v items 0 and 2 are the same" },
        { "{'anyOf':[{'type':'null'}]}", "1", "/v must be null" },
        { "{'oneOf':[{'type':'null'}]}", "1", "/v must be null" },
        { "{'anyOf':[{'type':'null'},false]}", "1", "/v fits none of the alternatives" },
        { "{'oneOf':[true,true]}", "1", "/v fits more than one of the alternatives" },
        { "{'allOf':[{'properties':{'a':{'type':'null'}}}],'unevaluatedProperties':false}",
          "{'a':1,'b':2}", "/v/a must be null | /v/b is not a known member" },
        { "{'unevaluatedItems':false}", "[1]", "/v/0 is one item too many" },
        { "{'minimum':0.1,'multipleOf':2.5}", "-1",
          "/v must be at least 0.1 | /v must be a multiple of 2.5" },
        { "{'format':'email','pattern':'^x'}", "'a'",
          "/v must match ^x | /v must be a valid email" },
        { "{'propertyNames':{'maxLength':1}}", "{'ab':1}", "/v/ab this name is not allowed" },
        { "{'dependentRequired':{'a':['b','c']}}", "{'a':1}",
          "/v/b is required | /v/c is required" },
        { "{'const':1}", "2", "/v must be the one value that is allowed" },
        { "{'enum':[1]}", "2", "/v is not one of the values that are allowed" },
        { "{'not':{}}", "2", "/v is what it must not be" },
        { "false", "2", "/v nothing is allowed here" },
        { "{'contains':{'const':1},'maxContains':1}", "[1,1]",
          "/v has 2 of the items it must contain at most 1 of" },
        { "{'contains':{'const':1}}", "[]", "/v has 0 of the items it must contain at least 1 of" },
        { "{'minItems':1,'maxItems':0}", "[]", "/v must have at least 1 items" },
        { "{'minProperties':3,'maxProperties':0}", "{'a':1}",
          "/v must have at least 3 members | /v must have at most 0 members" },
        { "{'exclusiveMinimum':1,'exclusiveMaximum':0}", "0.5",
          "/v must be above 1 | /v must be below 0" },
        { "{'if':{'type':'integer'},'then':{'minimum':2},'else':false}", "1",
          "/v must be at least 2" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *arena = arena_new(NULL, (size_t)1 << 20);
        struct json_schema *schema = NULL;
        struct problem problem = { 0 };
        assert_int_equal(json_schema_compile(case_json(arena, rows[i].schema, rows[i].schema),
                                             arena, &schema, NULL),
                         STATUS_OK);
        assert_false(json_schema_validate(schema,
                                          case_json(arena, rows[i].schema, rows[i].instance), arena,
                                          SLICE("/v"), &problem));
        struct buf out;
        buf_init(&out, arena, 0, 4096);
        for (size_t k = 0; k < problem.fields_len; k++) {
            buf_printf(&out, "%s%.*s %.*s", k ? " | " : "", SLICE_ARG(problem.fields[k].pointer),
                       SLICE_ARG(problem.fields[k].detail));
            assert_string_equal(problem.fields[k].code, "schema");
        }
        check_text(rows[i].schema, buf_slice(&out), slice_cstr(rows[i].want));
        assert_false(json_schema_validate(
            schema, case_json(arena, rows[i].schema, rows[i].instance), arena, SLICE_NULL, NULL));
        json_schema_free(schema);
        arena_free(arena);
    }
}

static void test_complaints_are_bounded(void **state)
{
    (void)state;
    struct arena *arena = arena_new(NULL, (size_t)4 << 20);
    struct json_schema *schema = NULL;
    struct problem problem = { 0 };
    struct buf text;
    buf_init(&text, arena, 0, (size_t)1 << 20);
    buf_putc(&text, '[');
    for (unsigned i = 0; i < 5000; i++)
        buf_printf(&text, "%s{\"a\":%u}", i ? "," : "", i);
    buf_putc(&text, ']');
    json_t *instance;
    assert_int_equal(json_read(arena, buf_slice(&text), JSON_LIMITS_DEFAULT, &instance, NULL),
                     STATUS_OK);
    assert_int_equal(
        json_schema_compile(case_json(arena, "bound", "{'items':{'properties':{'a':false}}}"),
                            arena, &schema, NULL),
        STATUS_OK);
    assert_false(json_schema_validate(schema, instance, arena, SLICE_NULL, &problem));
    assert_int_equal(problem.fields_len, PROBLEM_FIELDS_MAX);
    assert_true(problem.fields_dropped);
    check_text("the last", problem.fields[63].pointer, SLICE("/63/a"));
    json_schema_free(schema);
    arena_free(arena);
}

/* -- bounds
 * ---------------------------------------------------------------------------------------------------------
 */

/* `text` with `open` and `close` put around it `times` times. */
static struct slice nested(struct arena *arena, const char *open, const char *text,
                           const char *close, unsigned times)
{
    struct buf out;
    buf_init(&out, arena, 0, (size_t)4 << 20);
    for (unsigned i = 0; i < times; i++)
        buf_put_cstr(&out, open);
    buf_put_cstr(&out, text);
    for (unsigned i = 0; i < times; i++)
        buf_put_cstr(&out, close);
    buf_putc(&out, 0);
    assert_int_equal(buf_status(&out), STATUS_OK);
    return buf_slice(&out);
}

static void check_too_complex(struct arena *arena, const char *name, const json_t *schema_json,
                              const json_t *instance)
{
    struct json_schema *schema = NULL;
    struct problem problem = { 0 };
    assert_int_equal(json_schema_compile(schema_json, arena, &schema, NULL), STATUS_OK);
    assert_false(json_schema_validate(schema, instance, arena, SLICE("/x"), &problem));
    if (problem.fields_len != 1 || strcmp(problem.fields[0].code, "schema_too_complex") != 0)
        fail_msg("%s: %zu complaints, not one of complexity", name, problem.fields_len);
    check_text(name, problem.fields[0].pointer, SLICE("/x"));
    json_schema_free(schema);
}

static void test_work_is_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *name, *schema, *instance;
    } rows[] = {
        { "a loop", "{'$ref':'#'}", "1" },
        { "a loop of two",
          "{'$defs':{'a':{'allOf':[{'$ref':'#/$defs/b'}]},'b':{'anyOf':[{'$ref':'#/$defs/"
          "a'}]}},'$ref':'#/$defs/a'}",
          "1" },
        { "a loop of opposites", "{'not':{'$ref':'#'}}", "1" },
        { "a loop in dynamic scope", "{'$dynamicAnchor':'a','$dynamicRef':'#a'}", "{}" },
        { "branches that double",
          "{'$defs':{'a':{'anyOf':[{'$ref':'#/$defs/b'},{'$ref':'#/$defs/"
          "b'}]},'b':{'anyOf':[{'$ref':'#/$defs/c'},"
          "{'$ref':'#/$defs/c'}]},'c':{'anyOf':[{'$ref':'#/$defs/d'},{'$ref':'#/$defs/"
          "d'}]},'d':{'anyOf':[{'$ref':'#/$defs/a'},{'$ref':'#/$defs/a'}]}},"
          "'$ref':'#/$defs/a'}",
          "1" },
        { "a pattern that runs away", "{'items':{'pattern':'^(a+)+$'}}",
          "['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab',1]" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *arena = arena_new(NULL, (size_t)4 << 20);
        check_too_complex(arena, rows[i].name, case_json(arena, rows[i].name, rows[i].schema),
                          case_json(arena, rows[i].name, rows[i].instance));
        arena_free(arena);
    }
}

/* 2^20 evaluations of one value: more than the steps. */
static void test_steps_are_bounded(void **state)
{
    (void)state;
    struct arena *arena = arena_new(NULL, (size_t)8 << 20);
    struct buf text;
    buf_init(&text, arena, 0, 65536);
    buf_put_cstr(&text, "{'$defs':{'n0':{'type':'null'}");
    for (unsigned i = 1; i <= 20; i++)
        buf_printf(&text, ",'n%u':{'anyOf':[{'$ref':'#/$defs/n%u'},{'$ref':'#/$defs/n%u'}]}", i,
                   i - 1, i - 1);
    buf_put_cstr(&text, "},'$ref':'#/$defs/n20'}");
    buf_putc(&text, 0);
    check_too_complex(arena, "doubling", case_json(arena, "doubling", text.data), json_true());
    arena_free(arena);
}

static void test_size_is_bounded(void **state)
{
    (void)state;
    struct arena *arena = arena_new(NULL, (size_t)64 << 20);
    struct json_schema *schema = NULL;
    struct json_schema_error error;
    struct buf text;
    buf_init(&text, arena, 0, (size_t)4 << 20);
    buf_put_cstr(&text, "{'allOf':[");
    for (unsigned i = 0; i < 10001; i++)
        buf_put_cstr(&text, i ? ",{}" : "{}");
    buf_put_cstr(&text, "]}");
    buf_putc(&text, 0);
    assert_int_equal(
        json_schema_compile(case_json(arena, "many", text.data), arena, &schema, &error),
        STATUS_TOO_LARGE);
    /* The reader takes 64; a tree from elsewhere may be deeper. */
    json_t *deep = json_true();
    struct arena *before = json_arena_set(arena);
    for (unsigned i = 0; i < 70; i++) {
        json_t *outer = json_object();
        json_object_set_new(outer, "not", deep);
        deep = outer;
    }
    (void)json_arena_set(before);
    assert_int_equal(json_schema_compile(deep, arena, &schema, &error), STATUS_TOO_LARGE);
    arena_free(arena);
}

/* A chain of references is as long as it likes, when compiled; its depth counts when it is
 * followed. */
static void test_long_chains(void **state)
{
    (void)state;
    struct arena *arena = arena_new(NULL, (size_t)64 << 20);
    struct json_schema *schema = NULL;
    struct buf text;
    buf_init(&text, arena, 0, (size_t)4 << 20);
    buf_put_cstr(&text, "{'$ref':'#/$defs/d3000','$defs':{'d0':{'type':'object'}");
    for (unsigned i = 1; i <= 3000; i++)
        buf_printf(&text, ",'d%u':{'properties':{'n':{'$ref':'#/$defs/d%u'}}}", i, i - 1);
    buf_put_cstr(&text, "}}");
    buf_putc(&text, 0);
    assert_int_equal(
        json_schema_compile(case_json(arena, "chain", text.data), arena, &schema, NULL), STATUS_OK);
    assert_true(json_schema_validate(schema, case_json(arena, "chain", "{'n':{'n':{'n':1}}}"),
                                     arena, SLICE_NULL, NULL));
    json_schema_free(schema);
    arena_free(arena);
}

/* -- stack
 * ----------------------------------------------------------------------------------------------------------
 */

/*
 * The deepest walks there are: through 63 levels of instance by three nodes each, with a format and
 * a name that take PCRE2's compiler at the bottom; and a loop, which ends at SCHEMA_CALLS_MAX,
 * heard by a problem.
 */
static const char *const deep_schemas[] = {
    "{'$defs':{'n':{'allOf':[{'$ref':'#/$defs/"
    "p'}],'unevaluatedProperties':false},'p':{'properties':{'a':{'$ref':'#/$defs/n'},"
    "'r':{'format':'regex'},'h':{'format':'idn-hostname'}},'propertyNames':{'format':'regex'}}},'$"
    "ref':'#/$defs/n'}",
    "{'properties':{'a':{'$ref':'#'},'r':{'format':'regex'},'h':{'format':'idn-hostname'}},'"
    "patternProperties':{'^(b|c)+$':{'$ref':'#'}},"
    "'propertyNames':{'pattern':'^(.|x)*$'},'if':{'$ref':'#/$defs/"
    "x'},'$defs':{'x':{'properties':{'zz':{'$ref':'#/$defs/x'}}}}}",
    ("{'allOf':[{'anyOf':[{'oneOf':[{'if':true,'then':{'$ref':'#'}}]}]}],"
     "'unevaluatedProperties':false}"),
};

struct deep {
    struct arena *arena;
    struct json_schema *schemas[3];
    const json_t *instance;
    unsigned valid;
};

static void deep_init(struct deep *d, unsigned levels)
{
    d->arena = arena_new(NULL, (size_t)64 << 20);
    struct slice text = nested(d->arena, "{'a':",
                               "{'r':'(((((((((((((((((((((((((((((((((((((((((a|b)|c)|d)|e)|f)|g)|"
                               "h)|i)|j)|k)|l)|m)|n)|o)|p)|q)|r)|s)|t)|u)|v)|w)|x)|y)|z)"
                               "))))))))))))))))','h':'b\\u00fccher.example'}",
                               "}", levels);
    d->instance = case_json(d->arena, "deep", text.data);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(json_schema_compile(case_json(d->arena, "deep", deep_schemas[i]), d->arena,
                                             &d->schemas[i], NULL),
                         STATUS_OK);
    d->valid = 0;
}

static void deep_fini(struct deep *d)
{
    for (unsigned i = 0; i < 3; i++)
        json_schema_free(d->schemas[i]);
    arena_free(d->arena);
}

static void *deep_walk(void *arg)
{
    struct deep *d = arg;
    for (unsigned i = 0; i < 3; i++) {
        struct problem problem = { 0 };
        d->valid +=
            json_schema_validate(d->schemas[i], d->instance, d->arena, SLICE("/x"), &problem);
    }
    return NULL;
}

static void walk_in_task(struct task *task, void *arg)
{
    (void)deep_walk(arg);
    loop_stop(task_loop(task));
}

/* What the reader takes from outside is walked through; twice that may be too deep, but no more
 * than that. */
static void test_fits_a_fiber(void **state)
{
    (void)state;
    for (unsigned levels = 30; levels <= 60; levels += 30) {
        struct deep d;
        struct loop *loop;
        deep_init(&d, levels);
        assert_int_equal(loop_new(NULL, &loop), STATUS_OK);
        assert_int_equal(task_spawn(loop, walk_in_task, &d, NULL), STATUS_OK);
        loop_run(loop);
        loop_free(loop);
        if (levels == 30)
            assert_int_equal(d.valid, 2); /* and a loop */
        deep_fini(&d);
    }
}

/* How much of a painted stack is used. */
static void test_stack_use(void **state)
{
    (void)state;
    const size_t bytes = (size_t)1 << 20;
    struct deep d;
    unsigned char *stack = NULL;
    pthread_attr_t attributes;
    pthread_t thread;
    size_t untouched = 0;
    if (SANITIZED)
        skip(); /* frames are larger, and so are their stacks */
    deep_init(&d, 60);
    assert_int_equal(posix_memalign((void **)&stack, 65536, bytes), 0);
    memset(stack, 0xa5, bytes);
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, bytes), 0);
    assert_int_equal(pthread_create(&thread, &attributes, deep_walk, &d), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    while (untouched < bytes && stack[untouched] == 0xa5)
        untouched++;
    print_message("the deepest walk uses %zu KiB of stack\n", (bytes - untouched) / 1024);
    assert_true(bytes - untouched < (size_t)96 * 1024);
    pthread_attr_destroy(&attributes);
    free(stack);
    deep_fini(&d);
}

/* -- memory
 * ---------------------------------------------------------------------------------------------------------
 */

static const char rich_schema[] =
    "{'$id':'http://x/root','$dynamicAnchor':'node','properties':{'a':{'$ref':'#/$defs/"
    "x'},'b':{'items':{'$dynamicRef':'#node'}},"
    "'m':{'$ref':'https://json-schema.org/draft/2020-12/"
    "schema'}},'patternProperties':{'^p(q|r)+':{'pattern':'^[a-z]+$'}},"
    "'propertyNames':{'maxLength':9},'unevaluatedProperties':false,'$defs':{'x':{'$id':'x','"
    "uniqueItems':true,'contains':"
    "{'type':'integer'}}},'allOf':[{'properties':{'c':{'multipleOf':0.01,'format':'regex'}}}]}";
static const char rich_instance[] =
    "{'a':[1,2,3,4,5,6,7,8,9,10],'b':[{'a':[1]},{'c':1.01}],'m':{'type':'string','items':{'"
    "minLength':2}},'pq':'abc','c':'(a|b)'}";

/* Whatever little there is, the answer is EXHAUSTED or right, and nothing leaks. */
static void test_any_budget(void **state)
{
    (void)state;
    struct arena *own = arena_new(NULL, (size_t)4 << 20);
    const json_t *json = case_json(own, "rich", rich_schema),
                 *instance = case_json(own, "rich", rich_instance);
    unsigned exhausted = 0, refused = 0, valid = 0;
    for (size_t budget = 64; !valid || budget % 4096; budget += valid ? 1 : 448) {
        struct arena *arena = arena_new(NULL, budget);
        struct json_schema *schema = NULL;
        struct problem problem = { 0 };
        struct json_schema_error error;
        enum status st = json_schema_compile(json, arena, &schema, &error);
        if (st == STATUS_EXHAUSTED)
            exhausted++;
        else if (st != STATUS_OK)
            fail_msg("%zu bytes: %s", budget, status_name(st));
        else if (json_schema_validate(schema, instance, arena, SLICE_NULL, &problem))
            valid++;
        else
            refused++;
        json_schema_free(schema);
        arena_free(arena);
        assert_true(budget < (size_t)4 << 20);
        if (valid)
            break;
    }
    assert_true(exhausted > 0);
    print_message("%u budgets were too small to compile, %u to validate\n", exhausted, refused);
    arena_free(own);
}

/* A valid instance gives back what it took. */
static void test_gives_memory_back(void **state)
{
    (void)state;
    struct arena *arena = arena_new(NULL, (size_t)4 << 20);
    struct json_schema *schema = NULL;
    const json_t *instance = case_json(arena, "rich", rich_instance);
    assert_int_equal(
        json_schema_compile(case_json(arena, "rich", rich_schema), arena, &schema, NULL),
        STATUS_OK);
    size_t before = arena_used(arena);
    for (unsigned i = 0; i < 100; i++)
        assert_true(json_schema_validate(schema, instance, arena, SLICE_NULL, NULL));
    assert_int_equal(arena_used(arena), before);
    json_schema_free(schema);
    arena_free(arena);
}

/* -- speed
 * ----------------------------------------------------------------------------------------------------------
 */

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Figures for the reader; only something absurd fails. */
static void test_speed(void **state)
{
    (void)state;
    struct arena *arena = arena_new(NULL, (size_t)4 << 20);
    struct json_schema *schema = NULL;
    const json_t *json = case_json(arena, "small",
                                   "{'type':'object','properties':{'x':{'type':'number','minimum':"
                                   "0},'y':{'type':'number'},'name':"
                                   "{'type':'string','maxLength':20},'tags':{'type':'array','items'"
                                   ":{'type':'string'}}},'required':['x','y'],"
                                   "'additionalProperties':false}");
    const json_t *instance =
        case_json(arena, "small", "{'x':1.5,'y':2,'name':'a point','tags':['a','b']}");
    struct arena_mark mark = arena_mark(arena);
    double start = now_us();
    for (unsigned i = 0; i < 1000; i++) {
        arena_rewind(arena, mark);
        assert_int_equal(json_schema_compile(json, arena, &schema, NULL), STATUS_OK);
        json_schema_free(schema);
    }
    double compile_us = (now_us() - start) / 1000;
    start = now_us();
    for (unsigned i = 0; i < 100000; i++)
        if (!json_schema_validate(schema, instance, arena, SLICE_NULL, NULL))
            fail();
    double validate_us = (now_us() - start) / 100000;
    print_message("compile %.2f us, validate %.3f us\n", compile_us, validate_us);
    assert_true(compile_us < 5000 && validate_us < 100);
    arena_free(arena);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_complaints),
        cmocka_unit_test(test_complaints_are_bounded),
        cmocka_unit_test(test_work_is_bounded),
        cmocka_unit_test(test_steps_are_bounded),
        cmocka_unit_test(test_size_is_bounded),
        cmocka_unit_test(test_long_chains),
        cmocka_unit_test(test_fits_a_fiber),
        cmocka_unit_test(test_stack_use),
        cmocka_unit_test(test_any_budget),
        cmocka_unit_test(test_gives_memory_back),
        cmocka_unit_test(test_speed),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
