/* identity/agent.c - What a User-Agent says in words. */
#include "identity/agent.h"

#include "base/arena.h"
#include "base/macros.h"

#define PRODUCT_MAX 24u

/* Browsers name the ones that they resemble after themselves, so the order decides. */
static const struct {
    struct slice mark;
    const char *name;
} browsers[] = {
    { SLICE_INIT("Edg"), "Edge" }, /* also EdgA, EdgiOS */
    { SLICE_INIT("OPR/"), "Opera" },       { SLICE_INIT("SamsungBrowser/"), "Samsung Internet" },
    { SLICE_INIT("Vivaldi/"), "Vivaldi" }, { SLICE_INIT("Firefox/"), "Firefox" },
    { SLICE_INIT("FxiOS/"), "Firefox" },   { SLICE_INIT("CriOS/"), "Chrome" },
    { SLICE_INIT("Chrome/"), "Chrome" },   { SLICE_INIT("Safari/"), "Safari" },
};
static const struct {
    struct slice mark;
    const char *name;
} systems[] = {
    { SLICE_INIT("iPhone"), "iPhone" },   { SLICE_INIT("iPad"), "iPad" },
    { SLICE_INIT("Android"), "Android" }, /* before the Linux that it is */
    { SLICE_INIT("Windows"), "Windows" }, { SLICE_INIT("CrOS"), "ChromeOS" },
    { SLICE_INIT("Mac OS X"), "macOS" },  { SLICE_INIT("Macintosh"), "macOS" },
    { SLICE_INIT("Linux"), "Linux" },     { SLICE_INIT("X11"), "Unix" },
};

static bool has(struct slice text, struct slice mark)
{
    return slice_find_slice(text, mark) != SIZE_MAX;
}

/* The first word, up to its version: "curl/8.5.0" is curl. */
static struct slice product_of(struct slice agent)
{
    size_t len = 0;
    while (len < agent.len && len < PRODUCT_MAX) {
        char c = agent.data[len];
        bool is_name = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_';
        if (!is_name)
            break;
        len++;
    }
    return slice_head(agent, len);
}

struct slice identity_agent_words(struct arena *arena, struct slice agent)
{
    struct slice browser = SLICE_NULL, system = SLICE_NULL, words;
    for (size_t i = 0; i < ARRAY_LEN(browsers) && !browser.len; i++)
        if (has(agent, browsers[i].mark))
            browser = slice_cstr(browsers[i].name);
    for (size_t i = 0; i < ARRAY_LEN(systems) && !system.len; i++)
        if (has(agent, systems[i].mark))
            system = slice_cstr(systems[i].name);
    if (!browser.len && !slice_starts(agent, SLICE("Mozilla/")))
        browser = product_of(agent);
    if (!browser.len)
        browser = system.len ? SLICE("A browser") : SLICE("An unknown device");
    if (!system.len)
        return browser;
    words = arena_printf(arena, "%.*s on %.*s", SLICE_ARG(browser), SLICE_ARG(system));
    return words.data ? words : browser;
}
