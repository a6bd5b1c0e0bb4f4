/* tests/identity/test_agent.c - What a User-Agent says in words. */
#include "identity/agent.h"

#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "fixture.h"

#define CHROME                                                                                     \
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "     \
    "Safari/537.36"

static void test_agent_is_said_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *agent, *want;
    } cases[] = {
        { CHROME, "Chrome on Linux" },
        { CHROME " Edg/126.0", "Edge on Linux" },
        { CHROME " OPR/111.0", "Opera on Linux" },
        { "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
          "Firefox on Windows" },
        { "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) "
          "Version/17.5 Safari/605.1.15",
          "Safari on macOS" },
        { "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
          "like Gecko) CriOS/126.0 Mobile/15E148 Safari/604.1",
          "Chrome on iPhone" },
        { "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) "
          "SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
          "Samsung Internet on Android" },
        { "Mozilla/5.0 (Windows NT 10.0)", "A browser on Windows" },
        { "Mozilla/5.0", "An unknown device" },
        { "curl/8.5.0", "curl" },
        { "node", "node" },
        { "my-app/1.2 (Android 14)", "my-app on Android" },
        { "<script>alert(1)</script>", "An unknown device" },
        { "", "An unknown device" },
    };
    struct arena *arena = arena_new(NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_slice(identity_agent_words(arena, slice_cstr(cases[i].agent)),
                     slice_cstr(cases[i].want));
    arena_free(arena);
}

static void test_agent_is_bounded_whatever_is_sent(void **state)
{
    (void)state;
    static char text[70000];
    struct arena *arena = arena_new(NULL, 0);
    memset(text, 'a', sizeof(text));
    struct slice words = identity_agent_words(arena, slice_of(text, sizeof(text)));
    assert_slice(words, slice_of(text, 24));
    memset(text, '\xff', sizeof(text));
    assert_slice(identity_agent_words(arena, slice_of(text, sizeof(text))),
                 SLICE("An unknown device"));
    assert_true(words.len <= IDENTITY_AGENT_WORDS_MAX);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agent_is_said_in_words),
        cmocka_unit_test(test_agent_is_bounded_whatever_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
